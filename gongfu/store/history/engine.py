"""The owner of a history directory: chDB (embedded ClickHouse) in this process.

One process owns a directory. Each statement has a chDB connection of its own while it runs, so statements run beside
each other. A connection on which only reads and inserts have run, which leave nothing behind, is kept for the next one
with the very same settings (opening one and setting it up takes 0.6 ms); settings and temporary objects of one
statement never reach another.
"""

import contextlib
import ctypes
import fcntl
import importlib.util
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.sax.saxutils import escape

from gongfu.store.history import schema
from gongfu.store.history.bodies import memory_file
from gongfu.store.history.external import ExternalTable

logger = logging.getLogger(__name__)

# What a connection is set up with: database, and settings in their order.
_Kind = tuple[str, tuple[tuple[str, str], ...]]

_CODE = re.compile(r"Code: (\d+)\. ")
_RTLD_DEEPBIND = 0x8
# Statements that change nothing in their session.
_LEAVES_NOTHING = re.compile(r"\s*(?:SELECT|INSERT)\b", re.IGNORECASE)
# Connections that wait for the next statement with their settings, of all kinds together.
_KEPT = 8


class EngineError(Exception):
    """The engine refused or failed a statement.

    Attributes:
        code: ClickHouse error code, 0 when the engine gave none.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = _CODE.search(message)
        self.code = int(found.group(1)) if found else 0


class DirectoryInUse(Exception):
    """Another process owns the history directory."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Bounds for one small node.

    Attributes:
        memory_bytes: of the whole engine; a query that would pass it fails, inserts go on.
        query_memory_bytes: of one query before it fails; sorting and grouping spill to disk at half of it.
        threads: most threads of one statement.
        cache_bytes: of marks and of uncompressed blocks, each.
        keep_free_bytes: room on the disk that inserts and merges leave alone; an insert that would use it is refused
            as a whole, reads go on.
    """

    memory_bytes: int = 1_500_000_000
    query_memory_bytes: int = 700_000_000
    threads: int = 2
    cache_bytes: int = 67_108_864
    keep_free_bytes: int = 268_435_456


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of a statement: the bytes in the asked format, rows and bytes read (for an insert: written)."""

    data: bytes
    rows: int
    bytes_read: int


def _load_chdb() -> ModuleType:
    """Return chDB's extension module.

    ``import chdb`` starts a throw-away engine and imports pyarrow, 47 MB and 0.6 s for nothing here. The preload makes
    the extension's own allocator win over one already in the process, as chDB's package does.
    """
    spec = importlib.util.find_spec("chdb")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package chdb-core-lite is not installed")
    folder = Path(next(iter(spec.submodule_search_locations)))
    library = str(folder / "_chdb.abi3.so")
    ctypes.CDLL(library, mode=sys.getdlopenflags() | _RTLD_DEEPBIND)
    extension = importlib.util.spec_from_file_location("_chdb", library)
    if extension is None or extension.loader is None:
        raise RuntimeError(f"{library} cannot be loaded")
    module = importlib.util.module_from_spec(extension)
    extension.loader.exec_module(module)
    return module


def _configuration(limits: EngineLimits, data: Path) -> str:
    """Return the engine's configuration: small pools, no logs, no telemetry, rare memory checks (idle CPU 0.05 %)."""
    values = {
        "timezone": "UTC",
        "logger/level": "fatal",
        "max_server_memory_usage": limits.memory_bytes,
        "mark_cache_size": limits.cache_bytes,
        "uncompressed_cache_size": limits.cache_bytes,
        "index_mark_cache_size": 0,
        "mmap_cache_size": 0,
        "memory_worker_period_ms": 5000,
        "background_pool_size": 2,
        "background_move_pool_size": 1,
        "background_fetches_pool_size": 1,
        "background_common_pool_size": 1,
        "max_thread_pool_size": 200,
        "max_concurrent_queries": 50,
        "storage_configuration/disks/default/keep_free_space_bytes": limits.keep_free_bytes,
        "tmp_path": f"{data / 'tmp'}/",
    }
    lines = []
    for name, value in values.items():
        *outer, leaf = name.split("/")
        text = f"<{leaf}>{escape(str(value))}</{leaf}>"
        for tag in reversed(outer):
            text = f"<{tag}>{text}</{tag}>"
        lines.append(text)
    return "<clickhouse>\n" + "\n".join(lines) + "\n</clickhouse>\n"


