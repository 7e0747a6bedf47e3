"""PUBLISH from a client: topic alias, permission, telemetry or plain message, acknowledgement at each QoS.

A denied PUBLISH gets reason 0x87 in MQTT 5. MQTT 3.1.1 has no negative acknowledgement (§3.3.5: acknowledge or close);
since an acknowledgement here means that the message was taken, the connection is closed at QoS 1 and 2. At QoS 0 the
message is dropped. All of it is counted.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.access import GATEWAY_TOPIC, TELEMETRY_TOPIC, inner_published, may_publish, telemetry_form
from gongfu.ingest.mqtt.broker.messages import message_of
from gongfu.ingest.mqtt.broker.sessions import Received, Session
from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.packets import MQTT_5, Acknowledgement, Publish
from gongfu.ingest.mqtt.codec.reasons import PacketError, PacketType, Reason, violation
from gongfu.ingest.mqtt.server.unacknowledged import Unacknowledged
from gongfu.ingest.thingsboard.topics import is_question
from gongfu.ingest.types import Form, Receipt

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.server.dialogue import Dialogue

MAX_ROUTES = 1024
# One text and one key of each for all connections.
_COMMON = {topic: (topic, topic.encode()) for topic in (TELEMETRY_TOPIC, GATEWAY_TOPIC)}


class Route:
    """What a topic means for one client.

    Attributes:
        topic: as the client writes it.
        inner: as the broker routes it.
        form: how to read a telemetry payload; None for a plain topic.
        allowed: the client may publish to it.
        context: what the intake needs beside the payload.
        asks: the front door answers what is published to it.
        unwatched: version of the tenant's subscriptions at which nobody subscribed to it; such a telemetry payload
            goes to the intake only.
    """

    __slots__ = ("allowed", "asks", "context", "form", "inner", "topic", "unwatched")

    def __init__(self, topic: str, inner: str, form: Form | None, allowed: bool) -> None:
        self.topic = topic
        self.inner = inner
        self.form = form
        self.allowed = allowed
        self.context = topic if form is Form.SPARKPLUG else ""
        self.asks = is_question(topic)
        self.unwatched = -1


def handle_publish(dialogue: "Dialogue", packet: Publish, received: int) -> None:
    """Take a PUBLISH that arrived at ``received`` (UTC ns).

    Raises:
        PacketError: it breaks the protocol; the connection has to be closed.
    """
    connection, session = dialogue.connection, dialogue.present
    context = dialogue.context
    topic = resolve_alias(dialogue, packet)
    if "subscription_identifier" in packet.properties:
        raise violation("a client sent a subscription identifier in PUBLISH")
    route = route_of(dialogue, topic)
    if route.form is None:
        context.counters.add("messages_received")  # the intake counts telemetry
    known = session.received.get(packet.packet_id) if packet.qos == 2 else None
    if packet.qos and connection.version == MQTT_5 and known is None:
        open_now = len(session.received) if packet.qos == 2 else connection.pending
        if open_now >= connection.receive_maximum:
            raise PacketError(Reason.RECEIVE_MAXIMUM_EXCEEDED, "more than the receive maximum is unacknowledged")
    if route.form is None and len(packet.payload) > context.limits.max_payload:
        raise PacketError(Reason.PACKET_TOO_LARGE, "the payload is larger than this server takes")
    if not route.allowed:
        context.counters.add("messages_dropped.not_authorized")
        _refuse(dialogue, packet, Reason.NOT_AUTHORIZED)
        return
    if known is not None and known.submitted:
        _repeat(dialogue, packet.packet_id, known)
        return
    message = message_of(route.inner, packet.payload, packet.qos, packet.retain, packet.properties, received)
    if route.form is None and context.broker.router.refuses(session.tenant, message):
        context.counters.add("messages_dropped.retained_full")
        _refuse(dialogue, packet, Reason.QUOTA_EXCEEDED)
        return
    if packet.qos == 2:
        finish = _begin_exactly_once(dialogue, packet.packet_id, known, received, route.form is not None)
    elif packet.qos:
        entry = dialogue.expect(packet.packet_id)
        finish = partial(_finish_once, dialogue, entry)
    else:
        finish = None
    publish = partial(context.broker.router.publish, session.tenant, message, session)
    if route.form is None:
        publish(None if finish is None else partial(finish, None))
        if route.asks:
            context.answerer.answer(dialogue, topic, packet.payload)
        return
    done: Callable[[Receipt], None] | None = finish
    if not message.retain and connection.trie.match(route.inner).empty:
        route.unwatched = connection.trie.version
    else:
        # Subscribers get telemetry too, but nothing that has been rejected and nothing before it is durable.
        done = partial(_taken, route.form, publish, finish)
    when = received if known is None else known.time
    submit = partial(context.intake.submit, dialogue.writer, route.form, packet.payload, when, done, route.context)
    if packet.qos == 2 and session.durable:
        # First the packet id and its time, then the points: after a crash the repetition gets the same time, so its
        # points are the same points.
        context.broker.desk.durability.then(submit)
    else:
        submit()


def _taken(
    form: Form,
    publish: Callable[[Callable[[], None] | None], None],
    finish: Callable[[Receipt], None] | None,
    receipt: Receipt,
) -> None:
    # A Sparkplug death, or a birth whose values are null, has no points, and is a message nevertheless.
    whole = form is Form.SPARKPLUG and not receipt.shed and "malformed_sparkplug" not in receipt.rejected
    if receipt.accepted or whole:
        publish(None if finish is None else partial(finish, receipt))
    elif finish is not None:
        finish(receipt)


def resolve_alias(dialogue: "Dialogue", packet: Publish) -> str:
    """Return the topic of a PUBLISH and remember a new alias.

    Raises:
        PacketError: the alias is not known or too high.
    """
    alias = packet.properties.get("topic_alias") if packet.properties else None
    if alias is None:
        return packet.topic
    if alias > dialogue.context.limits.topic_alias_maximum:
        raise PacketError(Reason.TOPIC_ALIAS_INVALID, "the topic alias is above the topic alias maximum")
    aliases = dialogue.inbound_aliases
    if packet.topic:
        aliases[alias] = packet.topic
        return packet.topic
    topic = aliases.get(alias)
    if topic is None:
        raise violation("the topic alias has not been set on this connection")
    return topic


def route_of(dialogue: "Dialogue", topic: str) -> Route:
    """Return what a topic means for this client."""
    routes = dialogue.connection.routes
    topic, key = _COMMON.get(topic) or (topic, topic.encode())
    route = routes.get(key)
    if route is None:
        form = telemetry_form(topic)
        reserved = topic in dialogue.context.reserved
        allowed = form is not None or (not reserved and may_publish(dialogue.access, topic))
        route = Route(topic, inner_published(dialogue.present.prefix, topic), form, allowed)
        if not routes or len(routes) >= MAX_ROUTES:
            routes = dialogue.connection.routes = {}
        routes[key] = route
    return route


def _refuse(dialogue: "Dialogue", packet: Publish, reason: Reason) -> None:
    if not packet.qos:
        return
    if dialogue.connection.version != MQTT_5:
        dialogue.connection.drop(reason.name.lower())
        return
    kind = PacketType.PUBACK if packet.qos == 1 else PacketType.PUBREC
    entry = dialogue.expect(packet.packet_id)
    dialogue.connection.settle(entry, encode(Acknowledgement(kind, packet.packet_id, reason), MQTT_5))


# --- QoS 1 -----------------------------------------------------------------------------------------------------------


def _finish_once(dialogue: "Dialogue", entry: Unacknowledged, receipt: Receipt | None) -> None:
    dialogue.connection.settle(entry, acknowledgement(dialogue, PacketType.PUBACK, entry.identifier, receipt))


def acknowledgement(dialogue: "Dialogue", kind: PacketType, identifier: bytes, receipt: Receipt | None) -> bytes:
    """Return the PUBACK or PUBREC for a receipt (None for a plain message); empty when the connection is closed.

    MQTT 5: nothing accepted but something rejected is 0x99, shed points are 0x97 (send again), the rest is success with
    a reason string. MQTT 3.1.1 acknowledges what was rejected, since sending it again would not help, and closes the
    connection without acknowledgement when points were shed.
    """
    plain = bytes((kind << 4, 2)) + identifier
    if receipt is None or not (receipt.rejected or receipt.shed):
        return plain
    if dialogue.connection.version != MQTT_5:
        if not receipt.shed:
            return plain
        dialogue.connection.drop("shed")
        return b""
    reason = Reason.SUCCESS
    if receipt.shed:
        reason = Reason.QUOTA_EXCEEDED
    elif not receipt.accepted:
        reason = Reason.PAYLOAD_FORMAT_INVALID
    properties = {"reason_string": reason_string(receipt)} if dialogue.explains else {}
    return encode(Acknowledgement(kind, int.from_bytes(identifier, "big"), reason, properties), MQTT_5)


def reason_string(receipt: Receipt) -> str:
    """Return what was rejected and shed, in words."""
    counts = [f"{n} {reason}" for reasons in (receipt.rejected, receipt.shed) for reason, n in reasons.items()]
    text = ", ".join(counts)
    return f"{text}: {receipt.detail}" if receipt.detail else text


# --- QoS 2 -----------------------------------------------------------------------------------------------------------


def _begin_exactly_once(
    dialogue: "Dialogue", packet_id: int, known: Received | None, received: int, telemetry: bool
) -> Callable[[Receipt | None], None]:
    """Remember the packet id, durably if the session is, and return what finishes the first half of the exchange."""
    session = dialogue.present
    item = known if known is not None else Received(received)
    item.submitted = True
    session.receiving(packet_id, item)
    _wait(dialogue, packet_id, item)
    if session.durable:
        dialogue.context.broker.desk.durability.put_received(
            session.identifier, packet_id, received if telemetry else 0
        )
    return partial(_finish_exactly_once, dialogue, session, packet_id, item, telemetry)


def _wait(dialogue: "Dialogue", packet_id: int, item: Received) -> None:
    connection = dialogue.connection
    entry = dialogue.expect(packet_id)
    plain = bytes((PacketType.PUBREC << 4, 2)) + entry.identifier

    def send(packet: bytes) -> None:
        connection.settle(entry, packet or plain)

    item.waiting = send


def _finish_exactly_once(
    dialogue: "Dialogue", session: Session, packet_id: int, item: Received, telemetry: bool, receipt: Receipt | None
) -> None:
    durability = dialogue.context.broker.desk.durability
    identifier = packet_id.to_bytes(2, "big")
    if (
        receipt is not None
        and (receipt.shed or not receipt.accepted)
        and (receipt.shed or dialogue.connection.version == MQTT_5)
    ):
        # Refused: the exchange ends with the PUBREC and the packet id is free (§4.3.3).
        session.received.pop(packet_id, None)
        if session.durable:
            durability.drop_received(session.identifier, packet_id)
        packet = acknowledgement(dialogue, PacketType.PUBREC, identifier, receipt)
    else:
        item.finished = True
        if session.durable and telemetry:
            durability.put_received(session.identifier, packet_id, 0)
        packet = acknowledgement(dialogue, PacketType.PUBREC, identifier, receipt)

    def send() -> None:
        if item.waiting is not None:
            waiting, item.waiting = item.waiting, None
            waiting(packet)

    if session.durable:
        durability.then(send)
    else:
        send()


def _repeat(dialogue: "Dialogue", packet_id: int, item: Received) -> None:
    """The client sends a PUBLISH again that is being taken or has been taken: only the PUBREC is repeated."""
    dialogue.context.counters.add("messages_repeated")
    if item.waiting is not None:
        # The same connection: the PUBREC is already on its way.
        return
    _wait(dialogue, packet_id, item)
    if item.finished and item.waiting is not None:
        waiting, item.waiting = item.waiting, None
        waiting(b"")
