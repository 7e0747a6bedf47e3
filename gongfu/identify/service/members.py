"""Members of ranges, as the writes of a group find and leave them; what is looked up changes when it is on the disk."""

from collections.abc import Iterable, Mapping

import msgspec
from pyroaring import BitMap

from gongfu.identify.ranges.chunks import BITS, EMPTY, LOW, SIZE, Chunk, encode_chunk, interval
from gongfu.identify.ranges.crossings import Crossings
from gongfu.identify.ranges.keys import chunk_key
from gongfu.identify.ranges.pattern import Pattern, Span, readings
from gongfu.identify.ranges.series import Member, Registered, Series, member_in, pieces, register, remove
from gongfu.identify.service.deciding import Refused
from gongfu.identify.service.writes import WriteCode

# Of one chunk: a look-up asks each.
MAX_CLASSES = 256

Ranges = dict[int, dict[Pattern, Series]]
"""By number of the prefix."""


class Changed(msgspec.Struct, frozen=True):
    """How many members there are more, and how many more of them have a record of their own."""

    members: int = 0
    overridden: int = 0


class Members:
    """The members of all ranges, with changes that are not on the disk yet."""

    def __init__(self, ranges: Ranges, crossings: dict[int, Crossings]) -> None:
        """Begin without changes.

        Args:
            ranges: as they are on the disk.
            crossings: of the prefixes that were changed before, by number; others are added when they are.
        """
        self._ranges = ranges
        self._crossings = crossings
        self._changed: dict[int, dict[Pattern, dict[int, Chunk]]] = {}

    def any(self, prefix: int) -> bool:
        """Return whether a prefix has ranges."""
        return prefix in self._ranges or prefix in self._changed

    def find(self, prefix: int, suffix: str) -> Member | None:
        """Return the member that a suffix is."""
        if not self.any(prefix):
            return None
        for pattern, number in readings(suffix):
            member = self._member(prefix, pattern, number)
            if member is not None:
                return member
        return None

    def _member(self, prefix: int, pattern: Pattern, number: int) -> Member | None:
        return member_in(self._chunk(prefix, pattern, number >> BITS), pattern, number)

    def _chunk(self, prefix: int, pattern: Pattern, number: int) -> Chunk:
        changed = self._changed.get(prefix, {}).get(pattern, {}).get(number)
        if changed is not None:
            return changed
        series = self._ranges.get(prefix, {}).get(pattern)
        return EMPTY if series is None else series.chunk(number)

    def _set(self, prefix: int, pattern: Pattern, number: int, chunk: Chunk) -> None:
        self._changed.setdefault(prefix, {}).setdefault(pattern, {})[number] = chunk

    def override(self, prefix: int, member: Member, present: bool) -> None:
        """Note that a member has a record of its own, or none any more."""
        if member.overridden != present:
            place = member.number >> BITS
            chunk = self._chunk(prefix, member.pattern, place)
            self._set(prefix, member.pattern, place, chunk.overridden(member.number & LOW, present))

    def punch(self, prefix: int, member: Member) -> None:
        """Make a hole where a member was."""
        place, low = member.number >> BITS, member.number & LOW
        chunk = self._chunk(prefix, member.pattern, place)
        self._set(prefix, member.pattern, place, chunk.removed(interval(low, low)))

    def patterns(self, prefix: int) -> int:
        """Return how many patterns a prefix has, those that are new counted in any case."""
        return len(self._ranges.get(prefix, ())) + len(self._changed.get(prefix, ()))

    def define(
        self, prefix: int, span: Span, of: int, *, move: bool, explicit: Mapping[int, BitMap]
    ) -> tuple[Registered, Changed]:
        """Register a range; each suffix counts once, by whatever pattern it is registered.

        Args:
            prefix: number of the prefix.
            span: the range.
            of: its class.
            move: members that are there already get this class; else they keep theirs.
            explicit: numbers of the span that have a record of their own, by chunk.

        Raises:
            Refused: INVALID: there are too many classes.
        """
        elsewhere = self._elsewhere(prefix, span)
        self._crossings[prefix].add(span.pattern)
        but: dict[int, BitMap] = {}
        moved = 0
        for number, member in elsewhere:
            but.setdefault(number >> BITS, BitMap()).add(number & LOW)
            if move and member.of != of:
                moved += 1
                low = BitMap([member.number & LOW])
                chunk = self._chunk(prefix, member.pattern, member.number >> BITS)
                self._set(
                    prefix, member.pattern, member.number >> BITS, chunk.registered(low, of, True, chunk.overrides)
                )
        new, present, overridden = 0, len(elsewhere), 0
        for place, first, last in pieces(span):
            chunk = self._chunk(prefix, span.pattern, place)
            made, done = register(chunk, first, last, of, move=move, explicit=explicit.get(place), but=but.get(place))
            new, present, moved = new + done.new, present + done.present, moved + done.moved
            if len(made.classes) > MAX_CLASSES:
                raise Refused(WriteCode.INVALID, f"{MAX_CLASSES} classes at most in {SIZE:,} numbers that follow")
            if made is not chunk:
                overridden += len(made.overrides) - len(chunk.overrides)
                self._set(prefix, span.pattern, place, made)
        return Registered(new, present, moved), Changed(new, overridden)

    def remove(self, prefix: int, span: Span) -> Changed:
        """Remove the members that a range names, by whatever pattern they are registered."""
        gone = overridden = 0
        for _, member in self._elsewhere(prefix, span):
            self.punch(prefix, member)
            gone, overridden = gone + 1, overridden + member.overridden
        for place, first, last in pieces(span):
            chunk = self._chunk(prefix, span.pattern, place)
            if chunk.classes:
                left = remove(chunk, first, last)
                gone += len(chunk) - len(left)
                overridden += len(chunk.overrides) - len(left.overrides)
                self._set(prefix, span.pattern, place, left)
        return Changed(-gone, -overridden)

    def _elsewhere(self, prefix: int, span: Span) -> list[tuple[int, Member]]:
        """Return the numbers of a span that are registered by another pattern."""
        found: list[tuple[int, Member]] = []
        crossings = self._crossings.get(prefix)
        if crossings is None:
            crossings = self._crossings[prefix] = Crossings(self._ranges.get(prefix, ()))
        for pattern, suffix in crossings.of(span.pattern):
            here, there = span.pattern.number(suffix), pattern.number(suffix)
            assert here is not None
            assert there is not None
            if span.first <= here <= span.last and (member := self._member(prefix, pattern, there)) is not None:
                found.append((here, member))
        return found

    def writes(self) -> Iterable[tuple[int, bytes, bytes | None]]:
        """Yield number of the prefix, key and bytes (None: delete) of what has changed."""
        for prefix, patterns in self._changed.items():
            for pattern, chunks in patterns.items():
                for number, chunk in chunks.items():
                    yield prefix, chunk_key(prefix, pattern, number), encode_chunk(chunk) if chunk.classes else None

    def apply(self) -> None:
        """Let lookups see what has changed."""
        for prefix, patterns in self._changed.items():
            ranges = self._ranges.setdefault(prefix, {})
            for pattern, chunks in patterns.items():
                series = ranges.get(pattern) or Series(pattern)
                series.apply(chunks)
                if series.chunks():
                    ranges[pattern] = series
                else:
                    ranges.pop(pattern, None)
            if not ranges:
                del self._ranges[prefix]
