"""Role ``web``: the API and the console."""

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path

import msgspec
import uvloop
from nats.aio.client import Client
from nats.errors import Error as NatsError
from sqlalchemy import Engine

import gongfu
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.metrics import MetricsPublisher
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.runtime import Runtime, load_runtime, report_ready
from gongfu.registry.api import assets, devices, events, points, session, users
from gongfu.registry.changes import RegistryChange
from gongfu.registry.device_secrets import load_device_key
from gongfu.registry.service import Registry, open_registry
from gongfu.rest.routing import Route
from gongfu.store.records.engine import open_records
from gongfu.store.records.migrations import migrate
from gongfu.web import health, overview
from gongfu.web.app import create_app
from gongfu.web.http_server import HttpServer
from gongfu.web.live import NodeLive
from gongfu.web.metrics_text import metrics_route
from gongfu.web.node_state import NodeState
from gongfu.web.openapi import openapi_route
from gongfu.web.presence import Presence
from gongfu.web.static import console_routes
from gongfu.web.stream import Hub
from gongfu.web.stream_route import stream_route

logger = logging.getLogger("gongfu.web")


def registry_routes(registry: Registry, live: NodeLive, *, secure: bool) -> list[Route]:
    """Return all operations of the registry."""
    return [
        *session.routes(registry, secure=secure),
        *users.routes(registry),
        *assets.routes(registry),
        *devices.routes(registry, live),
        *points.routes(registry, live),
        *events.routes(registry),
    ]


async def _serve(runtime: Runtime, engine: Engine) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock, counters, subjects = SystemClock(), Counters(), Subjects(runtime.node)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), "web")
    announcer = _Announcer(bus, subjects, loop)
    registry = open_registry(engine, load_device_key(runtime.data_dir), clock=clock, announce=announcer.announce)
    state = NodeState(subjects, clock)
    presence = Presence(bus, subjects, state.doors)
    live = NodeLive(bus, subjects, presence)
    source = overview.OverviewSource(
        runtime.node, gongfu.__version__, Path(runtime.data_dir), engine, state, live, clock
    )
    hub = Hub(source, live.latest_items, counters)
    secure = bool(runtime.web.tls_certificate)
    routes = [*registry_routes(registry, live, secure=secure), *overview.routes(source)]
    identify = registry.sessions.identify
    app = create_app(
        routes,
        identify,
        further=[
            openapi_route(routes, gongfu.__version__),
            health.health_route(lambda: bus.is_connected),
            stream_route(hub, identify, registry.points),
            metrics_route(state, identify),
            *console_routes(),
        ],
        max_body_bytes=runtime.mqtt.max_payload_bytes,
    )
    web = runtime.web
    server = HttpServer(app, web.host, web.port, certificate=web.tls_certificate, key=web.tls_key)
    metrics = MetricsPublisher(bus, subjects, "web", counters, lambda: {"streams": hub.size})
    await state.start(bus)
    await presence.start()
    await server.start()
    metrics.start()
    report_ready()
    logger.info("web serves on %s:%d", web.host, web.port)
    ended = asyncio.create_task(server.wait())
    await asyncio.wait({ended, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    logger.info("web stops")
    await hub.close()
    await server.stop()
    await metrics.stop()
    await presence.stop()
    await state.stop()
    await announcer.close()
    await bus.close()


class _Announcer:
    """Publishes registry changes on ``evt.registry``; they are made on threads, the bus lives on the loop."""

    def __init__(self, bus: Client, subjects: Subjects, loop: asyncio.AbstractEventLoop) -> None:
        self._bus = bus
        self._subject = subjects.event("registry")
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, change: RegistryChange) -> None:
        """Publish soon; called on any thread."""
        self._loop.call_soon_threadsafe(self._begin, msgspec.json.encode(change))

    async def close(self) -> None:
        """Wait until all is published."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, document: bytes) -> None:
        task = self._loop.create_task(self._publish(document))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _publish(self, document: bytes) -> None:
        try:
            await self._bus.publish(self._subject, document)
        except (NatsError, OSError) as error:
            # Front doors forget what they cached by themselves after a short time.
            logger.warning("a registry change was not announced: %s", type(error).__name__)


def main() -> int:
    """Run the role until SIGTERM; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    runtime = load_runtime()
    engine = open_records(runtime.records_url)
    try:
        migrate(engine)
        uvloop.run(_serve(runtime, engine))
    except (OSError, TimeoutError) as error:
        logger.error("web cannot start: %s", error)
        return 1
    finally:
        with contextlib.suppress(Exception):
            engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
