"""What other services have answered, for as long as it holds. Bounded: what was used least lately gives way.

The clock is passed in: UTC seconds, because a value may say until when it holds. Nothing is used a moment longer than
it holds; what is known to be wrong is forgotten at once.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Set

import msgspec

from gongfu.identify.handle.codes import TtlType
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, folded
from gongfu.identify.handle.predefined import Site
from gongfu.identify.handle.values import HandleValue

# What Python takes for an entry and for a value beside its data.
_ENTRY_BYTES, _VALUE_BYTES = 600, 200


class KeptRecord(msgspec.Struct, gc=False):
    """A handle that was resolved.

    Attributes:
        values: that the public may read; None where there is no such handle.
        since: when it was answered, UTC seconds.
        until: the first moment at which it holds no more.
        authority: prefix of the service that answered.
        uses: since then.
    """

    values: tuple[HandleValue, ...] | None
    since: float
    until: float
    authority: str
    uses: int = 0


class KeptDelegation(msgspec.Struct, frozen=True, gc=False):
    """Where the service of a prefix is.

    Attributes:
        prefix: as it was written; "" is a root.
        sites: of it.
        values: the HS_SITE values that say so.
        since: when it was answered, UTC seconds.
        until: the first moment at which it holds no more.
    """

    prefix: str
    sites: tuple[Site, ...]
    values: tuple[HandleValue, ...] = ()
    since: float = 0.0
    until: float = 0.0


def prefix_asked(name: HandleName) -> str:
    """Return the prefix whose service answers for a handle, as it is compared: of ``0.NA/99.1`` it is ``99.1``."""
    prefix = folded(name.prefix)
    return folded(name.suffix) if prefix == NAMING_AUTHORITY else prefix


def covers(prefix: str, other: str) -> bool:
    """Return whether a prefix is another, or above it; "" is above all. Both as they are compared."""
    return not prefix or other == prefix or other.startswith(prefix + ".")


def holds_until(values: Iterable[HandleValue], now: float, most: float) -> float:
    """Return until when all of the values hold, ``most`` seconds from now at the longest."""
    until = now + most
    for value in values:
        until = min(until, value.ttl if value.ttl_type == TtlType.ABSOLUTE else now + value.ttl)
    return until


class RecordCache:
    """Handles by key, found and not found. What is not there has room of its own: anybody can ask for much of it."""

    def __init__(self, entries: int, size: int) -> None:
        """Make it for so many handles, a quarter of which may be missing, and so many bytes."""
        self._entries = entries
        self._size = size
        self._used = 0
        self._found: OrderedDict[str, KeptRecord] = OrderedDict()
        self._missing: OrderedDict[str, KeptRecord] = OrderedDict()
        self._by_prefix: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._found) + len(self._missing)

    def get(self, name: HandleName, now: float) -> KeptRecord | None:
        """Return what is known of a handle."""
        key = name.key
        part = self._found if key in self._found else self._missing
        kept = part.get(key)
        if kept is None:
            return None
        if now >= kept.until or now < kept.since:
            # A clock that was set back makes every entry a stranger.
            self._drop(key)
            return None
        kept.uses += 1
        part.move_to_end(key)
        return kept

    def put(self, name: HandleName, kept: KeptRecord) -> None:
        """Keep what was answered; nothing that would take more than a hundredth of the room."""
        key, size = name.key, _size(kept)
        self._drop(key)
        if kept.until <= kept.since or size > self._size // 100:
            return
        part, most = (self._missing, self._entries // 4) if kept.values is None else (self._found, self._entries)
        part[key] = kept
        self._used += size
        self._by_prefix.setdefault(prefix_asked(name), set()).add(key)
        while len(part) > most:
            self._drop(next(iter(part)))
        while self._used > self._size:
            self._drop(next(iter(self._missing or self._found)))

    def forget(self, keys: Collection[str]) -> None:
        """Forget these handles."""
        # A batch may have changed far more of them than are kept.
        known = [key for key in keys if self._has(key)] if len(keys) < len(self) else self._kept_of(keys)
        for key in known:
            self._drop(key)

    def _has(self, key: str) -> bool:
        return key in self._found or key in self._missing

    def _kept_of(self, keys: Collection[str]) -> list[str]:
        wanted = keys if isinstance(keys, Set) else set(keys)
        return [key for part in (self._found, self._missing) for key in part if key in wanted]

    def forget_below(self, prefix: str) -> None:
        """Forget all handles of a prefix and of those below it."""
        for other in [other for other in self._by_prefix if covers(prefix, other)]:
            for key in tuple(self._by_prefix.get(other, ())):
                self._drop(key)

    def _drop(self, key: str) -> None:
        kept = self._found.pop(key, None) or self._missing.pop(key, None)
        if kept is None:
            return
        self._used -= _size(kept)
        prefix, _, suffix = key.partition("/")
        of = prefix_asked(HandleName(prefix, suffix))
        keys = self._by_prefix.get(of)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._by_prefix[of]


def _size(kept: KeptRecord) -> int:
    """Return about how many bytes an entry takes."""
    return _ENTRY_BYTES + sum(_VALUE_BYTES + len(value.data) + len(value.type) for value in kept.values or ())


class DelegationCache:
    """Services by prefix."""

    def __init__(self, entries: int) -> None:
        """Make it for so many prefixes."""
        self._entries = entries
        self._kept: OrderedDict[str, KeptDelegation] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def nearest(self, prefix: str, now: float) -> KeptDelegation | None:
        """Return the service of the longest known prefix that is this one or above it."""
        segments = prefix.split(".")
        for size in range(len(segments), 0, -1):
            key = ".".join(segments[:size])
            kept = self._kept.get(key)
            if kept is None:
                continue
            if kept.since <= now < kept.until:
                self._kept.move_to_end(key)
                return kept
            del self._kept[key]
        return None

    def put(self, kept: KeptDelegation) -> None:
        """Keep where a service is."""
        key = folded(kept.prefix)
        if kept.until <= kept.since:
            self._kept.pop(key, None)
            return
        self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > self._entries:
            self._kept.popitem(last=False)

    def forget(self, prefix: str) -> None:
        """Forget the service of one prefix."""
        self._kept.pop(folded(prefix), None)

    def forget_below(self, prefix: str) -> None:
        """Forget the services of a prefix and of those below it."""
        for key in [key for key in self._kept if covers(prefix, key)]:
            del self._kept[key]
