"""Incremental splitter: a byte stream to packets, whatever the sizes of the pieces it comes in."""

from gongfu.ingest.mqtt.codec.reasons import PacketError, Reason, malformed

INCOMPLETE = -1


def read_length(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return (remaining length, position after it) of the fixed header whose length begins at ``position``.

    The length is ``INCOMPLETE`` when more bytes are needed.

    Raises:
        PacketError: more than four bytes, or not the shortest form (MQTT 5.0 §2.1.4).
    """
    length = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        length |= (byte & 127) << shift
        if byte < 128:
            if shift and not byte:
                raise malformed("the remaining length is not in its shortest form")
            return length, position
        shift += 7
        if shift == 28:
            raise malformed("the remaining length has more than four bytes")
    return INCOMPLETE, position


class Splitter:
    """Takes bytes, gives whole packets as (first byte, body).

    A packet over ``limit`` bytes of body is refused when its fixed header is known, before it is buffered.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._need = 2

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the packets that are complete now.

        Raises:
            PacketError: the stream cannot be split any further.
        """
        self._buffer += data
        if len(self._buffer) < self._need:
            return []
        packets: list[tuple[int, bytes]] = []
        whole = bytes(self._buffer)
        position, size = 0, len(whole)
        self._need = 2
        while position + 2 <= size:
            length, body = read_length(whole, position + 1, size)
            if length == INCOMPLETE:
                break
            if length > self._limit:
                raise PacketError(Reason.PACKET_TOO_LARGE, "the packet is larger than the maximum packet size")
            if body + length > size:
                self._need = body + length - position
                break
            packets.append((whole[position], whole[body : body + length]))
            position = body + length
        del self._buffer[:position]
        return packets
