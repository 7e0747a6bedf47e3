"""Bytes to packets, with every check of MQTT 3.1.1 and 5.0 that needs no session."""

from collections.abc import Callable

from gongfu.ingest.mqtt.codec.fields import Reader
from gongfu.ingest.mqtt.codec.packets import (
    MQTT_3_1_1,
    MQTT_5,
    Acknowledgement,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Request,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
)
from gongfu.ingest.mqtt.codec.properties import WILL, Properties, decode_properties
from gongfu.ingest.mqtt.codec.reasons import PacketError, PacketType, Reason, malformed, violation
from gongfu.ingest.mqtt.codec.topics import is_topic_name


def decode(first: int, data: bytes, version: int, start: int = 0, end: int | None = None) -> Packet:
    """Return the packet whose first byte is ``first`` and whose variable header begins at ``data[start]``.

    Args:
        first: packet type and flags.
        data: bytes that hold the packet's body.
        version: 4 or 5, of the connection; a CONNECT says its own.
        start: where the body begins.
        end: where it ends, by default at the end of ``data``.

    Raises:
        PacketError: and nothing else, whatever the bytes are.
    """
    reader = Reader(data, start, end)
    kind = first >> 4
    if kind == PacketType.PUBLISH:
        return _publish(reader, first, version)
    entry = _DECODERS.get(kind)
    if entry is None:
        raise malformed("packet type 0 is reserved")
    flags, decoder = entry
    if first & 15 != flags:
        raise malformed("reserved flags of the fixed header are wrong")
    return decoder(reader, kind, version)


def _properties(reader: Reader, section: int, version: int) -> Properties:
    return decode_properties(reader, section) if version == MQTT_5 else {}


def _connect(reader: Reader, kind: int, version: int) -> Connect:
    name = reader.binary()
    level = reader.byte()
    if name == b"MQIsdp" or (name == b"MQTT" and level not in (MQTT_3_1_1, MQTT_5)):
        raise PacketError(Reason.UNSUPPORTED_PROTOCOL_VERSION, "protocol version is neither MQTT 3.1.1 nor MQTT 5")
    if name != b"MQTT":
        raise PacketError(Reason.PROTOCOL_ERROR, "the protocol name is not MQTT")
    flags = reader.byte()
    if flags & 1:
        raise malformed("the reserved connect flag is set")
    keep_alive = reader.integer(2)
    properties = _properties(reader, kind, level)
    if "authentication_data" in properties and "authentication_method" not in properties:
        raise violation("authentication data without a method")
    client_id = reader.text()
    will = None
    will_qos = flags >> 3 & 3
    if flags & 4:
        if will_qos == 3:
            raise malformed("the will has QoS 3")
        will_properties = _properties(reader, WILL, level)
        topic = reader.text()
        if not is_topic_name(topic):
            raise PacketError(Reason.TOPIC_NAME_INVALID, "the will topic is empty or has a wildcard")
        _check_response_topic(will_properties)
        will = Will(topic, reader.binary(), will_qos, bool(flags & 32), will_properties)
    elif flags & 0b0011_1000:
        raise malformed("will flags without a will")
    username = reader.text() if flags & 128 else None
    if level == MQTT_3_1_1 and flags & 64 and not flags & 128:
        raise malformed("a password without a user name")
    password = reader.binary() if flags & 64 else None
    reader.finish()
    return Connect(level, client_id, bool(flags & 2), keep_alive, username, password, will, properties)


def _connack(reader: Reader, kind: int, version: int) -> Connack:
    flags = reader.byte()
    if flags > 1:
        raise malformed("reserved connack flags are set")
    reason = reader.byte()
    properties = _properties(reader, kind, version)
    reader.finish()
    if flags and reason:
        raise violation("a session is present in a refusal")
    return Connack(bool(flags), reason, properties)


def _check_response_topic(properties: Properties) -> None:
    topic = properties.get("response_topic")
    if topic is not None and not is_topic_name(topic):
        raise violation("the response topic is empty or has a wildcard")


def _publish(reader: Reader, first: int, version: int) -> Publish:
    qos = first >> 1 & 3
    if qos == 3:
        raise malformed("QoS 3")
    if first & 8 and not qos:
        raise malformed("DUP at QoS 0")
    topic = reader.text()
    packet_id = reader.identifier() if qos else 0
    properties = _properties(reader, PacketType.PUBLISH, version)
    if topic:
        if not is_topic_name(topic):
            raise PacketError(Reason.TOPIC_NAME_INVALID, "the topic name has a wildcard")
    elif "topic_alias" not in properties:
        raise violation("an empty topic without a topic alias")
    if properties:
        if properties.get("topic_alias") == 0:
            raise PacketError(Reason.TOPIC_ALIAS_INVALID, "topic alias 0")
        _check_response_topic(properties)
    return Publish(topic, reader.rest(), qos, bool(first & 1), bool(first & 8), packet_id, properties)


