"""The store of one shard: records by prefix and suffix in RocksDB. One process writes a shard, at a time.

Keys are the number of the prefix (4 bytes) and the suffix (UTF-8). Counts of records by prefix, and what batches have
answered, are written with the records in one atomic batch that is on the disk before it is answered: a count is exact
after any crash, and a batch that is sent again is answered as it was and counts once.
"""

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import msgspec
from rocksdict import (
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

_PREFIX = struct.Struct(">I")
_COUNT = struct.Struct(">Q")
# Prefixes have lower numbers.
MAX_PREFIX = 0xFFFF_FF00
_COUNTS = _PREFIX.pack(0xFFFF_FF01)
_BATCHES = _PREFIX.pack(0xFFFF_FF02)

_DICTIONARY = 16 * 1024
_BLOOM_BITS = 10
_READ_KEYS = 1000


class Operation(IntEnum):
    """What is done with a record."""

    CREATE = 1
    PUT = 2
    DELETE = 3


class Change(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One change: CREATE refuses what is there, PUT takes its place, DELETE needs something to be there."""

    operation: Operation
    prefix: int
    suffix: bytes
    data: bytes = b""


class Done(IntEnum):
    """What has become of a change."""

    CREATED = 1
    REPLACED = 2
    DELETED = 3
    ALREADY_EXISTS = 4
    NOT_FOUND = 5


class Shard:
    """An open shard."""

    def __init__(self, path: Path, *, cache_bytes: int = 64 << 20, block_bytes: int = 16 << 10) -> None:
        """Open or make a shard.

        Args:
            path: its directory.
            cache_bytes: of decompressed blocks, indexes and filters.
            block_bytes: what is compressed together: more is smaller and slower.

        Raises:
            OSError: it cannot be opened; another process has it, as a rule.
        """
        self._sync = WriteOptions()
        self._sync.sync = True
        try:
            self._db = Rdict(str(path), _options(cache_bytes, block_bytes))
        except Exception as error:
            raise OSError(f"the shard {path} cannot be opened: {error}") from error

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def get(self, prefix: int, suffix: bytes) -> bytes | None:
        """Return a record's bytes."""
        return self._db.get(_PREFIX.pack(prefix) + suffix)

    def get_many(self, names: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        """Return the bytes of many records, in the order of their names."""
        found: list[bytes | None] = []
        for start in range(0, len(names), _READ_KEYS):
            keys: list[Any] = [_PREFIX.pack(prefix) + suffix for prefix, suffix in names[start : start + _READ_KEYS]]
            found += self._db.get(keys) or []
        return found

    def count(self, prefix: int) -> int:
        """Return how many records a prefix has."""
        stored = self._db.get(_COUNTS + _PREFIX.pack(prefix))
        return _COUNT.unpack(stored)[0] if stored else 0

    def counts(self) -> dict[int, int]:
        """Return how many records each prefix has that has any."""
        return {
            _PREFIX.unpack(key[4:])[0]: _COUNT.unpack(value)[0] for key, value in self._items(_COUNTS) if any(value)
        }

    def records(self, prefix: int, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield suffix and bytes of the records of a prefix, by suffix, from ``after`` on (with it)."""
        for key, value in self._items(_PREFIX.pack(prefix), after):
            yield key[4:], value

    def _items(self, start: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._db.items(from_key=start + after):
            assert isinstance(key, bytes)
            if not key.startswith(start):
                return
            yield key, value

    def apply(self, changes: Sequence[Change], batch: bytes = b"", now: int = 0) -> list[Done]:
        """Make changes, all in one atomic write that is on the disk when this returns.

        Args:
            changes: in order; later ones see what earlier ones have done.
            batch: key of idempotency; with one that was seen, nothing is done and the former answer returned.
            now: UTC seconds, for ``forget_batches``.

        Raises:
            ValueError: a prefix is out of range, or the key was seen with another number of changes.
        """
        if batch and (seen := self._db.get(_BATCHES + batch)) is not None:
            answers = [Done(code) for code in seen[8:]]
            if len(answers) != len(changes):
                raise ValueError(f"this key of idempotency was used for a batch of {len(answers)} changes")
            return answers
        if any(not 0 <= change.prefix < MAX_PREFIX for change in changes):
            raise ValueError("a prefix is out of range")
        keys = [_PREFIX.pack(change.prefix) + change.suffix for change in changes]
        there = self._present(keys)
        writes, counted, answers = WriteBatch(raw_mode=True), dict[int, int](), list[Done]()
        for change, key in zip(changes, keys, strict=True):
            answer = _decide(change.operation, key in there)
            answers.append(answer)
            if answer is Done.DELETED:
                writes.delete(key)
                there.discard(key)
                counted[change.prefix] = counted.get(change.prefix, 0) - 1
            elif answer in (Done.CREATED, Done.REPLACED):
                writes.put(key, change.data)
                there.add(key)
                counted[change.prefix] = counted.get(change.prefix, 0) + (answer is Done.CREATED)
        for prefix, more in counted.items():
            writes.put(_COUNTS + _PREFIX.pack(prefix), _COUNT.pack(self.count(prefix) + more))
        if batch:
            writes.put(_BATCHES + batch, _COUNT.pack(now) + bytes(answers))
        self._db.write(writes, self._sync)
        return answers

    def _present(self, keys: list[bytes]) -> set[bytes]:
        """Return which of the keys are there. Most are new: the filters say so without a read."""
        likely: list[Any] = [key for key in dict.fromkeys(keys) if self._db.key_may_exist(key)]
        found: list[Any] = []
        for start in range(0, len(likely), _READ_KEYS):
            found += self._db.get(likely[start : start + _READ_KEYS]) or []
        return {key for key, value in zip(likely, found, strict=True) if value is not None}

    def forget_batches(self, before: int) -> int:
        """Forget what batches have answered that came before a time (UTC seconds); returns how many."""
        writes = WriteBatch(raw_mode=True)
        for key, value in self._items(_BATCHES):
            if _COUNT.unpack(value[:8])[0] < before:
                writes.delete(key)
        gone = len(writes)
        if gone:
            self._db.write(writes, self._sync)
        return gone

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
        """Write all levels anew: the smallest form."""
        self._db.flush()
        self._db.compact_range(None, None)


def _decide(operation: Operation, there: bool) -> Done:
    if operation is Operation.DELETE:
        return Done.DELETED if there else Done.NOT_FOUND
    if operation is Operation.CREATE and there:
        return Done.ALREADY_EXISTS
    return Done.REPLACED if there else Done.CREATED


def _options(cache_bytes: int, block_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    # The lowest level has nearly all of it: compressed best, with a dictionary trained for each file. Where records
    # come in, compression would cost more than it saves.
    options.set_compression_per_level([DBCompressionType.none(), DBCompressionType.none(), DBCompressionType.lz4()])
    options.set_bottommost_compression_type(DBCompressionType.zstd())
    options.set_bottommost_compression_options(-14, 6, 0, _DICTIONARY, True)
    options.set_bottommost_zstd_max_train_bytes(100 * _DICTIONARY, True)
    table = BlockBasedOptions()
    table.set_block_size(block_bytes)
    table.set_block_cache(Cache(cache_bytes))
    table.set_bloom_filter(_BLOOM_BITS, False)
    table.set_format_version(5)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(64 << 20)
    options.set_max_background_jobs(2)
    return options
