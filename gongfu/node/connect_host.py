"""The role ``connect`` put together: all connections of this machine, and what the API asks of them."""

import asyncio
import logging
import random
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.connection import subscribe
from gongfu.bus.ending import end_tasks
from gongfu.bus.requests import serve
from gongfu.bus.spares import open_spares
from gongfu.connect.connections.fleet import Fleet
from gongfu.connect.connections.operations import Operations
from gongfu.connect.connections.secrets import ConnectionSecrets
from gongfu.connect.connections.types import Ask, ConnectionChange, StatusAsk
from gongfu.connect.kit.machine_alarms import ALARMS
from gongfu.connect.kit.machine_units import UNITS
from gongfu.connect.kit.status import State, Status
from gongfu.connect.kit.timing import SystemTiming
from gongfu.ingest.admission.admission import Admission
from gongfu.ingest.admission.book import QuotaBook
from gongfu.ingest.columnise.columniser import Columniser
from gongfu.ingest.types import Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import unavailable
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.data_directory import DataDirectory
from gongfu.node.event_publisher import EventPublisher
from gongfu.node.machine_alarms import MachineAlarmDesk
from gongfu.node.machine_units import MachineUnitDesk
from gongfu.node.quotas import defaults_of
from gongfu.node.runtime import Runtime
from gongfu.node.shared_files.secrets import connection_folder
from gongfu.registry import event_records
from gongfu.registry.source_units import SourceUnits
from gongfu.store.records.engine import writing

logger = logging.getLogger("gongfu.connect")

# Under which the role answers; in a cluster, the machine that has the role.
SERVICE = "connect"
# The records are looked at as well without an announcement: those may be lost.
_RELOAD_S = 10.0
_ASKS_AT_ONCE = 16
# Events of one device that are kept as records in a minute; more are counted only.
_EVENTS_A_MINUTE = 60
_TEXT_LIMIT = 4000


