"""A directory of small files that the machines of a cluster share by way of the records."""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.node.data_directory import write_private
from gongfu.node.shared_files import records
from gongfu.node.shared_files.merging import Merge, merge
from gongfu.node.shared_files.sealing import Seal, UnsealError
from gongfu.store.records.engine import reading, writing

MAX_BYTES = 4 * 1024 * 1024
SYNC_S = 5.0
# A file of no content: somebody has asked for the role whose files these are.
WANTED = "wanted"
_PASSING = (".part", ".new")
_TRIAL = "trial"

logger = logging.getLogger(__name__)


class SharedFolder:
    """Brings a directory and the records to the same. Methods block; from any thread."""

    def __init__(
        self, engine: Engine, seal: Seal, name: str, root: Path, whole: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        """Set up.

        Args:
            engine: the records.
            seal: seals what goes there.
            name: of the folder in the records.
            root: the directory; it need not be there.
            whole: directories below it whose files belong together, with the names of those files in the order in
                which they are written; nothing of one is shared before all are there.
        """
        self._engine = engine
        self._seal = seal
        self._name = name
        self._root = root
        self._whole = dict(whole or {})
        self._agreed = root.with_name(f".{root.name}.agreed.json")
        self._lock_file = root.with_name(f".{root.name}.lock")
        self._lock = threading.Lock()
        # By path: what tells whether a file is another, and its digest.
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        # What has been told already.
        self._too_large: set[str] = set()
        self._sealed_else: set[str] = set()
        self._synced_at = -SYNC_S

    def sync(self, older_than: float = 0.0) -> None:
        """Take what others have changed, and give what was changed here.

        Args:
            older_than: do nothing when it was done less than so many seconds ago.

        Raises:
            SQLAlchemyError: the records do not answer.
            OSError: a file cannot be read or written.
        """
        with self._lock:
            if time.monotonic() - self._synced_at < older_than:
                return
            with self._alone():
                self._sync()
            self._synced_at = time.monotonic()

    def run(self) -> None:
        """Sync again and again until the process ends; for a daemon thread."""
        while True:
            try:
                self.sync()
            except (SQLAlchemyError, OSError) as error:
                logger.warning("%s is not shared now: %s", self._name, type(error).__name__)
            except Exception:
                logger.exception("%s is not shared", self._name)
            time.sleep(SYNC_S)

    def start(self) -> None:
        """Run in a thread of its own that ends with the process."""
        threading.Thread(target=self.run, name=f"share {self._name}", daemon=True).start()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep the other processes of this machine away."""
        self._lock_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _sync(self) -> None:
        if not (self._root / WANTED).exists():
            # The directory is new or was made anew: what is not in it was lost here, and nobody has removed it.
            self._agreed.unlink(missing_ok=True)
            if self._root.exists():
                (self._root / WANTED).touch(mode=0o600)
        here = self._digests()
        with reading(self._engine) as connection:
            there = records.digests(connection, self._name)
        agreed = self._load_agreed()
        todo = merge(here, there, agreed)
        for path in [path for path in todo.drop if any(file.exists() for file in self._files_of(path))]:
            # It is there, but too large to be shared.
            todo.agreed[path] = todo.drop.pop(path)
        if todo.push or todo.drop:
            self._give(todo)
        for path in todo.pull:
            self._take(path, todo)
        for path in todo.erase:
            for file in self._files_of(path):
                file.unlink(missing_ok=True)
        if todo.agreed != agreed:
            write_private(self._agreed, msgspec.json.encode(todo.agreed))

    def _load_agreed(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._agreed.read_bytes(), type=dict[str, str])
        except (FileNotFoundError, msgspec.MsgspecError):
            return {}

    def _give(self, todo: Merge) -> None:
        with writing(self._engine) as connection:
            for path, before in todo.push.items():
                content = self._read(path)
                if content is None:
                    continue  # it went meanwhile: next time
                digest, sealed = self._seal.digest(content), self._seal.close(self._place(path), content)
                if records.replace(connection, self._name, path, before, digest, sealed):
                    todo.agreed[path] = digest
            for path, before in todo.drop.items():
                records.remove(connection, self._name, path, before)

    def _take(self, path: str, todo: Merge) -> None:
        with reading(self._engine) as connection:
            found = records.content(connection, self._name, path)
        if found is None:
            return
        digest, sealed = found
        try:
            self._write(path, self._seal.open(self._place(path), sealed))
        except UnsealError:
            if path not in self._sealed_else:
                self._sealed_else.add(path)
                logger.error("%s of %s was sealed with another device key than this machine has", path, self._name)
            return
        todo.agreed[path] = digest

    def _place(self, path: str) -> str:
        return f"{self._name}/{path}"

    def _digests(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for path in self._paths():
            mark = self._mark(path)
            if mark is None:
                continue
            known = self._known.get(path)
            if known is None or known[0] != mark:
                content = self._read(path)
                if content is None:
                    continue
                known = self._known[path] = (mark, self._seal.digest(content))
            found[path] = known[1]
        self._known = {path: known for path, known in self._known.items() if path in found}
        return found

    def _paths(self) -> list[str]:
        """Return what is here, files that belong together as their directory; what is on its way is left out."""
        found: set[str] = set()
        for folder, _, names in os.walk(self._root, onerror=_refuse):
            relative = Path(folder).relative_to(self._root).as_posix()
            if relative in self._whole:
                if all(name in names for name in self._whole[relative]):
                    found.add(relative)
            elif relative.partition("/")[0] != _TRIAL:
                head = "" if relative == "." else f"{relative}/"
                found.update(head + n for n in names if not n.startswith(".") and not n.endswith(_PASSING))
        return sorted(found)

    def _files_of(self, path: str) -> list[Path]:
        return [self._root / path / name for name in self._whole[path]] if path in self._whole else [self._root / path]

    def _mark(self, path: str) -> tuple[int, ...] | None:
        mark: list[int] = []
        for file in self._files_of(path):
            try:
                found = file.stat()
            except FileNotFoundError:
                return None
            if found.st_size > MAX_BYTES:
                if path not in self._too_large:
                    self._too_large.add(path)
                    logger.error("%s of %s has more than %d bytes and is not shared", path, self._name, MAX_BYTES)
                return None
            mark += [found.st_mtime_ns, found.st_ino, found.st_size]
        return tuple(mark)

    def _read(self, path: str) -> bytes | None:
        try:
            contents = [file.read_bytes() for file in self._files_of(path)]
        except FileNotFoundError:
            return None
        return msgspec.msgpack.encode(contents) if path in self._whole else contents[0]

    def _write(self, path: str, content: bytes) -> None:
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts:
            raise OSError(f"{path!r} is no path below a folder")
        contents = msgspec.msgpack.decode(content, type=list[bytes]) if path in self._whole else [content]
        for file, part in zip(self._files_of(path), contents, strict=True):
            folder = self._root
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in file.relative_to(self._root).parts[:-1]:
                folder /= name
                folder.mkdir(mode=0o700, exist_ok=True)
            write_private(file, part)


def _refuse(error: OSError) -> None:
    """A directory that cannot be read is no empty one: what is in it must not be taken for removed."""
    if not isinstance(error, FileNotFoundError):
        raise error
