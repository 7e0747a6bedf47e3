"""Points as the aggregates see them: what is bad, where the data begins and ends."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.aggregates.types import AggregateConfiguration, Grid, Points
from gongfu.kernel.quality import SEVERITY_MASK, Quality

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """Points with their severities for one configuration.

    Attributes:
        numbers: values as ``float64``, NaN where bad (§3.1.7).
        bad: severity bad, not finite, or uncertain while uncertain counts as bad.
        uncertain: severity uncertain and not bad.
        good: neither.
        usable: indices of the points that are not bad.
        usable_times: their times.
        bad_before: ``int64[n + 1]``: how many of the first i points are bad.
        first_usable: time of the first point that is not bad, None without one.
        last: time of the last point of all data when the columns reach it, else None.
    """

    times: NDArray[np.int64]
    values: NDArray[Any]
    qualities: NDArray[np.uint8]
    numbers: NDArray[np.float64]
    bad: NDArray[np.bool_]
    uncertain: NDArray[np.bool_]
    good: NDArray[np.bool_]
    usable: NDArray[np.int64]
    usable_times: NDArray[np.int64]
    bad_before: NDArray[np.int64]
    first_usable: int | None
    last: int | None

    def __len__(self) -> int:
        return len(self.times)


def prepare(points: Points, configuration: AggregateConfiguration) -> Prepared:
    """Return the points with what follows from their qualities."""
    severity = points.qualities & SEVERITY_MASK
    numbers = points.values.astype(np.float64)
    unsure = severity == Quality.UNCERTAIN
    bad = (severity >= Quality.BAD) | ~np.isfinite(numbers)
    if configuration.treat_uncertain_as_bad:
        bad |= unsure
    uncertain = unsure & ~bad
    usable = np.flatnonzero(~bad)
    times = points.times
    return Prepared(
        times,
        points.values,
        points.qualities,
        np.where(bad, np.nan, numbers),
        bad,
        uncertain,
        ~bad & ~uncertain,
        usable,
        times[usable],
        np.concatenate([[0], np.cumsum(bad)]),
        int(times[usable[0]]) if len(usable) else None,
        int(times[-1]) if points.ends and len(times) else None,
    )


def partial_at_start(prepared: Prepared, grid: Grid) -> NDArray[np.bool_]:
    """Return which intervals the data begins inside of, or that are shorter than the step."""
    starts, ends = grid.starts, grid.ends
    partial = ends - starts < grid.step
    if prepared.first_usable is not None:
        partial |= (starts < prepared.first_usable) & (prepared.first_usable < ends)
    return partial


def partial(prepared: Prepared, grid: Grid) -> NDArray[np.bool_]:
    """Return which intervals are not complete: the data begins or ends inside (§5.3.3.2), or the step is cut short."""
    found = partial_at_start(prepared, grid)
    if prepared.last is not None:
        found |= (grid.starts <= prepared.last) & (prepared.last < grid.ends)
    return found


def outside(prepared: Prepared, grid: Grid) -> NDArray[np.bool_]:
    """Return which intervals lie wholly before the first stored value, or begin behind the last."""
    if not len(prepared):
        return np.ones(len(grid), bool)
    found = grid.ends <= int(prepared.times[0])
    if prepared.last is not None:
        found |= grid.starts > prepared.last
    return found
