"""The keys under which the chunks of a prefix's ranges are stored: prefix, pattern, number of the chunk."""

import struct

import msgspec

from gongfu.identify.ranges.pattern import Pattern
from gongfu.identify.records.keys import RANGES

_HEAD = struct.Struct(">IH")
_CHUNK = struct.Struct(">Q")
_decode = msgspec.msgpack.Decoder(Pattern).decode


def chunk_key(prefix: int, pattern: Pattern, chunk: int) -> bytes:
    """Return the key of a chunk."""
    written = msgspec.msgpack.encode(pattern)
    return RANGES + _HEAD.pack(prefix, len(written)) + written + _CHUNK.pack(chunk)


def read_chunk_key(key: bytes) -> tuple[int, Pattern, int]:
    """Return prefix, pattern and chunk of a key."""
    at = len(RANGES)
    prefix, size = _HEAD.unpack_from(key, at)
    at += _HEAD.size
    return prefix, _decode(key[at : at + size]), int(_CHUNK.unpack_from(key, at + size)[0])
