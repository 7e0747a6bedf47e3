"""A record in as few bytes as it takes: what its template says of it is not written again.

::

    record      template (varint: twice the number of its version at this node, 0 is none; 1 more if a class follows),
                class (varint, if so), time stamp (varint, seconds)
    attributes  of the template, by ordinal: count, then ordinal, length, bytes of each
    values      others, as the Handle protocol has them, to the end
"""

import msgspec

from gongfu.identify.handle.values import HandleValue, encode_value, read_value
from gongfu.identify.handle.wire import MalformedError, Reader

_CONTINUES = 0x80


class StoredRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as it is stored.

    Attributes:
        template: number of the template's version at this node; 0 is none.
        timestamp: of the last change, seconds since 1970, UTC.
        attributes: (ordinal in the template, text in UTF-8), by ordinal.
        values: that are of no template: keys, administrators, sites, whatever clients write.
        of: number of the class whose attributes it has where it has none of its own; 0 is none.
    """

    template: int = 0
    timestamp: int = 0
    attributes: tuple[tuple[int, bytes], ...] = ()
    values: tuple[HandleValue, ...] = ()
    of: int = 0


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= _CONTINUES:
        out.append(value & 0x7F | _CONTINUES)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    value = shift = 0
    while True:
        if at >= len(data):
            raise MalformedError("short", f"a number wanted at {at}, the end is there")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _CONTINUES:
            return value, at
        shift += 7
        if shift > 63:
            raise MalformedError("value", "a number of more than 64 bits")


def encode_record(record: StoredRecord) -> bytes:
    """Return the bytes of a record."""
    parts = [_varint(record.template << 1 | bool(record.of))]
    if record.of:
        parts.append(_varint(record.of))
    parts += (_varint(record.timestamp), _varint(len(record.attributes)))
    for ordinal, data in record.attributes:
        parts += (_varint(ordinal), _varint(len(data)), data)
    parts += (encode_value(value) for value in record.values)
    return b"".join(parts)


def decode_record(data: bytes) -> StoredRecord:
    """Return the record that the bytes say.

    Raises:
        MalformedError: they say none.
    """
    size = len(data)
    first, at = _read_varint(data, 0)
    of = 0
    if first & 1:
        of, at = _read_varint(data, at)
    timestamp, at = _read_varint(data, at)
    count, at = _read_varint(data, at)
    if count * 2 > size - at:
        raise MalformedError("count", f"{count} attributes in {size - at} bytes")
    attributes: list[tuple[int, bytes]] = []
    for _ in range(count):
        # Nearly all numbers are of one byte.
        if at + 2 <= size and (ordinal := data[at]) < _CONTINUES and (length := data[at + 1]) < _CONTINUES:
            at += 2
        else:
            ordinal, at = _read_varint(data, at)
            length, at = _read_varint(data, at)
        end = at + length
        if end > size:
            raise MalformedError("short", f"{length} bytes wanted at {at}, {size - at} there")
        attributes.append((ordinal, data[at:end]))
        at = end
    if at == size:
        return StoredRecord(first >> 1, timestamp, tuple(attributes), (), of)
    reader = Reader(data)
    reader.raw(at)
    values: list[HandleValue] = []
    while reader.left:
        values.append(read_value(reader))
    return StoredRecord(first >> 1, timestamp, tuple(attributes), tuple(values), of)
