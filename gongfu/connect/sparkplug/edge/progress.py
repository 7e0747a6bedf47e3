"""What an edge node remembers over restarts: its ``bdSeq`` and how far it has published, in one small file."""

import os
from pathlib import Path

import msgspec

SEQUENCE = 256


class Progress(msgspec.Struct):
    """State of an edge node.

    Attributes:
        bd_seq: the number of the next birth, 0 to 255 (§6.4.5: every CONNECT has the next one).
        positions: sequence of the last block that has been published, by partition.
    """

    bd_seq: int = 0
    positions: dict[int, int] = msgspec.field(default_factory=dict[int, int])


class ProgressFile:
    """The file; every change is on disk before it counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.progress = Progress()
        if path.exists():
            try:
                self.progress = msgspec.json.decode(path.read_bytes(), type=Progress)
            except msgspec.MsgspecError:
                # Without it a bdSeq may come twice and what is published begins with the present.
                path.replace(path.with_suffix(".damaged"))

    def next_birth(self) -> int:
        """Return the ``bdSeq`` of a new connection; the one after it is on disk.

        Raises:
            OSError: the file cannot be written.
        """
        found = self.progress.bd_seq % SEQUENCE
        self.progress.bd_seq = (found + 1) % SEQUENCE
        self.save()
        return found

    def save(self) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(self.progress))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
