"""Composition of the Sparkplug host application of a front door."""

import asyncio
import contextlib

from nats.aio.client import Client

from gongfu.ingest.columnise.columniser import Columniser
from gongfu.ingest.mqtt.broker.messages import Message
from gongfu.ingest.mqtt.front_door import FrontDoor
from gongfu.ingest.mqtt.server.connection import Connection
from gongfu.ingest.sparkplug.announcing import Announced, Announcer
from gongfu.ingest.sparkplug.host import HostSettings, SparkplugHost
from gongfu.ingest.sparkplug.rebirths import Throttle
from gongfu.ingest.sparkplug.services import SparkplugServices
from gongfu.ingest.sparkplug.sessions import Bounds
from gongfu.ingest.types import Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SECOND, Clock
from gongfu.node.sparkplug_settings import SparkplugSettings
from gongfu.node.stated_units import UnitSender

_LOOK_S = 1.0
# So long after the last connection of a sender has ended, its edge nodes that nobody called dead count as dead.
LEFT_S = 5.0


def host_settings(settings: SparkplugSettings) -> HostSettings:
    """Return the settings as the host takes them."""
    rate = settings.rebirths_per_second
    return HostSettings(
        Bounds(window=int(settings.reorder_seconds * SECOND)), Throttle(rate=rate, burst=max(1.0, rate / 4))
    )


class DoorHost:
    """The host of one front door with its announcer and its services; ``start`` before the door listens."""

    def __init__(
        self,
        settings: SparkplugSettings,
        node: str,
        door: FrontDoor,
        intake: Columniser,
        counters: Counters,
        clock: Clock,
    ) -> None:
        """Compose; ``node`` is the name of the node, the host id when none is set."""
        self._door = door
        self._intake = intake
        announced = Announced(settings.host_ids or (node,), settings.state_version_2)
        door.context.reserved = announced.topics
        self.host = SparkplugHost(
            intake, self._publish, counters, clock, asyncio.get_running_loop(), host_settings(settings)
        )
        intake.follow_sparkplug(self.host.take, self.host.order_of, self.host.unknown_alias)
        self._announcer = Announcer(announced, door.send, clock)
        self._services: SparkplugServices | None = None
        self._units: UnitSender | None = None
        self._counters = counters
        # Connections by device: how many there are.
        self._clients: dict[int, int] = {}
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None

    async def start(self, bus: Client, subjects: Subjects, name: str) -> None:
        """Join the other front doors; announce the host to tenants whose clients come."""
        self._services = SparkplugServices(bus, subjects, self.host, name)
        await self._services.start()
        self._units = UnitSender(bus, subjects, self._counters)
        self.host.units = self._units.follower
        self._units.start()
        context = self._door.context
        before = context.on_client

        def on_client(connection: Connection, online: bool) -> None:
            before(connection, online)
            writer = connection.dialogue.access.writer
            if online:
                self._welcome(writer.tenant)
                self._clients[writer.device] = self._clients.get(writer.device, 0) + 1
                return
            left = self._clients.pop(writer.device, 1) - 1
            if left > 0:
                self._clients[writer.device] = left
            else:
                # Its will, if it had one, comes first; and perhaps it is back at once, here or elsewhere.
                asyncio.get_running_loop().call_later(LEFT_S, self._left, writer)

        context.on_client = on_client
        if self._door.settings.door == 0:
            self._looking = asyncio.create_task(self._look(), name="sparkplug state")

    async def stop(self) -> None:
        """Say that the host is offline; before the door closes."""
        self._stopping = True
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
            tenants = [tenant.identifier for tenant in self._door.broker.router.tenants]
            await self._announcer.farewell(tenants)
        self.host.stop()
        if self._units is not None:
            await self._units.stop()
        if self._services is not None:
            await self._services.stop()

    def _left(self, writer: Writer) -> None:
        if writer.device not in self._clients and not self._stopping:
            self.host.left(writer)

    def _publish(self, tenant: int, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        self._door.broker.router.publish(tenant, Message(topic, payload, qos, retain), None)

    def _welcome(self, tenant: int) -> None:
        if self._announcer.knows(tenant):
            return
        task = asyncio.create_task(self._announcer.welcome(tenant))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            await self._announcer.look(self._intake.log_available)
