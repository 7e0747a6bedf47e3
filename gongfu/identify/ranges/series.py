"""The numbers of one pattern that are registered, in chunks. A change is made of new chunks, and taken in when they are
on the disk: whoever looks up meanwhile sees each chunk as it was or as it is."""

from collections.abc import Iterator, Mapping

import msgspec
from pyroaring import BitMap

from gongfu.identify.ranges.chunks import BITS, EMPTY, LOW, Chunk, interval, whole
from gongfu.identify.ranges.pattern import Pattern, Span

Chunks = Mapping[int, Chunk]
"""By number of the chunk; an empty one is none any more."""


class Member(msgspec.Struct, frozen=True, gc=False):
    """One member of a range: its place, its class, and whether it has a record of its own."""

    pattern: Pattern
    number: int
    of: int
    overridden: bool

    @property
    def digits(self) -> str:
        """The number as it stands in the suffix."""
        return f"{self.number:0{self.pattern.width}d}"


def member_in(chunk: Chunk, pattern: Pattern, number: int) -> Member | None:
    """Return the member that a number is; None if it is not registered in the chunk that has it."""
    of = chunk.class_of(number & LOW)
    return None if of is None else Member(pattern, number, of, (number & LOW) in chunk.overrides)


class Series:
    """All registered numbers of one pattern. A count and a look-up cost nothing."""

    __slots__ = ("_chunks", "_counts", "_overrides", "pattern")

    def __init__(self, pattern: Pattern) -> None:
        """Begin without numbers."""
        self.pattern = pattern
        self._chunks: dict[int, Chunk] = {}
        self._counts: dict[int, int] = {}
        self._overrides = 0

    def __len__(self) -> int:
        """Return how many numbers are registered."""
        return sum(self._counts.values())

    @property
    def overrides(self) -> int:
        """How many of them have a record of their own."""
        return self._overrides

    @property
    def span(self) -> Span:
        """From the least to the greatest registered number.

        Raises:
            ValueError: there is none.
        """
        first, last = min(self._chunks), max(self._chunks)
        least = self._chunks[first].numbers().min() + (first << BITS)
        return Span(self.pattern, least, self._chunks[last].numbers().max() + (last << BITS))

    def counts(self) -> Mapping[int, int]:
        """Return how many numbers each class has."""
        return {of: count for of, count in self._counts.items() if count}

    def chunk(self, number: int) -> Chunk:
        """Return a chunk by its number."""
        return self._chunks.get(number, EMPTY)

    def chunks(self) -> Chunks:
        """Return all chunks that are not empty."""
        return self._chunks

    def class_of(self, number: int) -> int | None:
        """Return the class of a number; None if it is not registered."""
        chunk = self._chunks.get(number >> BITS)
        return None if chunk is None else chunk.class_of(number & LOW)

    def member(self, number: int) -> Member | None:
        """Return the member that a number is; None if it is not registered."""
        chunk = self._chunks.get(number >> BITS)
        return None if chunk is None else member_in(chunk, self.pattern, number)

    def apply(self, changed: Chunks) -> None:
        """Take in chunks that have changed."""
        for number, chunk in changed.items():
            before = self._chunks.get(number, EMPTY)
            for of, count in before.counts().items():
                self._counts[of] -= count
            for of, count in chunk.counts().items():
                self._counts[of] = self._counts.get(of, 0) + count
            self._overrides += len(chunk.overrides) - len(before.overrides)
            if chunk.classes:
                self._chunks[number] = chunk
            else:
                self._chunks.pop(number, None)


class Registered(msgspec.Struct, frozen=True):
    """What a registration has changed: numbers that are new, that were there already, and of these re-classed."""

    new: int
    present: int
    moved: int = 0


def pieces(span: Span) -> Iterator[tuple[int, int, int]]:
    """Yield the parts of a span by chunk: number of the chunk, first and last within it."""
    first, last = span.first, span.last
    for number in range(first >> BITS, (last >> BITS) + 1):
        start = number << BITS
        yield number, max(first - start, 0), min(last - start, LOW)


def register(
    present: Chunk,
    first: int,
    last: int,
    of: int,
    *,
    move: bool,
    explicit: BitMap | None = None,
    but: BitMap | None = None,
) -> tuple[Chunk, Registered]:
    """Return a chunk with more numbers, and what that has changed.

    Args:
        present: the chunk.
        first: of the numbers, within the chunk.
        last: the last of them.
        of: their class.
        move: numbers that are there already get this class; else they keep theirs.
        explicit: numbers that have records of their own.
        but: numbers that are left out; they are not counted.
    """
    if present is EMPTY and first == 0 and last == LOW and explicit is None and but is None:
        return whole(of), Registered(LOW + 1, 0)
    wanted = interval(first, last)
    if but is not None:
        wanted = wanted - but
    before = len(present)
    made = present.registered(wanted, of, move, BitMap() if explicit is None else explicit)
    there = len(wanted) - (len(made) - before)
    own = sum(len(numbers & wanted) for key, numbers in present.classes if key == of)
    return made, Registered(len(made) - before, there, there - own if move else 0)


def remove(present: Chunk, first: int, last: int) -> Chunk:
    """Return a chunk without numbers. Their records of their own are the caller's."""
    if first == 0 and last == LOW:
        return EMPTY
    return present.removed(interval(first, last))
