"""65,536 consecutive numbers of a pattern: which are registered, and by which class, in roaring bitmaps. Immutable.

No number is in two classes. ``overrides`` are registered numbers that have a record of their own besides: the record
answers, the number counts once. A number that was deleted is a hole, which is to say that it is not there.
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec
from pyroaring import BitMap

BITS = 16
SIZE = 1 << BITS
LOW = SIZE - 1

_NONE = BitMap()


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """The registered numbers of a chunk; its bitmaps are never changed.

    Attributes:
        classes: by number of the class, none of them empty.
        overrides: have records of their own.
    """

    classes: tuple[tuple[int, BitMap], ...] = ()
    overrides: BitMap = _NONE

    def __len__(self) -> int:
        return sum(len(numbers) for _, numbers in self.classes)

    def class_of(self, low: int) -> int | None:
        """Return the class of a number, None if it is not registered."""
        for of, numbers in self.classes:
            if low in numbers:
                return of
        return None

    def counts(self) -> Mapping[int, int]:
        """Return how many numbers each class has."""
        return {of: len(numbers) for of, numbers in self.classes}

    def numbers(self) -> BitMap:
        """Return all that are registered."""
        return BitMap.union(*(numbers for _, numbers in self.classes)) if self.classes else BitMap()

    def registered(self, wanted: BitMap, of: int, move: bool, explicit: BitMap) -> "Chunk":
        """Return it with more numbers.

        Args:
            wanted: numbers.
            of: their class.
            move: numbers that are there already get this class; else they keep theirs.
            explicit: numbers that have records of their own.
        """
        if not move:
            wanted = wanted - self.numbers()
        if not wanted:
            return self
        classes = {key: numbers - wanted if move else numbers for key, numbers in self.classes}
        classes[of] = classes.get(of, _NONE) | wanted
        return _chunk(classes, self.overrides | (explicit & wanted))

    def removed(self, gone: BitMap) -> "Chunk":
        """Return it without numbers."""
        return _chunk({of: numbers - gone for of, numbers in self.classes}, self.overrides - gone)

    def overridden(self, low: int, present: bool) -> "Chunk":
        """Return it with a registered number that has a record of its own, or none any more."""
        overrides = self.overrides.copy()
        if present:
            overrides.add(low)
        else:
            overrides.discard(low)
        return Chunk(self.classes, overrides)


EMPTY = Chunk()


def _chunk(classes: Mapping[int, BitMap], overrides: BitMap) -> Chunk:
    kept = sorted((of, numbers) for of, numbers in classes.items() if numbers)
    for _, numbers in kept:
        numbers.run_optimize()
    return Chunk(tuple(kept), overrides or _NONE)


@lru_cache(maxsize=64)
def interval(first: int, last: int) -> BitMap:
    """Return the numbers from first to last, both of them too; not to be changed."""
    numbers = BitMap()
    numbers.add_range(first, last + 1)
    numbers.run_optimize()
    return numbers


@lru_cache(maxsize=4096)
def whole(of: int) -> Chunk:
    """Return the chunk of which all numbers are of a class."""
    return Chunk(((of, interval(0, LOW)),))


class _Stored(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    classes: list[tuple[int, bytes]]
    overrides: bytes = b""


_decode = msgspec.msgpack.Decoder(_Stored).decode


def encode_chunk(chunk: Chunk) -> bytes:
    """Return the bytes of a chunk."""
    classes = [(of, numbers.serialize()) for of, numbers in chunk.classes]
    return msgspec.msgpack.encode(_Stored(classes, chunk.overrides.serialize() if chunk.overrides else b""))


def decode_chunk(data: bytes) -> Chunk:
    """Return what ``encode_chunk`` wrote. Only for bytes of the own store, whose checksum was checked.

    Raises:
        ValueError: it wrote something else.
    """
    stored = _decode(data)
    if not stored.overrides and len(stored.classes) == 1 and stored.classes[0][1] == _WHOLE:
        return whole(stored.classes[0][0])
    classes = tuple((of, BitMap.deserialize(numbers)) for of, numbers in stored.classes)
    return Chunk(classes, BitMap.deserialize(stored.overrides) if stored.overrides else _NONE)


_WHOLE = interval(0, LOW).serialize()
