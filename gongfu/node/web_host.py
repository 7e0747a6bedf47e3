"""The web host put together: the services of all nouns, their routes, and the application that serves them."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from sqlalchemy import Engine
from starlette.types import ASGIApp

import gongfu
from gongfu.appkit.catalogue import find_models
from gongfu.bus.connection import subscribe
from gongfu.bus.metrics import MetricsPublisher
from gongfu.connect.connections.models import ModelMaker
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.alarm_routes import alarm_routes
from gongfu.node.apps_routes import open_apps
from gongfu.node.calls_host import CallsHost, open_calls
from gongfu.node.connect_routes import connect_routes
from gongfu.node.data_directory import OBJECTS_BYTES, DataDirectory
from gongfu.node.event_publisher import EventPublisher
from gongfu.node.history_store import open_history
from gongfu.node.http_telemetry import HttpTelemetry
from gongfu.node.identifier_routes import identifier_routes
from gongfu.node.runtime import Runtime, role_name
from gongfu.node.sparkplug_routes import sparkplug_routes
from gongfu.node.stated_units import serve_units
from gongfu.node.store_host import StoreHost, open_store
from gongfu.node.tree_routes import tree_routes
from gongfu.reason.alarms import api as alarms_api
from gongfu.reason.alarms.service import AlarmService
from gongfu.reason.alarms.sql_source import AlarmSource
from gongfu.reason.backtest import api as backtest_api
from gongfu.reason.backtest.jobs import Address, Backtests
from gongfu.reason.models import api as models_api
from gongfu.reason.models import quota as model_quota
from gongfu.reason.models.asking import ModelsRole
from gongfu.reason.models.backfill import api as backfill_api
from gongfu.reason.models.backfill.service import BackfillService
from gongfu.reason.models.service import ModelService
from gongfu.reason.rules import api as rules_api
from gongfu.reason.rules.service import RuleService
from gongfu.reason.status import Worker
from gongfu.registry.api import assets, devices, events, points, session, source_units, users
from gongfu.registry.asset_directory import AssetDirectory
from gongfu.registry.device_directory import DeviceDirectory
from gongfu.registry.device_secrets import load_device_key
from gongfu.registry.point_directory import RegistryPoints
from gongfu.registry.service import Registry, open_registry
from gongfu.registry.sql_sources import AssetSource, DeviceSource
from gongfu.rest.routing import Route
from gongfu.store.history import api as history_api
from gongfu.store.history.query import HistoryQueries
from gongfu.store.history.sql_tables import PointSource, SqlTables
from gongfu.store.objects.folder import ObjectFolder
from gongfu.thing import api as things_api
from gongfu.thing.conformity import Conformity
from gongfu.thing.instances import Instances, check_asset_type
from gongfu.thing.service import ThingModels
from gongfu.web import health, overview
from gongfu.web.app import create_app
from gongfu.web.live import NodeLive
from gongfu.web.metrics_text import metrics_route
from gongfu.web.node_state import NodeState
from gongfu.web.openapi import openapi_route
from gongfu.web.presence import Presence
from gongfu.web.static import console_routes
from gongfu.web.stream import Hub
from gongfu.web.stream_route import stream_route

logger = logging.getLogger("gongfu.web")


class _AlarmEvent(msgspec.Struct, frozen=True):
    """``evt.alarm`` as the stream needs it: whose alarm, and its document as it came."""

    tenant: int
    alarm: msgspec.Raw


@dataclass(slots=True)
class WebHost:
    """Everything of the web role but the listening socket. ``start`` before serving ``app``, ``stop`` after."""

    app: ASGIApp
    routes: list[Route]
    registry: Registry
    telemetry: HttpTelemetry
    state: NodeState
    presence: Presence
    hub: Hub
    publisher: EventPublisher
    metrics: MetricsPublisher
    bus: Client
    subjects: Subjects
    store: StoreHost
    calls: CallsHost
    backtests: Backtests
    counters: Counters
    _alarms: Subscription | None = None
    _tree: Subscription | None = None
    _units: Subscription | None = None

    async def start(self) -> None:
        """Follow the other roles."""
        await self.telemetry.start()
        await self.state.start(self.bus)
        await self.presence.start()
        await self.store.start()
        await self.calls.start()
        self._alarms = await subscribe(self.bus, self.subjects.event("alarm"), self._alarm)
        self._tree = await subscribe(self.bus, self.subjects.event("tree"), self._tree_changed)
        self._units = await serve_units(self.bus, self.subjects, self.registry.source_units, self.counters)
        self.metrics.start()

    async def end_streams(self) -> None:
        """End the open streams, so that the HTTP server can end."""
        await self.hub.close()

    async def stop(self) -> None:
        """Make durable and publish what is left, and stop following."""
        await self.telemetry.close()
        await self.metrics.stop()
        await self.store.stop()
        await self.calls.stop()
        await self.backtests.close()
        await self.presence.stop()
        await self.state.stop()
        await self.publisher.close()
        for subscription in (self._alarms, self._tree, self._units):
            if subscription is not None:
                await subscription.unsubscribe()

    async def _alarm(self, message: Msg) -> None:
        try:
            event = msgspec.json.decode(message.data, type=_AlarmEvent)
        except msgspec.MsgspecError:
            logger.warning("unreadable event on %s", message.subject)
            return
        self.hub.alarm(event.tenant, bytes(event.alarm))

    async def _tree_changed(self, message: Msg) -> None:
        self.hub.tree(message.data)


def open_web_host(
    runtime: Runtime, bus: Client, engine: Engine, *, console: Path | None = None, clock: SystemClock | None = None
) -> WebHost:
    """Return the web host of a node.

    Args:
        runtime: addresses and settings.
        bus: an open connection; the running loop is its loop.
        engine: migrated records.
        console: directory of the built console, default the one in the package.
        clock: present time.
    """
    clock, counters, subjects = clock or SystemClock(), Counters(), Subjects(runtime.node)
    publisher = EventPublisher(bus, subjects, asyncio.get_running_loop())
    device_key = load_device_key(runtime.data_dir)
    loop = asyncio.get_running_loop()

    def count(name: str, n: int) -> None:
        loop.call_soon_threadsafe(counters.add, name, n)

    conformity = Conformity(engine, clock, count)
    registry = open_registry(
        engine,
        device_key,
        clock=clock,
        announce=lambda change: publisher.publish("registry", change),
        fits_type=check_asset_type,
        fits_event=conformity.check_event,
    )
    things = ThingModels(engine, clock)
    instances = Instances(engine, clock, lambda change: publisher.publish("registry", change))
    state = NodeState(subjects, clock)
    presence = Presence(
        bus,
        subjects,
        state.doors,
        DeviceDirectory(engine),
        clock,
        state.workers,
        assets=AssetDirectory(engine),
        online_seconds=runtime.telemetry.online_seconds,
    )
    live = NodeLive(bus, subjects, presence, state.workers)
    telemetry = HttpTelemetry(runtime, bus, subjects, engine, counters, clock, device_key)
    worker = Worker(bus, subjects, state.workers)
    alarms = AlarmService(engine, clock, lambda event: publisher.publish("alarm", event))
    rules = RuleService(engine, clock, lambda change: publisher.publish("rule", change))
    urls = runtime.history_urls or (runtime.history_url,)
    backtests = Backtests(engine, Address(urls, runtime.history_user, runtime.history_password), clock)
    directory = DataDirectory(Path(runtime.data_dir))
    objects = ObjectFolder(directory.objects, total_bytes=OBJECTS_BYTES)
    quotas = runtime.quotas
    models = ModelService(
        engine,
        clock,
        lambda change: publisher.publish("rule", change),
        find_models(),
        objects,
        quotas.tenant_artifact_bytes,
    )
    if models.any_bound():
        directory.want_models()  # bindings of an earlier version
    role = ModelsRole(bus, subjects, directory.want_models)
    backfills = BackfillService(engine, clock, models, quotas.tenant_backfills, quotas.backfills)
    source = overview.OverviewSource(
        runtime.node,
        gongfu.__version__,
        Path(runtime.data_dir),
        engine,
        state,
        live,
        clock,
        alarms.totals,
    )
    maker = ModelMaker(things, instances)
    calls = open_calls(runtime, bus, subjects, engine, clock)
    store = open_store(DataDirectory(Path(runtime.data_dir)), engine, clock)
    _, app_routes = open_apps(runtime, bus, subjects, engine, clock, store.publishers.trusted)
    hub = Hub(source, live.latest_items, counters)
    routes = [
        *session.routes(registry, secure=bool(runtime.web.tls_certificate)),
        *users.routes(registry),
        *assets.routes(registry, live),
        *devices.routes(registry, live),
        *points.routes(registry, live),
        *events.routes(registry),
        *source_units.routes(registry.source_units),
        *things_api.routes(things, instances),
        *overview.routes(source),
        *history_api.routes(_history(runtime, engine)),
        *alarms_api.routes(alarms),
        *alarm_routes(runtime, engine, clock, publisher, alarms),
        *rules_api.routes(rules, worker),
        *backtest_api.routes(backtests),
        *models_api.routes(models, role),
        *model_quota.routes(models, backfills),
        *backfill_api.routes(backfills, role),
        *tree_routes(runtime, bus, subjects, engine, clock),
        *identifier_routes(runtime, bus, subjects, engine, clock),
        *sparkplug_routes(bus, subjects, engine, clock, state.doors, conformity),
        *connect_routes(runtime, bus, subjects, engine, clock, registry.devices, publisher, maker, conformity),
        *store.routes,
        *calls.routes,
        *app_routes,
    ]
    identify = registry.sessions.identify
    further = [
        openapi_route(routes, gongfu.__version__),
        health.health_route(lambda: bus.is_connected),
        telemetry.route,
        stream_route(hub, identify, registry.points),
        metrics_route(state, identify),
        *(console_routes(console) if console is not None else console_routes()),
    ]
    app = create_app(routes, identify, further=further, max_body_bytes=runtime.mqtt.max_payload_bytes)
    metrics = MetricsPublisher(
        bus, subjects, role_name("web"), counters, lambda: {**telemetry.gauges(), "streams": hub.size}
    )
    return WebHost(
        app,
        routes,
        registry,
        telemetry,
        state,
        presence,
        hub,
        publisher,
        metrics,
        bus,
        subjects,
        store,
        calls,
        backtests,
        counters,
    )


def _history(runtime: Runtime, engine: Engine) -> history_api.HistoryService:
    store = open_history(runtime)
    directory = RegistryPoints(engine)
    sources = [PointSource(directory), AssetSource(engine), DeviceSource(engine), AlarmSource(engine)]
    tables = SqlTables(store, sources)
    return history_api.HistoryService(HistoryQueries(store, directory), tables)
