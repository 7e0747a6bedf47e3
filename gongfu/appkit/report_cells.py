"""Reports as an app meets them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Period:
    """What a report is about: ``[start, end)``, UTC ns. Of a snapshot ``start`` is 0 and ``end`` now.

    The end may be still to come: the period is asked for again, and what is returned last holds.
    """

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Cell:
    """The figures of one combination of keys; nodes above merge it with those of others.

    Attributes:
        keys: value of every key of the kind.
        measures: by name: a number in the measure's unit (count, sum, min, max); for ``distinct`` a list of items, for
            ``quantiles`` a list of values, for ``top`` a list of [item, weight]. No measure: nothing to say.
    """

    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    measures: Mapping[str, Any] = field(default_factory=dict[str, Any])