def quote(text: str) -> str:
    """Return a ClickHouse string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Engine:
    """An open history directory.

    Layout: ``<directory>/owner.lock``, ``engine.xml`` and ``data/`` (chDB's own).
    """

    def __init__(self, directory: Path, limits: EngineLimits | None = None) -> None:
        """Open or create the directory and its tables.

        Raises:
            DirectoryInUse: another process owns it.
            EngineError: the files cannot be read.
        """
        limits = limits or EngineLimits()
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = _own(directory)
        self._data = str(directory / "data")
        self._defaults: dict[str, str] = {
            "max_memory_usage": str(limits.query_memory_bytes),
            "max_bytes_before_external_group_by": str(limits.query_memory_bytes // 2),
            "max_bytes_before_external_sort": str(limits.query_memory_bytes // 2),
            "max_threads": str(limits.threads),
            # A batch over many years is one part a year, however many.
            "max_partitions_per_insert_block": "0",
            # One part an insert: the whole batch is one block.
            "min_insert_block_size_rows": "4000000",
            "min_insert_block_size_bytes": "512000000",
            "max_insert_threads": "1",
            "allow_experimental_codecs": "1",
            "session_timezone": "UTC",
        }
        configuration = directory / "engine.xml"
        configuration.write_text(_configuration(limits, directory / "data"))
        try:
            self._chdb = _load_chdb()
            # The anchor keeps the engine alive between statements.
            self._anchor = self._chdb.connect(f"{self._data}?config-file={configuration}")
        except RuntimeError as error:
            self._lock.close()
            raise EngineError(str(error)) from error
        self._opening = threading.Lock()
        # By database and settings, the least recently used first; under ``_opening``.
        self._kept: list[tuple[_Kind, Any]] = []
        self._prepare()

    def _prepare(self) -> None:
        alp = self.run("SELECT count() FROM system.codecs WHERE name = 'ALP'").data.strip() == b"1"
        for statement in schema.statements(alp=alp):
            self.run(statement)
        known = [self._pairs(statement) for statement in schema.TABLE_STATE]
        for statement in schema.upgrades(known[0], known[1], alp=alp):
            logger.info("history is brought up to date: %s", statement)
            self.run(statement)

    def _pairs(self, statement: str) -> dict[str, str]:
        lines = self.run(statement, "TSVRaw").data.decode().splitlines()
        return {name: value for name, _, value in (line.partition("\t") for line in lines)}

    @contextlib.contextmanager
    def _connection(
        self,
        database: str,
        settings: Mapping[str, str],
        *,
        read_only: bool,
        external: Sequence[ExternalTable] = (),
        keep: bool = False,
    ) -> Iterator[Any]:
        merged = {**self._defaults, **settings}
        if read_only:
            # Last: nothing can be changed after it, and file(), url() and their like are refused.
            merged["readonly"] = "1"
        kind: _Kind = (database, tuple(merged.items()))
        keep = keep and not external
        connection, fresh = self._taken(kind) if keep else None, False
        if connection is None:
            with self._opening:
                connection = self._chdb.connect(self._data)
            fresh = True
        unharmed = False
        try:
            for table in external:
                _bring(connection, table)
            if fresh:
                assignments = ", ".join(f"{name} = {quote(value)}" for name, value in merged.items())
                connection.query(f"SET {assignments}", "Null", params={})
                if database and database != "default":
                    connection.query(f"USE `{database}`", "Null", params={})
            yield connection
            unharmed = True
        finally:
            with self._opening:
                if keep and unharmed:
                    self._kept.append((kind, connection))
                    connection = self._kept.pop(0)[1] if len(self._kept) > _KEPT else None
                if connection is not None:
                    connection.close()

    def _taken(self, kind: _Kind) -> Any:
        """Return a kept connection with these settings, the one used last, or None."""
        with self._opening:
            for i in range(len(self._kept) - 1, -1, -1):
                if self._kept[i][0] == kind:
                    return self._kept.pop(i)[1]
        return None

    def run(
        self,
        statement: str,
        form: str = "TabSeparated",
        *,
        parameters: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        database: str = "default",
        read_only: bool = False,
        external: Sequence[ExternalTable] = (),
    ) -> Answer:
        """Run one statement and return its whole result; blocks the calling thread, without the GIL.

        Args:
            statement: SQL; a FORMAT clause in it wins over ``form``.
            form: output format.
            parameters: values of ``{name:Type}``.
            settings: ClickHouse settings; names are checked by the caller to be identifiers.
            database: name, an identifier.
            read_only: refuse everything but reading tables.
            external: tables that exist for this statement only.

        Raises:
            EngineError: the engine's own message and code.
        """
        try:
            # Several statements at once may be anything, and parameters belong to the connection.
            keep = bool(_LEAVES_NOTHING.match(statement)) and ";" not in statement and not parameters
            chosen = settings or {}
            with self._connection(database, chosen, read_only=read_only, external=external, keep=keep) as connection:
                result = connection.query(statement, form, params=dict(parameters or {}))
                return Answer(result.bytes(), result.rows_read(), result.bytes_read())
        except RuntimeError as error:
            raise EngineError(_plain(str(error))) from None

    def insert(
        self,
        head: str,
        form: str,
        descriptor: int,
        *,
        settings: Mapping[str, str] | None = None,
        database: str = "default",
    ) -> Answer:
        """Insert the bytes of an open file (a memfd: they never touch the disk twice).

        chDB takes inline data only as text; ``FROM INFILE`` is its way in for binary formats.

        Args:
            head: ``INSERT INTO table (columns)``.
            form: input format.
            descriptor: file with the data.
            settings: ClickHouse settings.
            database: name, an identifier.
        """
        path = f"/proc/self/fd/{descriptor}"
        return self.run(f"{head} FROM INFILE {quote(path)} FORMAT {form}", settings=settings, database=database)

    def close(self) -> None:
        """Close the engine and give up the directory; running merges are stopped, acknowledged inserts are on disk."""
        with self._opening, contextlib.suppress(RuntimeError):
            while self._kept:
                self._kept.pop()[1].close()
            self._anchor.close()
        self._lock.close()


def _bring(connection: Any, table: ExternalTable) -> None:
    """Make a temporary table of a connection: no other sees it, and it goes with the connection."""
    connection.query(f"CREATE TEMPORARY TABLE `{table.name}` ({table.structure}) ENGINE = Memory", "Null", params={})
    if not len(table.data):
        return
    descriptor = memory_file("gongfu-history-external")
    try:
        written = 0
        while written < len(table.data):
            written += os.write(descriptor, table.data[written:])
        source = quote(f"/proc/self/fd/{descriptor}")
        insert = f"INSERT INTO `{table.name}` FROM INFILE {source} FORMAT {table.form}"
        connection.query(insert, "Null", params={})
    finally:
        os.close(descriptor)


def _own(directory: Path) -> Any:
    """Return the open lock file of a directory; the kernel frees the lock when the process ends in any way."""
    # Stays open as long as the engine.
    lock = (directory / "owner.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read(20).strip() or "unknown"
        lock.close()
        raise DirectoryInUse(f"the history directory {directory} is in use by process {owner}") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _plain(message: str) -> str:
    """Return the engine's message from its code on: nested wrappers repeat it."""
    start = message.rfind("Code: ")
    return message[start:] if start > 0 else message
