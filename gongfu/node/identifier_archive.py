"""The identifier service alone, as a backup of its own: ``gongfu id backup`` and ``gongfu id restore``.

A directory with copies of the stores as of one moment, the rows of the service's tables, the keys that it signs and
serves with, and a manifest. It can be restored to another node, with another records database.
"""

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, LargeBinary, Table, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from gongfu.identify.management import tables
from gongfu.identify.service_directory import ServiceDirectory, ServiceError
from gongfu.kernel.times import format_rfc3339
from gongfu.node.data_directory import DataDirectory, DirectoryLock, lock_holder
from gongfu.node.identifier_backup import Copied, count_copy, save_identifiers
from gongfu.node.identifier_site import KEY_FILE as SERVER_KEY_FILE
from gongfu.node.identifier_trust import KEY_FILE
from gongfu.node.plan import has_identifiers
from gongfu.node.runtime import Runtime
from gongfu.store.records.engine import open_records, reading, writing
from gongfu.store.records.migrations import migrate

FORMAT = 1
MANIFEST, STORES, ROWS, KEYS = "manifest.json", "identifiers", "rows", "keys"
# In the order in which they refer to each other.
_TABLES = (
    tables.prefix,
    tables.template,
    tables.range_class,
    tables.application,
    tables.application_step,
    tables.application_document,
    tables.grant,
    tables.day,
)
_AT_ONCE = 500


class ArchiveError(Exception):
    """It cannot be made or restored; the text says why."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup of the service has.

    Attributes:
        format: version of the layout.
        root: prefix at or below which the service registers.
        created_at: RFC 3339.
        identifiers: counts of the stores.
        rows: by table.
        files: SHA-256 in hexadecimal by path, of all other files.
    """

    format: int
    root: str
    created_at: str
    identifiers: Copied
    rows: dict[str, int]
    files: dict[str, str]


