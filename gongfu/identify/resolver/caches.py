"""What other services have answered, for as long as it holds. Bounded: what was used least lately gives way.

The clock is passed in: UTC seconds, because a value may say until when it holds. Nothing is used a moment longer than
it holds; what is known to be wrong is forgotten at once.
"""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from gongfu.identify.handle.codes import TtlType
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, folded
from gongfu.identify.handle.predefined import Site
from gongfu.identify.handle.values import HandleValue


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
    """Handles by key, found and not found."""

    def __init__(self, entries: int) -> None:
        """Make it for so many handles."""
        self._entries = entries
        self._kept: OrderedDict[str, KeptRecord] = OrderedDict()
        self._by_prefix: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, name: HandleName, now: float) -> KeptRecord | None:
        """Return what is known of a handle."""
        key = name.key
        kept = self._kept.get(key)
        if kept is None:
            return None
        if now >= kept.until or now < kept.since:
            # A clock that was set back makes every entry a stranger.
            self._drop(key)
            return None
        kept.uses += 1
        self._kept.move_to_end(key)
        return kept

    def put(self, name: HandleName, kept: KeptRecord) -> None:
        """Keep what was answered."""
        if kept.until <= kept.since:
            self._drop(name.key)
            return
        key = name.key
        self._kept[key] = kept
        self._kept.move_to_end(key)
        self._by_prefix.setdefault(prefix_asked(name), set()).add(key)
        while len(self._kept) > self._entries:
            self._drop(next(iter(self._kept)))

    def forget(self, keys: Iterable[str]) -> None:
        """Forget these handles."""
        for key in keys:
            self._drop(key)

    def forget_below(self, prefix: str) -> None:
        """Forget all handles of a prefix and of those below it."""
        for other in [other for other in self._by_prefix if covers(prefix, other)]:
            for key in self._by_prefix.pop(other):
                self._kept.pop(key, None)

    def _drop(self, key: str) -> None:
        if self._kept.pop(key, None) is None:
            return
        prefix, _, suffix = key.partition("/")
        of = prefix_asked(HandleName(prefix, suffix))
        keys = self._by_prefix.get(of)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._by_prefix[of]


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
