"""All identifiers of a node: looked up from any thread at once, written by one thread, durable when it answers."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere
from gongfu.identify.namespace.lookup import Above, Namespace
from gongfu.identify.namespace.types import ClassRecord, Delegation, Prefix
from gongfu.identify.ranges.series import Registered
from gongfu.identify.records.form import StoredRecord, decode_record
from gongfu.identify.records.keys import Count
from gongfu.identify.service.answers import forget
from gongfu.identify.service.backup import back_up
from gongfu.identify.service.contents import Contents, Directory, Shards
from gongfu.identify.service.figures import By, Figures, RangeFigures, figures, range_figures
from gongfu.identify.service.forms import Forms
from gongfu.identify.service.layout import read_layout
from gongfu.identify.service.range_changes import RangeWish, definer, remover
from gongfu.identify.service.recount import Recount, recount
from gongfu.identify.service.writer import Watcher, Writer
from gongfu.identify.service.writes import Allowed, BatchError, Outcome, Write, WriteReason
from gongfu.identify.templates.types import Template

T = TypeVar("T")
Told = tuple[frozenset[str], frozenset[str]]

MAX_BATCH = 100_000
MAX_KEY = 128
_NOBODY = frozenset[str]()


def _seconds() -> int:
    return int(time.time())


class Identifiers:
    """Lookups and writes. One per directory; made by ``open`` within an event loop."""

    def __init__(self, contents: Contents, now: Callable[[], int]) -> None:
        self._contents = contents
        self._watchers: list[Watcher] = []
        self._now = now
        self._closed = False
        self._writer = Writer(contents, now, self._watchers)

    @classmethod
    async def open(
        cls,
        path: Path,
        directory: Directory,
        *,
        shards: int = 1,
        cache_bytes: int = 64 << 20,
        now: Callable[[], int] = _seconds,
    ) -> "Identifiers":
        """Open or make the store below a directory.

        Args:
            path: the directory.
            directory: prefixes, templates and what else is in the records database.
            shards: how many a new store has; for good.
            cache_bytes: of decompressed blocks of all shards.
            now: UTC seconds.

        Raises:
            OSError: it cannot be opened; another process has it, as a rule.
            BindingError: the directory is of another store, or older.
        """

        def read() -> Contents:
            opened = Shards.open(path, read_layout(path, shards).shards, cache_bytes=cache_bytes)
            try:
                return Contents(opened, directory, now())
            except BaseException:
                opened.close()
                raise

        return cls(await asyncio.to_thread(read), now)

    async def close(self) -> None:
        """Write what waits, and close. Again, it does nothing."""
        if not self._closed:
            self._closed = True
            await self._writer.close()
            self._contents.shards.close()

    @property
    def namespace(self) -> Namespace:
        """Prefixes, delegations, templates and classes as they are now."""
        return self._contents.space

    def stored(self, name: HandleName) -> StoredRecord | None:
        """Return the record that a handle has of its own, as it is stored."""
        known = self._contents.space.find_prefix(name.prefix)
        if known is None:
            return None
        found = self._contents.shards.get(known.number, name.suffix.encode(errors="replace"))
        return None if found is None else decode_record(found)

    @property
    def forms(self) -> Forms:
        """Templates made ready for writes, as they are now."""
        return self._contents.forms

    @property
    def failure(self) -> str:
        """Why nothing is written any more until it is opened again; "" as it should be."""
        return self._writer.failure

    @property
    def waiting(self) -> int:
        """Writes that wait."""
        return self._writer.waiting

    def lookup(self, name: HandleName) -> Found | Elsewhere | Nowhere:
        """Return what there is of a handle."""
        return self._contents.space.lookup(name)

    def watch(self, callback: Watcher) -> None:
        """Be told of changes, on the event loop, before those who wrote are answered."""
        self._watchers.append(callback)

    async def write(
        self, writes: Sequence[Write], *, key: bytes = b"", digest: bytes = b"", allowed: Allowed | None = None
    ) -> list[Outcome]:
        """Change handles, in order; what was done is on the disk when this returns.

        Args:
            writes: at most ``MAX_BATCH``; later ones see what earlier ones have done.
            key: of idempotency: the same writes with the same key are done once and answered alike.
            digest: what tells the writes from others that come with the key, where the caller knows; 16 bytes.
            allowed: is asked before each.

        Raises:
            BatchError: nothing was done; after FAILED that is not known.
        """
        if len(writes) > MAX_BATCH:
            raise BatchError(WriteReason.TOO_MANY, f"a batch has at most {MAX_BATCH:,} writes")
        if len(key) > MAX_KEY:
            raise BatchError(WriteReason.KEY_TOO_LONG, f"a key has at most {MAX_KEY} bytes")
        return await self._writer.submit(writes, key, allowed, digest) if writes else []

    async def exclusively(self, action: Callable[[Contents], tuple[T, frozenset[str], frozenset[str]]]) -> T:
        """Do something on the writer's thread while nothing else is written.

        Args:
            action: returns its answer, and what watchers are told: keys of handles and of prefixes.

        Raises:
            BatchError: CLOSED, FAILED; whatever the action raises. An OSError of it ends all writing.
        """
        return await self._writer.turn(lambda: action(self._contents))

    async def compact(self) -> None:
        """Make few large files of the store's many small ones, as imports leave them; nothing is written meanwhile.

        Raises:
            BatchError: CLOSED, FAILED.
        """

        def act(contents: Contents) -> tuple[None, frozenset[str], frozenset[str]]:
            for shard in contents.shards.all:
                shard.compact()
            return None, _NOBODY, _NOBODY

        await self.exclusively(act)

    async def _change(self, change: Callable[[Contents], None], *prefixes: str) -> None:
        def act(contents: Contents) -> tuple[None, frozenset[str], frozenset[str]]:
            change(contents)
            return None, _NOBODY, frozenset(prefixes)

        await self.exclusively(act)

    async def define_range(self, prefix: str, text: str, of: int, *, move: bool = False) -> Registered:
        """Register all suffixes that a range names; those that are registered already count once.

        Args:
            prefix: in any case.
            text: ``head{first..last}tail``.
            of: number of their class.
            move: members that are there already get this class; else they keep theirs.

        Raises:
            RangeError: the range is malformed or too large.
            Refused: the prefix or class is not there, the quota does not allow it.
            BatchError: CLOSED, FAILED.
        """
        return (await self.define_ranges([RangeWish(prefix, text, of, move)]))[0]

    async def define_ranges(self, wishes: Sequence[RangeWish]) -> list[Registered]:
        """Register many ranges, all or none of them.

        Raises:
            RangeError, Refused, BatchError: see ``define_range``.
        """
        return await self.exclusively(definer(wishes, self._now))

    async def remove_range(self, prefix: str, text: str) -> int:
        """Remove all members of ranges that a range names, and return how many that were. Records of their own stay.

        Raises:
            RangeError, Refused, BatchError: see ``define_range``.
        """
        return await self.exclusively(remover(prefix, text, self._now))

    def ranges(self, prefix: str) -> list[RangeFigures]:
        """Return the ranges of a prefix, by pattern."""
        known = self.namespace.find_prefix(prefix)
        return range_figures(self._contents.ranges.get(known.number, {})) if known is not None else []

    def has_ranges(self, prefix: str) -> bool:
        """Return whether a prefix has members of ranges; its name in any case."""
        known = self.namespace.find_prefix(prefix)
        return known is not None and bool(self._contents.ranges.get(known.number))

    @property
    def range_count(self) -> int:
        """How many patterns have ranges."""
        return sum(map(len, self._contents.ranges.values()))

    def count(self, prefix: Prefix) -> Count:
        """Return how many identifiers a prefix has."""
        return self._contents.counts.get(prefix.number, Count())

    def counts(self) -> dict[str, Count]:
        """Return how many identifiers each prefix has, by name; of revoked ones too."""
        return {prefix.name: self.count(prefix) for prefix in self.namespace.prefixes.values()}

    def statistics(self, by: By) -> dict[str, Figures]:
        """Return how many identifiers there are by enterprise, industry or region; not of revoked prefixes."""
        return figures(self.namespace.prefixes.values(), self._contents.counts, by)

    def handles(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Return the handles of a prefix that have a record of their own, in the order of their suffix.

        Args:
            prefix: in any case.
            after: the suffix behind which to begin.
            limit: most of them.
        """
        known = self.namespace.find_prefix(prefix)
        if known is None:
            return []
        found: list[str] = []
        last = after.encode(errors="replace")
        for suffix, _ in self._contents.shards.of(known.number).records(known.number, last):
            if suffix != last:
                found.append(f"{known.name}/{suffix.decode()}")
                if len(found) >= limit:
                    break
        return found

    async def set_prefix(self, prefix: Prefix) -> None:
        """Take a prefix that is new or has changed. Its values are taken only where it has none yet.

        Raises:
            BindingError: its number is another's.
            BatchError: CLOSED, FAILED.
        """
        await self._change(lambda contents: contents.set_prefix(prefix, self._now()), prefix.key)

    async def set_delegation(self, delegation: Delegation) -> None:
        """Take a delegation that is new or has changed. Its values are taken only where it has none yet.

        Raises:
            BatchError: CLOSED, FAILED.
        """
        await self._change(lambda contents: contents.set_delegation(delegation, self._now()), delegation.key)

    async def set_template(self, number: int, template: Template) -> None:
        """Take a version of a template that is new or whose state has changed.

        Raises:
            BindingError: its number is another's, or its attributes have changed.
            BatchError: CLOSED, FAILED.
        """
        await self._change(lambda contents: contents.set_template(number, template))

    async def set_class(self, item: ClassRecord) -> None:
        """Take a class of ranges that is new or has changed.

        Raises:
            BindingError: its number is another's.
            ValueError: its template is not known, or has not these attributes.
            BatchError: CLOSED, FAILED.
        """
        # Members of any prefix may be of it.
        await self._change(lambda contents: contents.set_class(item), *self.namespace.prefixes)

    async def set_above(self, above: Above) -> None:
        """Say whom to ask for what is neither registered here nor delegated below.

        Raises:
            BatchError: CLOSED, FAILED.
        """
        await self._change(lambda contents: contents.set_above(above))

    async def forget_batches(self, before: int) -> int:
        """Forget what batches were answered before a time (UTC seconds), and return how many that were.

        Raises:
            BatchError: CLOSED, FAILED.
        """
        return await self.exclusively(lambda contents: (forget(contents.shards.all, before), _NOBODY, _NOBODY))

    async def backup(self, path: Path) -> None:
        """Write a copy that can be opened; files are linked where the file system can.

        Args:
            path: a directory that is not there yet.

        Raises:
            BackupError: it cannot be written.
            BatchError: CLOSED, FAILED.
        """
        await self.exclusively(lambda contents: (back_up(contents.shards, path), _NOBODY, _NOBODY))

    async def recount(self) -> Recount:
        """Count all records and ranges again, as they are at this moment, while others go on."""
        moments = await self.exclusively(
            lambda contents: ([shard.moment() for shard in contents.shards.all], _NOBODY, _NOBODY)
        )
        try:
            found = [await asyncio.to_thread(recount, moment) for moment in moments]
        finally:
            for moment in moments:
                moment.close()
        counts = {number: count for part in found for number, count in part.counts.items()}
        return Recount(counts, tuple(line for part in found for line in part.wrong))
