"""A consistent backup of a running node.

The parts are copied one after another while the node works. What makes them fit is the order: what a part has missed is
in a part that is copied later, or is read again from the block log.

1. wait until the history has all that is acknowledged now, so a backup is whole even when its block log has expired,
2. files: positions, checkpoint of twins and rules, MQTT sessions, secrets (a position is never ahead of its data),
3. history,
4. block log: every block after the positions of 2, so what 3 has missed is written again at the next start,
5. identifiers: as of one moment, by the role that writes them,
6. records: every series that a block of 4 uses, every prefix and template that an identifier of 5 is of,
7. objects: every artifact that a record of 6 refers to; they never change, and none goes within a day.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec

import gongfu
from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.jetstream import JetStreamError, stream_state
from gongfu.bus.snapshot import save_stream, snapshot_file
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import format_rfc3339
from gongfu.node.data_directory import DataDirectory, lock_holder
from gongfu.node.identifier_backup import save_identifiers
from gongfu.node.plan import has_identifiers
from gongfu.node.runtime import Runtime
from gongfu.store.history.backup import export_history
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.types import HistoryError

FORMAT = 1
HISTORY_WAIT_S = 60.0
MANIFEST = "manifest.json"
FILES, HISTORY, BLOCK_LOG, RECORDS = "files", "history", "block-log", "records/records.sqlite"
IDENTIFIERS, OBJECTS = "identifiers", "objects"
# Copied by their own steps, or of the running node only.
_NOT_COPIED = frozenset({"run", "log", "nats", "history", "records", IDENTIFIERS, OBJECTS})
_SQLITE_HEAD = b"SQLite format 3\0"
_SQLITE_COMPANIONS = ("-wal", "-shm", "-journal")


class BackupError(Exception):
    """The backup cannot be made or restored; the text says why and what to do."""


class BackedUpFile(msgspec.Struct, frozen=True):
    """A file of a backup: path inside it, size, SHA-256 in hexadecimal."""

    path: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds.

    Attributes:
        format: version of the layout.
        gongfu: version of the node.
        node: name of the node.
        created_at: RFC 3339 time at which it began.
        included: parts that are in it.
        not_included: parts that are in engines of the operator, with what to use for them.
        warnings: what was not as it should be while it was made.
        counts: rows of records and of history by table; last sequence number of the block log by stream.
        files: all other files.
    """

    format: int
    gongfu: str
    node: str
    created_at: str
    included: list[str]
    not_included: list[str]
    warnings: list[str]
    counts: dict[str, dict[str, int]]
    files: list[BackedUpFile]


_NOTES = {
    "history": "history: external; use BACKUP DATABASE of ClickHouse",
    "nats": "block log: external NATS; use `nats stream backup`",
    "records": "records: external; use pg_dump, after all other parts",
}


def back_up(directory: DataDirectory, target: Path) -> Manifest:
    """Write a backup of the running node to ``target``, which must not exist or be empty; all of it or nothing.

    Raises:
        BackupError: the node does not run, the target is in use, or a part cannot be copied.
    """
    if lock_holder(directory) is None:
        raise BackupError(
            f"no node runs on {directory.root}: start it, or copy the whole directory as it is while it is stopped"
        )
    runtime = msgspec.json.decode(directory.runtime.read_bytes(), type=Runtime)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(f"{target} is not an empty directory")
    if target.resolve().is_relative_to(directory.root.resolve()):
        raise BackupError(f"{target} is inside the data directory")
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(mode=0o700, parents=True)
        manifest = _write(directory, runtime, partial)
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except (OSError, sqlite3.Error, JetStreamError, HistoryError) as error:
        raise BackupError(f"the backup failed: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _write(directory: DataDirectory, runtime: Runtime, target: Path) -> Manifest:
    created = format_rfc3339(time.time_ns())
    counts: dict[str, dict[str, int]] = {}
    included = ["files"]
    warning = asyncio.run(_await_history(runtime, directory))
    _copy_files(directory.root, target / FILES)
    if "history" in runtime.embedded:
        store = ClickHouseHistory(runtime.history_url, runtime.history_user, runtime.history_password)
        counts["history"] = dict(export_history(store, target / HISTORY).rows)
        included.append("history")
    if "nats" in runtime.embedded:
        (target / BLOCK_LOG).mkdir()
        counts["block_log"] = asyncio.run(_save_block_log(runtime, target / BLOCK_LOG))
        included.append("block log")
    if has_identifiers(runtime.identifier, directory):
        copied = save_identifiers(runtime, directory, target / IDENTIFIERS)
        counts[IDENTIFIERS] = copied.counts()
        included.append(IDENTIFIERS)
    if "records" in runtime.embedded:
        file = target / RECORDS
        file.parent.mkdir()
        copy_sqlite(directory.records, file)
        counts["records"] = sqlite_counts(file)
        included.append("records")
    if directory.objects.exists():
        (target / FILES / OBJECTS).mkdir(mode=0o700)
        _copy_tree(directory.objects, target / FILES / OBJECTS)
    manifest = Manifest(
        format=FORMAT,
        gongfu=gongfu.__version__,
        node=runtime.node,
        created_at=created,
        included=included,
        not_included=[note for engine, note in _NOTES.items() if engine not in runtime.embedded],
        warnings=[warning] if warning else [],
        counts=counts,
        files=describe_files(target),
    )
    file = target / MANIFEST
    file.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    os.sync()
    return manifest


async def _await_history(runtime: Runtime, directory: DataDirectory) -> str:
    """Wait until the history writer is past the last block of now; return what to warn of."""
    subjects, partitions = Subjects(runtime.node), range(runtime.telemetry.partitions)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), "backup")
    try:
        last = {p: int((await stream_state(bus, subjects.blocks_stream(p)))["last_seq"]) for p in partitions}
    finally:
        await bus.close()
    deadline = time.monotonic() + HISTORY_WAIT_S
    while behind := blocks_behind(directory.history_positions, last):
        if time.monotonic() > deadline:
            return f"the history was {behind} blocks behind; they are in the block log only, until they expire there"
        await asyncio.sleep(0.1)
    return ""


