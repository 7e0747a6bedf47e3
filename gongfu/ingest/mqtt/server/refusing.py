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
    connection: "Connection", data: bytes, position: int, most: int, reason: str, late: bool, everything: bool
) -> tuple[int, int]:
    """Handle up to ``most`` packets of a device that is over quota: a ping or an acknowledgement needs no quota.

    Args:
        connection: of the device.
        data: what was read.
        position: where to begin.
        most: number of packets.
        reason: ``device_quota`` or ``tenant_quota``.
        late: it is over quota for so long that QoS 0 is refused instead of waiting.
        everything: the policy is to refuse; QoS 1 and 2 too where the client speaks MQTT 5.

    Returns:
        The position of what was not handled, and the number of packets that were. It ends before a PUBLISH that has to
        wait.

    Raises:
        PacketError: the bytes break the protocol; the connection has to be closed.
    """
    dialogue, size, handled = connection.dialogue, len(data), 0
    received = dialogue.context.now_ns()
    while position < size and handled < most:
        first, body = data[position], position + 2
        if body > size:
            connection.keep(data, position, 2)
            return size, handled
        length = data[position + 1]
        if length > 127:
            length, body = read_length(data, position + 1, size)
            if length == INCOMPLETE:
                connection.keep(data, position, body - position + 1)
                return size, handled
        if length > connection.limit:
            raise PacketError(Reason.PACKET_TOO_LARGE, "the packet is larger than the maximum packet size")
        end = body + length
        if end > size:
            connection.keep(data, position, end - position)
            return size, handled
        if first >> 4 == _PUBLISH:
            if not (everything and connection.version == MQTT_5 if first & 6 else everything or late):
                return position, handled
            packet = decode(first, data, connection.version, body, end)
            assert isinstance(packet, Publish)
            _refuse(dialogue, packet, received, reason)
        else:
            dialogue.handle(decode(first, data, connection.version, body, end), received)
        position = end
        handled += 1
        if connection.closed:
            break
    return position, handled


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
            dialogue.connection.settle(entry, acknowledgement(dialogue, kind, entry.identifier, receipt))

    refuse = partial(context.intake.refuse, dialogue.writer, route.form, packet.payload, received)
    refuse(done, route.context, reason)
