"""A broker without sockets: a link that keeps what is sent, a clock that is set, durability that commits on demand."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gongfu.ingest.mqtt.broker.broker import Broker
from gongfu.ingest.mqtt.broker.durability import Key, SessionRecord, WillRecord
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.broker.messages import Delivery, Message
from gongfu.ingest.mqtt.broker.sessions import Session
from gongfu.ingest.mqtt.broker.subscriptions import Subscription
from gongfu.ingest.mqtt.codec.decoding import decode
from gongfu.ingest.mqtt.codec.packets import MQTT_5, Acknowledgement, Packet, Publish
from gongfu.ingest.mqtt.codec.reasons import PacketType, Reason
from gongfu.ingest.mqtt.codec.splitter import Splitter
from gongfu.ingest.types import Done, Form, Receipt, Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SECOND
from tests.fixtures.intake import QuietIntake

TENANT = 1
START = 1_700_000_000 * SECOND


class Link:
    """A connection that keeps packets."""

    def __init__(self, version: int = MQTT_5, send_maximum: int = 100, maximum_packet: int = 1_000_000) -> None:
        self.version = version
        self.send_maximum = send_maximum
        self.maximum_packet = maximum_packet
        self.congested = False
        self.aliases = False
        self.closed: Reason | None = None
        self._splitter = Splitter(10_000_000)
        self.packets: list[Packet] = []

    def send(self, data: bytes) -> None:
        for first, body in self._splitter.feed(data):
            self.packets.append(decode(first, body, self.version))

    def close(self, reason: Reason, detail: str = "") -> None:
        self.closed = reason

    def alias(self, topic: str) -> tuple[str, int]:
        return topic, 0

    def take(self) -> list[Packet]:
        packets, self.packets = self.packets, []
        return packets

    def published(self) -> list[Publish]:
        return [packet for packet in self.take() if isinstance(packet, Publish)]


@dataclass
class Clock:
    now: int = START

    def now_ns(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


class Intake(QuietIntake):
    """Takes everything; the outcome of each payload is given by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.saturated = False
        self.taken: list[tuple[Form, bytes, int, Done | None, str]] = []

    def submit(
        self, writer: Writer, form: Form, payload: bytes, received: int, done: Done | None = None, context: str = ""
    ) -> None:
        self.taken.append((form, payload, received, done, context))
        if done is not None:
            done(Receipt(1))


class Ledger:
    """Durability that commits when told, at once by default."""

    def __init__(self, automatic: bool = True) -> None:
        self.automatic = automatic
        self.writes: list[tuple[Any, ...]] = []
        self.waiting: list[Callable[[], None]] = []
        self._ids = itertools.count(1)

    def then(self, callback: Callable[[], None]) -> None:
        if self.automatic:
            callback()
        else:
            self.waiting.append(callback)

    def commit(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()

    def new_identifier(self) -> int:
        return next(self._ids)

    def put_session(self, record: SessionRecord) -> None:
        self.writes.append(("session", record.key, record.expiry, record.ends))

    def drop_session(self, identifier: int) -> None:
        self.writes.append(("no session", identifier))

    def put_subscription(self, session: int, subscription: Subscription) -> None:
        self.writes.append(("subscription", subscription.key))

    def drop_subscription(self, session: int, subscription: Subscription) -> None:
        self.writes.append(("no subscription", subscription.key))

    def put_message(self, message: Message) -> None:
        message.identifier = self.new_identifier()
        self.writes.append(("message", message.identifier))

    def drop_message(self, message: Message) -> None:
        self.writes.append(("no message", message.identifier))

    def put_delivery(self, session: int, delivery: Delivery) -> None:
        self.writes.append(("delivery", delivery.ordinal, delivery.packet_id, delivery.released))

    def drop_delivery(self, session: int, delivery: Delivery) -> None:
        self.writes.append(("no delivery", delivery.ordinal))

    def put_received(self, session: int, packet_id: int, received: int) -> None:
        self.writes.append(("received", packet_id, received))

    def drop_received(self, session: int, packet_id: int) -> None:
        self.writes.append(("no received", packet_id))

    def put_retained(self, tenant: int, message: Message, version: int = 0) -> None:
        self.writes.append(("retained", message.topic))

    def drop_retained(self, tenant: int, topic: str, version: int = 0) -> None:
        self.writes.append(("no retained", topic))

    def put_will(self, will: WillRecord) -> None:
        self.writes.append(("will", will.key, will.due))

    def drop_will(self, key: Key) -> None:
        self.writes.append(("no will", key))

    def put_forward(self, door: str, ordinal: int, item: bytes) -> None:
        self.writes.append(("forward", door, ordinal))

    def drop_forward(self, door: str, ordinal: int) -> None:
        self.writes.append(("no forward", door, ordinal))

    def put_seen(self, sender: str, target: str, ordinal: int) -> None:
        self.writes.append(("seen", sender, target, ordinal))

    def put_interest(self, door: str, tenant: int, key: tuple[str, str], online: int, kept: int) -> None:
        self.writes.append(("interest", door, tenant, key, online, kept))

    def drop_interest(self, door: str, tenant: int, key: tuple[str, str]) -> None:
        self.writes.append(("no interest", door, tenant, key))


class Workbench:
    """A broker and everything around it."""

    def __init__(self, limits: Limits | None = None, automatic: bool = True) -> None:
        self.clock = Clock()
        self.ledger = Ledger(automatic)
        self.counters = Counters()
        self.intake = Intake()
        self.broker = Broker(self.ledger, self.counters, limits or Limits(), self.clock, self.intake)

    def connect(
        self,
        name: str,
        link: Link | None = None,
        *,
        clean: bool = True,
        expiry: int = 0,
        will: WillRecord | None = None,
        device: int = 1,
    ) -> tuple[Session, Link, bool]:
        link = link or Link()
        session, present = self.broker.open((device, name), TENANT, f"v1/devices/d{device}/", clean, expiry, will, link)
        self.broker.start(session)
        return session, link, present

    def subscribe(self, session: Session, topic_filter: str, **options: Any) -> None:
        subscription = Subscription(topic_filter, **options)
        known = self.broker.subscribe(session, subscription)
        for delivery in self.broker.retained_for(session, subscription, known):
            session.outbox.offer(delivery, session.durable)

    def publish(self, topic: str, payload: bytes = b"x", publisher: Session | None = None, **options: Any) -> list[str]:
        """Publish; the returned list gets an entry when the publisher may be acknowledged."""
        done: list[str] = []
        self.broker.router.publish(TENANT, Message(topic, payload, **options), publisher, lambda: done.append("done"))
        return done

    def dropped(self, reason: str) -> int:
        return self.counters.snapshot().get(f"messages_dropped.{reason}", 0)


def will_of(name: str, topic: str = "w", delay: int = 0, qos: int = 0, device: int = 1) -> WillRecord:
    writer = Writer(TENANT, device, f"d{device}", 1, "a")
    return WillRecord((device, name), writer, topic, Message(topic, b"gone", qos), delay)


def ack(kind: PacketType, packet_id: int) -> Acknowledgement:
    return Acknowledgement(kind, packet_id)
