"""Deliveries to one session: queue, packets in flight, acknowledgements (MQTT 5.0 §4.3, §4.4, §4.6, §4.9)."""

from collections import deque
from math import inf
from typing import Protocol

from gongfu.ingest.mqtt.broker.durability import Durability
from gongfu.ingest.mqtt.broker.limits import Limits
from gongfu.ingest.mqtt.broker.messages import Delivery, delivery_fields, encode_delivery
from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.packets import MQTT_5, Acknowledgement
from gongfu.ingest.mqtt.codec.reasons import PacketType, Reason
from gongfu.kernel.counters import Counters
from gongfu.kernel.times import Clock

DELIVERY_OVERHEAD = 200
LAST_PACKET_ID = 65_535
HELD_MAXIMUM = 1024
# Below all ordinals; those of messages that came late from another front door are negative.
EVERYTHING = -(1 << 62)


class Link(Protocol):
    """The connection of a session, as the broker sees it."""

    version: int
    send_maximum: int
    maximum_packet: int
    congested: bool
    aliases: bool

    def send(self, data: bytes) -> None:
        """Send bytes; never blocks. Callers stop while ``congested``."""
        ...

    def close(self, reason: Reason, detail: str = "") -> None:
        """Send a DISCONNECT where the protocol has one, and close."""
        ...

    def alias(self, topic: str) -> tuple[str, int]:
        """Return (topic to send, topic alias or 0) and remember a new alias."""
        ...


class Desk:
    """What all sessions of a broker share."""

    __slots__ = ("clock", "counters", "durability", "limits")

    def __init__(self, durability: Durability, counters: Counters, limits: Limits, clock: Clock) -> None:
        self.durability = durability
        self.counters = counters
        self.limits = limits
        self.clock = clock


def _order(delivery: Delivery) -> float:
    return delivery.ordinal if delivery.durable else inf


