"""The log of an app: the last lines in memory, all of them in a file that is bounded."""

import time
from collections import deque
from pathlib import Path

from gongfu.kernel.times import format_rfc3339

FILE = "log.txt"
_KEPT = 500
_MAX_BYTES = 1 << 20
# Lines of a second; more are counted only.
_BURST = 200


class LogLines:
    """Lines of one app. What a hostile app writes cannot steer a terminal nor fill a disk."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._second = 0
        self._count = 0
        self.dropped = 0

    def add(self, level: str, text: str) -> None:
        """Add a line."""
        now = time.time_ns()
        if now // 10**9 != self._second:
            self._second, self._count = now // 10**9, 0
        self._count += 1
        if self._count > _BURST:
            self.dropped += 1
            return
        plain = "".join(c if c.isprintable() else " " for c in text)[:2000]
        line = f"{format_rfc3339(now)} {level} {plain}"
        self._lines.append(line)
        try:
            if self._path.exists() and self._path.stat().st_size > _MAX_BYTES:
                self._path.replace(self._path.with_suffix(".old.txt"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError:
            self.dropped += 1

    def last(self, n: int) -> list[str]:
        """Return the last n lines, oldest first."""
        return list(self._lines)[-n:]
