"""The one directory of a node: where things are, who may use it, and its secrets."""

import errno
import fcntl
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

SECRET_BYTES = 32
# All objects together.
OBJECTS_BYTES = 8 * 1024**3


class DataDirectoryError(Exception):
    """The data directory cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Paths below ``root``. What is in ``run`` and ``log`` is not part of a backup."""

    root: Path

    @property
    def run(self) -> Path:
        """Files of the running node: lock, chosen ports, ``runtime.json``, ``state.json``."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """Log files by role."""
        return self.root / "log"

    @property
    def secrets(self) -> Path:
        """Generated secrets, one a file, mode 0600."""
        return self.root / "secrets"

    @property
    def nats(self) -> Path:
        """Block log and configuration of the embedded nats-server."""
        return self.root / "nats"

    @property
    def history(self) -> Path:
        """Embedded history."""
        return self.root / "history"

    @property
    def history_positions(self) -> Path:
        """Last block of each partition that the history has; written by the worker."""
        return self.root / "history-position.json"

    @property
    def records(self) -> Path:
        """SQLite file of the records."""
        return self.root / "records" / "records.sqlite"

    @property
    def records_url(self) -> str:
        """SQLAlchemy URL of ``records``."""
        return f"sqlite:///{self.records}"

    @property
    def runtime(self) -> Path:
        """What the role processes read."""
        return self.run / "runtime.json"

    @property
    def state(self) -> Path:
        """What the supervisor tells about its roles, rewritten on every change."""
        return self.run / "state.json"

    @property
    def lock(self) -> Path:
        """Locked while a node runs; holds its process id."""
        return self.run / "lock"

    @property
    def cli_token(self) -> Path:
        """Bearer token of the command line on this machine."""
        return self.secrets / "cli-token"

    @property
    def tree_keys(self) -> Path:
        """Keys and certificates of the node in the tree (gongfu/tree/nodes/key_files.py)."""
        return self.secrets / "tree"

    @property
    def tree_joined(self) -> Path:
        """Is there when the node is in a tree."""
        return self.tree_keys / "joined"

    @property
    def tree_nats(self) -> Path:
        """Configuration of the server of the tree's links."""
        return self.run / "tree-nats.conf"

    @property
    def identifiers(self) -> Path:
        """The identifier service's store; made by ``gongfu id init`` (gongfu/identify/service_directory.py)."""
        return self.root / "identifiers"

    @property
    def connection_secrets(self) -> Path:
        """Passwords and keys of connections to machines, and what their drivers keep; is there once some are used."""
        return self.secrets / "connections"

    @property
    def objects(self) -> Path:
        """Artifacts by content (gongfu/store/objects)."""
        return self.root / "objects"

    @property
    def models(self) -> Path:
        """Checkpoints of models on the stream; is there once a model was bound or called."""
        return self.root / "models"

    def want_models(self) -> None:
        """Let the role ``models`` run from now on; it starts within a second.

        Raises:
            OSError: the directory cannot be written.
        """
        self.models.mkdir(mode=0o700, exist_ok=True)

    @property
    def apps(self) -> Path:
        """Installed apps: their files and what they keep; is there once one was to be installed."""
        return self.root / "apps"

    def want_apps(self) -> None:
        """Let the role ``apps`` run from now on; it starts within a second.

        Raises:
            OSError: the directory cannot be written.
        """
        self.apps.mkdir(mode=0o700, exist_ok=True)

    @property
    def notify_secrets(self) -> Path:
        """Passwords and keys of notification channels; is there once a channel was made."""
        return self.secrets / "notify"

    @property
    def notify_key(self) -> Path:
        """Signs the links in notifications."""
        return self.secrets / "notify-key"

    def want_notify(self) -> None:
        """Let the role ``notify`` run from now on; it starts within a second.

        Raises:
            OSError: the directory cannot be written.
        """
        self.notify_secrets.mkdir(mode=0o700, exist_ok=True)

    def want_connect(self) -> None:
        """Let the role ``connect`` run from now on; it starts within a second.

        Raises:
            OSError: the directory cannot be written.
        """
        self.connection_secrets.mkdir(mode=0o700, exist_ok=True)

    def create(self) -> None:
        """Make the directories, closed to other users.

        Raises:
            DataDirectoryError: it cannot be made or written.
        """
        try:
            for path in (self.root, self.run, self.log, self.secrets, self.nats, self.history, self.records.parent):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self.run / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise DataDirectoryError(
                f"the data directory {self.root} cannot be written: {error.strerror} ({error.filename}); "
                "give another with --data-dir or [node] data_dir"
            ) from None


def secret_of(path: Path) -> str:
    """Return the secret kept in a file as hexadecimal text; make it (256 random bits, mode 0600) when absent."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        write_private(path, secrets.token_hex(SECRET_BYTES).encode())
        return path.read_text(encoding="ascii")


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read (0600), at once or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class DirectoryLock:
    """Exclusive use of a data directory until the process ends; the kernel releases it even after ``kill -9``."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self._descriptor = -1

    def __enter__(self) -> "DirectoryLock":
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.release()

    def acquire(self, purpose: str = "node") -> None:
        """Take the lock.

        Raises:
            DataDirectoryError: another process has it; the text names its process id.
        """
        path = self._directory.lock
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise DataDirectoryError(f"{path} cannot be locked: {error.strerror}") from None
            holder = lock_holder(self._directory) or {}
            pid = holder.get("pid", "unknown")
            raise DataDirectoryError(
                f"another {holder.get('purpose', 'node')} (process {pid}) uses the data directory "
                f"{self._directory.root}; stop it with `kill {pid}`, or give this one its own with --data-dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "purpose": purpose, "time": time.time_ns()}).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def lock_holder(directory: DataDirectory) -> dict[str, Any] | None:
    """Return ``{"pid", "purpose", "time"}`` of the process that uses the directory, or None when it is free."""
    try:
        descriptor = os.open(directory.lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        try:
            return dict(json.loads(os.pread(descriptor, 4096, 0)))
        except ValueError:
            return {}
    finally:
        os.close(descriptor)
    return None