def _acknowledgement(reader: Reader, kind: int, version: int) -> Acknowledgement:
    packet_id = reader.identifier()
    reason = 0
    properties: Properties = {}
    if version == MQTT_5 and not reader.empty:
        reason = reader.byte()
        if not reader.empty:
            properties = decode_properties(reader, kind)
    reader.finish()
    return Acknowledgement(PacketType(kind), packet_id, reason, properties)


def _subscribe(reader: Reader, kind: int, version: int) -> Subscribe:
    packet_id = reader.identifier()
    properties = _properties(reader, kind, version)
    requests: list[Request] = []
    while not reader.empty:
        topic_filter = reader.text()
        options = reader.byte()
        qos = options & 3
        if qos == 3:
            raise malformed("a subscription asks for QoS 3")
        if version == MQTT_5:
            handling = options >> 4 & 3
            if options & 0xC0 or handling == 3:
                raise malformed("reserved subscription options are set")
            requests.append(Request(topic_filter, qos, bool(options & 4), bool(options & 8), handling))
        else:
            if options & 0xFC:
                raise malformed("reserved subscription options are set")
            requests.append(Request(topic_filter, qos))
    if not requests:
        raise violation("a SUBSCRIBE without topic filters")
    return Subscribe(packet_id, requests, properties)


def _suback(reader: Reader, kind: int, version: int) -> Suback:
    packet_id = reader.identifier()
    properties = _properties(reader, kind, version)
    reasons = list(reader.rest())
    if not reasons:
        raise violation("a SUBACK without reasons")
    return Suback(packet_id, reasons, properties)


def _unsubscribe(reader: Reader, kind: int, version: int) -> Unsubscribe:
    packet_id = reader.identifier()
    properties = _properties(reader, kind, version)
    filters: list[str] = []
    while not reader.empty:
        filters.append(reader.text())
    if not filters:
        raise violation("an UNSUBSCRIBE without topic filters")
    return Unsubscribe(packet_id, filters, properties)


def _unsuback(reader: Reader, kind: int, version: int) -> Unsuback:
    packet_id = reader.identifier()
    properties = _properties(reader, kind, version)
    reasons = list(reader.rest())
    if version != MQTT_5 and reasons:
        raise malformed("bytes are left after the last field")
    return Unsuback(packet_id, reasons, properties)


def _ping(reader: Reader, kind: int, version: int) -> Pingreq | Pingresp:
    reader.finish()
    return Pingreq() if kind == PacketType.PINGREQ else Pingresp()


def _reason_and_properties(reader: Reader, kind: int, version: int) -> tuple[int, Properties]:
    if reader.empty:
        return 0, {}
    if version != MQTT_5:
        raise malformed("bytes are left after the last field")
    reason = reader.byte()
    properties = {} if reader.empty else decode_properties(reader, kind)
    reader.finish()
    return reason, properties


def _disconnect(reader: Reader, kind: int, version: int) -> Disconnect:
    return Disconnect(*_reason_and_properties(reader, kind, version))


def _auth(reader: Reader, kind: int, version: int) -> Auth:
    if version != MQTT_5:
        raise malformed("AUTH is not a packet of MQTT 3.1.1")
    return Auth(*_reason_and_properties(reader, kind, version))


_DECODERS: dict[int, tuple[int, Callable[[Reader, int, int], Packet]]] = {
    PacketType.CONNECT: (0, _connect),
    PacketType.CONNACK: (0, _connack),
    PacketType.PUBACK: (0, _acknowledgement),
    PacketType.PUBREC: (0, _acknowledgement),
    PacketType.PUBREL: (2, _acknowledgement),
    PacketType.PUBCOMP: (0, _acknowledgement),
    PacketType.SUBSCRIBE: (2, _subscribe),
    PacketType.SUBACK: (0, _suback),
    PacketType.UNSUBSCRIBE: (2, _unsubscribe),
    PacketType.UNSUBACK: (0, _unsuback),
    PacketType.PINGREQ: (0, _ping),
    PacketType.PINGRESP: (0, _ping),
    PacketType.DISCONNECT: (0, _disconnect),
    PacketType.AUTH: (0, _auth),
}
