"""The confined side: raise the walls, tell which stand, then run the entry.

:func:`main` is given a descriptor, its parent's process id and a name; the first frame on the channel says what to do.
"""

import importlib
import os
import re
import resource
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec

from gongfu.confine import walls
from gongfu.confine.frames import FrameDecoder, head
from gongfu.confine.types import MIB, Start

_PORTION = 1 << 18
_PEAK = re.compile(rb"VmPeak:\s+(\d+) kB")


class Line:
    """The confined end of the channel. Blocks; one thread reads, one thread writes."""

    def __init__(self, connection: socket.socket, limit: int, status: int = -1) -> None:
        self._connection = connection
        self._status = status
        self._decoder = FrameDecoder(limit)
        self._limit = limit

    def receive(self) -> bytes | None:
        """Return the next frame; None when the starter has closed the channel."""
        while (frame := self._decoder.take()) is None:
            data = self._connection.recv(_PORTION)
            if not data:
                return None
            self._decoder.feed(data)
        return frame

    def peak_share(self) -> float:
        """Return how much of the address space that it may have this process has had at most, 0 to 1; 0 when that is
        not known."""
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        # Opened before the walls, behind which /proc is out of reach.
        found = _PEAK.search(os.pread(self._status, 4096, 0)) if self._status >= 0 else None
        return 0.0 if found is None or limit <= 0 else int(found[1]) * 1024 / limit

    def send(self, *parts: bytes | memoryview) -> None:
        """Send one frame that is made of these parts (flat buffers of bytes).

        Raises:
            FrameError: it is longer than the channel allows; nothing was sent.
            OSError: the starter is gone.
        """
        length = sum(len(part) for part in parts)
        start = head(length, self._limit)
        if length < _PORTION:
            self._connection.sendall(b"".join((start, *parts)))
            return
        self._connection.sendall(start)
        for part in parts:
            self._connection.sendall(part)


def _path(_: type, text: str) -> Path:
    return Path(text)


def main(arguments: list[str]) -> None:
    """Run the confined process; see the module."""
    descriptor, parent = int(arguments[0]), int(arguments[1])
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 65_536)
    connection = socket.socket(fileno=descriptor)
    # The frame with the start is ours; its length is bounded all the same.
    first = Line(connection, MIB)
    frame = first.receive()
    if frame is None:
        return
    start = msgspec.msgpack.decode(frame, type=Start, dec_hook=_path)
    os.chdir(start.writable[0] if start.writable else "/")
    status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    told = walls.raise_walls(start.limits, (*start.readable, *start.packages), start.writable)
    if os.getppid() != parent:
        return
    first.send(msgspec.msgpack.encode(told))
    sys.path[:0] = [str(each) for each in start.packages]
    module, _, name = start.entry.partition(":")
    entry: Any = getattr(importlib.import_module(module), name)
    entry(Line(connection, start.limits.frame_bytes, status))
