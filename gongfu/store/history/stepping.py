"""Gongfu's own aggregates over values in memory: what ``ClickHouseHistory.aggregate`` does in the engine. Pure.

For reads as known at a time, which the engine's statements do not know.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.points import ValueType
from gongfu.store.history.surroundings import Run
from gongfu.store.history.types import Aggregate


def stepped_values(run: Run, how: Aggregate, step: int, *, good_only: bool) -> Run:
    """Return one value a step that has any, two for ``minmax``; see ``HistoryStore.aggregate``."""
    good = (run.qualities < 0x40) if good_only else np.ones(len(run), bool)
    if how is not Aggregate.COUNT and isinstance(run.values, np.ndarray) and run.values.dtype.kind == "f":
        good &= np.isfinite(run.values)
    held = run.part(np.flatnonzero(good))
    if not len(held):
        empty: Any = np.empty(0) if how in (Aggregate.AVERAGE, Aggregate.COUNT) else held.values
        return Run(held.times, empty, held.qualities)
    steps = held.times // step
    starts = np.flatnonzero(np.r_[True, steps[1:] != steps[:-1]])
    ends = np.r_[starts[1:], len(held)]
    if how is Aggregate.FIRST:
        return held.part(starts)
    if how is Aggregate.LAST:
        return held.part(ends - 1)
    if how is Aggregate.MINMAX:
        values = np.asarray(held.values)
        low = _first_extreme(values, starts, ends, greatest=False)
        high = _first_extreme(values, starts, ends, greatest=True)
        return held.part(np.unique(np.r_[low, high]))
    times = steps[starts] * step
    worst = np.maximum.reduceat(held.qualities, starts)
    return Run(times, _whole(held, how, starts, ends), worst)


def _whole(held: Run, how: Aggregate, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[Any]:
    counts = (ends - starts).astype(np.float64)
    if how is Aggregate.COUNT:
        return counts
    values = np.asarray(held.values)
    if how is Aggregate.AVERAGE:
        return np.add.reduceat(values.astype(np.float64), starts) / counts
    return (np.minimum if how is Aggregate.MINIMUM else np.maximum).reduceat(values, starts)


def _first_extreme(
    values: NDArray[Any], starts: NDArray[np.int64], ends: NDArray[np.int64], *, greatest: bool
) -> NDArray[np.int64]:
    extreme = (np.maximum if greatest else np.minimum).reduceat(values, starts)
    same = np.flatnonzero(values == np.repeat(extreme, ends - starts))
    return same[np.searchsorted(same, starts)]


def result_type(value_type: ValueType, how: Aggregate) -> ValueType:
    """Return the type of an aggregate's values."""
    return ValueType.DOUBLE if how in (Aggregate.AVERAGE, Aggregate.COUNT) else value_type
