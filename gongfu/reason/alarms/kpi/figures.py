"""Key figures from annunciations. Pure: columns in, figures out."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.times import SECOND
from gongfu.reason.alarms.kpi.types import (
    CHATTER_COUNT,
    CHATTER_WITHIN,
    FLEETING_BELOW,
    FLOOD_BEGINS_ABOVE,
    FLOOD_ENDS_BELOW,
    PERIOD,
    PositionFigures,
    Times,
)

NONE = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Annunciations:
    """n annunciations in any order.

    Attributes:
        times: ``int64[n]`` the node's time, UTC ns.
        alarms: ``int64[n]`` numbers of alarms (rule and series, or source and key).
        assets: ``int64[n]`` numbers of assets.
        priorities: ``int64[n]`` numbers of priorities.
        acknowledged: ``int64[n]`` ns until the acknowledgement, ``NONE`` where there is none.
        standing: ``int64[n]`` ns until the return, ``NONE`` where there is none (yet).
    """

    times: NDArray[np.int64]
    alarms: NDArray[np.int64]
    assets: NDArray[np.int64]
    priorities: NDArray[np.int64]
    acknowledged: NDArray[np.int64]
    standing: NDArray[np.int64]

    def only(self, which: NDArray[np.bool_]) -> "Annunciations":
        """Return some of them; ``bool[n]``."""
        columns = (self.times, self.alarms, self.assets, self.priorities, self.acknowledged, self.standing)
        return Annunciations(*(column[which] for column in columns))


class Window(NamedTuple):
    """``[begin, end)`` UTC ns, and its whole periods."""

    begin: int
    end: int

    @property
    def first(self) -> int:
        """Number of the first period."""
        return self.begin // PERIOD

    @property
    def periods(self) -> int:
        """How many periods the window touches, at least 1."""
        return max(1, -(-self.end // PERIOD) - self.first)


def rate(times: NDArray[np.int64], window: Window) -> NDArray[np.int64]:
    """Return the number of annunciations by period, ``int64[periods]``."""
    return np.bincount(times // PERIOD - window.first, minlength=window.periods).astype(np.int64)


def in_flood(counts: NDArray[np.int64]) -> int:
    """Return how many periods are in flood: from one with more than 10 until before one with fewer than 5."""
    change = np.where(counts > FLOOD_BEGINS_ABOVE, 1, np.where(counts < FLOOD_ENDS_BELOW, -1, 0))
    marks = np.flatnonzero(change)
    if not len(marks):
        return 0
    last = np.maximum.accumulate(np.where(change != 0, np.arange(len(change)), -1))
    return int(np.count_nonzero((last >= 0) & (change[np.maximum(last, 0)] == 1)))


def position_figures(name: str, counts: NDArray[np.int64]) -> PositionFigures:
    """Return the figures of a position from its counts by period."""
    total, periods = int(counts.sum()), len(counts)
    return PositionFigures(
        position=name,
        annunciations=total,
        average=total / periods,
        peak=int(counts.max()),
        percent_periods_over_10=100.0 * int(np.count_nonzero(counts > FLOOD_BEGINS_ABOVE)) / periods,
        percent_in_flood=100.0 * in_flood(counts) / periods,
    )


def chattering(found: Annunciations) -> dict[int, int]:
    """Return the alarms that were annunciated at least 3 times within a minute, with the number of annunciations that
    belong to such minutes."""
    order = np.lexsort((found.times, found.alarms))
    times, alarms = found.times[order], found.alarms[order]
    span = CHATTER_COUNT - 1
    if len(times) <= span:
        return {}
    begins = (alarms[span:] == alarms[:-span]) & (times[span:] - times[:-span] <= CHATTER_WITHIN)
    inside = np.zeros(len(times), dtype=np.bool_)
    for shift in range(CHATTER_COUNT):
        inside[shift : shift + len(begins)] |= begins
    keys, counts = np.unique(alarms[inside], return_counts=True)
    return dict(zip(keys.tolist(), counts.tolist(), strict=True))


def offenders(found: Annunciations, most: int) -> list[tuple[int, int]]:
    """Return ``(alarm, annunciations)`` of the alarms that came most often; of equals the lower number first."""
    keys, counts = np.unique(found.alarms, return_counts=True)
    order = np.lexsort((keys, -counts))[:most]
    return list(zip(keys[order].tolist(), counts[order].tolist(), strict=True))


def fleeting(found: Annunciations) -> int:
    """Return how many returned within 10 s: before anybody can have done something."""
    return int(np.count_nonzero((found.standing != NONE) & (found.standing < FLEETING_BELOW)))


def times_of(durations: NDArray[np.int64]) -> Times:
    """Return the distribution of durations, ns; ``NONE`` does not count. Percentiles are the nearest rank's."""
    known = np.sort(durations[durations != NONE])
    if not len(known):
        return Times(count=0, average_s=0.0, median_s=0.0, p95_s=0.0)
    return Times(
        count=len(known),
        average_s=float(known.mean()) / SECOND,
        median_s=float(known[nearest_rank(len(known), 50)]) / SECOND,
        p95_s=float(known[nearest_rank(len(known), 95)]) / SECOND,
    )


def nearest_rank(count: int, percent: int) -> int:
    """Return the index of a percentile among ``count`` sorted values."""
    return max(0, -(-count * percent // 100) - 1)
