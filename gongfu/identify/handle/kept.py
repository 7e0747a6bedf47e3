"""How answers are kept (``AnswerCache``): a request without its numbers of session and request, and an answer likewise,
so that they fit whoever asks the same."""

import struct

from gongfu.identify.handle.answering import Reply
from gongfu.identify.handle.datagrams import DATA_BYTES

_LENGTH = struct.Struct(">II")
_HEAD = b"\x02\x01\0\0"
# Number of the packet and length stand before the message.
_MOST = DATA_BYTES + _LENGTH.size


def kept_key(packet: bytes) -> bytes:
    """Return what two packets with the same request have in common: all but bytes 4 to 11."""
    return packet[:4] + packet[12:]


def kept_value(reply: Reply) -> bytes:
    """Return what is kept of an answer."""
    return _LENGTH.pack(0, len(reply.data)) + reply.data


def is_single(kept: bytes) -> bool:
    """Return whether an answer fits in one UDP packet."""
    return len(kept) <= _MOST


def answer_packet(packet: bytes, kept: bytes) -> bytes:
    """Return envelope and message of the kept answer to the request of a packet."""
    return _HEAD + packet[4:12] + kept
