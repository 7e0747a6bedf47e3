"""Messages in UDP packets of at most 512 bytes, each with the envelope (RFC 3652 §2.3).

The packets of a message bear its whole length, the TRUNCATED flag and their number from 0; all but the last are full.
"""

from gongfu.identify.handle.codes import MessageFlag
from gongfu.identify.handle.envelope import ENVELOPE_BYTES, Envelope, encode_envelope
from gongfu.identify.handle.wire import MalformedError

PACKET_BYTES = 512
DATA_BYTES = PACKET_BYTES - ENVELOPE_BYTES


def packets(envelope: Envelope, message: bytes) -> list[bytes]:
    """Return the packets of a message; the envelope gives session, request and version."""

    def packet(sequence: int, flags: int, data: bytes) -> bytes:
        head = Envelope(envelope.request, len(message), envelope.session, sequence, flags, envelope.version)
        return encode_envelope(head) + data

    flags = envelope.flags & ~MessageFlag.TRUNCATED
    if len(message) <= DATA_BYTES:
        return [packet(0, flags, message)]
    parts = range(0, len(message), DATA_BYTES)
    cut = flags | MessageFlag.TRUNCATED
    return [packet(number, cut, message[start : start + DATA_BYTES]) for number, start in enumerate(parts)]


class Assembly:
    """The packets of one message as they come, in any order, some of them twice."""

    __slots__ = ("_length", "_parts")

    def __init__(self, length: int) -> None:
        """Begin a message of so many bytes (``Envelope.length``)."""
        self._length = length
        self._parts: dict[int, bytes] = {}

    def add(self, envelope: Envelope, data: bytes) -> bytes | None:
        """Take a packet; returns the message when it was the last that was missing.

        Args:
            envelope: of the packet.
            data: what follows the envelope.

        Raises:
            MalformedError: ``length``: of another message, or not as long as a packet of this number is.
        """
        start = envelope.sequence * DATA_BYTES
        if envelope.length != self._length or start >= self._length:
            raise MalformedError("length", f"packet {envelope.sequence} of {envelope.length} bytes")
        if len(data) != min(DATA_BYTES, self._length - start):
            raise MalformedError("length", f"packet {envelope.sequence} has {len(data)} bytes")
        self._parts.setdefault(envelope.sequence, data)
        count = -(-self._length // DATA_BYTES)
        if len(self._parts) < count:
            return None
        return b"".join(self._parts[number] for number in range(count))
