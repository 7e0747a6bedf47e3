"""The numbers of one pattern that are registered, by class (the template they are made from), in roaring bitmaps.

No number is in two classes. ``overrides`` are numbers that have a record of their own besides: the record answers, the
number counts once. A number that was deleted is a hole, which is to say that it is not there.
"""

from collections.abc import Mapping

import msgspec
from pyroaring import BitMap64

from gongfu.identify.ranges.pattern import Pattern, Span


class Registered(msgspec.Struct, frozen=True):
    """What a registration has changed: numbers that are new, that were there already, and of these re-classed."""

    new: int
    present: int
    moved: int = 0


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    pattern: Pattern
    classes: list[tuple[int, bytes]]
    overrides: bytes


class Series:
    """All registered numbers of one pattern. Changes cost what they touch; a count and a look-up cost nothing."""

    __slots__ = ("_classes", "_overrides", "pattern")

    def __init__(self, pattern: Pattern) -> None:
        """Begin without numbers."""
        self.pattern = pattern
        self._classes: dict[int, BitMap64] = {}
        self._overrides = BitMap64()

    def __len__(self) -> int:
        """Return how many numbers are registered by range."""
        return sum(len(numbers) for numbers in self._classes.values())

    @property
    def overrides(self) -> int:
        """How many of them have a record of their own."""
        return len(self._overrides)

    def counts(self) -> Mapping[int, int]:
        """Return how many numbers each class has."""
        return {of: len(numbers) for of, numbers in self._classes.items()}

    def class_of(self, number: int) -> int | None:
        """Return the class of a number; None if it is not registered by range."""
        return next((of for of, numbers in self._classes.items() if number in numbers), None)

    def overridden(self, number: int) -> bool:
        """Return whether a registered number has a record of its own."""
        return number in self._overrides

    def register(self, span: Span, of: int, *, move: bool = False, explicit: BitMap64 | None = None) -> Registered:
        """Register numbers.

        Args:
            span: of this pattern.
            of: their class.
            move: numbers that are there already get this class; else they keep theirs.
            explicit: numbers within the span that have records of their own.
        """
        wanted = _numbers(span)
        present = moved = 0
        for key, numbers in self._classes.items():
            shared = numbers & wanted
            present += len(shared)
            if key != of and move:
                numbers -= shared
                moved += len(shared)
            else:
                wanted -= shared
        added = self._classes.setdefault(of, BitMap64())
        added |= wanted
        added.run_optimize()
        self._drop_empty()
        if explicit is not None:
            self._overrides |= explicit & _numbers(span)
        return Registered(len(span) - present, present, moved)

    def remove(self, span: Span) -> int:
        """Remove numbers; returns how many were there. Records of their own are the caller's to delete."""
        gone = _numbers(span)
        before = len(self)
        for numbers in self._classes.values():
            numbers -= gone
        self._overrides -= gone
        self._drop_empty()
        return before - len(self)

    def override(self, number: int, present: bool) -> bool:
        """Note that a number has a record of its own, or none any more; returns whether it is registered by range."""
        if self.class_of(number) is None:
            return False
        if present:
            self._overrides.add(number)
        else:
            self._overrides.discard(number)
        return True

    def _drop_empty(self) -> None:
        self._classes = {of: numbers for of, numbers in self._classes.items() if numbers}

    def to_bytes(self) -> bytes:
        """Return all of it."""
        classes = [(of, numbers.serialize()) for of, numbers in sorted(self._classes.items())]
        return msgspec.msgpack.encode(_Stored(self.pattern, classes, self._overrides.serialize()))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Series":
        """Return what ``to_bytes`` wrote. Only for bytes of the own store, whose checksum was checked.

        Raises:
            ValueError: it wrote something else.
        """
        stored = msgspec.msgpack.decode(data, type=_Stored)
        series = cls(stored.pattern)
        series._classes = {of: BitMap64.deserialize(numbers) for of, numbers in stored.classes}
        series._overrides = BitMap64.deserialize(stored.overrides)
        return series


def _numbers(span: Span) -> BitMap64:
    numbers = BitMap64()
    numbers.add_range(span.first, span.last + 1)
    return numbers
