"""Looks into Arrow IPC message metadata, which pyarrow verifies but does not show.

Source: Arrow columnar format 1.5, Message.fbs: table Message (version, header_type, header, bodyLength); table
RecordBatch (length, nodes, buffers, compression, ...); table DictionaryBatch (id, data, isDelta). FlatBuffers: a table
begins with the signed distance back to its vtable; a vtable is two uint16 sizes, then a uint16 offset per field, 0 when
the field is absent.
"""

import struct

_DICTIONARY_BATCH = 2
_RECORD_BATCH = 3


def _field(data: bytes, table: int, number: int) -> int:
    """Return the position of a field of a table, 0 when it is absent."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    slot = 4 + 2 * number
    if slot >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    offset = struct.unpack_from("<H", data, vtable + slot)[0]
    return table + offset if offset else 0


def _follow(data: bytes, position: int) -> int:
    return position + struct.unpack_from("<I", data, position)[0]


def is_compressed(metadata: bytes) -> bool:
    """Return whether a message is a record batch or dictionary batch with compressed buffers.

    Raises:
        struct.error: the metadata is damaged.
    """
    message = _follow(metadata, 0)
    kind, header = _field(metadata, message, 1), _field(metadata, message, 2)
    if not kind or not header or metadata[kind] not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return False
    batch = _follow(metadata, header)
    if metadata[kind] == _DICTIONARY_BATCH:
        data = _field(metadata, batch, 1)
        if not data:
            return False
        batch = _follow(metadata, data)
    return _field(metadata, batch, 3) != 0
