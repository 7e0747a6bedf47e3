"""Composition of one MQTT front door: journal, broker, server."""

import asyncio
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from nats.aio.client import Client

from gongfu.ingest.admission.quota import Defaults
from gongfu.ingest.mqtt.access import Authenticator
from gongfu.ingest.mqtt.broker.broker import Broker
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.broker.messages import Message
from gongfu.ingest.mqtt.codec.reasons import Reason
from gongfu.ingest.mqtt.journal.journal import SqliteJournal
from gongfu.ingest.mqtt.journal.loading import Kept, load, take_over
from gongfu.ingest.mqtt.journal.schema import abandoned, journal_path, open_database
from gongfu.ingest.mqtt.journal.writer import CommitThread
from gongfu.ingest.mqtt.peers.neighbours import Neighbours
from gongfu.ingest.mqtt.server.context import DoorContext
from gongfu.ingest.mqtt.server.listeners import Addresses, MqttServer
from gongfu.ingest.types import Intake
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock, SystemClock

log = logging.getLogger(__name__)

JOURNALS = Path("door")
MOST_DOORS = 64


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Which front door this is and where it keeps and listens.

    Attributes:
        data_dir: data directory of the node.
        addresses: where to listen.
        limits: bounds of the broker.
        max_connections: open sockets of this process.
        door: index of this process, from 0.
        doors: number of front doors on this machine.
        quotas: what devices and tenants may send of which the records say nothing.
    """

    data_dir: Path
    addresses: Addresses
    limits: Limits = field(default_factory=Limits)
    max_connections: int = 15_000
    door: int = 0
    doors: int = 1
    quotas: Defaults = field(default_factory=Defaults)


class FrontDoor:
    """A running front door; made by ``open_front_door``."""

    def __init__(self, settings: DoorSettings, thread: CommitThread, context: DoorContext, kept: Kept) -> None:
        self.settings = settings
        self.context = context
        self.broker = context.broker
        self.server = MqttServer(context)
        self._thread = thread
        self._kept = kept

    @property
    def ports(self) -> dict[str, int]:
        """Ports in use: ``tcp``, ``tls``, ``websocket``."""
        return self.server.ports

    async def join(self, bus: Client, subjects: Subjects, name: str) -> None:
        """Become one broker with the other front doors; before ``listen``.

        Args:
            bus: an open connection.
            subjects: names of the node.
            name: name of this front door's role: ``door-<number>``, in a cluster ``door-<number>@<instance>``.
        """
        _, at, instance = name.partition("@")
        doors = self.settings.doors
        former = range(doors + 1, MOST_DOORS + 1) if self.settings.door == 0 else ()
        neighbours = Neighbours(
            bus,
            subjects,
            name,
            self.broker,
            self._kept,
            self.context.counters,
            expected=[f"door-{number}{at}{instance}" for number in range(1, doors + 1)],
            former=[f"door-{number}{at}{instance}" for number in former],
        )
        self._kept = Kept()
        await neighbours.start()
        self.context.peers = neighbours

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        """Open the sockets.

        Raises:
            OSError: a port is taken.
        """
        await self.server.start(self.settings.addresses, tls)

    async def close(self) -> None:
        """Close every connection, then the journal."""
        await self.server.stop()
        self.context.fair.stop()
        if self.context.peers is not None:
            await self.context.peers.stop()
        await self._thread.close()

    def kick(self, device: int) -> int:
        """Close the connections of a device whose registration changed; return how many there were."""
        found = [c for c in self.context.clients if c.writer is not None and c.writer.device == device]
        for connection in found:
            connection.close(Reason.ADMINISTRATIVE_ACTION, "the device's registration has changed")
        return len(found)

    def evict(self, device: int) -> None:
        """A device has been deleted: close its connections, end its sessions."""
        self.kick(device)
        for session in [s for s in self.broker.sessions.values() if s.device == device]:
            self.broker.end(session)
        if self.context.peers is not None:
            self.context.peers.federation.evict(device)

    async def send(self, tenant: int, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> int:
        """Publish from inside the node to an inner topic; return how many subscribe to it.

        That is the number of sessions here, and one for each other front door with subscribers.
        """
        message = Message(topic, payload, qos, retain)
        matched = self.broker.router.tenant(tenant).trie.match(topic)
        taken: asyncio.Future[None] = self.context.loop.create_future()

        def done() -> None:
            if not taken.done():
                taken.set_result(None)

        self.broker.router.publish(tenant, message, None, done)
        await taken
        return len(matched.direct) + len(matched.groups) + len(matched.doors)

    def gauges(self) -> dict[str, float]:
        """Return what is now: connections, sessions, subscriptions, retained messages."""
        sessions = self.broker.sessions.values()
        peers = self.context.peers
        return {
            **({} if peers is None or not peers.active else peers.federation.gauges()),
            "connections": len(self.context.clients),
            "sockets": self.context.sockets,
            "sessions": len(sessions),
            "subscriptions": sum(len(session.subscriptions) for session in sessions),
            "retained": sum(tenant.retained.count for tenant in self.broker.router.tenants),
            **self.context.fair.gauges(),
            "messages_queued": sum(len(s.waiting.queue) + len(s.waiting.flight) for s in sessions if s.waiting),
        }


def open_front_door(
    settings: DoorSettings,
    intake: Intake,
    authenticator: Authenticator,
    counters: Counters,
    clock: Clock | None = None,
) -> FrontDoor:
    """Return a front door with everything the journal keeps; it does not listen yet. Needs a running event loop.

    Raises:
        sqlite3.Error: the journal cannot be opened.
    """
    loop = asyncio.get_running_loop()
    directory = settings.data_dir / JOURNALS
    path = journal_path(directory, settings.door)
    database = open_database(path)
    if settings.door == 0:
        for other in list(abandoned(directory, settings.doors)):
            log.info("the sessions of a front door that is no longer started are taken over: %s", other.name)
            take_over(database, other)
    kept = load(database, settings.door)
    database.close()
    thread = CommitThread(path, loop, counters)
    journal = SqliteJournal(thread, settings.door)
    broker = Broker(journal, counters, settings.limits, clock or SystemClock(), intake)
    for record in kept.sessions:
        broker.restore_session(record)
    for tenant, message, _ in kept.retained:
        broker.restore_retained(tenant, message)
    for will in kept.wills:
        broker.restore_will(will)
    context = DoorContext(
        broker,
        intake,
        authenticator,
        counters,
        settings.limits,
        settings.max_connections,
        loop,
        lambda: thread.saturated,
        settings.quotas,
    )
    return FrontDoor(settings, thread, context, kept)
