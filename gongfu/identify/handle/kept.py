"""How answers are kept (``AnswerCache``): a request without its numbers of session and request, and an answer likewise,
so that they fit whoever asks the same."""

import struct

from gongfu.identify.handle.answering import Reply
from gongfu.identify.handle.datagrams import DATA_BYTES

_LENGTH = struct.Struct(">II")
# Version and flags of an answer's envelope.
HEAD = b"\x02\x01\0\0"
# The most that fits in one UDP packet: number of the packet and length stand before the message.
SINGLE_BYTES = DATA_BYTES + _LENGTH.size


def kept_key(packet: bytes) -> bytes:
    """Return what two packets with the same request have in common: all but bytes 4 to 11."""
    return packet[:4] + packet[12:]


def kept_value(reply: Reply) -> bytes:
    """Return what is kept of an answer."""
    return _LENGTH.pack(0, len(reply.data)) + reply.data


def answer_packet(packet: bytes, kept: bytes) -> bytes:
    """Return envelope and message of the kept answer to the request of a packet."""
    return HEAD + packet[4:12] + kept
