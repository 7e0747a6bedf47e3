"""Which patterns can have a suffix in common with another: found without comparing it with all of them."""

from collections.abc import Iterable, Iterator

from gongfu.identify.ranges.pattern import Pattern, meeting, readings


class Crossings:
    """The patterns of a prefix, found by what stands before their number or behind it."""

    __slots__ = ("_by_head", "_by_tail")

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        """Take patterns."""
        self._by_head: dict[tuple[str, int, int], set[Pattern]] = {}
        self._by_tail: dict[tuple[str, int, int], set[Pattern]] = {}
        for pattern in patterns:
            self.add(pattern)

    def add(self, pattern: Pattern) -> None:
        """Take one more. None is ever taken out: who asks looks whether it still has numbers."""
        self._by_head.setdefault((pattern.head, pattern.width, len(pattern.tail)), set()).add(pattern)
        self._by_tail.setdefault((pattern.tail, pattern.width, len(pattern.head)), set()).add(pattern)

    def of(self, pattern: Pattern) -> Iterator[tuple[Pattern, str]]:
        """Yield the other patterns that have a suffix in common with this one, and that suffix."""
        for other, _ in readings(pattern.suffix(0)):
            # Its number stands in the head or in the tail of the pattern: the other side of it is known.
            if len(other.head) < len(pattern.head):
                found = self._by_head.get((other.head, other.width, len(other.tail)), ())
            elif len(other.head) > len(pattern.head):
                found = self._by_tail.get((other.tail, other.width, len(other.head)), ())
            else:
                continue
            for candidate in found:
                suffix = meeting(pattern, candidate)
                if suffix is not None:
                    yield candidate, suffix
