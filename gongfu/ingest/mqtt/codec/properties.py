"""Properties of MQTT 5.0 §2.2.2 as dictionaries by snake-case name.

``user_property`` is a list of (name, value); ``subscription_identifier`` is a list of integers; all others are single.
"""

from typing import Any

from gongfu.ingest.mqtt.codec.fields import Reader, encode_binary, encode_text, encode_variable
from gongfu.ingest.mqtt.codec.reasons import PacketType, malformed, violation

Properties = dict[str, Any]

WILL = 0  # the will's own property section inside CONNECT; it is no packet type

_BYTE, _TWO, _FOUR, _VARIABLE, _TEXT, _BINARY, _PAIR = range(7)

_P = PacketType
_ACKS = {_P.PUBACK, _P.PUBREC, _P.PUBREL, _P.PUBCOMP, _P.SUBACK, _P.UNSUBACK}
_MESSAGE = {_P.PUBLISH, WILL}

# identifier: (name, wire type, where allowed) - MQTT 5.0 table 2-4
_TABLE: dict[int, tuple[str, int, set[int]]] = {
    0x01: ("payload_format_indicator", _BYTE, {*_MESSAGE}),
    0x02: ("message_expiry_interval", _FOUR, {*_MESSAGE}),
    0x03: ("content_type", _TEXT, {*_MESSAGE}),
    0x08: ("response_topic", _TEXT, {*_MESSAGE}),
    0x09: ("correlation_data", _BINARY, {*_MESSAGE}),
    0x0B: ("subscription_identifier", _VARIABLE, {_P.PUBLISH, _P.SUBSCRIBE}),
    0x11: ("session_expiry_interval", _FOUR, {_P.CONNECT, _P.CONNACK, _P.DISCONNECT}),
    0x12: ("assigned_client_identifier", _TEXT, {_P.CONNACK}),
    0x13: ("server_keep_alive", _TWO, {_P.CONNACK}),
    0x15: ("authentication_method", _TEXT, {_P.CONNECT, _P.CONNACK, _P.AUTH}),
    0x16: ("authentication_data", _BINARY, {_P.CONNECT, _P.CONNACK, _P.AUTH}),
    0x17: ("request_problem_information", _BYTE, {_P.CONNECT}),
    0x18: ("will_delay_interval", _FOUR, {WILL}),
    0x19: ("request_response_information", _BYTE, {_P.CONNECT}),
    0x1A: ("response_information", _TEXT, {_P.CONNACK}),
    0x1C: ("server_reference", _TEXT, {_P.CONNACK, _P.DISCONNECT}),
    0x1F: ("reason_string", _TEXT, {_P.CONNACK, *_ACKS, _P.DISCONNECT, _P.AUTH}),
    0x21: ("receive_maximum", _TWO, {_P.CONNECT, _P.CONNACK}),
    0x22: ("topic_alias_maximum", _TWO, {_P.CONNECT, _P.CONNACK}),
    0x23: ("topic_alias", _TWO, {_P.PUBLISH}),
    0x24: ("maximum_qos", _BYTE, {_P.CONNACK}),
    0x25: ("retain_available", _BYTE, {_P.CONNACK}),
    0x26: ("user_property", _PAIR, {*_P, WILL} - {_P.PINGREQ, _P.PINGRESP}),
    0x27: ("maximum_packet_size", _FOUR, {_P.CONNECT, _P.CONNACK}),
    0x28: ("wildcard_subscription_available", _BYTE, {_P.CONNACK}),
    0x29: ("subscription_identifier_available", _BYTE, {_P.CONNACK}),
    0x2A: ("shared_subscription_available", _BYTE, {_P.CONNACK}),
}
_IDENTIFIERS = {name: (identifier, wire) for identifier, (name, wire, _) in _TABLE.items()}

# Byte properties are flags: every other value is a protocol error.
_NOT_ZERO = {"receive_maximum", "maximum_packet_size"}


def allowed_names(section: int) -> dict[str, int]:
    """Return the property names a section (packet type or ``WILL``) may hold, with their wire type (for tests)."""
    return {name: wire for name, wire, where in _TABLE.values() if section in where}


def decode_properties(reader: Reader, section: int) -> Properties:
    """Take a property section.

    Raises:
        PacketError: malformed (0x81); not allowed here, given twice, or a forbidden value (0x82).
    """
    length = reader.variable()
    if not length:
        return {}
    stop = reader.position + length
    if stop > reader.end:
        raise malformed("the property length is beyond the packet")
    outer, reader.end = reader.end, stop
    properties: Properties = {}
    while reader.position < stop:
        entry = _TABLE.get(reader.variable())
        if entry is None:
            raise malformed("unknown property")
        name, wire, where = entry
        if section not in where:
            raise violation(f"{name} is not allowed in this packet")
        value = _decode_value(reader, name, wire)
        if name == "user_property" or (name == "subscription_identifier" and section == PacketType.PUBLISH):
            properties.setdefault(name, []).append(value)
        elif name in properties:
            raise violation(f"{name} is given twice")
        else:
            properties[name] = [value] if name == "subscription_identifier" else value
    reader.end = outer
    return properties


def _decode_value(reader: Reader, name: str, wire: int) -> Any:
    if wire == _TEXT:
        return reader.text()
    if wire == _BINARY:
        return reader.binary()
    if wire == _PAIR:
        return reader.text(), reader.text()
    if wire == _VARIABLE:
        value = reader.variable()
        if not value:
            raise violation(f"{name} is 0")
        return value
    value = reader.integer(1 if wire == _BYTE else 2 if wire == _TWO else 4)
    if wire == _BYTE and value > 1:
        raise violation(f"{name} is neither 0 nor 1")
    if not value and name in _NOT_ZERO:
        raise violation(f"{name} is 0")
    return value


def encode_properties(properties: Properties) -> bytes:
    """Return a property section with its length."""
    if not properties:
        return b"\0"
    body = encode_property_fields(properties)
    return encode_variable(len(body)) + body


def encode_property_fields(properties: Properties) -> bytes:
    """Return the properties without the length of the section."""
    parts: list[bytes] = []
    for name, value in properties.items():
        identifier, wire = _IDENTIFIERS[name]
        tag = bytes((identifier,))
        if wire == _PAIR:
            parts.extend(tag + encode_text(key) + encode_text(text) for key, text in value)
        elif wire == _VARIABLE:
            parts.extend(tag + encode_variable(item) for item in value)
        elif wire == _TEXT:
            parts.append(tag + encode_text(value))
        elif wire == _BINARY:
            parts.append(tag + encode_binary(value))
        else:
            parts.append(tag + int(value).to_bytes(1 if wire == _BYTE else 2 if wire == _TWO else 4, "big"))
    return b"".join(parts)
