"""Make a data directory from a backup."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import msgspec

from gongfu.bus.connection import BusAddress, open_bus
from gongfu.bus.jetstream import JetStreamError
from gongfu.bus.server import find_server, render_server_config
from gongfu.bus.snapshot import load_stream, snapshot_file
from gongfu.node.backup import (
    BLOCK_LOG,
    FILES,
    FORMAT,
    HISTORY,
    IDENTIFIERS,
    MANIFEST,
    RECORDS,
    BackupError,
    Manifest,
    sha256_of,
    sqlite_counts,
)
from gongfu.node.data_directory import DataDirectory, DirectoryLock, secret_of, write_private
from gongfu.node.identifier_backup import count_copy
from gongfu.node.plan import HISTORY_USER
from gongfu.node.ports import bind_probe
from gongfu.store.history.backup import BackupError as HistoryBackupError
from gongfu.store.history.backup import import_history, verify_history
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.engine import EngineError
from gongfu.store.history.node import HistoryNode
from gongfu.store.history.types import HistoryError

_STOP_TIMEOUT_S = 30.0
_FAILURES = (OSError, JetStreamError, HistoryError, EngineError, HistoryBackupError, subprocess.SubprocessError)
# What an empty data directory may hold: what a start or a restore that failed early leaves behind.
_HARMLESS = frozenset({"run", "log"})


def read_manifest(source: Path) -> Manifest:
    """Return the manifest of a backup after checking every file against it.

    Raises:
        BackupError: it is not a backup, of a newer format, or damaged.
    """
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupError(f"{source} is not a backup: {MANIFEST}: {error}") from None
    if manifest.format != FORMAT:
        raise BackupError(f"{source} has format {manifest.format}; this version reads {FORMAT}")
    for entry in manifest.files:
        file = source / entry.path
        if not file.resolve().is_relative_to(source.resolve()):
            raise BackupError(f"{entry.path} points outside the backup")
        try:
            whole = file.stat().st_size == entry.bytes and sha256_of(file) == entry.sha256
        except OSError as error:
            raise BackupError(f"{entry.path}: {error.strerror}") from None
        if not whole:
            raise BackupError(f"{entry.path} is not what was backed up: its size or SHA-256 differs")
    return manifest


def verify(source: Path) -> Manifest:
    """Return the manifest of a backup after checking that nothing of it is missing or changed; needs no node.

    Raises:
        BackupError: it is not a backup, or damaged; names the file.
    """
    manifest = read_manifest(source)
    if "history" in manifest.counts:
        try:
            rows = verify_history(source / HISTORY).rows
        except HistoryBackupError as error:
            raise BackupError(str(error)) from None
        if dict(rows) != manifest.counts["history"]:
            raise BackupError(f"the history in {source} has other row counts than {MANIFEST}")
    return manifest


def restore(source: Path, directory: DataDirectory) -> Manifest:
    """Make the data directory from a backup and compare the counts.

    Raises:
        BackupError: the backup is damaged, the data directory is not empty, or the counts differ.
        DataDirectoryError: it cannot be written or is in use.
    """
    manifest = read_manifest(source)
    if directory.root.exists() and any(entry.name not in _HARMLESS for entry in directory.root.iterdir()):
        raise BackupError(f"{directory.root} is not empty; restore to a new directory with --data-dir")
    directory.create()
    with DirectoryLock(directory):
        try:
            counts = _restore(source, manifest, directory)
        except _FAILURES as error:
            raise BackupError(f"the restore failed: {error}; remove {directory.root} before another try") from error
    if counts != manifest.counts:
        raise BackupError(f"the counts differ: restored {counts}, backed up {manifest.counts}")
    return manifest


def _restore(source: Path, manifest: Manifest, directory: DataDirectory) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    shutil.copytree(source / FILES, directory.root, dirs_exist_ok=True)
    _close_to_others(directory.root)
    if "history" in manifest.counts:
        counts["history"] = _load_history(source / HISTORY, directory)
    if "block_log" in manifest.counts:
        counts["block_log"] = _load_block_log(source / BLOCK_LOG, list(manifest.counts["block_log"]), directory)
    if IDENTIFIERS in manifest.counts:
        shutil.copytree(source / IDENTIFIERS, directory.identifiers)
        _close_to_others(directory.identifiers)
        counts[IDENTIFIERS] = count_copy(directory.identifiers, anew=True).counts()
    if "records" in manifest.counts:
        shutil.copyfile(source / RECORDS, directory.records)
        directory.records.chmod(0o600)
        counts["records"] = sqlite_counts(directory.records)
    os.sync()
    return counts


def _close_to_others(root: Path) -> None:
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o700)
        for name in files:
            (Path(folder) / name).chmod(0o600)


def _load_history(source: Path, directory: DataDirectory) -> dict[str, int]:
    """Restore the history with an engine of our own; every column is compared."""
    password = secret_of(directory.secrets / "history-password")
    node = HistoryNode(directory.history, "127.0.0.1", 0, HISTORY_USER, password, upkeep=False)
    try:
        store = ClickHouseHistory(f"http://127.0.0.1:{node.port}", HISTORY_USER, password)
        return dict(import_history(store, source).rows)
    finally:
        node.close()


def _load_block_log(source: Path, streams: list[str], directory: DataDirectory) -> dict[str, int]:
    """Restore the streams with a nats-server of our own."""
    port = bind_probe("127.0.0.1", 0)
    token = secret_of(directory.secrets / "nats-token")
    config = directory.run / "restore-nats.conf"
    write_private(config, render_server_config(port=port, store_dir=directory.nats, token=token).encode())
    with (directory.log / "restore.log").open("ab") as log:
        command = [str(find_server()), "-c", str(config)]
        server = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 (our own program)
        try:
            address = BusAddress((f"nats://127.0.0.1:{port}",), token)
            return asyncio.run(_load_streams(source, streams, address, server))
        finally:
            server.terminate()
            try:
                server.wait(_STOP_TIMEOUT_S)
            finally:
                server.kill()
                config.unlink(missing_ok=True)


async def _load_streams(
    source: Path, streams: list[str], address: BusAddress, server: "subprocess.Popen[bytes]"
) -> dict[str, int]:
    # The client tries again until the server answers; one that ended never will.
    connecting = asyncio.create_task(open_bus(address, "restore"))
    while not (await asyncio.wait({connecting}, timeout=0.1))[0]:
        if server.poll() is not None:
            connecting.cancel()
            raise BackupError(f"nats-server ended with status {server.returncode}; see restore.log")
    bus = connecting.result()
    try:
        return {
            stream: int((await load_stream(bus, stream, snapshot_file(source, stream)))["last_seq"])
            for stream in streams
        }
    finally:
        await bus.close()
