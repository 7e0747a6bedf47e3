"""Bytes of the Handle protocol: whole numbers in network order, texts and byte strings behind a length of 4 bytes.

Nothing is believed of a length before it was compared with what is there, so that no message makes a server reserve
memory or read on (RFC 3652 §2.1).
"""

import struct
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_INT = struct.Struct(">I")
_SHORT = struct.Struct(">H")


class MalformedError(ValueError):
    """Bytes that are not what they should be.

    Attributes:
        reason: in kebab case: ``short``, ``long``, ``count``, ``text``, ``length``, ``flags``, ``digest``, ``value``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Reader:
    """Reads from bytes, from the beginning to ``end``."""

    __slots__ = ("_data", "_end", "at")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self._data = data
        self._end = len(data) if end is None else end
        self.at = at

    @property
    def left(self) -> int:
        """Bytes that were not read."""
        return self._end - self.at

    def _step(self, size: int) -> int:
        at = self.at
        if size > self._end - at:
            raise MalformedError("short", f"{size} bytes wanted at {at}, {self._end - at} there")
        self.at = at + size
        return at

    def byte(self) -> int:
        """Return a byte."""
        return self._data[self._step(1)]

    def short(self) -> int:
        """Return a number of 2 bytes."""
        return int(_SHORT.unpack_from(self._data, self._step(2))[0])

    def integer(self) -> int:
        """Return a number of 4 bytes, not negative."""
        return int(_INT.unpack_from(self._data, self._step(4))[0])

    def raw(self, size: int) -> bytes:
        """Return so many bytes."""
        at = self._step(size)
        return self._data[at : at + size]

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        return self.raw(self.left)

    def string(self) -> bytes:
        """Return a byte string: length, bytes."""
        return self.raw(self.integer())

    def text(self) -> str:
        """Return a UTF-8 text: length, bytes."""
        at = self.at
        try:
            return self.string().decode()
        except UnicodeDecodeError:
            raise MalformedError("text", f"no UTF-8 at {at}") from None

    def many(self, item: Callable[["Reader"], T], least: int, most: int = 2**32) -> tuple[T, ...]:
        """Return a list: count, items of at least ``least`` bytes each, at most ``most`` of them."""
        count = self.integer()
        if count > most:
            raise MalformedError("count", f"{count} items, at most {most} are read")
        if count * least > self.left:
            raise MalformedError("count", f"{count} items in {self.left} bytes")
        return tuple(item(self) for _ in range(count))

    def finish(self) -> None:
        """Make sure that nothing is left."""
        if self.left:
            raise MalformedError("long", f"{self.left} bytes too many")


def integer(value: int) -> bytes:
    """Return a number of 4 bytes."""
    return _INT.pack(value)


def string(data: bytes) -> bytes:
    """Return a byte string: length, bytes."""
    return _INT.pack(len(data)) + data


def text(value: str) -> bytes:
    """Return a UTF-8 text: length, bytes."""
    return string(value.encode())


def many(items: list[bytes]) -> bytes:
    """Return a list: count, items."""
    return _INT.pack(len(items)) + b"".join(items)
