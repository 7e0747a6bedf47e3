"""Payloads of the load generator: many variants, made once; only the time differs from message to message."""

import json
import random
import struct
from collections.abc import Callable

POINTS_PER_MESSAGE = 20
VARIANTS = 256

# Sparkplug B data type code of a double.
_DOUBLE = 10


def signal_rows(points: int, rows: int, seed: int = 7) -> list[list[float]]:
    """Return ``rows`` samples of ``points`` slow random walks with two decimals, like filtered plant measurements."""
    rng = random.Random(seed)
    values = [rng.uniform(10.0, 500.0) for _ in range(points)]
    result: list[list[float]] = []
    for _ in range(rows):
        values = [value + rng.gauss(0.0, 0.3) for value in values]
        result.append([round(value, 2) for value in values])
    return result


def json_payloads(points: int = POINTS_PER_MESSAGE) -> Callable[[int, int], bytes]:
    """Return a function of (variant, time in ms) to a JSON payload of form B."""
    bodies = [
        json.dumps({f"p{i:02d}": value for i, value in enumerate(row)}, separators=(",", ":")).encode() + b"}"
        for row in signal_rows(points, VARIANTS)
    ]

    def make(variant: int, time_ms: int) -> bytes:
        return b'{"ts":%d,"values":%b' % (time_ms, bodies[variant % VARIANTS])

    return make


def sparkplug_payloads(points: int = POINTS_PER_MESSAGE) -> Callable[[int, int], bytes]:
    """Return a function of (variant, time in ms) to a Sparkplug B payload with metric names and the payload's time."""
    bodies: list[bytes] = []
    for row in signal_rows(points, VARIANTS):
        parts: list[bytes] = []
        for i, value in enumerate(row):
            name = f"p{i:02d}".encode()
            # Metric: name = 1, datatype = 4, double_value = 13 (fixed64).
            metric = b"\x0a" + bytes([len(name)]) + name + b"\x20" + bytes([_DOUBLE])
            metric += b"\x69" + struct.pack("<d", value)
            parts.append(b"\x12" + varint(len(metric)) + metric)
        bodies.append(b"".join(parts))

    def make(variant: int, time_ms: int) -> bytes:
        # Payload: timestamp = 1, metrics = 2, seq = 3.
        return b"\x08%b%b\x18%b" % (varint(time_ms), bodies[variant % VARIANTS], varint(variant % 256))

    return make


def sparkplug_alias_payloads(points: int = POINTS_PER_MESSAGE, *, birth: bool = False) -> Callable[[int, int], bytes]:
    """Return a function of (variant, time in ms) to a Sparkplug B payload whose metrics have an alias and a time each;
    those of a birth have a name and a data type as well."""
    bodies: list[list[bytes]] = []
    for row in signal_rows(points, VARIANTS):
        # The payload without its times, cut where they stand. Payload: timestamp = 1, metrics = 2.
        segments: list[bytes] = [b"\x08"]
        behind = b""
        for i, value in enumerate(row):
            # Metric: name = 1, alias = 2, timestamp = 3 (six bytes), datatype = 4, double_value = 13 (fixed64).
            name = f"p{i:02d}".encode()
            head = (b"\x0a" + bytes([len(name)]) + name if birth else b"") + b"\x10" + varint(i + 1) + b"\x18"
            tail = (b"\x20" + bytes([_DOUBLE]) if birth else b"") + b"\x69" + struct.pack("<d", value)
            segments.append(behind + b"\x12" + varint(len(head) + 6 + len(tail)) + head)
            behind = tail
        bodies.append([*segments, behind])

    def make(variant: int, time_ms: int) -> bytes:
        return b"%b\x18%b" % (varint(time_ms).join(bodies[variant % VARIANTS]), varint(variant % 256))

    return make


FORMS: dict[str, Callable[[int], Callable[[int, int], bytes]]] = {
    "json": json_payloads,
    "sparkplug": sparkplug_payloads,
    "sparkplug-alias": sparkplug_alias_payloads,
    "sparkplug-alias-birth": lambda points: sparkplug_alias_payloads(points, birth=True),
}


def varint(value: int) -> bytes:
    """Return a base-128 number, least significant group first (protobuf and MQTT's remaining length)."""
    result = bytearray()
    while True:
        group = value & 0x7F
        value >>= 7
        if value:
            result.append(group | 0x80)
        else:
            result.append(group)
            return bytes(result)


def connect_packet(client_id: str, username: str, password: str) -> bytes:
    """Return an MQTT 3.1.1 CONNECT with a clean session and no keep alive; no credentials for an empty username."""
    flags = 0x02 | (0xC0 if username else 0)
    fields = [client_id, username, password] if username else [client_id]
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x00" + b"".join(map(_text, fields))
    return b"\x10" + varint(len(body)) + body


def publish_head(topic: str, payload_length: int) -> bytes:
    """Return a QoS 1 PUBLISH up to the packet identifier."""
    name = _text(topic)
    return b"\x32" + varint(len(name) + 2 + payload_length) + name


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw
