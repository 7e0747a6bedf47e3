"""The role ``apps`` put together: what is installed, what runs, and what the API asks of it."""

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from sqlalchemy import Engine

from gongfu.appkit.host.answering import NodeServices
from gongfu.appkit.host.directory import Directory
from gongfu.appkit.host.lane import Lane
from gongfu.appkit.host.order_calls import ORDER, PROBE, OrderCall, ProbeQuestion
from gongfu.appkit.host.services import TenantServices
from gongfu.appkit.host.status import AppStatus
from gongfu.appkit.installed.consenting import granted_of
from gongfu.appkit.installed.fleet import Fleet
from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.kinds_taken import check_kinds_free
from gongfu.appkit.installed.lifecycle import LifeCycle
from gongfu.appkit.installed.provisions import NodeProvisions
from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.types import AppAsk, InstalledApp, Operation, RouteCall
from gongfu.appkit.manifest import parse_manifest
from gongfu.appkit.package.opening import Package, open_package
from gongfu.appkit.package.publishers import Publishers
from gongfu.appkit.package.refusal import PackageError
from gongfu.bus.blockfeed import BlockFeed
from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.connection import subscribe
from gongfu.bus.requests import serve
from gongfu.bus.spares import open_spares
from gongfu.bus.streamreader import REPLACED_S
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem, invalid, not_found
from gongfu.kernel.permissions import Role, Subject
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.data_directory import OBJECTS_BYTES, DataDirectory
from gongfu.node.event_publisher import EventPublisher
from gongfu.node.history_store import open_history
from gongfu.node.runtime import Runtime, shares_partitions
from gongfu.reason.models.asking import ModelsRole
from gongfu.registry.changes import RegistryChange
from gongfu.store.objects.folder import ObjectFolder
from gongfu.tree.api.asking import open_ask
from gongfu.tree.nodes.joined import joined_file

logger = logging.getLogger("gongfu.apps")

SERVICE = "apps"
_ROUTES_AT_ONCE = 64
_OPERATIONS_AT_ONCE = 8
_ORDERS_AT_ONCE = 64
# Changes of the registry are taken together.
_RELOAD_S = 1.0
# What was broken off is tried again, and keys of publishers that were revoked are looked at.
_KEEP_UP_S = 30.0


