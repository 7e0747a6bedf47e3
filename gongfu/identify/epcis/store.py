"""The store of events: RocksDB in a directory of its own. One process opens it, one thread writes, any thread reads.

A batch of events, its indexes and the capture job that brought it are one atomic write that is on the disk when
``append`` returns.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from pyroaring import BitMap
from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from gongfu.identify.epcis import rows
from gongfu.identify.epcis.facts import Facts
from gongfu.identify.epcis.rows import Field, Mention, StoredEvent
from gongfu.identify.epcis.uris import Namespaces

_READ_KEYS = 1000
_CONTEXTS = 1024
# What is written in one go, how many such files wait until they are merged, and what they are merged into.
_BUFFER_BYTES = 128 << 20
_FILES = 8
_LEVEL_BYTES = 1 << 30
_FILE_BYTES = 256 << 20


class NewEvent(NamedTuple):
    """An event that is to be stored.

    Attributes:
        facts: of the event with ``eventID`` and ``recordTime``.
        identity: its ``eventID``, or its hash where it came without.
        fingerprint: 16 bytes of what it said when it came.
        context: number of the context it came with.
    """

    facts: Facts
    identity: str
    fingerprint: bytes
    context: int


class EventStore:
    """An open store."""

    def __init__(self, path: Path, *, cache_bytes: int = 128 << 20) -> None:
        """Open or make a store.

        Args:
            path: its directory.
            cache_bytes: of decompressed blocks, indexes and filters.

        Raises:
            OSError: it cannot be opened; another process has it, as a rule.
        """
        self._sync = WriteOptions()
        self._sync.sync = True
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Else what was there before opens with the options stored with it, which say nothing of caches.
            opened = _options(cache_bytes)
            self._db = Rdict(str(path), opened, column_families={"default": opened})
        except Exception as error:
            raise OSError(f"the store of events {path} cannot be opened: {error}") from error
        self._lock = threading.Lock()
        # Held by whoever looks at a row of another kind and then writes it.
        self.turn = threading.Lock()
        self._head, self._last_record_time = self._last_event()
        # Whether any event was ever declared to be in error: mostly none was, and nothing need be looked up.
        self._declares = next(self.keys_from(rows.DISREGARDED), None) is not None
        self._contexts: dict[int, tuple[Any, Namespaces]] = {}
        self._context_numbers: dict[bytes, int] = {}
        self._next_context = self._last_number(rows.CONTEXT + b"n") + 1

    def close(self) -> None:
        """Close it."""
        self._db.close()

    @property
    def head(self) -> int:
        """The number of the newest event; also how many there are."""
        return self._head

    @property
    def last_record_time(self) -> int:
        """Record time of the newest event, in nanoseconds."""
        return self._last_record_time

    def _last_number(self, table: bytes) -> int:
        iterator = self._db.iter()
        iterator.seek_for_prev(table + rows.END)
        key = iterator.key() if iterator.valid() else None
        return rows.number_of(key) if isinstance(key, bytes) and key.startswith(table) else 0

    def _last_event(self) -> tuple[int, int]:
        head = self._last_number(rows.EVENT)
        row = self._db.get(rows.number_key(rows.EVENT, head)) if head else None
        return head, rows.stored_event(head, row).record_time if row is not None else 0

    def context_number(self, context: Any) -> int:
        """Return the number of a ``@context``; a new one is written, and is on the disk with the next batch."""
        text = orjson.dumps(context, option=orjson.OPT_SORT_KEYS)
        if (known := self._context_numbers.get(text)) is not None:
            return known
        with self._lock:
            key = rows.CONTEXT + b"#" + rows.blake2b(text, digest_size=16).digest()
            stored = self._db.get(key)
            if stored is None:
                number = self._next_context
                self._next_context += 1
                writes = WriteBatch(raw_mode=True)
                writes.put(rows.number_key(rows.CONTEXT + b"n", number), orjson.dumps(context))
                writes.put(key, rows.number_key(b"", number))
                self._db.write(writes)
            else:
                number = rows.number_of(stored)
            if len(self._context_numbers) >= _CONTEXTS:
                self._context_numbers.clear()
            self._context_numbers[text] = number
        return number

    def context(self, number: int) -> tuple[Any, Namespaces]:
        """Return a ``@context`` and the namespaces it declares."""
        if (known := self._contexts.get(number)) is not None:
            return known
        stored = self._db.get(rows.number_key(rows.CONTEXT + b"n", number))
        context = orjson.loads(stored) if stored is not None else []
        if len(self._contexts) >= _CONTEXTS:
            self._contexts.clear()
        self._contexts[number] = context, Namespaces().within(context)
        return self._contexts[number]

    def known(self, identities: Sequence[tuple[str, bool]]) -> list[tuple[int, bytes] | None]:
        """Return number and fingerprint of the events with identities (and whether they declare an error)."""
        keys: list[Any] = [rows.identity_key(identity, in_error=in_error) for identity, in_error in identities]
        # Nearly all are new: of those the filters say so without a read.
        exists = self._db.key_may_exist
        likely = [key for key in keys if exists(key)]
        found = dict(zip(likely, self._many(likely), strict=True))
        return [rows.identity_of(row) if (row := found.get(key)) is not None else None for key in keys]

    def _many(self, keys: list[Any]) -> list[bytes | None]:
        found: list[Any] = []
        for start in range(0, len(keys), _READ_KEYS):
            found += self._db.get(keys[start : start + _READ_KEYS]) or []
        return found

    def append(self, events: Sequence[NewEvent], record_time: int, others: Iterable[tuple[bytes, bytes]] = ()) -> range:
        """Store events with their indexes, and other rows with them; on the disk when this returns.

        Args:
            events: new ones, no identity twice.
            record_time: later than that of all events before.
            others: keys and values of further rows.

        Returns:
            The numbers that the events have been given.
        """
        first = self._head + 1
        writes = WriteBatch(raw_mode=True)
        put = writes.put
        lists: dict[tuple[int, str], list[int]] = {}
        declared = self._declared(events, first)
        for number, event in enumerate(events, first):
            facts = event.facts
            put(
                rows.number_key(rows.EVENT, number),
                rows.event_row(event.context, record_time, orjson.dumps(facts.event)),
            )
            put(
                rows.identity_key(event.identity, in_error=facts.in_error),
                rows.identity_row(number, event.fingerprint),
            )
            for key in rows.mention_keys(facts, number):
                put(key, b"")
            for value in rows.field_values(facts):
                lists.setdefault(value, []).append(number)
        for (field, value), numbers in lists.items():
            put(rows.number_key(rows.field_start(field, value), first), rows.numbers_row(numbers, first))
        for number in declared:
            put(rows.number_key(rows.DISREGARDED, number), b"")
        for key, row in others:
            put(key, row)
        self._db.write(writes, self._sync)
        if events:
            self._head = first + len(events) - 1
            self._last_record_time = record_time
        return range(first, first + len(events))

    def _declared(self, events: Sequence[NewEvent], first: int) -> set[int]:
        """Return the numbers of events that one of these declares to have been in error, whichever came first."""
        here = {(event.identity, event.facts.in_error): number for number, event in enumerate(events, first)}
        found, asked = set[int](), list[tuple[str, int]]()
        if not self._declares and not any(event.facts.in_error for event in events):
            return found
        self._declares = True
        for (identity, in_error), number in here.items():
            if in_error:
                found.add(number)
                if (original := here.get((identity, False))) is not None:
                    found.add(original)
                else:
                    asked.append((identity, 0))
            elif (identity, True) not in here:
                asked.append((identity, number))
        answers = self.known([(identity, number != 0) for identity, number in asked])
        for (_, number), answer in zip(asked, answers, strict=True):
            if answer is not None:
                found.add(number or answer[0])
        return found

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = (), *, sync: bool = True) -> None:
        """Write other rows, atomically."""
        writes = WriteBatch(raw_mode=True)
        for key, row in puts:
            writes.put(key, row)
        for key in deletes:
            writes.delete(key)
        if len(writes):
            self._db.write(writes, self._sync if sync else None)

    def row(self, key: bytes) -> bytes | None:
        """Return a row of another kind."""
        return self._db.get(key)

    def rows_from(self, start: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows whose keys start with something, from a key on."""
        for key, row in self._db.items(from_key=max(start, after)):
            assert isinstance(key, bytes)
            if not key.startswith(start):
                return
            yield key, row

    def keys_from(self, start: bytes, after: bytes = b"") -> Iterator[bytes]:
        """Yield the keys that start with something, from a key on."""
        for key in self._db.keys(from_key=max(start, after)):
            assert isinstance(key, bytes)
            if not key.startswith(start):
                return
            yield key

    def keys_down(self, start: bytes, before: bytes) -> Iterator[bytes]:
        """Yield the keys that start with something, downwards from below a key."""
        for key in self._db.keys(backwards=True, from_key=before):
            assert isinstance(key, bytes)
            if key >= before:
                continue
            if not key.startswith(start):
                return
            yield key

    def distinct(self, start: bytes, after: bytes, limit: int, end: int) -> list[bytes]:
        """Return the distinct beginnings (up to ``end`` bytes before the end) of keys that start with something."""
        found = list[bytes]()
        iterator = self._db.iter()
        iterator.seek(after + b"\1" if after else start)
        while len(found) < limit and iterator.valid():
            key = iterator.key()
            if not isinstance(key, bytes) or not key.startswith(start):
                break
            head = key[:-end]
            found.append(head[:-1])
            # Everything of this one ends before the byte behind its NUL.
            iterator.seek(head[:-1] + b"\1")
        return found

    def event(self, number: int) -> StoredEvent | None:
        """Return an event."""
        row = self._db.get(rows.number_key(rows.EVENT, number))
        return rows.stored_event(number, row) if row is not None else None

    def events(self, numbers: Sequence[int]) -> list[StoredEvent]:
        """Return events, in the order of the numbers asked for."""
        keys: list[Any] = [rows.number_key(rows.EVENT, number) for number in numbers]
        return [
            rows.stored_event(number, row)
            for number, row in zip(numbers, self._many(keys), strict=True)
            if row is not None
        ]

    def facts(self, stored: StoredEvent) -> Facts:
        """Return what a stored event says."""
        return Facts(orjson.loads(stored.document), self.context(stored.context)[1])

    def mentions(self, thing: str, limit: int = 1_000_000) -> list[Mention]:
        """Return which events name a thing, by event time, up to so many."""
        return [rows.mention_of(key) for key in islice(self.keys_from(rows.thing_start(thing)), limit)]

    def grouped(self, table: bytes, identifier: str) -> list[int]:
        """Return the numbers of the events of a transformation or business transaction."""
        return [rows.number_of(key) for key in self.keys_from(rows.group_start(table, identifier))]

    def with_value(self, field: Field, value: str) -> BitMap:
        """Return the numbers of the events with a value of a field."""
        found = BitMap()
        for key, row in self.rows_from(rows.field_start(field, value)):
            found |= BitMap(rows.numbers_of(key, row))
        return found

    def disregarded(self, number: int) -> bool:
        """Tell whether an event was declared to be in error, or is such a declaration."""
        return self._declares and self._db.get(rows.number_key(rows.DISREGARDED, number)) is not None

    def first_recorded_from(self, record_time: int) -> int:
        """Return the number of the first event whose record time is not before a time."""
        low, high = 1, self._head + 1
        while low < high:
            middle = (low + high) // 2
            stored = self.event(middle)
            if stored is not None and stored.record_time < record_time:
                low = middle + 1
            else:
                high = middle
        return low

    def checkpoint(self, path: Path) -> None:
        """Write a copy that can be opened as a store; files are linked where the file system can.

        Raises:
            OSError: it cannot be written.
        """
        try:
            Checkpoint(self._db).create_checkpoint(str(path))
        except Exception as error:
            raise OSError(f"no copy of the events at {path}: {error}") from error

    def compact(self) -> None:
        """Write all levels anew: the smallest form."""
        self._db.flush()
        self._db.compact_range(None, None)


