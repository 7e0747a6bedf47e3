"""The role ``models`` put together: models on the stream, on history, and as a service."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.appkit.catalogue import find_models
from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.connection import subscribe
from gongfu.bus.ending import end_tasks
from gongfu.bus.ownership import Ownership, Sole
from gongfu.bus.requests import serve
from gongfu.bus.spares import open_spares
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.data_directory import OBJECTS_BYTES, DataDirectory
from gongfu.node.history_store import open_history
from gongfu.node.runtime import Runtime
from gongfu.reason.alarms.sql_source import AlarmSource
from gongfu.reason.models.artifacts import Artifacts
from gongfu.reason.models.backfill.runner import Backfills
from gongfu.reason.models.calling.invoker import Invoker
from gongfu.reason.models.calling.types import InvokeRequest
from gongfu.reason.models.catalogue import Catalogue
from gongfu.reason.models.inspecting import Inspector, InspectRequest
from gongfu.reason.models.sql.runner import PeriodicModels, SqlModels
from gongfu.reason.models.streaming.fleet import CHECKPOINT_S, Fleet
from gongfu.reason.models.streaming.sources import Processes
from gongfu.reason.models.streaming.types import AssetsAsk
from gongfu.reason.outputs import ModelOutputs
from gongfu.registry.point_directory import RegistryPoints
from gongfu.registry.sql_sources import AssetSource, DeviceSource
from gongfu.store.history.query import HistoryQueries
from gongfu.store.history.sql_tables import PointSource, SqlTables
from gongfu.store.objects.folder import ObjectFolder

logger = logging.getLogger("gongfu.models")

# Many definitions are often written at once; they are read together.
_SETTLE_S = 0.1
# Reading all bindings anew may take this share of the time.
_LOAD_SHARE = 0.2
_LONGEST_PAUSE_S = 60.0
# The records are looked at as well without an announcement: those may be lost.
_RELOAD_S = 30.0
_TICK_S = 1.0
_SWEEP_S = 3600.0
_CALLS_AT_ONCE = 256


class _Kind(msgspec.Struct):
    """What matters of ``evt.rule`` and ``evt.registry``."""

    kind: str = ""


class ModelsHost:
    """Everything of the role but its process. ``start`` it, then ``stop`` it."""

    def __init__(
        self, runtime: Runtime, bus: Client, engine: Engine, counters: Counters, ownership: Ownership | None = None
    ) -> None:
        self._runtime, self._bus, self._engine, self._counters = runtime, bus, engine, counters
        self._subjects, self._clock = Subjects(runtime.node), SystemClock()
        self._ownership = ownership or Sole()
        directory = DataDirectory(Path(runtime.data_dir))
        directory.want_models()
        objects = ObjectFolder(directory.objects, total_bytes=OBJECTS_BYTES)
        self._artifacts = Artifacts(engine, self._clock, objects, runtime.quotas.tenant_artifact_bytes)
        self.catalogue = Catalogue(find_models(), objects)
        partitions = runtime.telemetry.partitions
        spares = open_spares(bus, self._subjects, partitions, runtime.block_log.replicas, counters)
        self._log = BlockLog(bus, self._subjects, counters, spares=spares)
        scratch = directory.run / "models"
        processes = Processes(self.catalogue, scratch)
        self.fleet = Fleet(
            bus,
            self._subjects,
            engine,
            self.catalogue,
            processes.open,
            self._log,
            directory.models,
            partitions,
            counters,
            self._clock,
            self._ownership,
        )
        store = open_history(runtime)
        points = RegistryPoints(engine)
        sources = [PointSource(points), AssetSource(engine), DeviceSource(engine), AlarmSource(engine)]
        sql = SqlModels(HistoryQueries(store, points), SqlTables(store, sources), self.catalogue)
        self._outputs = ModelOutputs(self._log, counters, self._ownership)
        self.periodic = PeriodicModels(sql, self._outputs, engine, partitions, counters, self._clock)
        self.invoker = Invoker(engine, self.catalogue, processes.open, sql.answer, self._clock)
        self.backfills = Backfills(
            engine,
            self.catalogue,
            processes.open,
            store,
            sql,
            ModelOutputs(self._log, counters, self._ownership),
            directory.models,
            partitions,
            counters,
            self._clock,
        )
        self._inspector = Inspector(objects, scratch)
        self._subscriptions: list[Subscription] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._decode = msgspec.json.Decoder(_Kind).decode

    def gauges(self) -> dict[str, float]:
        """Return the figures for ``MetricsPublisher``."""
        runs = list(self.fleet.runs.values())
        return {
            "model_runs": float(len(runs)),
            "model_blocks_queued": float(sum(run.behind for run in runs)),
            # Since each run began: too many rows at once.
            "model_rows_shed": float(sum(run.sampler.shed_rows for run in runs)),
            "model_points_waiting": float(sum(run.sampler.waiting for run in runs)),
        }

    async def start(self) -> None:
        """Connect to the block log, begin with all bindings, and answer."""
        log, partitions = self._runtime.block_log, self._runtime.telemetry.partitions
        await ensure_streams(self._bus, self._subjects, partitions, log.max_age_seconds, log.max_bytes, log.replicas)
        await self._log.start()
        self._subscriptions += [
            await subscribe(self._bus, self._subjects.event(kind), self._noticed) for kind in ("rule", "registry")
        ]
        await self.fleet.load()
        self.invoker.start()
        bus, name = self._bus, self._subjects.service
        self._subscriptions += [
            await serve(bus, name("models.invoke"), self.invoker.invoke, InvokeRequest, at_once=_CALLS_AT_ONCE),
            await serve(bus, name("models.inspect"), self._inspector.inspect, InspectRequest, at_once=4),
            await serve(bus, name("models.state"), self._state),
            await serve(bus, name("models.assets"), self._assets, AssetsAsk),
        ]
        self._tasks = [
            asyncio.create_task(self._load(), name="load"),
            asyncio.create_task(self._await_points(), name="points"),
            asyncio.create_task(self._every(CHECKPOINT_S, self.fleet.checkpoint), name="checkpoints"),
            asyncio.create_task(self._every(_TICK_S, self._tick), name="tick"),
            asyncio.create_task(self._every(_SWEEP_S, self._sweep), name="sweep"),
            asyncio.create_task(self.backfills.run(), name="back-fills"),
        ]

    async def stop(self) -> None:
        """End all models; what was taken is in the last checkpoints."""
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        await end_tasks(self._tasks)
        await self.invoker.close()
        await self.fleet.close()
        await self._outputs.settle()
        await self._log.close()

    async def _state(self, _: object) -> object:
        return self.fleet.state(self.periodic.periods)

    async def _assets(self, ask: AssetsAsk) -> object:
        return self.fleet.assets(ask)

    async def _tick(self) -> None:
        await self.periodic.run(self.fleet.periodic)

    async def _sweep(self) -> None:
        gone = await asyncio.to_thread(self._artifacts.sweep)
        if gone:
            logger.info("%d objects that nothing refers to were removed", len(gone))

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await act()
            except Exception:
                # One failure, such as records that are away, must not end it for good.
                logger.exception("%s failed", getattr(act, "__name__", "task"))

    async def _noticed(self, message: Msg) -> None:
        try:
            kind = self._decode(message.data).kind
        except msgspec.MsgspecError:
            logger.warning("an event on %s is not understood", message.subject)
            return
        if kind in ("asset", "point", "tenant", "binding", "model"):
            self._changed.set()

    async def _load(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _RELOAD_S)
            await asyncio.sleep(_SETTLE_S)
            told = self._changed.is_set()
            self._changed.clear()
            began = time.monotonic()
            try:
                await self.fleet.load(always=told)
            except SQLAlchemyError as error:
                logger.warning("the records do not answer; models go on as they were: %s", type(error).__name__)
            except Exception:
                logger.exception("the bindings of models could not be read; the old ones run on")
            await asyncio.sleep(min((time.monotonic() - began) / _LOAD_SHARE, _LONGEST_PAUSE_S))

    async def _await_points(self) -> None:
        while True:
            await self.fleet.news.wait()
            self.fleet.news.clear()
            if self.fleet.open_ended():
                self._changed.set()
                await asyncio.sleep(_TICK_S)
