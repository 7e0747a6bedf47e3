"""Column block: many points of one tenant in columns, the unit of the block log.

Layout, little-endian, every array aligned to 8 bytes::

    header   magic "GFB1", u16 section count, u16 zero, u32 tenant, u32 zero, i64 ingest time (UTC ns)
    section  u32 value type, u32 n, u64 byte length of the values,
             u32 series[n], i64 source time[n] (UTC ns), u8 quality[n], values
    trailer  u32 CRC-32 of all before it, u32 zero

Values: ``double`` f64[n]; ``int64`` i64[n]; ``boolean`` u8[n]; ``string`` and ``json`` u32 offset[n+1], then UTF-8.
The ingest time is one for the block: the time at which the front door closed it.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.points import ValueType

MAGIC = b"GFB1"
_HEADER = struct.Struct("<4sHHIIq")
_SECTION = struct.Struct("<IIQ")
_TRAILER = struct.Struct("<II")

type_of_values = {
    ValueType.DOUBLE: np.dtype("<f8"),
    ValueType.INT64: np.dtype("<i8"),
    ValueType.BOOLEAN: np.dtype("u1"),
}
TEXT_TYPES = frozenset({ValueType.STRING, ValueType.JSON})


class BlockError(ValueError):
    """The bytes are not a column block, or are damaged."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Points of one value type, all arrays of one length n.

    Attributes:
        series: ``uint32[n]`` series ids.
        times: ``int64[n]`` source times, UTC ns.
        qualities: ``uint8[n]`` quality bytes.
        values: ``float64[n]``, ``int64[n]``, ``uint8[n]`` (booleans), or a list of n strings.
    """

    series: NDArray[np.uint32]
    times: NDArray[np.int64]
    qualities: NDArray[np.uint8]
    values: NDArray[Any] | Sequence[str]

    def __len__(self) -> int:
        return len(self.series)


@dataclass(frozen=True, slots=True)
class Block:
    """Points of one tenant, by value type."""

    tenant: int
    ingested: int
    columns: dict[ValueType, Columns]

    def __len__(self) -> int:
        return sum(len(columns) for columns in self.columns.values())


def _padding(size: int) -> bytes:
    return b"\0" * (-size % 8)


def _encode_values(value_type: ValueType, values: NDArray[Any] | Sequence[str]) -> bytes:
    if value_type in TEXT_TYPES:
        encoded = [value.encode() for value in values]
        offsets = np.zeros(len(encoded) + 1, dtype="<u4")
        np.cumsum([len(item) for item in encoded], out=offsets[1:])
        return offsets.tobytes() + b"".join(encoded)
    return np.ascontiguousarray(values, dtype=type_of_values[value_type]).tobytes()


def encode_block(block: Block) -> bytes:
    """Return the bytes of a block; ``decode_block`` gives it back exactly, NaN and infinities included."""
    parts = [_HEADER.pack(MAGIC, len(block.columns), 0, block.tenant, 0, block.ingested)]
    for value_type, columns in block.columns.items():
        values = _encode_values(value_type, columns.values)
        parts.append(_SECTION.pack(value_type, len(columns), len(values)))
        for array in (
            np.ascontiguousarray(columns.series, dtype="<u4").tobytes(),
            np.ascontiguousarray(columns.times, dtype="<i8").tobytes(),
            np.ascontiguousarray(columns.qualities, dtype="u1").tobytes(),
            values,
        ):
            parts.append(array)
            parts.append(_padding(len(array)))
    body = b"".join(parts)
    return body + _TRAILER.pack(zlib.crc32(body), 0)


class _Reader:
    """Bounds-checked cursor over the bytes of a block."""

    def __init__(self, data: memoryview, position: int) -> None:
        self._data = data
        self._position = position

    def take(self, size: int) -> memoryview:
        start, end = self._position, self._position + size
        if end > len(self._data):
            raise BlockError("block is shorter than its lengths say")
        self._position = end + (-size % 8)
        return self._data[start:end]

    @property
    def at_end(self) -> bool:
        """Whether everything was taken."""
        return self._position == len(self._data)


def _decode_values(value_type: ValueType, raw: memoryview, n: int) -> NDArray[Any] | list[str]:
    if value_type not in TEXT_TYPES:
        dtype = type_of_values[value_type]
        if len(raw) != n * dtype.itemsize:
            raise BlockError("value column has another length than its section")
        return np.frombuffer(raw, dtype=dtype)
    head = 4 * (n + 1)
    if len(raw) < head:
        raise BlockError("text column is shorter than its offsets")
    offsets = np.frombuffer(raw[:head], dtype="<u4").tolist()
    text = bytes(raw[head:])
    if offsets[0] != 0 or offsets[-1] != len(text) or any(a > b for a, b in pairwise(offsets)):
        raise BlockError("text column has wrong offsets")
    try:
        return [text[a:b].decode() for a, b in pairwise(offsets)]
    except UnicodeDecodeError as error:
        raise BlockError("text column is not UTF-8") from error


def decode_block(data: bytes | memoryview) -> Block:
    """Return the block in ``data``; numeric arrays are read-only views into it.

    Raises:
        BlockError: not a block, truncated, or the checksum does not match.
    """
    view = memoryview(data)
    if len(view) < _HEADER.size + _TRAILER.size:
        raise BlockError("block is shorter than its header")
    magic, sections, _, tenant, _, ingested = _HEADER.unpack_from(view)
    if magic != MAGIC:
        raise BlockError("not a column block")
    body = view[: -_TRAILER.size]
    checksum, zero = _TRAILER.unpack_from(view, len(body))
    if zlib.crc32(body) != checksum or zero:
        raise BlockError("block checksum does not match")
    reader = _Reader(body, _HEADER.size)
    columns: dict[ValueType, Columns] = {}
    for _ in range(sections):
        tag, n, size = _SECTION.unpack(reader.take(_SECTION.size))
        try:
            value_type = ValueType(tag)
        except ValueError:
            raise BlockError(f"unknown value type {tag}") from None
        series = np.frombuffer(reader.take(4 * n), dtype="<u4")
        times = np.frombuffer(reader.take(8 * n), dtype="<i8")
        qualities = np.frombuffer(reader.take(n), dtype="u1")
        columns[value_type] = Columns(series, times, qualities, _decode_values(value_type, reader.take(size), n))
    if not reader.at_end:
        raise BlockError("block is longer than its lengths say")
    return Block(tenant, ingested, columns)