class Outbox:
    """Queue and flight of one session.

    Messages of QoS 1 and 2 to a session that outlives its connection have a row in the journal from before their
    publisher is acknowledged until their subscriber has acknowledged.
    """

    __slots__ = (
        "_desk",
        "_last_id",
        "_link",
        "_ordinal",
        "_session",
        "bytes",
        "flight",
        "held",
        "queue",
        "queued_qos0",
    )

    def __init__(self, desk: Desk, session: int) -> None:
        self._desk = desk
        self._session = session
        self._link: Link | None = None
        self._last_id = 0
        self._ordinal = 0
        self.queue: deque[Delivery] = deque()
        self.queued_qos0 = 0
        self.flight: dict[int, Delivery] = {}
        self.bytes = 0
        self.held = 0  # transmitted, but waiting for a commit

    def restore(self, deliveries: list[Delivery]) -> None:
        """Take the deliveries of the journal, in order."""
        for delivery in deliveries:
            self._ordinal = max(self._ordinal, delivery.ordinal)
            self.bytes += delivery.message.size + DELIVERY_OVERHEAD
            if delivery.packet_id:
                self.flight[delivery.packet_id] = delivery
                self._last_id = delivery.packet_id
            else:
                self.queue.append(delivery)

    @property
    def last(self) -> int:
        """Ordinal of the last delivery written down."""
        return self._ordinal

    def kept(self, after: int = EVERYTHING) -> list[Delivery]:
        """Return the durable deliveries with an ordinal above ``after``, in order."""
        found = [d for d in (*self.flight.values(), *self.queue) if d.durable and d.ordinal > after]
        return sorted(found, key=lambda delivery: delivery.ordinal)

    def import_kept(self, deliveries: list[Delivery], last: int) -> None:
        """Take deliveries of another front door, in order, before all that wait here, and write them down.

        ``last`` is the greatest ordinal used so far; later ones leave room for what may still come from there.
        """
        for delivery in deliveries:
            message = delivery.message
            if not message.identifier:
                self._desk.durability.put_message(message)
            message.references += 1
            delivery.durable = True
            self._desk.durability.put_delivery(self._session, delivery)
            self.bytes += message.size + DELIVERY_OVERHEAD
            if delivery.packet_id:
                self.flight[delivery.packet_id] = delivery
                self._last_id = delivery.packet_id
        self.queue.extendleft(delivery for delivery in reversed(deliveries) if not delivery.packet_id)
        self.queue = deque(sorted(self.queue, key=_order))
        self._ordinal = max(self._ordinal, last)

    def attach(self, link: Link) -> None:
        """Send again what is in flight, then what waits (§4.4)."""
        self._link = link
        self.held = 0
        again = [delivery for delivery in self.flight.values() if not delivery.released]
        for delivery in again:
            del self.flight[delivery.packet_id]
        released = list(self.flight)

        def release() -> None:
            if self._link is link:
                for packet_id in released:
                    link.send(encode(Acknowledgement(PacketType.PUBREL, packet_id), link.version))

        if released:  # as in ``receive``: that it has been released may not be on disk yet
            self._desk.durability.then(release)
        self.queue.extendleft(reversed(again))
        self.drain()

    def detach(self) -> None:
        """The connection is gone; QoS 0 messages that wait are dropped."""
        self._link = None
        if self.queued_qos0:
            kept = [delivery for delivery in self.queue if delivery.qos]
            self._desk.counters.add("messages_dropped.offline", self.queued_qos0)
            self.bytes -= sum(d.message.size + DELIVERY_OVERHEAD for d in self.queue if not d.qos)
            self.queue = deque(kept)
            self.queued_qos0 = 0

    def offer(self, delivery: Delivery, durable: bool) -> bool:
        """Take a delivery; return whether it went into the journal.

        A full queue drops its oldest QoS 0 message, else the new one; every drop is counted by reason.
        """
        size = delivery.message.size + DELIVERY_OVERHEAD
        link = self._link
        if not delivery.qos:
            if link is None:
                self._desk.counters.add("messages_dropped.offline")
                return False
            if not self.queue and not link.congested and self.held < HELD_MAXIMUM:
                self._transmit(link, delivery)
                return False
        if not self._make_room(size):
            self._desk.counters.add("messages_dropped.queue_full")
            return False
        self.bytes += size
        self.queue.append(delivery)
        if not delivery.qos:
            self.queued_qos0 += 1
            return False
        if durable:
            self._write_down(delivery)
        self.drain()
        return durable

    def _write_down(self, delivery: Delivery) -> None:
        durability = self._desk.durability
        self._ordinal += 1
        delivery.ordinal = self._ordinal
        delivery.durable = True
        message = delivery.message
        if not message.identifier:
            durability.put_message(message)
        message.references += 1
        durability.put_delivery(self._session, delivery)

    def _make_room(self, size: int) -> bool:
        limits = self._desk.limits
        while len(self.queue) >= limits.max_queued or (self.bytes + size > limits.max_queued_bytes and self.bytes):
            if not self.queued_qos0:
                return False
            for index, waiting in enumerate(self.queue):
                if not waiting.qos:
                    del self.queue[index]
                    self.queued_qos0 -= 1
                    self.bytes -= waiting.message.size + DELIVERY_OVERHEAD
                    self._desk.counters.add("messages_dropped.slow_subscriber")
                    break
        return True

    def drain(self) -> None:
        """Send what waits, as far as the connection and the client's receive maximum allow."""
        link = self._link
        if link is None:
            return
        queue = self.queue
        while queue and not link.congested and self.held < HELD_MAXIMUM:
            delivery = queue[0]
            if delivery.qos and len(self.flight) >= link.send_maximum:
                return
            queue.popleft()
            if not delivery.qos:
                self.queued_qos0 -= 1
                self.bytes -= delivery.message.size + DELIVERY_OVERHEAD
            self._transmit(link, delivery)

    def _transmit(self, link: Link, delivery: Delivery) -> None:
        desk = self._desk
        message = delivery.message
        now = desk.clock.now_ns() if message.expires else 0
        if message.expires and message.expires <= now and not delivery.packet_id:
            desk.counters.add("messages_dropped.expired")
            self._forget(delivery)
            return
        duplicate = bool(delivery.packet_id)
        version = link.version
        fields = delivery_fields(message, now, delivery.identifiers, 0) if version == MQTT_5 else b""
        size = len(message.payload) + len(delivery.topic.encode()) + len(fields) + 16
        if size > link.maximum_packet:
            desk.counters.add("messages_dropped.packet_too_large")
            self._forget(delivery)
            return
        if delivery.qos:
            if not duplicate:
                delivery.packet_id = self._next_id()
                if delivery.durable:
                    desk.durability.put_delivery(self._session, delivery)
            self.flight[delivery.packet_id] = delivery
        # The packet id of QoS 2 must be known after a crash before the client can have seen it, or the message would
        # come again under another id and be taken for a new one. What follows waits with it, to keep the order.
        if self.held or (delivery.qos == 2 and delivery.durable):
            self.held += 1
            desk.durability.then(lambda: self._send_if_current(link, delivery, duplicate))
        else:
            self._send(link, delivery, duplicate, now)

    def _send_if_current(self, link: Link, delivery: Delivery, duplicate: bool) -> None:
        if self._link is not link:
            return
        self.held -= 1
        if not delivery.qos or self.flight.get(delivery.packet_id) is delivery:
            self._send(link, delivery, duplicate, self._desk.clock.now_ns())
        if not self.held:
            self.drain()

    def _send(self, link: Link, delivery: Delivery, duplicate: bool, now: int) -> None:
        message = delivery.message
        version = link.version
        topic = delivery.topic
        fields = b""
        if version == MQTT_5:
            topic, alias = link.alias(topic)
            if alias or delivery.identifiers or message.expires:
                fields = delivery_fields(message, now, delivery.identifiers, alias)
        link.send(
            encode_delivery(
                message, topic, version, delivery.qos, delivery.retain, duplicate, delivery.packet_id, fields
            )
        )
        self._desk.counters.add("messages_sent")

    def _next_id(self) -> int:
        packet_id = self._last_id
        while True:
            packet_id = packet_id % LAST_PACKET_ID + 1
            if packet_id not in self.flight:
                self._last_id = packet_id
                return packet_id

    def acknowledge(self, packet_id: int) -> None:
        """PUBACK: the client has a QoS 1 message. An unknown id is ignored (§4.4)."""
        delivery = self.flight.get(packet_id)
        if delivery is not None and delivery.qos == 1:
            self._complete(delivery)

    def receive(self, packet_id: int, reason: int) -> None:
        """PUBREC: the client has a QoS 2 message, or refuses it."""
        link = self._link
        delivery = self.flight.get(packet_id)
        if link is None:
            return
        if delivery is None or delivery.qos != 2:
            missing = 0 if reason >= Reason.UNSPECIFIED_ERROR else Reason.PACKET_IDENTIFIER_NOT_FOUND
            if missing:
                link.send(encode(Acknowledgement(PacketType.PUBREL, packet_id, missing), link.version))
            return
        if reason >= Reason.UNSPECIFIED_ERROR:
            self._complete(delivery)
            return
        release = encode(Acknowledgement(PacketType.PUBREL, packet_id), link.version)
        if delivery.released or not delivery.durable:
            delivery.released = True
            link.send(release)
            return
        delivery.released = True
        self._desk.durability.put_delivery(self._session, delivery)

        def send() -> None:
            if self._link is link:
                link.send(release)

        self._desk.durability.then(send)

    def finish(self, packet_id: int) -> None:
        """PUBCOMP: a QoS 2 delivery is complete."""
        delivery = self.flight.get(packet_id)
        if delivery is not None and delivery.released:
            self._complete(delivery)

    def _complete(self, delivery: Delivery) -> None:
        del self.flight[delivery.packet_id]
        self._forget(delivery)
        self.drain()

    def _forget(self, delivery: Delivery) -> None:
        if not delivery.qos:
            return
        self.bytes -= delivery.message.size + DELIVERY_OVERHEAD
        if delivery.durable:
            delivery.durable = False
            message = delivery.message
            self._desk.durability.drop_delivery(self._session, delivery)
            message.references -= 1
            if not message.references:
                self._desk.durability.drop_message(message)
                message.identifier = 0

    def make_durable(self) -> None:
        """Write down all QoS 1 and 2 deliveries: the session will now outlive its connection."""
        for delivery in (*self.flight.values(), *self.queue):
            if delivery.qos and not delivery.durable:
                self._write_down(delivery)

    def discard(self, given: bool = False) -> list[Delivery]:
        """The session ends: forget everything; return what was never sent and came through a shared group.

        ``given`` says that another front door has it all.
        """
        orphans = [] if given else [d for d in self.queue if d.group and d.qos and not d.packet_id]
        dropped = 0 if given else len(self.queue) + len(self.flight) - len(orphans)
        if dropped:
            self._desk.counters.add("messages_dropped.session_ended", dropped)
        for delivery in (*self.flight.values(), *self.queue):
            self._forget(delivery)
        self.flight.clear()
        self.queue.clear()
        self.bytes = 0
        self._link = None
        return orphans
