"""Records of one template in columns: the bytes that ``form.encode_record`` gives, of many at once. Pure."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gongfu.identify.records.form import StoredRecord, encode_record

# Lengths below it take one byte.
_ONE_BYTE = 0x80
_TWO_BYTES = 0x4000


def encode_columns(
    template: int, timestamp: int, columns: Sequence[tuple[int, pa.Array]], count: int, *, of: int = 0
) -> pa.Array:
    """Return the bytes of records, as a binary array.

    Args:
        template: its number.
        timestamp: of all of them.
        columns: ordinal (below 128 × 128) and texts, by ordinal; null where a record has no such attribute.
        count: of records.
        of: number of the class whose attributes they have besides.
    """
    empty = pa.scalar(b"", pa.binary())
    head = encode_record(StoredRecord(template, timestamp, of=of))[:-1]
    given = np.zeros(count, np.int64)
    parts: list[object] = []
    for ordinal, column in columns:
        data = column.cast(pa.binary())
        here = np.asarray(column.is_valid()) if column.null_count else None
        given += 1 if here is None else here
        lengths = np.asarray(pc.fill_null(pc.call_function("binary_length", [data]), 0))
        parts += (_ahead(_varint(ordinal), lengths, here), data if here is None else data.fill_null(b""))
    counts = _ahead(head, given, None)
    return pc.call_function("binary_join_element_wise", [counts, *parts, empty]) if parts else counts


def _varint(value: int) -> bytes:
    return bytes([value]) if value < _ONE_BYTE else bytes([value & 0x7F | _ONE_BYTE, value >> 7])


def _ahead(first: bytes, numbers: np.ndarray, here: np.ndarray | None) -> pa.Array:
    """Return ``first`` and each number as a varint; nothing where it is not ``here``."""
    count = len(numbers)
    lead = len(first)
    largest = int(numbers.max()) if count else 0
    width = lead + (1 if largest < _ONE_BYTE else 2 if largest < _TWO_BYTES else 3)
    table = np.empty((count, width), np.uint8)
    if lead:
        table[:, :lead] = np.frombuffer(first, np.uint8)
    if largest < _ONE_BYTE:
        table[:, lead] = numbers
        sizes = None
    else:
        sizes = np.full(count, lead + 1, np.int32)
        rest = numbers
        for place in range(lead, width):
            more = rest >= _ONE_BYTE
            table[:, place] = (rest & 0x7F) | np.where(more, _ONE_BYTE, 0)
            rest = rest >> 7
            if place + 1 < width:
                sizes += more
    if here is not None:
        sizes = np.where(here, width if sizes is None else sizes, 0).astype(np.int32)
    if sizes is None:
        offsets = np.arange(0, (count + 1) * width, width, dtype=np.int64)
        flat = table.reshape(-1)
    else:
        offsets = np.zeros(count + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        flat = table[np.arange(width) < sizes[:, None]]
    return pa.Array.from_buffers(
        pa.binary(), count, [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(flat))]
    )
