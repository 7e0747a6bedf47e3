"""How many identifiers there are, by whose they are and by range. Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from gongfu.identify.namespace.types import Prefix, PrefixState
from gongfu.identify.ranges.pattern import Pattern, Span
from gongfu.identify.ranges.series import Series
from gongfu.identify.records.keys import Count


class By(StrEnum):
    """What identifiers are counted by."""

    ENTERPRISE = "enterprise"
    INDUSTRY = "industry"
    REGION = "region"


class Figures(msgspec.Struct, frozen=True, gc=False):
    """How many identifiers: with a record of their own, by range only, and under how many prefixes."""

    explicit: int = 0
    ranged: int = 0
    prefixes: int = 0

    @property
    def total(self) -> int:
        """All."""
        return self.explicit + self.ranged


class RangeFigures(msgspec.Struct, frozen=True):
    """The registered numbers of one pattern.

    Attributes:
        pattern: how the suffixes are written.
        span: from the least to the greatest of them.
        registered: how many.
        overrides: that have a record of their own.
        classes: how many of each class.
    """

    pattern: Pattern
    span: Span
    registered: int
    overrides: int
    classes: Mapping[int, int]

    @property
    def holes(self) -> int:
        """Numbers between the least and the greatest that are not registered."""
        return len(self.span) - self.registered


def figures(prefixes: Iterable[Prefix], counts: Mapping[int, Count], by: By) -> dict[str, Figures]:
    """Return figures by the text of that attribute of the prefix; revoked prefixes are left out."""
    found: dict[str, list[int]] = {}
    for prefix in prefixes:
        if prefix.state is PrefixState.REVOKED:
            continue
        count = counts.get(prefix.number)
        key: str = getattr(prefix, by.value)
        sums = found.setdefault(key, [0, 0, 0])
        sums[2] += 1
        if count is not None:
            sums[0] += count.explicit
            sums[1] += count.ranged
    return {key: Figures(*sums) for key, sums in sorted(found.items())}


def range_figures(ranges: Mapping[Pattern, Series]) -> list[RangeFigures]:
    """Return figures of the ranges of a prefix, in the order in which the patterns are written."""
    found: list[RangeFigures] = []
    for pattern, series in sorted(ranges.items(), key=lambda item: (item[0].head, item[0].width, item[0].tail)):
        if series.chunks():
            found.append(RangeFigures(pattern, series.span, len(series), series.overrides, series.counts()))
    return found
