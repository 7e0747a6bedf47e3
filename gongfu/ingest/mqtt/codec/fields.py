"""Data representation of MQTT 5.0 §1.5: integers, variable byte integers, UTF-8 strings, binary data."""

from gongfu.ingest.mqtt.codec.reasons import malformed

MAX_VARIABLE_INTEGER = 268_435_455


def encode_variable(value: int) -> bytes:
    """Return a variable byte integer (§1.5.5), ``0 <= value <= 268_435_455``."""
    if value < 128:
        return bytes((value,))
    if value > MAX_VARIABLE_INTEGER:
        raise ValueError("too large for a variable byte integer")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_binary(value: bytes) -> bytes:
    """Return binary data with its two-byte length (§1.5.6), at most 65,535 bytes."""
    return len(value).to_bytes(2, "big") + value


def encode_text(value: str) -> bytes:
    """Return a UTF-8 string with its two-byte length (§1.5.4), at most 65,535 bytes."""
    return encode_binary(value.encode())


def parse_text(raw: bytes) -> str:
    """Return the text of a UTF-8 string.

    Raises:
        PacketError: not UTF-8, a surrogate, or U+0000 (§1.5.4).
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise malformed("a string is not UTF-8") from None
    if "\0" in text:
        raise malformed("a string contains U+0000")
    return text


class Reader:
    """Bounds-checked cursor over the bytes of one packet."""

    __slots__ = ("_data", "end", "position")

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self._data = data
        self.position = position
        self.end = len(data) if end is None else end

    def raw(self, size: int) -> bytes:
        """Take ``size`` bytes."""
        start = self.position
        stop = start + size
        if stop > self.end:
            raise malformed("the packet is shorter than its fields")
        self.position = stop
        return self._data[start:stop]

    def byte(self) -> int:
        """Take one byte."""
        position = self.position
        if position >= self.end:
            raise malformed("the packet is shorter than its fields")
        self.position = position + 1
        return self._data[position]

    def integer(self, size: int) -> int:
        """Take a big-endian integer of ``size`` bytes."""
        return int.from_bytes(self.raw(size), "big")

    def variable(self) -> int:
        """Take a variable byte integer, in its shortest form only (§1.5.5)."""
        value = 0
        for index in range(4):
            byte = self.byte()
            value |= (byte & 127) << (7 * index)
            if byte < 128:
                if index and not byte:
                    raise malformed("a variable byte integer is not in its shortest form")
                return value
        raise malformed("a variable byte integer has more than four bytes")

    def binary(self) -> bytes:
        """Take binary data."""
        return self.raw(self.integer(2))

    def text(self) -> str:
        """Take a UTF-8 string."""
        return parse_text(self.raw(self.integer(2)))

    def identifier(self) -> int:
        """Take a packet identifier, which is never 0 (§2.2.1)."""
        value = self.integer(2)
        if not value:
            raise malformed("the packet identifier is 0")
        return value

    def rest(self) -> bytes:
        """Take all that is left."""
        return self.raw(self.end - self.position)

    @property
    def empty(self) -> bool:
        """True at the end of the packet."""
        return self.position >= self.end

    def finish(self) -> None:
        """Check that nothing is left."""
        if self.position < self.end:
            raise malformed("bytes are left after the last field")