class AppsHost:
    """Everything of the role but its process. ``start`` it, then ``stop`` it."""

    def __init__(self, runtime: Runtime, bus: Client, engine: Engine, counters: Counters) -> None:
        self._runtime = runtime
        self._bus = bus
        self._engine = engine
        self._counters = counters
        self._subjects = Subjects(runtime.node)
        self._clock = SystemClock()
        self._partitions = runtime.telemetry.partitions
        spares = open_spares(bus, self._subjects, self._partitions, runtime.block_log.replicas, counters)
        self._log = BlockLog(bus, self._subjects, counters, spares=spares)
        self._history = open_history(runtime)
        self._folders = Folders(DataDirectory(Path(runtime.data_dir)).apps)
        self._publishers = Publishers(engine, self._clock)
        self._publisher = EventPublisher(bus, self._subjects, asyncio.get_running_loop())
        self._tenants: dict[int, tuple[NodeServices, Directory]] = {}
        self._records = InstalledRecords(engine, self._clock)
        self._fleet = Fleet(self._folders, self._services, self._feed, self._last)
        directory = DataDirectory(Path(runtime.data_dir))
        objects = ObjectFolder(directory.objects, total_bytes=OBJECTS_BYTES)
        self._models = ModelsRole(bus, self._subjects, directory.want_models)
        provisions = NodeProvisions(
            engine,
            self._clock,
            self._folders,
            self._publisher.publish,
            objects,
            self._models,
            runtime.quotas.tenant_artifact_bytes,
        )
        trusted = self._publishers.trusted
        self._life = LifeCycle(self._records, self._folders, self._fleet, provisions, trusted)
        self._fleet.may_run = self._life.may_run
        self._tree = open_ask(bus, self._subjects, joined_file(Path(runtime.data_dir)).is_file)
        self._subscriptions: list[Subscription] = []
        self._changed: set[int] = set()
        # Between the look whether kinds of orders are free and the note that they are taken.
        self._taking = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def gauges(self) -> dict[str, float]:
        """Return the figures for ``MetricsPublisher``."""
        return self._fleet.gauges()

    async def start(self) -> None:
        """Finish or undo what was broken off, run all apps, and answer."""
        bounds = self._runtime.block_log
        await ensure_streams(
            self._bus, self._subjects, self._partitions, bounds.max_age_seconds, bounds.max_bytes, bounds.replicas
        )
        await self._log.start()
        for told in await self._life.recover(acting_for):
            logger.warning("%s", told)
        asks = self._subjects.service(SERVICE)
        self._subscriptions += [
            await subscribe(self._bus, self._subjects.event("registry"), self._registry_changed),
            await serve(self._bus, f"{asks}.do", self._do, Operation, at_once=_OPERATIONS_AT_ONCE),
            await serve(self._bus, f"{asks}.route", self._fleet.call_route, RouteCall, at_once=_ROUTES_AT_ONCE),
            await serve(self._bus, f"{asks}.{ORDER}", self._fleet.carry_out, OrderCall, at_once=_ORDERS_AT_ONCE),
            await serve(self._bus, f"{asks}.{PROBE}", self._fleet.look, ProbeQuestion, at_once=_ORDERS_AT_ONCE),
            await serve(self._bus, f"{asks}.status", self._statuses, AppAsk),
            await serve(self._bus, f"{asks}.log", self._lines, AppAsk),
        ]
        self._tasks = [
            asyncio.create_task(self._reload(), name="registry"),
            asyncio.create_task(self._keep_up(), name="apps"),
        ]

    async def stop(self) -> None:
        """End all apps; what they have done is stored."""
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        for task in self._tasks:
            task.cancel()
        await self._fleet.close()
        await self._log.close()
        await self._publisher.close()
        await self._history.close()

    def _services(self, tenant: int) -> tuple[NodeServices, Directory]:
        if tenant not in self._tenants:
            directory = Directory(self._engine, tenant)
            services = TenantServices(
                self._bus,
                self._subjects,
                self._engine,
                tenant,
                directory,
                self._history,
                self._log,
                self._partitions,
                shares_partitions(self._runtime),
                self._folders.objects,
                self._models,
                self._clock,
                self._tree,
            )
            self._tenants[tenant] = (services, directory)
        return self._tenants[tenant]

    async def _feed(self, lane: Lane) -> None:
        deadline = time.monotonic() + REPLACED_S
        while True:
            ends = await self._last()
            behind = [partition for partition, last in ends.items() if lane.position(partition) > last]
            if not behind or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.25)
        for partition, last in ends.items():
            if lane.position(partition) > last:
                logger.warning("%s: the block log was replaced; partition %d is read anew", lane.name, partition)
                lane.progress.positions[partition] = 0
        async with asyncio.TaskGroup() as group:
            for partition in range(self._partitions):
                feed = BlockFeed(self._bus, self._subjects, partition, self._counters, [lane])
                group.create_task(feed.run(), name=f"feed {partition} of {lane.name}")

    async def _last(self) -> Mapping[int, int]:
        return {partition: await self._log.last_sequence(partition) for partition in range(self._partitions)}

    async def _statuses(self, ask: AppAsk) -> list[AppStatus]:
        return await self._fleet.statuses(ask.tenant, ask.app)

    async def _lines(self, ask: AppAsk) -> list[str]:
        return self._fleet.log(ask.tenant, ask.app, ask.lines)

    async def _do(self, operation: Operation) -> str:
        try:
            return await self._done(operation)
        finally:
            self._publisher.publish("apps", {"verb": operation.verb})

    async def _done(self, operation: Operation) -> str:
        subject = Subject(operation.user, operation.name, operation.tenant, Role(operation.role))
        match operation.verb:
            case "install":
                package = await asyncio.to_thread(self._open, operation)
                try:
                    manifest = parse_manifest(package.manifest)
                    app = await asyncio.to_thread(self._records.get, manifest.app.id)
                    granted = granted_of(manifest.needs, operation.without, app.current if app is not None else None)
                except ValueError as error:
                    raise invalid(str(error)) from None
                async with self._taking:
                    await asyncio.to_thread(check_kinds_free, self._records, subject.tenant, manifest)
                    return (await self._life.install(subject, package, granted, consent=operation.consent)).app
            case "grant":
                await self._life.grant(subject, operation.app, operation.without or [])
            case "rollback":
                async with self._taking:
                    app = await asyncio.to_thread(self._records.get, operation.app)
                    if app is not None and app.previous is not None:
                        before = app.previous.manifest
                        await asyncio.to_thread(check_kinds_free, self._records, app.tenant, before)
                    await self._life.roll_back(subject, operation.app)
            case "remove":
                await self._life.remove(subject, operation.app)
                self._fleet.forget(operation.app)
            case "enable" | "disable":
                await self._life.enable(subject, operation.app, enabled=operation.verb == "enable")
            case "allow-key":
                await self._life.allow_key(subject, operation.app, operation.reason)
            case _:
                raise invalid(f"{operation.verb!r} is nothing that can be done with an app")
        return operation.app

    def _open(self, operation: Operation) -> Package:
        path = self._folders.incoming / operation.file
        if "/" in operation.file or not path.is_file():
            raise not_found(f"package {operation.file!r}")
        try:
            return open_package(path, self._publishers.trusted(), allow_unsigned=operation.allow_unsigned)
        except PackageError as error:
            raise Problem(
                422, "package-refused", "The package is refused", str(error), {"reason": str(error.reason)}
            ) from None
        finally:
            path.unlink(missing_ok=True)

    async def _registry_changed(self, message: Msg) -> None:
        try:
            change = msgspec.json.decode(message.data, type=RegistryChange)
        except msgspec.MsgspecError:
            return
        # What is added is read when its first value comes.
        if change.kind in ("asset", "point") and change.change != "created":
            self._changed.add(change.tenant)

    async def _keep_up(self) -> None:
        look = self._life.start_all
        while True:
            try:
                await look()
            except Exception:
                # Such as records that are away: it is looked at again.
                logger.exception("apps could not be looked at")
            look = partial(self._life.keep_up, acting_for)
            await asyncio.sleep(_KEEP_UP_S)

    async def _reload(self) -> None:
        wait = _RELOAD_S
        while True:
            await asyncio.sleep(wait)
            began = time.monotonic()
            changed, self._changed = self._changed, set()
            for tenant in changed:
                try:
                    await self._fleet.points_changed(tenant)
                except Exception as error:
                    logger.warning("points of tenant %d could not be read, tried again: %r", tenant, error)
                    self._changed.add(tenant)
            # Where there are very many points, less often: at most a twentieth of the time goes there.
            wait = max(_RELOAD_S, 20 * (time.monotonic() - began))


def acting_for(app: InstalledApp) -> Subject:
    """Return who acts for an app when nobody asks."""
    return Subject(user=0, name=f"app:{app.app}"[:120], tenant=app.tenant, role=Role.ENGINEER)