def blocks_behind(file: Path, last: dict[int, int]) -> int:
    """Return how many blocks the positions in a file are behind the last sequence numbers by partition."""
    try:
        positions = json.loads(file.read_bytes())["positions"]
    except (FileNotFoundError, ValueError, KeyError):
        positions = {}
    return sum(max(sequence - int(positions.get(str(partition), 0)), 0) for partition, sequence in last.items())


async def _save_block_log(runtime: Runtime, target: Path) -> dict[str, int]:
    subjects = Subjects(runtime.node)
    bus = await open_bus(BusAddress(tuple(runtime.nats_servers), runtime.nats_token), "backup")
    try:
        counts: dict[str, int] = {}
        for partition in range(runtime.telemetry.partitions):
            stream = subjects.blocks_stream(partition)
            state = await save_stream(bus, stream, snapshot_file(target, stream))
            counts[stream] = int(state["last_seq"])
        return counts
    finally:
        await bus.close()


def _copy_files(root: Path, target: Path) -> None:
    """Copy all that no other step copies."""
    target.mkdir()
    _copy_tree(root, target, _NOT_COPIED)


def _copy_tree(root: Path, target: Path, but: frozenset[str] = frozenset()) -> None:
    """Copy a folder but for some of its entries. Files are replaced by renaming or only appended to, so each is
    whole."""
    for folder, names, files in os.walk(root):
        place = Path(folder).relative_to(root)
        if place == Path():
            names[:] = [name for name in names if name not in but]
        (target / place).mkdir(mode=0o700, exist_ok=True)
        for name in files:
            source = Path(folder) / name
            if name.startswith(".") or name.endswith(_SQLITE_COMPANIONS):
                continue
            # A file may be gone since the folder was read: then another took its place or it is not needed any more.
            with contextlib.suppress(FileNotFoundError):
                with source.open("rb") as file:
                    head = file.read(len(_SQLITE_HEAD))
                if head == _SQLITE_HEAD:
                    copy_sqlite(source, target / place / name)
                else:
                    shutil.copy2(source, target / place / name)


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy an SQLite database as of one moment while others write it.

    Raises:
        sqlite3.Error: it cannot be read or written.
    """
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as original,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    target.chmod(0o600)


def sqlite_counts(file: Path) -> dict[str, int]:
    """Return the number of rows by table."""
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as database:
        tables = [
            row[0]
            for row in database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        return {
            name: int(database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])  # noqa: S608 (own names)
            for name in sorted(tables)
        }


def describe_files(root: Path) -> list[BackedUpFile]:
    """Return path, size and SHA-256 of all files but the manifest."""
    return [
        BackedUpFile(file.relative_to(root).as_posix(), file.stat().st_size, sha256_of(file))
        for file in sorted(root.rglob("*"))
        if file.is_file() and file != root / MANIFEST
    ]


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def as_document(manifest: Manifest) -> dict[str, Any]:
    """Return what the command line prints: the manifest without the list of files."""
    document = dict(msgspec.to_builtins(manifest))
    files = document.pop("files")
    return {**document, "file_count": len(files), "bytes": sum(file["bytes"] for file in files)}