def _options(cache_bytes: int) -> Options:
    """Return how RocksDB keeps a store of events.

    Keys come in no order (identities, things), so that every byte is merged again and again: with the usual sizes that
    cost 12 µs an event at 1.5 million and grew with each level; with large first levels 4 µs.
    """
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_compression_per_level([DBCompressionType.none(), DBCompressionType.none(), DBCompressionType.lz4()])
    options.set_bottommost_compression_type(DBCompressionType.zstd())
    options.set_bottommost_compression_options(-14, 1, 0, 16 * 1024, True)
    options.set_bottommost_zstd_max_train_bytes(10 * 16 * 1024, True)
    table = BlockBasedOptions()
    table.set_block_size(16 << 10)
    table.set_block_cache(Cache(cache_bytes))
    table.set_bloom_filter(10, False)
    table.set_format_version(5)
    # In parts: the filter of a whole large file does not fit a shard of the cache, and would be read for each look.
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_pin_top_level_index_and_filter(True)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(_BUFFER_BYTES)
    options.set_level_zero_file_num_compaction_trigger(_FILES)
    options.set_level_zero_slowdown_writes_trigger(4 * _FILES)
    options.set_level_zero_stop_writes_trigger(8 * _FILES)
    options.set_max_bytes_for_level_base(_LEVEL_BYTES)
    options.set_target_file_size_base(_FILE_BYTES)
    options.set_max_background_jobs(2)
    return options
