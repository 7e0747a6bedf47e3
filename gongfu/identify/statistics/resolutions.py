"""Resolutions, real and replayed: who asks the same again within an hour adds nothing to what is told as use.

Counting must cost next to nothing where an answer takes microseconds, so a question is remembered as it came, with who
asked, as one hash; what prefix it is of is found out later, once for each different question.
"""

from collections.abc import Callable, Hashable

import msgspec

from gongfu.identify.handle.names import folded

# Questions that are remembered in each half hour; beyond, the oldest half is forgotten early, and counts as real again.
_REMEMBERED = 500_000
_HALF_S = 1800.0
# Different questions that wait to be assigned to a prefix, and how long one is that is counted at all.
_WAITING = 20_000
_LONGEST = 1024

Note = Callable[[Hashable, bytes], None]
PrefixOf = Callable[[bytes], str]
"""Returns the prefix that a question of a face is about, in any case; "" where it is none."""


class Asked(msgspec.Struct, frozen=True):
    """How often something was resolved."""

    real: int = 0
    replayed: int = 0

    def __add__(self, other: "Asked") -> "Asked":
        return Asked(self.real + other.real, self.replayed + other.replayed)


class _Face:
    __slots__ = ("prefix_of", "real", "replayed")

    def __init__(self, prefix_of: PrefixOf) -> None:
        self.prefix_of = prefix_of
        self.real: dict[bytes, int] = {}
        self.replayed: dict[bytes, int] = {}


class Resolutions:
    """Counts resolutions of all faces. On the event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Make it.

        Args:
            clock: seconds, never backwards.
        """
        self._clock = clock
        self._turned = clock()
        self._new: set[int] = set()
        self._old: set[int] = set()
        self._faces: list[_Face] = []
        self._sums: dict[str, list[int]] = {}

    def face(self, key_of: Callable[[bytes], bytes], prefix_of: PrefixOf) -> Note:
        """Return what a face calls for each question: with who asked, and what came.

        Args:
            key_of: what is the same when somebody asks the same again; quick.
            prefix_of: the prefix that such a key is about; one that it raises ValueError for is of none.
        """
        face = _Face(prefix_of)
        self._faces.append(face)
        real, replayed = face.real, face.replayed

        def note(client: Hashable, came: bytes) -> None:
            question = key_of(came)
            mark = hash(question) ^ hash(client)
            if mark in self._new or mark in self._old:
                try:
                    replayed[question] += 1
                except KeyError:
                    if len(replayed) >= _WAITING:
                        self._assign(face)
                    replayed[question] = 1
            elif len(question) <= _LONGEST:
                self._new.add(mark)
                real[question] = real.get(question, 0) + 1
                if len(self._new) >= _REMEMBERED:
                    self._turn()
                if len(real) >= _WAITING:
                    self._assign(face)

        return note

    def take(self) -> dict[str, Asked]:
        """Return what was counted since it was last asked, by key of the prefix."""
        if self._clock() - self._turned >= _HALF_S:
            self._turn()
        for face in self._faces:
            self._assign(face)
        sums, self._sums = self._sums, {}
        return {key: Asked(real, replayed) for key, (real, replayed) in sums.items()}

    def _turn(self) -> None:
        self._old, self._new = self._new, set()
        self._turned = self._clock()

    def _assign(self, face: _Face) -> None:
        for place, counted in enumerate((face.real, face.replayed)):
            for question, count in counted.items():
                try:
                    key = folded(face.prefix_of(question))
                except ValueError:
                    continue
                if key:
                    self._sums.setdefault(key, [0, 0])[place] += count
            counted.clear()
