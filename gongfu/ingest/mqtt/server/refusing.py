"""What is over quota and is not to wait: it is taken from the socket, counted and refused (docs/overload.md).

MQTT 5 at QoS 1 and 2 gets 0x97 (quota exceeded) when the policy is ``shed``; QoS 0 is dropped. MQTT 3.1.1 cannot
refuse a PUBLISH (§3.3.5: acknowledge or close), and a connection that is closed comes back with the same message; so
QoS 1 and 2 of MQTT 3.1.1 always wait, whatever the policy is.
"""

from functools import partial
from typing import TYPE_CHECKING

from gongfu.ingest.mqtt.codec.decoding import decode
from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.packets import MQTT_5, Acknowledgement, Publish
from gongfu.ingest.mqtt.codec.reasons import PacketError, PacketType, Reason
from gongfu.ingest.mqtt.codec.splitter import INCOMPLETE, read_length
from gongfu.ingest.mqtt.server.publishing import acknowledgement, handle_publish, resolve_alias, route_of
from gongfu.ingest.types import Receipt

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.server.connection import Connection
    from gongfu.ingest.mqtt.server.dialogue import Dialogue

_PUBLISH = PacketType.PUBLISH


def refuse_slice(
    connection: "Connection", data: bytes, position: int, most: int, reason: str, everything: bool
) -> tuple[int, int]:
    """Refuse up to ``most`` PUBLISH packets; packets of other kinds are handled as ever.

    Returns:
        The position of what was not handled, and the number of refused messages. It ends before a PUBLISH that has to
        wait: at QoS 1 and 2 unless ``everything`` (the policy is ``shed``) and the client speaks MQTT 5.

    Raises:
        PacketError: the bytes break the protocol; the connection has to be closed.
    """
    dialogue, size, refused = connection.dialogue, len(data), 0
    received = dialogue.context.now_ns()
    while position < size and refused < most:
        first, body = data[position], position + 2
        if body > size:
            connection.keep(data, position, 2)
            return size, refused
        length = data[position + 1]
        if length > 127:
            length, body = read_length(data, position + 1, size)
            if length == INCOMPLETE:
                connection.keep(data, position, body - position + 1)
                return size, refused
        if length > connection.limit:
            raise PacketError(Reason.PACKET_TOO_LARGE, "the packet is larger than the maximum packet size")
        end = body + length
        if end > size:
            connection.keep(data, position, end - position)
            return size, refused
        if first >> 4 == _PUBLISH:
            if first & 6 and not (everything and connection.version == MQTT_5):
                return position, refused
            packet = decode(first, data, connection.version, body, end)
            assert isinstance(packet, Publish)
            _refuse(dialogue, packet, received, reason)
            refused += 1
        else:
            dialogue.handle(decode(first, data, connection.version, body, end), received)
        position = end
        if connection.closed:
            break
    return position, refused


def _refuse(dialogue: "Dialogue", packet: Publish, received: int, reason: str) -> None:
    session, context = dialogue.present, dialogue.context
    if packet.qos == 2:
        known = session.received.get(packet.packet_id)
        if known is not None and known.submitted:
            # It has been taken already; only the PUBREC is repeated.
            handle_publish(dialogue, packet, received)
            return
    topic = resolve_alias(dialogue, packet)
    route = route_of(dialogue, topic)
    if packet.qos and dialogue.connection.pending >= dialogue.connection.receive_maximum:
        raise PacketError(Reason.RECEIVE_MAXIMUM_EXCEEDED, "more than the receive maximum is unacknowledged")
    kind = PacketType.PUBACK if packet.qos == 1 else PacketType.PUBREC
    entry = dialogue.expect(packet.packet_id) if packet.qos else None
    if route.form is None:
        context.counters.add(f"messages_dropped.{reason}")
        if entry is not None:
            answer = Acknowledgement(kind, packet.packet_id, Reason.QUOTA_EXCEEDED)
            dialogue.connection.settle(entry, encode(answer, MQTT_5))
        return

    def done(receipt: Receipt) -> None:
        if entry is not None:
            dialogue.connection.settle(entry, acknowledgement(dialogue, kind, entry[0], receipt))

    refuse = partial(context.intake.refuse, dialogue.access.writer, route.form, packet.payload, received)
    refuse(done, route.context, reason)
