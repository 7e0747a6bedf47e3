"""How the suffixes of a range are written: ``M01{00000001..09999999}`` is a head, a number of fixed width, a tail.

Each suffix is read in one way for each run of digits in it: the number is the last 18 digits of the run, or the whole
run. ``M01{0001..0999}`` and ``M{010001..010999}`` are thus the same range of the pattern ``M``, six digits. Patterns of
which the one has its number where the other has fixed digits have at most one suffix in common (``meeting``).
"""

import re
from collections.abc import Iterator
from enum import StrEnum

import msgspec

MAX_WIDTH = 18
# A range costs about 30 bytes for each 65,536 of its numbers.
MAX_NUMBERS = 10**10
MAX_TEXT = 200

_RANGE = re.compile(r"(?P<head>[^{}]*)\{(?P<first>[0-9]+)\.\.(?P<last>[0-9]+)\}(?P<tail>[^{}]*)")
_RUNS = re.compile("[0-9]+")
_LAST_RUN = re.compile("[0-9]*$")


class RangeReason(StrEnum):
    """Why a range is refused."""

    MALFORMED = "range-malformed"
    WIDTHS_DIFFER = "range-widths-differ"
    TOO_WIDE = "range-too-wide"
    BACKWARDS = "range-backwards"
    TOO_LARGE = "range-too-large"
    NOT_LAST_DIGITS = "range-not-last-digits"


class RangeError(ValueError):
    """A range is refused.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: RangeReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Pattern(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Head, number of decimal digits, tail.

    The tail does not begin with a digit; the head ends in one only where there are 18 digits behind it.
    """

    head: str
    width: int
    tail: str = ""

    def suffix(self, number: int) -> str:
        """Return the suffix of a number."""
        return f"{self.head}{number:0{self.width}d}{self.tail}"

    def number(self, suffix: str) -> int | None:
        """Return the number of a suffix, None if it is not of this pattern."""
        digits = suffix[len(self.head) : len(suffix) - len(self.tail)]
        if len(digits) != self.width or not _RUNS.fullmatch(digits) or self.suffix(int(digits)) != suffix:
            return None
        return int(digits)


class Span(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Numbers ``first`` to ``last``, both of them too, of a pattern."""

    pattern: Pattern
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        head, width, tail = self.pattern.head, self.pattern.width, self.pattern.tail
        return f"{head}{{{self.first:0{width}d}..{self.last:0{width}d}}}{tail}"


def parse_range(text: str) -> Span:
    """Return what ``head{first..last}tail`` means; first and last have as many digits as the numbers.

    Raises:
        RangeError: it means nothing, or too much.
    """
    found = _RANGE.fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None:
        raise RangeError(RangeReason.MALFORMED, "a range is head{first..last}tail")
    head, first, last, tail = found["head"], found["first"], found["last"], found["tail"]
    if len(first) != len(last):
        raise RangeError(RangeReason.WIDTHS_DIFFER, f"{first} and {last} have not as many digits")
    if len(first) > MAX_WIDTH:
        raise RangeError(RangeReason.TOO_WIDE, f"numbers have at most {MAX_WIDTH} digits")
    if int(first) > int(last):
        raise RangeError(RangeReason.BACKWARDS, f"{first} is after {last}")
    if tail and tail[0] in "0123456789":
        raise RangeError(RangeReason.NOT_LAST_DIGITS, "no digit may follow the number")
    fixed = _LAST_RUN.search(head)
    assert fixed is not None
    # Digits before the number are part of it.
    taken = fixed[0][max(0, len(fixed[0]) - (MAX_WIDTH - len(first))) :]
    head = head[: len(head) - len(taken)]
    span = Span(Pattern(head, len(taken + first), tail), int(taken + first), int(taken + last))
    if len(span) > MAX_NUMBERS:
        raise RangeError(RangeReason.TOO_LARGE, f"a range has at most {MAX_NUMBERS:,} numbers")
    return span


def readings(suffix: str) -> Iterator[tuple[Pattern, int]]:
    """Yield the patterns that a suffix can be of, with its number."""
    if len(suffix) > MAX_TEXT + MAX_WIDTH:
        return
    for run in _RUNS.finditer(suffix):
        end = run.end()
        start = max(run.start(), end - MAX_WIDTH)
        yield Pattern(suffix[:start], end - start, suffix[end:]), int(suffix[start:end])


def meeting(one: Pattern, other: Pattern) -> str | None:
    """Return the only suffix that two different patterns have in common, None if there is none."""
    if len(one.head) > len(other.head):
        one, other = other, one
    start, end = len(one.head), len(one.head) + one.width
    # The first number stands in the head of the other pattern, and the other's number in the tail of the first.
    if end > len(other.head) or len(other.head) + other.width > end + len(one.tail):
        return None
    digits = other.head[start:end]
    number = one.tail[len(other.head) - end :][: other.width]
    if not (_RUNS.fullmatch(digits) and _RUNS.fullmatch(number)):
        return None
    suffix = one.suffix(int(digits))
    return suffix if other.suffix(int(number)) == suffix else None