def save(directory: DataDirectory, target: Path) -> Manifest:
    """Write a backup of the running service to ``target``, which is not there or empty; all of it or nothing.

    Raises:
        ArchiveError: the service does not run, the target is in use, or it cannot be written.
    """
    if lock_holder(directory) is None:
        raise ArchiveError(f"no node runs on {directory.root}: start it")
    runtime = msgspec.json.decode(directory.runtime.read_bytes(), type=Runtime)
    if not has_identifiers(runtime.identifier, directory):
        raise ArchiveError("this node has no identifier service")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ArchiveError(f"{target} is not an empty directory")
    if target.resolve().is_relative_to(directory.root.resolve()):
        raise ArchiveError(f"{target} is inside the data directory")
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(mode=0o700, parents=True)
        manifest = _save(directory, runtime, partial)
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except (OSError, ServiceError, SQLAlchemyError) as error:
        raise ArchiveError(f"the backup failed: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _save(directory: DataDirectory, runtime: Runtime, target: Path) -> Manifest:
    created = format_rfc3339(time.time_ns())
    # The stores first: every prefix, template and class that they name is in the rows that are read later.
    copied = save_identifiers(runtime, directory, target / STORES)
    for name in (ROWS, KEYS):
        (target / name).mkdir(mode=0o700)
    engine = open_records(runtime.records_url)
    try:
        with reading(engine) as connection:
            counts = {table.name: _write_rows(connection, table, target / ROWS) for table in _TABLES}
    finally:
        engine.dispose()
    for name in (KEY_FILE, SERVER_KEY_FILE):
        if (directory.secrets / name).exists():
            shutil.copy2(directory.secrets / name, target / KEYS / name)
    files = {file.relative_to(target).as_posix(): _digest(file) for file in _files(target)}
    root = ServiceDirectory(target / STORES).facts().root
    manifest = Manifest(FORMAT, root, created, copied, counts, files)
    (target / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    os.sync()
    return manifest


def _write_rows(connection: Connection, table: Table, directory: Path) -> int:
    """Write the rows of a table as lines of JSON, bytes as base64."""
    count, encode = 0, msgspec.json.Encoder().encode
    with (directory / f"{table.name}.ndjson").open("wb") as file:
        for row in connection.execute(select(table)).mappings():
            file.write(encode(dict(row)) + b"\n")
            count += 1
    return count


def read_manifest(source: Path) -> Manifest:
    """Return the manifest of a backup after checking every file against it.

    Raises:
        ArchiveError: it is none, of another format, or damaged; names the file.
    """
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise ArchiveError(f"{source} is no backup of identifiers: {MANIFEST}: {error}") from None
    if manifest.format != FORMAT:
        raise ArchiveError(f"{source} has format {manifest.format}; this version reads {FORMAT}")
    found = {file.relative_to(source).as_posix(): file for file in _files(source)}
    for name in sorted(manifest.files.keys() | found.keys()):
        if name not in found or name not in manifest.files or _digest(found[name]) != manifest.files[name]:
            raise ArchiveError(f"{name} is not what was backed up")
    return manifest


def restore(source: Path, directory: DataDirectory, records_url: str) -> Manifest:
    """Give a node that is stopped, and has no identifier service yet, the service of a backup.

    All identifiers are counted anew, record by record, and compared; where they differ nothing is left of it.

    Raises:
        ArchiveError: the backup is damaged, the node has a service or rows of one, or the counts differ.
        DataDirectoryError: the node runs, or its directory cannot be written.
    """
    manifest = read_manifest(source)
    directory.create()
    with DirectoryLock(directory):
        if ServiceDirectory(directory.identifiers).exists():
            raise ArchiveError("the node has an identifier service; restore to one that has none")
        scratch = directory.identifiers.with_name(f".{directory.identifiers.name}-{os.getpid()}")
        engine = open_records(records_url)
        try:
            migrate(engine)
            shutil.copytree(source / STORES, scratch)
            _close_to_others(scratch)
            counted = count_copy(scratch, anew=True)
            if counted != manifest.identifiers:
                raise ArchiveError(f"the counts differ: restored {counted}, backed up {manifest.identifiers}")
            _restore_keys(source / KEYS, directory)
            with writing(engine) as connection:
                _restore_rows(connection, source / ROWS, manifest)
                os.sync()
                scratch.rename(directory.identifiers)
        except (OSError, SQLAlchemyError, msgspec.MsgspecError, ArchiveError) as error:
            # There was none before: what is there now has no rows.
            shutil.rmtree(directory.identifiers, ignore_errors=True)
            raise error if isinstance(error, ArchiveError) else ArchiveError(f"the restore failed: {error}") from error
        finally:
            engine.dispose()
            shutil.rmtree(scratch, ignore_errors=True)
    return manifest


def _restore_rows(connection: Connection, source: Path, manifest: Manifest) -> None:
    for table in _TABLES:
        if connection.execute(select(func.count()).select_from(table)).scalar_one():
            raise ArchiveError(f"the records have rows in {table.name} already: they are of another service")
    for table in _TABLES:
        count = 0
        for rows in _rows(source / f"{table.name}.ndjson", _reader(table)):
            connection.execute(insert(table), rows)
            count += len(rows)
        if count != manifest.rows[table.name]:
            raise ArchiveError(f"{table.name} has {count} rows, and had {manifest.rows[table.name]}")
        _continue_numbers(connection, table)


def _rows(file: Path, read: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    waiting: list[dict[str, Any]] = []
    with file.open("rb") as lines:
        for line in lines:
            waiting.append(read(msgspec.json.decode(line, type=dict[str, Any])))
            if len(waiting) == _AT_ONCE:
                yield waiting
                waiting = []
    if waiting:
        yield waiting


def _reader(table: Table) -> Callable[[dict[str, Any]], dict[str, Any]]:
    binary = [column.name for column in table.columns if isinstance(column.type, LargeBinary)]

    def read(row: dict[str, Any]) -> dict[str, Any]:
        for name in binary:
            row[name] = msgspec.convert(row[name], bytes)
        return row

    return read


def _continue_numbers(connection: Connection, table: Table) -> None:
    """Let PostgreSQL give numbers behind those that are there; SQLite does by itself."""
    if connection.dialect.name != "postgresql":
        return
    for column in table.primary_key.columns:
        sequence = connection.execute(select(func.pg_get_serial_sequence(table.name, column.name))).scalar_one()
        if sequence is not None:
            highest = connection.execute(select(func.max(column))).scalar_one()
            if highest is not None:
                connection.execute(select(func.setval(sequence, highest)))


def _restore_keys(source: Path, directory: DataDirectory) -> None:
    """Put keys in their place: those that the node made for itself have signed nothing yet."""
    for file in sorted(source.iterdir()):
        target = directory.secrets / file.name
        scratch = target.with_name(f".{file.name}-{os.getpid()}")
        shutil.copyfile(file, scratch)
        scratch.chmod(0o600)
        scratch.replace(target)


def _files(root: Path) -> Iterator[Path]:
    return (file for file in sorted(root.rglob("*")) if file.is_file() and file != root / MANIFEST)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _close_to_others(root: Path) -> None:
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o700)
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                (Path(folder) / name).chmod(0o600)
