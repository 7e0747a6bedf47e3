"""A log file that starts anew when it is full; the last few are kept."""

from pathlib import Path

MAX_BYTES = 10_000_000
KEPT = 3


class LogFile:
    """Appends lines to ``path``; at ``max_bytes`` it becomes ``path.1``, that ``path.2``, and so on up to ``kept``."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()

    def write(self, lines: bytes) -> None:
        """Append whole lines. A full disk must not stop the node: what cannot be written is left out."""
        if self._size and self._size + len(lines) > self._max_bytes:
            self._rotate()
        try:
            self._size += self._file.write(lines)
        except OSError:
            return

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        for n in range(self._kept - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{n}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{n + 1}"))
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file = self._path.open("ab", buffering=0)
        self._size = 0
