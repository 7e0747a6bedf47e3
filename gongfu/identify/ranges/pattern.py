"""How the suffixes of a range are written: ``M01{00000001..09999999}`` is a head, a number of fixed width, a tail."""

import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec

MAX_WIDTH = 18
# A range costs about 20 bytes for each 65,536 of its numbers.
MAX_NUMBERS = 10**10
MAX_TEXT = 200

_RANGE = re.compile(r"(?P<head>[^{}]*)\{(?P<first>[0-9]+)\.\.(?P<last>[0-9]+)\}(?P<tail>[^{}]*)")
_DIGITS = frozenset("0123456789")


class RangeReason(StrEnum):
    """Why a range is refused."""

    MALFORMED = "range-malformed"
    WIDTHS_DIFFER = "range-widths-differ"
    TOO_WIDE = "range-too-wide"
    BACKWARDS = "range-backwards"
    TOO_LARGE = "range-too-large"


class RangeError(ValueError):
    """A range is refused.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: RangeReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Pattern(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Head, number of decimal digits, tail. Two patterns may write the same suffix; they are different series."""

    head: str
    width: int
    tail: str = ""

    def suffix(self, number: int) -> str:
        """Return the suffix of a number."""
        return f"{self.head}{number:0{self.width}d}{self.tail}"


class Span(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Numbers ``first`` to ``last``, both of them too, of a pattern."""

    pattern: Pattern
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


def parse_range(text: str) -> Span:
    """Return what ``head{first..last}tail`` means; first and last have as many digits as the numbers.

    Raises:
        RangeError: it means nothing, or too much.
    """
    found = _RANGE.fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None:
        raise RangeError(RangeReason.MALFORMED, "a range is head{first..last}tail")
    first, last = found["first"], found["last"]
    if len(first) != len(last):
        raise RangeError(RangeReason.WIDTHS_DIFFER, f"{first} and {last} have not as many digits")
    if len(first) > MAX_WIDTH:
        raise RangeError(RangeReason.TOO_WIDE, f"numbers have at most {MAX_WIDTH} digits")
    if int(first) > int(last):
        raise RangeError(RangeReason.BACKWARDS, f"{first} is after {last}")
    span = Span(Pattern(found["head"], len(first), found["tail"]), int(first), int(last))
    if len(span) > MAX_NUMBERS:
        raise RangeError(RangeReason.TOO_LARGE, f"a range has at most {MAX_NUMBERS:,} numbers")
    return span


def number_at(suffix: str, head: int, width: int) -> tuple[Pattern, int] | None:
    """Return pattern and number if ``width`` digits stand behind the first ``head`` characters."""
    digits = suffix[head : head + width]
    if len(digits) != width or not _DIGITS.issuperset(digits):
        return None
    return Pattern(suffix[:head], width, suffix[head + width :]), int(digits)


def shapes(patterns: Iterable[Pattern]) -> tuple[tuple[int, int], ...]:
    """Return the distinct (length of the head, width) of patterns: where ``number_at`` must look."""
    return tuple(sorted({(len(pattern.head), pattern.width) for pattern in patterns}))