class ConnectHost:
    """Everything of the role but its process. ``start`` it, then ``stop`` it."""

    def __init__(self, runtime: Runtime, bus: Client, engine: Engine, counters: Counters) -> None:
        loop = asyncio.get_running_loop()
        self._runtime = runtime
        self._bus = bus
        self._engine = engine
        self._counters = counters
        self._subjects = Subjects(runtime.node)
        clock = SystemClock()
        self._clock = clock
        self._executor = ThreadPoolExecutor(2, thread_name_prefix="connect-records")
        self._publisher = EventPublisher(bus, self._subjects, loop)
        spares = open_spares(bus, self._subjects, runtime.telemetry.partitions, runtime.block_log.replicas, counters)
        log = BlockLog(bus, self._subjects, counters, spares=spares)
        self._intake = Columniser(bus, self._subjects, engine, runtime.telemetry, counters, clock, log=log)
        self._admission = Admission(defaults_of(runtime.quotas), loop.time)
        self._quotas = QuotaBook(bus, self._subjects, engine, self._executor, self._admission)
        self._shared = connection_folder(runtime, engine)
        # The files themselves, which ``_load`` keeps up to date: drivers read them on the event loop, and need them
        # while the records are away.
        secrets = ConnectionSecrets(DataDirectory(Path(runtime.data_dir)).connection_secrets)
        timing = SystemTiming()
        self._fleet = Fleet(
            engine,
            self._executor,
            secrets,
            self._intake,
            self._admission,
            timing,
            random.random,
            self._status_changed,
            self._happened,
        )
        self._alarms = MachineAlarmDesk(
            bus, self._subjects, engine, self._executor, counters, clock, self._fleet.named, self._acknowledged
        )
        units = SourceUnits(engine, clock, lambda change: self._publisher.publish("registry", change))
        self._units = MachineUnitDesk(units, self._executor, counters)
        self._operations = Operations(self._fleet.running, secrets, timing)
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._noted: dict[int, tuple[float, int]] = {}
        self._online = 0
        # While the lease of the role is not certain; a node of one machine has none.
        self._suspended = False
        self._connected = False
        self._asked = 0

    def gauges(self) -> dict[str, float]:
        """Return the figures for ``MetricsPublisher``."""
        return {**self._intake.gauges(), "connections_online": float(self._online)}

    async def start(self) -> None:
        """Connect to the block log, take up all connections, and answer."""
        log = self._runtime.block_log
        partitions = self._runtime.telemetry.partitions
        await ensure_streams(self._bus, self._subjects, partitions, log.max_age_seconds, log.max_bytes, log.replicas)
        await self._intake.start()
        await self._quotas.start()
        asks = self._subjects.service(SERVICE)
        self._subscriptions += [
            await serve(self._bus, asks, self._answer, Ask, at_once=_ASKS_AT_ONCE),
            await serve(self._bus, f"{asks}.status", self._statuses, StatusAsk),
            await subscribe(self._bus, self._subjects.event("connection"), self._changed),
            await subscribe(self._bus, self._subjects.event("alarm"), self._alarms.changed),
        ]
        self._reporting = self._begin(self._alarms.run())
        self._connected = True
        await self._load()
        self._begin(self._reload())

    async def stop(self) -> None:
        """End all connections and make durable what they brought."""
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        for task in self._tasks:
            task.cancel()
        await self._fleet.close()
        self._connected = False
        await self._intake.close()
        if self._shared is not None:
            # Up to where drivers have read: the next holder goes on from there.
            with suppress(SQLAlchemyError, OSError, ValueError):
                await asyncio.get_running_loop().run_in_executor(self._executor, self._shared.sync)
        await self._quotas.stop()
        await self._publisher.close()
        self._executor.shutdown()

    def acting(self) -> bool:
        """Return whether machines are connected, or asked something; from any thread."""
        return self._connected or self._asked > 0

    async def suspend(self) -> None:
        """End all connections for now. What they have brought still becomes durable: it was read by right."""
        self._suspended = True
        await end_tasks([self._reporting])
        await self._fleet.close()
        self._units.forget()
        self._connected = False

    async def resume(self) -> None:
        """Take up all connections again."""
        self._suspended, self._connected = False, True
        self._reporting = self._begin(self._alarms.run())
        await self._load()

    def _begin(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, ask: Ask) -> Any:
        self._asked += 1
        try:
            if self._suspended:
                raise unavailable("the role connect waits for its lease; try again in some seconds")
            return await self._operations.answer(ask)
        finally:
            self._asked -= 1

    async def _load(self, key: int = 0) -> None:
        """Bring connections to what the records say, with the secrets that other machines have written."""
        if self._shared is not None:
            try:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._shared.sync)
            except (SQLAlchemyError, OSError, ValueError) as error:
                logger.warning("secrets of connections cannot be shared now: %s", type(error).__name__)
        if not self._suspended:
            await self._fleet.load(key)

    async def _reload(self) -> None:
        while True:
            await asyncio.sleep(_RELOAD_S)
            try:
                await self._load()
                self._admission.sweep()
                statuses = await self._fleet.statuses()
                self._online = sum(status.state is State.ONLINE for status in statuses)
            except Exception:
                # Whatever it is, the records and what machines share must go on being looked at.
                logger.exception("connections were not looked at")

    async def _statuses(self, ask: StatusAsk) -> list[Status]:
        return await self._fleet.statuses(ask.ids)

    async def _changed(self, message: Msg) -> None:
        try:
            change = msgspec.json.decode(message.data, type=ConnectionChange)
        except msgspec.MsgspecError:
            logger.warning("unreadable event on %s", message.subject)
            return
        self._begin(self._look(change))

    async def _look(self, change: ConnectionChange) -> None:
        name = self._fleet.name_of(change.id)
        await self._load(change.id)
        if change.change == "deleted" and name:
            self._alarms.removed(change.tenant, name)

    def _status_changed(self, status: Status) -> None:
        self._publisher.publish("connection-status", status)

    def _acknowledged(self, tenant: int, name: str, kind: str, detail: Mapping[str, Any]) -> None:
        writer = self._fleet.writer_of(name, tenant)
        if writer is not None:
            self._happened(writer, kind, {"connection": name, **detail})

    def _happened(self, writer: Writer, kind: str, detail: Mapping[str, Any]) -> None:
        if kind == ALARMS:
            self._alarms.take(writer, str(detail["connection"]), detail)
            return
        if kind == UNITS:
            self._units.take(writer, detail, self._begin)
            return
        document = {"tenant": writer.tenant, "device": writer.device, "asset": writer.asset, "kind": kind, **detail}
        self._publisher.publish("connection-event", document)
        now = asyncio.get_running_loop().time()
        began, n = self._noted.get(writer.device, (now, 0))
        if now - began >= 60.0:
            began, n = now, 0
        self._noted[writer.device] = (began, n + 1)
        if n >= _EVENTS_A_MINUTE:
            self._counters.add("connection_events_left_out")
            return
        asyncio.get_running_loop().run_in_executor(self._executor, self._note, writer, kind, dict(detail))

    def _note(self, writer: Writer, kind: str, detail: dict[str, Any]) -> None:
        now = self._clock.now_ns()
        try:
            with writing(self._engine) as transaction:
                event_records.add(
                    transaction,
                    id=str(uuid.uuid4()),
                    tenant_id=writer.tenant,
                    asset_id=writer.asset,
                    kind=kind[:60],
                    time_from=int(detail.get("since", 0)) or now,
                    time_to=int(detail.get("until", 0)) or now,
                    text=msgspec.json.encode(detail).decode()[:_TEXT_LIMIT],
                    source=f"connection {writer.name}"[:120],
                    created_at=now,
                )
        except SQLAlchemyError as error:
            logger.warning("an event of %s was not kept: %s", writer.name, type(error).__name__)
