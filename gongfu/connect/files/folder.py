"""Reading what is new in the files of a folder. Blocks on the disk: run it in a thread."""

import csv
import fnmatch
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gongfu.connect.kit.types import DriverError, Reason

# Who may write to a folder says with this file in it that a node may read it.
CONSENT = ".gongfu-files"
_SUFFIXES = (".csv", ".parquet")
_ROWS = 2000
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one file: by column name; and how far the file is read with them.

    Attributes:
        file: its name.
        rows: cells by column.
        position: bytes of a CSV file, row groups of a Parquet file.
        mark: what tells a file from another one of its name.
    """

    file: str
    rows: list[dict[str, Any]]
    position: int
    mark: int


class Folder:
    """The files of a folder that match a pattern, and how far each is read."""

    def __init__(self, folder: Path, pattern: str, delimiter: str, state: Path) -> None:
        """``state`` is the file in which positions are kept."""
        self._folder = folder
        self._pattern = pattern
        self._delimiter = delimiter
        self._state = state
        self.positions: dict[str, list[int]] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    def open(self) -> None:
        """See that the folder may be read, and load the positions.

        Raises:
            DriverError: it may not.
        """
        if not self._folder.is_absolute() or not self._folder.is_dir():
            raise DriverError(
                Reason.ADDRESS_UNKNOWN, f"{self._folder} is not a folder.", "Say files:///absolute/path/of/folder."
            )
        if not (self._folder / CONSENT).exists():
            raise DriverError(
                Reason.REFUSED,
                f"{self._folder} does not say that it may be read.",
                f"Let who owns it make an empty file {CONSENT} in it: a node does not read whatever folder it is told.",
            )
        try:
            self.positions = dict(json.loads(self._state.read_text()))
        except (OSError, ValueError):
            self.positions = {}

    def names(self) -> list[str]:
        """Return the files, oldest first.

        Raises:
            DriverError: the folder cannot be read.
        """
        try:
            with os.scandir(self._folder) as entries:
                found = [
                    (entry.stat().st_mtime_ns, entry.name)
                    for entry in entries
                    if entry.is_file(follow_symlinks=False)
                    and entry.name.lower().endswith(_SUFFIXES)
                    and fnmatch.fnmatch(entry.name, self._pattern)
                ]
        except OSError as error:
            raise DriverError(
                Reason.UNREACHABLE, f"{self._folder} cannot be read: {error.strerror}.", "See whether it is mounted."
            ) from None
        return [name for _, name in sorted(found)]

    def new(self) -> Iterator[Batch]:
        """Yield what is new; a Parquet file is read once it has not grown between two looks."""
        names = self.names()
        for name in [name for name in self.positions if name not in names]:
            del self.positions[name]
        for name in names:
            path = self._folder / name
            try:
                stat = path.stat()
                mark = stat.st_ino
                position, before = self.positions.get(name, [0, mark])
                if before != mark:
                    position = 0
                if name.lower().endswith(".csv"):
                    # A file that is shorter than what was read of it was written anew.
                    yield from self._csv(path, 0 if stat.st_size < position else position, mark)
                else:
                    size = (stat.st_size, stat.st_mtime_ns)
                    if self._sizes.get(name) == size:
                        yield from self._parquet(path, position, mark)
                    self._sizes[name] = size
            except (OSError, ValueError, csv.Error) as error:
                raise DriverError(Reason.PROTOCOL, f"{path}: {error}.", "Correct or remove the file.") from None

    def taken(self, batch: Batch) -> None:
        """A batch was handed over; ``save`` keeps it."""
        self.positions[batch.file] = [batch.position, batch.mark]

    def save(self) -> None:
        """Keep the positions.

        Raises:
            OSError: they cannot be written.
        """
        self._state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._state.with_suffix(".new")
        temporary.write_text(json.dumps(self.positions))
        temporary.replace(self._state)

    def sample(self) -> list[dict[str, Any]]:
        """Return the first rows of the newest file that has some.

        Raises:
            DriverError: no file can be read.
        """
        for name in reversed(self.names()):
            path = self._folder / name
            try:
                batches = self._csv(path, 0, 0) if name.lower().endswith(".csv") else self._parquet(path, 0, 0)
                for batch in batches:
                    if batch.rows:
                        return batch.rows
            except (OSError, ValueError, csv.Error) as error:
                raise DriverError(Reason.PROTOCOL, f"{path}: {error}.", "Correct or remove the file.") from None
        return []

    def _csv(self, path: Path, position: int, mark: int) -> Iterator[Batch]:
        with path.open("rb") as file:
            head = file.readline(_LONGEST_LINE)
            columns = next(csv.reader([head.decode("utf-8-sig")], delimiter=self._delimiter), [])
            file.seek(max(position, len(head)))
            rows: list[dict[str, Any]] = []
            while line := file.readline(_LONGEST_LINE):
                if not line.endswith(b"\n"):
                    if len(line) >= _LONGEST_LINE:
                        raise ValueError(f"a line is longer than {_LONGEST_LINE} bytes")
                    # It is being written.
                    break
                position = file.tell()
                cells = next(csv.reader([line.decode("utf-8")], delimiter=self._delimiter), [])
                if cells:
                    rows.append(dict(zip(columns, cells, strict=False)))
                if len(rows) >= _ROWS:
                    yield Batch(path.name, rows, position, mark)
                    rows = []
            if rows:
                yield Batch(path.name, rows, position, mark)

    @staticmethod
    def _parquet(path: Path, position: int, mark: int) -> Iterator[Batch]:
        # Imported here: 100 ms, and only folders with Parquet need it.
        import pyarrow.parquet as parquet

        with parquet.ParquetFile(path) as file:
            for group in range(position, file.num_row_groups):
                rows: list[dict[str, Any]] = file.read_row_group(group).to_pylist()
                for start in range(0, len(rows), _ROWS):
                    last = start + _ROWS >= len(rows)
                    yield Batch(path.name, rows[start : start + _ROWS], group + 1 if last else group, mark)
