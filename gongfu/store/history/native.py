"""ClickHouse Native format, the part the history needs: one block of columns to bytes and back.

Layout (ClickHouse documentation, "Native"): varint column count, varint row count, then for each column its name and
type as varint-prefixed text and its values. Fixed-width values are little-endian arrays, strings are varint-prefixed.
Columns of numpy arrays are copied as they are, so encoding costs two memory copies a point.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NativeColumn = tuple[str, str, NDArray[Any] | Sequence[Any]]

_DTYPES: dict[str, np.dtype[Any]] = {
    "UInt8": np.dtype("u1"),
    "UInt16": np.dtype("<u2"),
    "UInt32": np.dtype("<u4"),
    "UInt64": np.dtype("<u8"),
    "Int64": np.dtype("<i8"),
    "Float64": np.dtype("<f8"),
    "DateTime64(9, 'UTC')": np.dtype("<i8"),
    "DateTime64(3, 'UTC')": np.dtype("<i8"),
}


class NativeError(ValueError):
    """The bytes are not what this reader knows."""


def varint(value: int) -> bytes:
    """Return an unsigned LEB128 integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _text(value: str) -> bytes:
    raw = value.encode()
    return varint(len(raw)) + raw


def encode_native(columns: Sequence[NativeColumn]) -> bytes:
    """Return one Native block. All columns have one length; strings for ``String``, else arrays of the type's width."""
    n = len(columns[0][2])
    parts: list[bytes | memoryview] = [varint(len(columns)), varint(n)]
    for name, type_name, values in columns:
        parts.append(_text(name))
        parts.append(_text(type_name))
        if type_name == "String":
            parts.extend(_text(value) for value in values)
        else:
            parts.append(np.ascontiguousarray(values, dtype=_DTYPES[type_name]).view("u1").data)
    return b"".join(parts)


class _Cursor:
    def __init__(self, data: bytes | memoryview) -> None:
        self.data = memoryview(data)
        self.position = 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def take(self, size: int) -> memoryview:
        taken = self.data[self.position : self.position + size]
        if len(taken) != size:
            raise NativeError("Native block is truncated")
        self.position += size
        return taken

    def text(self) -> str:
        return str(self.take(self.varint()), "utf-8", "replace")


def decode_native(data: bytes | memoryview) -> dict[str, NDArray[Any] | list[str]]:
    """Return the columns of all blocks in ``data`` by name; no bytes give no columns.

    Raises:
        NativeError: truncated, or a column type that the history does not use.
    """
    cursor = _Cursor(data)
    pieces: dict[str, list[Any]] = {}
    try:
        while cursor.position < len(cursor.data):
            width, n = cursor.varint(), cursor.varint()
            for _ in range(width):
                name, type_name = cursor.text(), cursor.text()
                if type_name == "String":
                    values: Any = [cursor.text() for _ in range(n)]
                elif type_name in _DTYPES:
                    dtype = _DTYPES[type_name]
                    values = np.frombuffer(cursor.take(n * dtype.itemsize), dtype=dtype)
                else:
                    raise NativeError(f"unexpected column type {type_name}")
                pieces.setdefault(name, []).append(values)
    except IndexError:
        raise NativeError("Native block is truncated") from None
    return {name: _joined(parts) for name, parts in pieces.items()}


def _joined(parts: list[Any]) -> NDArray[Any] | list[str]:
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], list):
        return [value for part in parts for value in part]
    return np.concatenate(parts)
