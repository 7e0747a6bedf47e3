"""Frames of the channel between the starter and a confined process. Pure.

A frame is its length as uint32, little endian, then that many bytes. Nothing that comes from the confined process is
trusted: a length above the limit ends the conversation before a byte of it is kept.
"""

import struct
from collections import deque

HEADER = 4
_LENGTH = struct.Struct("<I")


class FrameError(ValueError):
    """What came is no frame of this conversation."""


def head(length: int, limit: int) -> bytes:
    """Return what stands before ``length`` bytes.

    Raises:
        FrameError: the frame would be longer than ``limit`` bytes.
    """
    if length > limit:
        raise FrameError(f"a frame of {length} bytes is longer than {limit}")
    return _LENGTH.pack(length)


class FrameDecoder:
    """Bytes in any portions in, whole frames out. Holds at most one unfinished frame, and only what came of it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = b""
        self._wanted = -1
        self._parts: list[bytes] = []
        self._have = 0
        self._ready: deque[bytes] = deque()

    def feed(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            FrameError: a frame is announced that is longer than the limit; nothing can be fed after that.
        """
        position, end = 0, len(data)
        while position < end:
            if self._wanted < 0:
                taken = data[position : position + HEADER - len(self._head)]
                self._head += taken
                position += len(taken)
                if len(self._head) < HEADER:
                    return
                (self._wanted,) = _LENGTH.unpack(self._head)
                self._head = b""
                if self._wanted > self._limit:
                    raise FrameError(f"a frame of {self._wanted} bytes is announced; the limit is {self._limit}")
            part = data[position : position + self._wanted - self._have]
            self._parts.append(part)
            self._have += len(part)
            position += len(part)
            if self._have == self._wanted:
                self._finish()
        if self._wanted == 0:
            self._finish()

    def _finish(self) -> None:
        self._ready.append(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
        self._parts = []
        self._have, self._wanted = 0, -1

    def take(self) -> bytes | None:
        """Return the oldest whole frame, None when there is none yet."""
        return self._ready.popleft() if self._ready else None

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._wanted >= 0 or bool(self._head)
