"""Several front doors in one process: real brokers and journals on SQLite, a network that a test delivers by hand."""

import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Any

from gongfu.ingest.mqtt.broker.broker import Broker
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.broker.messages import Message
from gongfu.ingest.mqtt.broker.sessions import Session
from gongfu.ingest.mqtt.broker.subscriptions import Subscription
from gongfu.ingest.mqtt.codec.packets import Acknowledgement, Publish
from gongfu.ingest.mqtt.codec.reasons import PacketType
from gongfu.ingest.mqtt.journal.journal import SqliteJournal
from gongfu.ingest.mqtt.journal.loading import load
from gongfu.ingest.mqtt.journal.schema import add_tables
from gongfu.ingest.mqtt.peers.federation import Federation
from gongfu.kernel.counters import Counters
from tests.unit.mqtt.workbench import TENANT, Clock, Intake, Link


class Disk:
    """Operations of a journal: on disk only after ``commit``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._items: list[tuple[str, tuple[Any, ...]] | Callable[[], None]] = []

    def write(self, sql: str, parameters: tuple[Any, ...]) -> None:
        self._items.append((sql, parameters))

    def then(self, callback: Callable[[], None]) -> None:
        if self._items:
            self._items.append(callback)
        else:
            callback()

    def commit(self) -> bool:
        items, self._items = self._items, []
        for item in items:
            if isinstance(item, tuple):
                self._connection.execute(*item)
        for item in items:
            if not isinstance(item, tuple):
                item()
        return bool(items)


class FederatedDoor:
    """One front door. ``crash`` forgets what is not on disk; ``start`` begins again from the disk."""

    def __init__(self, net: "Net", name: str, index: int) -> None:
        self.net = net
        self.name = name
        self.index = index
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        add_tables(self.connection)
        self.up = False

    def start(self) -> None:
        kept = load(self.connection, self.index)
        self.disk = Disk(self.connection)
        self.counters = Counters()
        journal = SqliteJournal(self.disk, self.index)  # type: ignore[arg-type]
        self.broker = Broker(journal, self.counters, Limits(), self.net.clock, Intake())
        for record in kept.sessions:
            self.broker.restore_session(record)
        for tenant, message, _ in kept.retained:
            self.broker.restore_retained(tenant, message)
        self.federation = Federation(
            self.name, self.broker, self.counters, self._post, lambda: None, now=self.net.seconds
        )
        self.federation.restore(kept)
        for name in self.net.doors:
            if name != self.name:
                self.federation.peer(name)
        self.up = True

    def crash(self) -> None:
        self.up = False
        for place in [place for place in self.net.wires if self.name in place]:
            self.net.wires[place].clear()

    def _post(self, receiver: str, data: bytes) -> None:
        if not self.net.doors[receiver].up:
            self.net.wires.setdefault((receiver, self.name), deque()).append(b"")  # NATS: nobody listens
        else:
            self.net.wires.setdefault((self.name, receiver), deque()).append(data)

    def step(self) -> None:
        self.federation.now = self.net.seconds
        self.federation.flush()

    def publish(self, topic: str, payload: bytes, qos: int, done: Callable[[], None]) -> None:
        self.broker.router.publish(TENANT, Message(topic, payload, qos), None, done)


class Net:
    """Front doors and the wires between them."""

    def __init__(self, count: int) -> None:
        self.clock = Clock()
        self.seconds = 0.0
        self.wires: dict[tuple[str, str], deque[bytes]] = {}
        self.doors: dict[str, FederatedDoor] = {}
        for index in range(count):
            name = f"door-{index + 1}"
            self.doors[name] = FederatedDoor(self, name, index)
        for door in self.doors.values():
            door.start()
        self.run(2.5)

    def forward(self, seconds: float) -> None:
        self.seconds += seconds
        self.clock.forward(seconds)
        for door in self.doors.values():
            if door.up:
                door.federation.now = self.seconds
                door.federation.tick()

    def deliver(self, place: tuple[str, str]) -> None:
        sender, receiver = place
        data = self.wires[place].popleft()
        door = self.doors[receiver]
        if door.up:
            door.federation.now = self.seconds
            if data:
                door.federation.receive(sender, data)
            else:
                door.federation.down(sender)
            door.step()

    def quiet(self) -> None:
        """Deliver and commit until nothing more happens."""
        for _ in range(10_000):
            busy = False
            for door in self.doors.values():
                if door.up:
                    door.step()
                    busy |= door.disk.commit()
                    door.step()
            for place in [place for place, wire in self.wires.items() if wire]:
                self.deliver(place)
                busy = True
            if not busy:
                return
        raise AssertionError("front doors talk for ever")

    def run(self, seconds: float) -> None:
        """Let time pass with everything delivered."""
        steps = int(seconds / 0.25)
        for _ in range(steps):
            self.quiet()
            self.forward(0.25)
        self.quiet()


class Client:
    """A client with a session that outlives its connections, at any door; it remembers what it has got."""

    def __init__(self, net: Net, name: str) -> None:
        self.net = net
        self.key = 1, name
        self.link: Link | None = None
        self.session: Session | None = None
        self.door: FederatedDoor | None = None
        self.got: list[bytes] = []
        self._attempt = 0
        self._unreleased: set[int] = set()

    def connect(self, door: FederatedDoor) -> None:
        """Send CONNECT; ``online`` is true once it has been answered."""
        self._attempt += 1
        attempt = self._attempt
        self.link, self.session, self.door = None, None, door
        handover = door.federation.handover

        def decided(superseded: bool) -> None:
            ticket = handover.joining[self.key].ticket
            if not superseded and attempt == self._attempt:
                self._open(door, ticket)
            handover.release(self.key, ticket)

        if handover.must_ask(self.key):
            handover.fetch(self.key, False, decided)
        else:
            self._open(door, handover.ticket())

    def _open(self, door: FederatedDoor, ticket: int) -> None:
        link = Link()
        session, present = door.broker.open(self.key, TENANT, "v1/devices/d1/", False, 100_000, None, link, ticket)
        door.broker.start(session)
        self.session, self.link = session, link
        if not present:
            self._unreleased.clear()
            door.broker.subscribe(session, Subscription("t", qos=2))

    @property
    def online(self) -> bool:
        return self.link is not None and self.door is not None and self.door.up and self.link.closed is None

    def read(self) -> None:
        """Take and acknowledge all that has come."""
        while self.online and self.link is not None and self.session is not None and (packets := self.link.take()):
            for packet in packets:
                if isinstance(packet, Publish) and packet.qos == 1:
                    self.got.append(packet.payload)
                    self.session.outbox.acknowledge(packet.packet_id)
                elif isinstance(packet, Publish):
                    if packet.packet_id not in self._unreleased or not packet.duplicate:
                        self.got.append(packet.payload)
                    self._unreleased.add(packet.packet_id)
                    self.session.outbox.receive(packet.packet_id, 0)
                elif isinstance(packet, Acknowledgement) and packet.kind is PacketType.PUBREL:
                    self._unreleased.discard(packet.packet_id)
                    self.session.outbox.finish(packet.packet_id)
