"""The store of one shard: RocksDB. One process writes a shard, at a time.

Keys begin with 4 bytes: the number of a prefix before its records (by suffix, UTF-8), or a number above all prefixes
before what else there is: counts, answers of batches, ranges, bindings (``keys``). What belongs together is written in
one atomic batch that is on the disk before it is answered.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rocksdict import BottommostLevelCompaction, Checkpoint, CompactOptions, Rdict, Snapshot, WriteBatch, WriteOptions

from gongfu.identify.records import sorted_files
from gongfu.identify.records.keys import packed, record_key
from gongfu.identify.records.options import options

_READ_KEYS = 1000


class Reading(Protocol):
    """What can be read through: a shard, or how one was at a moment."""

    def items(self, start: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys that begin with ``start``, from ``start + after`` on (with it), and what they have."""
        ...


class Moment:
    """A shard as it was; to be closed, for as long as it is there nothing is freed, and the shard stays open."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Take the snapshot."""
        self._snapshot: Snapshot | None = snapshot

    def close(self) -> None:
        """Let go of it."""
        self._snapshot = None

    def items(self, start: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys that begin with ``start``, from ``start + after`` on (with it), and what they had."""
        assert self._snapshot is not None
        return _through(self._snapshot.items(from_key=start + after), start)


def _through(items: Iterable[tuple[Any, Any]], start: bytes) -> Iterator[tuple[bytes, bytes]]:
    for key, value in items:
        if not key.startswith(start):
            return
        yield key, value


class Shard:
    """An open shard. Any thread may read; one writes."""

    def __init__(self, path: Path, *, cache_bytes: int = 64 << 20, block_bytes: int = 2 << 10) -> None:
        """Open or make a shard.

        Args:
            path: its directory.
            cache_bytes: of decompressed blocks and records; indexes and filters are in memory besides.
            block_bytes: what is compressed together: more is smaller and slower.

        Raises:
            OSError: it cannot be opened; another process has it, as a rule.
        """
        self._sync = WriteOptions()
        self._sync.sync = True
        # Beside the shard, on the same file system: files that it is to take. A crash may have left some.
        self.incoming = path.with_name(f"{path.name}.incoming")
        try:
            sizes = [file.stat().st_size for file in path.glob("*.sst")]
            self._options = options(cache_bytes, block_bytes, sizes)
            # Without being told so, what was there before opens with the options that are stored with it, which say
            # nothing of caches: 8 MiB in place of ours.
            self._db = Rdict(str(path), self._options, column_families={"default": self._options})
        except Exception as error:
            raise OSError(f"the shard {path} cannot be opened: {error}") from error
        shutil.rmtree(self.incoming, ignore_errors=True)
        self.incoming.mkdir()

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def get(self, prefix: int, suffix: bytes) -> bytes | None:
        """Return a record's bytes."""
        return self._db.get(packed(prefix) + suffix)

    def read(self, key: bytes) -> bytes | None:
        """Return what is stored under a key."""
        return self._db.get(key)

    def read_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what is stored, of these keys, by key. Of most new ones the filters say without a read."""
        exists = self._db.key_may_exist
        likely: list[Any] = [key for key in dict.fromkeys(keys) if exists(key)]
        found: list[Any] = []
        for start in range(0, len(likely), _READ_KEYS):
            found += self._db.get(likely[start : start + _READ_KEYS]) or []
        return {key: value for key, value in zip(likely, found, strict=True) if value is not None}

    def items(self, start: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys that begin with ``start``, from ``start + after`` on (with it), and what they have."""
        return _through(self._db.items(from_key=start + after), start)

    def moment(self) -> Moment:
        """Return the shard as it is now, to read through while it changes."""
        return Moment(self._db.snapshot())

    def records(self, prefix: int, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield suffix and bytes of the records of a prefix, by suffix, from ``after`` on (with it)."""
        start = record_key(prefix, b"")
        for key, value in self.items(start, after):
            yield key[len(start) :], value

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Store under keys, None deletes: all in one atomic write that is on the disk when this returns.

        Raises:
            OSError: it failed; whether it was done is not known.
        """
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for key, value in changes.items():
            if value is None:
                delete(key)
            else:
                put(key, value)
        try:
            self._db.write(batch, self._sync)
        except Exception as error:
            raise OSError(f"the store did not take a write: {error}") from error

    def present(self, keys: Sequence[bytes]) -> list[int]:
        """Return the places of those keys, sorted and different, that are there."""
        return sorted_files.present(self._db, keys)

    def write_file(self, path: Path, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Write keys, sorted and different, and their values to a file for ``take_files``, on the same file system.

        Raises:
            OSError: it cannot be written.
        """
        sorted_files.write_file(path, self._options, keys, values)

    def take_files(self, files: Sequence[Path]) -> None:
        """Take files of ``write_file``, all or none; they are the shard's then, and on the disk when this returns.

        Raises:
            OSError: it failed; whether it was done is not known.
        """
        sorted_files.ingest(self._db, files)

    def checkpoint(self, path: Path) -> None:
        """Write a copy that can be opened as a shard; files are linked where the file system can.

        Args:
            path: a directory that is not there yet.

        Raises:
            OSError: it cannot be written.
        """
        try:
            Checkpoint(self._db).create_checkpoint(str(path))
        except Exception as error:
            raise OSError(f"no copy at {path}: {error}") from error

    def compact(self) -> None:
        """Write all levels anew, as few large files: the smallest form, and the fastest to read.

        Raises:
            OSError: it failed; nothing is lost.
        """
        # The lowest level too: files that were taken as they came are small, and each has its dictionary.
        how = CompactOptions()
        how.set_bottommost_level_compaction(BottommostLevelCompaction.force_optimized())
        try:
            self._db.flush()
            self._db.compact_range(None, None, how)
        except Exception as error:
            raise OSError(f"the store was not compacted: {error}") from error
