"""Records of an app: an SQLite file in its own folder, with numbered migrations. Used by its own process only."""

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gongfu.appkit.contract import AppError

FILE = "records.sqlite"
MIGRATIONS = "migrations"
_PAGE = 4096
_ROWS = 100_000
# Orders that were carried out.
_DONE = "CREATE TABLE IF NOT EXISTS gongfu_order (key TEXT PRIMARY KEY, time INTEGER, said TEXT)"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql", re.ASCII)


class MigrationFailed(Exception):
    """A migration of records cannot be run; the text names its file."""


class SqliteRecords:
    """Records in a file. All methods raise ``AppError`` with what SQLite says.

    Args:
        path: of the file; made when it is not there.
        max_bytes: what it may grow to.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, cached_statements=64)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._connection.execute("PRAGMA trusted_schema=OFF")
        self._connection.execute(f"PRAGMA max_page_count={max(max_bytes // _PAGE, 16)}")
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Return the rows of a SELECT."""
        with _told():
            rows = self._connection.execute(sql, values).fetchmany(_ROWS + 1)
        if len(rows) > _ROWS:
            raise AppError(400, f"a query of records gives at most {_ROWS} rows; use LIMIT")
        return [dict(row) for row in rows]

    def execute(self, sql: str, *values: Any) -> int:
        """Run a statement, and return how many rows it changed."""
        with _told():
            return max(self._connection.execute(sql, values).rowcount, 0)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement for each row of values in one transaction, and return how many rows it changed."""
        with self.transaction(), _told():
            return max(self._connection.executemany(sql, rows).rowcount, 0)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside happen, or none; one inside another is part of it."""
        if self._connection.in_transaction:
            yield
            return
        with _told():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            # SQLite has rolled back by itself when the file is full.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        with _told():
            self._connection.execute("COMMIT")

    def once(self, key: str, time: int, work: Callable[[], str]) -> str:
        """Return what some work returns, which is done once for a key; when it was done, what it returned then.

        Work and the note that it was done are one transaction, on the disk on return: whatever crashes, both are there
        or none.

        Args:
            key: at most 300 characters.
            time: UTC ns, kept with it.
            work: may use the records.

        Raises:
            Exception: what ``work`` raises; nothing is noted then, and what it wrote into the records is undone.
        """
        with _told():
            self._connection.execute("PRAGMA synchronous=FULL")
        try:
            with self.transaction():
                self.execute(_DONE)
                found = self.query("SELECT said FROM gongfu_order WHERE key = ?", key)
                if found:
                    return str(found[0]["said"])
                said = work()
                if not self._connection.in_transaction:
                    raise AppError(500, "the transaction of an order was ended by its function, or the file is full")
                self.execute("INSERT INTO gongfu_order (key, time, said) VALUES (?, ?, ?)", key, time, said)
            return said
        finally:
            with _told():
                self._connection.execute("PRAGMA synchronous=NORMAL")

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuse to change anything inside."""
        with _told():
            self._connection.execute("PRAGMA query_only=ON")
        try:
            yield
        finally:
            with _told():
                self._connection.execute("PRAGMA query_only=OFF")

    @property
    def revision(self) -> int:
        """Number of the last migration that was run."""
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def migrate(self, folder: Path) -> int:
        """Run the migrations that were not run yet, each in a transaction; return the number of the last.

        Raises:
            MigrationFailed: one failed, or the records are newer than the code.
        """
        found = migrations_in(folder)
        newest = max(found, default=0)
        if self.revision > newest:
            raise MigrationFailed(f"the records are at migration {self.revision}, newer than this version ({newest})")
        for number in sorted(found):
            if number <= self.revision:
                continue
            script = found[number].read_text(encoding="utf-8")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                for statement in statements_of(script):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version={number}")
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise MigrationFailed(f"{MIGRATIONS}/{found[number].name}: {error}") from None
        return self.revision

    def close(self) -> None:
        """Close the file; what is in its log goes into it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()


def migrations_in(folder: Path) -> dict[int, Path]:
    """Return the migrations of a folder by number; none when it is not there.

    Raises:
        MigrationFailed: a name is not ``NNNN_name.sql``, or the numbers are not 1, 2, 3….
    """
    found: dict[int, Path] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = _NAME.fullmatch(file.name)
        if match is None:
            raise MigrationFailed(f"{MIGRATIONS}/{file.name}: the name must be like 0001_first.sql")
        if int(match[1]) in found:
            raise MigrationFailed(f"{MIGRATIONS}/{file.name}: there are two of number {match[1]}")
        found[int(match[1])] = file
    if sorted(found) != list(range(1, len(found) + 1)):
        raise MigrationFailed(f"{MIGRATIONS}/: the numbers must be 0001, 0002, … without gaps")
    return found


def statements_of(script: str) -> Iterator[str]:
    """Yield the statements of a script, each up to its semicolon; what is only blank or comment is left out."""
    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if any(line.strip() and not line.strip().startswith("--") for line in statement.splitlines()):
        yield statement


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise AppError(400, f"records: {error}") from None
