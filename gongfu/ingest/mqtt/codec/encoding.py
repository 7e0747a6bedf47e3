"""Packets to bytes."""

from collections.abc import Callable
from typing import Any

from gongfu.ingest.mqtt.codec.fields import encode_binary, encode_text, encode_variable
from gongfu.ingest.mqtt.codec.packets import (
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
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from gongfu.ingest.mqtt.codec.properties import Properties, encode_properties
from gongfu.ingest.mqtt.codec.reasons import PacketType


def encode(packet: Packet, version: int) -> bytes:
    """Return the bytes of a packet for a connection of ``version`` 4 or 5; properties are left out in MQTT 3.1.1."""
    return _ENCODERS[type(packet)](packet, version)


def frame(first: int, *parts: bytes) -> bytes:
    """Return a packet from its first byte and the parts of its body."""
    body = b"".join(parts)
    return bytes((first,)) + encode_variable(len(body)) + body


def _properties(properties: Properties, version: int) -> bytes:
    return encode_properties(properties) if version == MQTT_5 else b""


def _connect(packet: Connect, _: int) -> bytes:
    version = packet.version
    flags = 2 if packet.clean_start else 0
    body = [encode_text(packet.client_id)]
    if packet.will is not None:
        will = packet.will
        flags |= 4 | will.qos << 3 | (32 if will.retain else 0)
        body += [_properties(will.properties, version), encode_text(will.topic), encode_binary(will.payload)]
    if packet.username is not None:
        flags |= 128
        body.append(encode_text(packet.username))
    if packet.password is not None:
        flags |= 64
        body.append(encode_binary(packet.password))
    head = b"\0\4MQTT" + bytes((version, flags)) + packet.keep_alive.to_bytes(2, "big")
    return frame(PacketType.CONNECT << 4, head, _properties(packet.properties, version), *body)


def _connack(packet: Connack, version: int) -> bytes:
    head = bytes((packet.session_present, packet.reason))
    return frame(PacketType.CONNACK << 4, head, _properties(packet.properties, version))


def _publish(packet: Publish, version: int) -> bytes:
    first = PacketType.PUBLISH << 4 | (8 if packet.duplicate else 0) | packet.qos << 1 | packet.retain
    identifier = packet.packet_id.to_bytes(2, "big") if packet.qos else b""
    return frame(first, encode_text(packet.topic), identifier, _properties(packet.properties, version), packet.payload)


def _acknowledgement(packet: Acknowledgement, version: int) -> bytes:
    first = packet.kind << 4 | (2 if packet.kind is PacketType.PUBREL else 0)
    identifier = packet.packet_id.to_bytes(2, "big")
    if version != MQTT_5 or not (packet.reason or packet.properties):
        return frame(first, identifier)
    tail = encode_properties(packet.properties) if packet.properties else b""
    return frame(first, identifier, bytes((packet.reason,)), tail)


def _subscribe(packet: Subscribe, version: int) -> bytes:
    parts = [packet.packet_id.to_bytes(2, "big"), _properties(packet.properties, version)]
    for request in packet.requests:
        options = request.qos
        if version == MQTT_5:
            options |= request.no_local << 2 | request.retain_as_published << 3 | request.retain_handling << 4
        parts += [encode_text(request.topic_filter), bytes((options,))]
    return frame(PacketType.SUBSCRIBE << 4 | 2, *parts)


def _suback(packet: Suback, version: int) -> bytes:
    identifier = packet.packet_id.to_bytes(2, "big")
    return frame(PacketType.SUBACK << 4, identifier, _properties(packet.properties, version), bytes(packet.reasons))


def _unsubscribe(packet: Unsubscribe, version: int) -> bytes:
    parts = [packet.packet_id.to_bytes(2, "big"), _properties(packet.properties, version)]
    parts += [encode_text(item) for item in packet.topic_filters]
    return frame(PacketType.UNSUBSCRIBE << 4 | 2, *parts)


def _unsuback(packet: Unsuback, version: int) -> bytes:
    identifier = packet.packet_id.to_bytes(2, "big")
    if version != MQTT_5:
        return frame(PacketType.UNSUBACK << 4, identifier)
    return frame(PacketType.UNSUBACK << 4, identifier, encode_properties(packet.properties), bytes(packet.reasons))


def _pingreq(packet: Pingreq, version: int) -> bytes:
    return b"\xc0\0"


def _pingresp(packet: Pingresp, version: int) -> bytes:
    return b"\xd0\0"


def _reason_and_properties(first: int, packet: Disconnect | Auth, version: int) -> bytes:
    if version != MQTT_5 or not (packet.reason or packet.properties):
        return frame(first)
    tail = encode_properties(packet.properties) if packet.properties else b""
    return frame(first, bytes((packet.reason,)), tail)


def _disconnect(packet: Disconnect, version: int) -> bytes:
    return _reason_and_properties(PacketType.DISCONNECT << 4, packet, version)


def _auth(packet: Auth, version: int) -> bytes:
    return _reason_and_properties(PacketType.AUTH << 4, packet, version)


_ENCODERS: dict[type, Callable[[Any, int], bytes]] = {
    Connect: _connect,
    Connack: _connack,
    Publish: _publish,
    Acknowledgement: _acknowledgement,
    Subscribe: _subscribe,
    Suback: _suback,
    Unsubscribe: _unsubscribe,
    Unsuback: _unsuback,
    Pingreq: _pingreq,
    Pingresp: _pingresp,
    Disconnect: _disconnect,
    Auth: _auth,
}
