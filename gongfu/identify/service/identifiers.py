"""All identifiers of a node: looked up from any thread at once, written by one thread, durable when it answers."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.namespace.lookup import Above
from gongfu.identify.namespace.types import ClassRecord, Delegation, Prefix
from gongfu.identify.records.form import StoredRecord, encode_record
from gongfu.identify.records.keys import Count, record_key
from gongfu.identify.service.contents import NAMING_AUTHORITY_NUMBER, Contents, Directory, Shards
from gongfu.identify.service.writer import Watcher, Writer
from gongfu.identify.service.writes import Allowed, BatchError, Outcome, Write, WriteReason
from gongfu.identify.templates.types import Template

MAX_BATCH = 100_000
MAX_KEY = 128


def _seconds() -> int:
    return int(time.time())


class Identifiers:
    """Lookups and writes. One per directory; made by ``open`` within an event loop."""

    def __init__(self, contents: Contents, now: Callable[[], int]) -> None:
        self._contents = contents
        self._watchers: list[Watcher] = []
        self._now = now
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
            shards: how many the store has; for good.
            cache_bytes: of decompressed blocks of all shards.
            now: UTC seconds.

        Raises:
            OSError: it cannot be opened; another process has it, as a rule.
        """

        def read() -> Contents:
            path.mkdir(parents=True, exist_ok=True)
            return Contents(Shards.open(path, shards, cache_bytes=cache_bytes), directory)

        return cls(await asyncio.to_thread(read), now)

    async def close(self) -> None:
        """Write what waits, and close."""
        await self._writer.close()
        self._contents.shards.close()

    def lookup(self, name: HandleName) -> Found | Elsewhere | Nowhere:
        """Return what there is of a handle."""
        return self._contents.space.lookup(name)

    def watch(self, callback: Watcher) -> None:
        """Be told of changes, on the event loop, before those who wrote are answered."""
        self._watchers.append(callback)

    async def write(
        self, writes: Sequence[Write], *, key: bytes = b"", allowed: Allowed | None = None
    ) -> list[Outcome]:
        """Change handles, in order; what was done is on the disk when this returns.

        Args:
            writes: at most ``MAX_BATCH``; later ones see what earlier ones have done.
            key: of idempotency: the same writes with the same key are done once and answered alike.
            allowed: is asked before each.

        Raises:
            BatchError: nothing was done; after FAILED that is not known.
        """
        if len(writes) > MAX_BATCH:
            raise BatchError(WriteReason.TOO_MANY, f"a batch has at most {MAX_BATCH:,} writes")
        if len(key) > MAX_KEY:
            raise BatchError(WriteReason.KEY_TOO_LONG, f"a key has at most {MAX_KEY} bytes")
        return await self._writer.submit(writes, key, allowed)

    def count(self, prefix: Prefix) -> Count:
        """Return how many identifiers a prefix has."""
        return self._contents.counts.get(prefix.number, Count())

    def counts(self) -> dict[str, Count]:
        """Return how many identifiers each prefix has, by name."""
        return {prefix.name: self.count(prefix) for prefix in self._contents.space.prefixes.values()}

    async def set_prefix(self, prefix: Prefix) -> None:
        """Take a prefix that is new or has changed. Its values are taken only where it has none yet.

        Raises:
            BatchError: BUSY, CLOSED, FAILED.
        """

        def act() -> tuple[None, frozenset[str], frozenset[str]]:
            self._seed(prefix.key, prefix.values)
            space = self._contents.space
            known = self._contents.valued(prefix)
            self._contents.space = space.replaced(prefixes={**space.prefixes, prefix.key: known})
            return None, frozenset(), frozenset({prefix.key})

        await self._writer.turn(act)

    async def set_delegation(self, delegation: Delegation) -> None:
        """Take a delegation that is new or has changed. Its values are taken only where it has none yet.

        Raises:
            BatchError: BUSY, CLOSED, FAILED.
        """

        def act() -> tuple[None, frozenset[str], frozenset[str]]:
            self._seed(delegation.key, delegation.values)
            space = self._contents.space
            known = self._contents.valued(delegation)
            self._contents.space = space.replaced(delegations={**space.delegations, delegation.key: known})
            return None, frozenset(), frozenset({delegation.key})

        await self._writer.turn(act)

    async def set_template(self, number: int, template: Template) -> None:
        """Take a version of a template that is new or whose state has changed.

        Raises:
            BatchError: BUSY, CLOSED, FAILED.
        """

        def act() -> tuple[None, frozenset[str], frozenset[str]]:
            self._contents.set_template(number, template)
            return None, frozenset(), frozenset()

        await self._writer.turn(act)

    async def set_class(self, item: ClassRecord) -> None:
        """Take a class of ranges that is new or has changed.

        Raises:
            BatchError: BUSY, CLOSED, FAILED.
        """

        def act() -> tuple[None, frozenset[str], frozenset[str]]:
            space = self._contents.space
            self._contents.space = space.replaced(classes={**space.classes, item.number: item})
            return None, frozenset(), frozenset(space.prefixes)

        await self._writer.turn(act)

    async def set_above(self, above: Above) -> None:
        """Say whom to ask for what is neither registered here nor delegated below.

        Raises:
            BatchError: BUSY, CLOSED, FAILED.
        """

        def act() -> tuple[None, frozenset[str], frozenset[str]]:
            self._contents.space = self._contents.space.replaced(above=above)
            return None, frozenset(), frozenset()

        await self._writer.turn(act)

    def _seed(self, key: str, values: Sequence[HandleValue]) -> None:
        shard = self._contents.shards.of(NAMING_AUTHORITY_NUMBER)
        if values and shard.get(NAMING_AUTHORITY_NUMBER, key.encode()) is None:
            now = self._now()
            stamped = tuple(msgspec.structs.replace(value, timestamp=value.timestamp or now) for value in values)
            record = StoredRecord(0, now, (), tuple(sorted(stamped, key=lambda value: value.index)))
            shard.write({record_key(NAMING_AUTHORITY_NUMBER, key.encode()): encode_record(record)})

    def handles(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Return the handles of a prefix that have a record of their own, in the order of their suffix.

        Args:
            prefix: in any case.
            after: the suffix behind which to begin.
            limit: most of them.
        """
        known = self._contents.space.find_prefix(prefix)
        if known is None:
            return []
        found: list[str] = []
        last = after.encode(errors="replace")
        for suffix, _ in self._contents.shards.of(known.number).records(known.number, last):
            if suffix != last or not after:
                found.append(f"{known.name}/{suffix.decode()}")
                if len(found) >= limit:
                    break
        return found
