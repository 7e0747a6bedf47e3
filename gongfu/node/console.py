"""What `gongfu up` prints: lines of the roles with their name before them. A terminal that does not read must not stop
the node, so lines are left out, and counted, while it cannot be written."""

import os
import select
import sys
from typing import TextIO

_WIDTH = 10
_COLOURS = ("36", "33", "35", "32", "34", "31")


class Console:
    """Prefixed lines on a text stream that has a file descriptor."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._descriptor = self._stream.fileno()
        self._quiet = quiet
        self._colour = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._colours: dict[str, str] = {}
        self._omitted = 0

    def role_lines(self, role: str, lines: bytes) -> None:
        """Print lines of a role, unless quiet."""
        if not self._quiet:
            self._print(role, lines)

    def say(self, text: str) -> None:
        """Print lines of the supervisor itself."""
        self._print("gongfu", text.encode() + b"\n")

    def _print(self, role: str, lines: bytes) -> None:
        label = f"{role:<{_WIDTH}}"
        if self._colour:
            code = self._colours.setdefault(role, _COLOURS[len(self._colours) % len(_COLOURS)])
            label = f"\x1b[{code}m{label}\x1b[0m"
        prefix = f"{label} | ".encode()
        for line in lines.splitlines():
            self._write(prefix + line + b"\n")

    def _write(self, line: bytes) -> None:
        if not select.select([], [self._descriptor], [], 0)[1]:
            self._omitted += 1
            return
        if self._omitted:
            line = f"({self._omitted} lines left out here; see the log files)\n".encode() + line
        try:
            # A ready pipe takes PIPE_BUF bytes without blocking (POSIX write()).
            os.write(self._descriptor, line[: select.PIPE_BUF])
            self._omitted = 0
        except OSError:
            self._omitted += 1
