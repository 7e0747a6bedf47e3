"""Standard output and error of a confined process: the last lines, read no faster than people could want."""

import asyncio
import os
import re
from collections import deque

_PORTION = 16_384
_PAUSE_S = 0.1
_LINE = 400
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Return a line without control characters (also those that turn the writing direction), at most 400 long."""
    return _CONTROL.sub("�", text)[:_LINE]


class Output:
    """Reads a pipe and keeps the last lines. A process that writes more than 160 KB a second waits."""

    def __init__(self, descriptor: int, lines: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._lines: deque[str] = deque(maxlen=lines)
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self.written = 0
        """Lines so far, also those that are not kept any more."""
        self._loop.add_reader(descriptor, self._readable)

    def lines(self) -> tuple[str, ...]:
        """Return the last lines, oldest first; a last line that has not ended counts."""
        rest = (clean(self._rest.decode(errors="replace")),) if self._rest else ()
        return (*self._lines, *rest)

    def close(self) -> None:
        """Read what is there, then let go of the pipe."""
        if self._descriptor < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        else:
            self._loop.remove_reader(self._descriptor)
        for _ in range(4):
            if not self._read():
                break
        os.close(self._descriptor)
        self._descriptor = -1

    def _readable(self) -> None:
        self._loop.remove_reader(self._descriptor)
        if self._read():
            self._pause = self._loop.call_later(_PAUSE_S, self._again)
        else:
            # The other end is closed, or there was nothing after all: look again, seldom.
            self._pause = self._loop.call_later(10 * _PAUSE_S, self._again)

    def _again(self) -> None:
        self._pause = None
        self._loop.add_reader(self._descriptor, self._readable)

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, _PORTION)
        except BlockingIOError:
            return False
        *whole, self._rest = (self._rest + data).split(b"\n")
        self.written += len(whole)
        self._lines.extend(clean(line.decode(errors="replace")) for line in whole)
        self._rest = self._rest[-_LINE:]
        return bool(data)
