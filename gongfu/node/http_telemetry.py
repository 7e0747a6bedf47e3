"""``POST /v1/telemetry`` put together: the columniser and the device credentials inside the web role."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from sqlalchemy import Engine
from starlette.routing import Route as HttpRoute

from gongfu.bus.blocklog import BlockLog, ensure_streams
from gongfu.bus.connection import subscribe
from gongfu.bus.spares import open_spares
from gongfu.ingest.admission.admission import Admission
from gongfu.ingest.admission.book import QuotaBook
from gongfu.ingest.columnise.columniser import Columniser
from gongfu.ingest.http.api import HttpTelemetryLimits, telemetry_endpoint
from gongfu.ingest.http.gate import HttpGate
from gongfu.ingest.mqtt.access import DeviceAccess, Refusal
from gongfu.ingest.mqtt.registry_access import RegistryAuthenticator
from gongfu.ingest.types import Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import unavailable
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.node.quotas import defaults_of
from gongfu.node.runtime import Runtime
from gongfu.registry.changes import RegistryChange
from gongfu.registry.credentials import Credentials

_THREADS = 2

logger = logging.getLogger("gongfu.web")


class HttpTelemetry:
    """Takes telemetry over HTTP. ``start`` before the route is served, ``close`` after."""

    def __init__(
        self,
        runtime: Runtime,
        bus: Client,
        subjects: Subjects,
        engine: Engine,
        counters: Counters,
        clock: Clock,
        device_key: bytes,
    ) -> None:
        self._runtime = runtime
        self._bus = bus
        self._subjects = subjects
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="authentication")
        self._authenticator = RegistryAuthenticator(
            Credentials(engine, device_key), self._executor, asyncio.get_running_loop()
        )
        payload = runtime.mqtt.max_payload_bytes
        spares = open_spares(bus, subjects, runtime.telemetry.partitions, runtime.block_log.replicas, counters)
        self._intake = Columniser(
            bus,
            subjects,
            engine,
            runtime.telemetry,
            counters,
            clock,
            max_payload_bytes=payload,
            log=BlockLog(bus, subjects, counters, spares=spares),
        )
        limits = HttpTelemetryLimits(max_payload_bytes=payload)
        self._admission = Admission(defaults_of(runtime.quotas), asyncio.get_running_loop().time)
        self._quotas = QuotaBook(bus, subjects, engine, self._executor, self._admission)
        gate = HttpGate(self._admission, self._intake, limits.concurrent_bodies)
        endpoint = telemetry_endpoint(self._writer, self._intake, clock, limits, gate)
        self.route = HttpRoute("/v1/telemetry", endpoint, methods=["POST"])
        self._registry: Subscription | None = None

    def gauges(self) -> dict[str, float]:
        """Return the figures of the columniser."""
        return self._intake.gauges()

    async def start(self) -> None:
        """Connect to the block log and to announcements of the registry."""
        log = self._runtime.block_log
        partitions = self._runtime.telemetry.partitions
        await ensure_streams(self._bus, self._subjects, partitions, log.max_age_seconds, log.max_bytes, log.replicas)
        await self._intake.start()
        await self._quotas.start()
        self._registry = await subscribe(self._bus, self._subjects.event("registry"), self._changed)

    async def close(self) -> None:
        """Make durable what was taken, and end."""
        await self._intake.close()
        await self._quotas.stop()
        if self._registry is not None:
            await self._registry.unsubscribe()
        self._executor.shutdown()

    async def _writer(self, name: str, secret: str) -> Writer | None:
        found = await self._authenticator.check(name, secret.encode(), None)
        if found is Refusal.UNAVAILABLE:
            raise unavailable("credentials cannot be checked now")
        return found.writer if isinstance(found, DeviceAccess) else None

    async def _changed(self, message: Msg) -> None:
        try:
            change = msgspec.json.decode(message.data, type=RegistryChange)
        except msgspec.MsgspecError:
            logger.warning("unreadable event on %s", message.subject)
            return
        if change.kind == "device":
            self._authenticator.forget(change.id)
