"""Sparkplug payloads for tests, encoded by hand: a second implementation of the wire format to test the first."""

import struct
from dataclasses import dataclass
from typing import Any


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


@dataclass
class M:
    """A metric; ``value`` is encoded in the field that the data type ``kind`` has."""

    kind: int
    value: Any = None
    name: str = ""
    alias: int | None = None
    timestamp: int | None = None
    null: bool = False
    typed: bool = True
    quality: int | None = None
    historical: bool = False

    def encode(self) -> bytes:
        out = b""
        if self.name:
            out += chunk(1, self.name.encode())
        if self.alias is not None:
            out += number(2, self.alias)
        if self.timestamp is not None:
            out += number(3, self.timestamp)
        if self.typed:
            out += number(4, self.kind)
        if self.historical:
            out += number(5, 1)
        if self.null:
            return out + number(7, 1)
        if self.quality is not None:
            out += chunk(9, chunk(1, b"Quality") + chunk(2, number(1, 3) + number(3, self.quality)))
        return out + self._value()

    def _value(self) -> bytes:
        value = self.value
        if value is None:
            return b""
        if self.kind in (1, 2, 3, 5, 6, 7):
            return number(10, value & 0xFFFFFFFF)
        if self.kind in (4, 8, 13):
            return number(11, value & 0xFFFFFFFFFFFFFFFF)
        if self.kind == 9:
            return varint(12 << 3 | 5) + struct.pack("<f", value)
        if self.kind == 10:
            return varint(13 << 3 | 1) + struct.pack("<d", value)
        if self.kind == 11:
            return number(14, int(value))
        if self.kind in (12, 14, 15):
            return chunk(15, value.encode())
        return chunk(17 if self.kind == 16 else 18 if self.kind == 19 else 16, b"\x0a\x01x")


def payload(metrics: list[M], timestamp: int | None = None, seq: int = 0) -> bytes:
    out = b"" if timestamp is None else number(1, timestamp)
    return out + b"".join(chunk(2, metric.encode()) for metric in metrics) + number(3, seq)
