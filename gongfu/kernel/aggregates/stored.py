"""Aggregates of the stored values of each interval, without bounds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.aggregates.prepared import Prepared, outside, partial
from gongfu.kernel.aggregates.types import AggregateConfiguration, AggregateFunction, Bits, Grid, Processed
from gongfu.kernel.quality import SEVERITY_MASK, Quality

_UNCERTAIN = Quality.UNCERTAIN_SUBNORMAL


@dataclass(frozen=True, slots=True)
class Extremes:
    """The least or greatest of some values in each interval.

    Attributes:
        values: ``[k]``, undefined where ``count`` is 0.
        first: ``int64[k]``: index of its first occurrence among the points, -1 without.
        count: ``int64[k]``: how often it occurs.
    """

    values: NDArray[Any]
    first: NDArray[np.int64]
    count: NDArray[np.int64]


def within(prepared: Prepared, grid: Grid) -> slice:
    """Return where the points of the grid's time are."""
    low, high = np.searchsorted(prepared.times, [grid.start, grid.end]).tolist()
    return slice(low, high)


def interval_of(times: NDArray[np.int64], grid: Grid) -> NDArray[np.int64]:
    """Return the index of the interval of times that lie in the grid."""
    return (times - grid.start) // grid.step


def extremes(prepared: Prepared, grid: Grid, chosen: NDArray[np.int64], *, greatest: bool) -> Extremes:
    """Return the extremes of the points with some indices, all of them in the grid and ascending."""
    k = len(grid)
    values = np.zeros(k, prepared.values.dtype)
    first, count = np.full(k, -1, np.int64), np.zeros(k, np.int64)
    if not len(chosen):
        return Extremes(values, first, count)
    interval, held = interval_of(prepared.times[chosen], grid), prepared.values[chosen]
    starts = np.flatnonzero(np.r_[True, interval[1:] != interval[:-1]])
    found = (np.maximum if greatest else np.minimum).reduceat(held, starts)
    same = np.flatnonzero(held == np.repeat(found, np.diff(np.r_[starts, len(held)])))
    groups, firsts, counts = np.unique(interval[same], return_index=True, return_counts=True)
    values[interval[starts]] = found
    first[groups] = chosen[same[firsts]]
    count[groups] = counts
    return Extremes(values, first, count)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Values in each interval: all, bad, uncertain and not bad, good; and the indices of the good ones."""

    total: NDArray[np.int64]
    bad: NDArray[np.int64]
    good: NDArray[np.int64]
    chosen: NDArray[np.int64]


def _counts(prepared: Prepared, grid: Grid) -> _Counts:
    span = within(prepared, grid)
    interval = interval_of(prepared.times[span], grid)
    k = len(grid)
    good = prepared.good[span]
    return _Counts(
        np.bincount(interval, minlength=k),
        np.bincount(interval[prepared.bad[span]], minlength=k),
        np.bincount(interval[good], minlength=k),
        np.flatnonzero(good) + span.start,
    )


def _share_quality(counts: _Counts, configuration: AggregateConfiguration) -> NDArray[np.uint8]:
    """Return PercentValues qualities (§5.4.3.2.1): by the shares of bad and of good values."""
    total = np.maximum(counts.total, 1)
    quality = np.full(len(total), _UNCERTAIN, np.uint8)
    quality[100 * counts.good >= configuration.percent_data_good * total] = Quality.GOOD
    bad = (counts.bad > 0) & (100 * counts.bad >= configuration.percent_data_bad * total)
    quality[bad] = Quality.BAD
    quality[counts.total == 0] = Quality.GOOD
    return quality


def _finished(
    grid: Grid,
    values: NDArray[np.float64],
    quality: NDArray[np.uint8],
    bits: NDArray[np.int64] | int,
    *,
    missing: NDArray[np.bool_],
    times: NDArray[np.int64] | None = None,
    source: NDArray[np.int64] | None = None,
) -> Processed:
    """Return the result: nothing where data is missing, and no value where the quality is bad."""
    done = Processed.nothing(grid.starts)
    held = ~missing
    done.qualities[held] = quality[held]
    valued = held & (quality < Quality.BAD)
    done.values[valued] = values[valued]
    done.bits[valued] = np.broadcast_to(bits, len(grid)).astype(np.uint8)[valued]
    if times is not None:
        done.times[held] = times[held]
    if source is not None:
        done.source[valued] = source[valued]
    return done


def extreme(prepared: Prepared, grid: Grid, function: AggregateFunction) -> Processed:
    """Return Minimum, Maximum, MinimumActualTime, MaximumActualTime (§5.4.3.10 to §5.4.3.13)."""
    greatest = function in (AggregateFunction.MAXIMUM, AggregateFunction.MAXIMUM_ACTUAL_TIME)
    actual = function in (AggregateFunction.MINIMUM_ACTUAL_TIME, AggregateFunction.MAXIMUM_ACTUAL_TIME)
    counts = _counts(prepared, grid)
    found = extremes(prepared, grid, counts.chosen, greatest=greatest)
    missing = found.count == 0
    at = np.where(missing, grid.starts, prepared.times[found.first] if len(prepared) else 0)
    quality = np.where(counts.bad > 0, _UNCERTAIN, Quality.GOOD).astype(np.uint8)
    quality[_beaten(prepared, grid, found, greatest=greatest)] = _UNCERTAIN
    bits = Bits.PARTIAL * partial(prepared, grid) + Bits.MULTIPLE_VALUES * (found.count > 1)
    if not actual:
        bits = bits + Bits.CALCULATED * ((at != grid.starts) | (quality != Quality.GOOD))
    values = found.values.astype(np.float64)
    return _finished(grid, values, quality, bits, missing=missing, times=at if actual else None, source=found.first)


def _beaten(prepared: Prepared, grid: Grid, found: Extremes, *, greatest: bool) -> NDArray[np.bool_]:
    """Return which intervals have an uncertain value beyond the extreme of the good ones."""
    span = within(prepared, grid)
    rivals = np.flatnonzero(prepared.uncertain[span]) + span.start
    other = extremes(prepared, grid, rivals, greatest=greatest)
    beyond = other.values > found.values if greatest else other.values < found.values
    return (other.count > 0) & beyond


def value_range(prepared: Prepared, grid: Grid) -> Processed:
    """Return Range (§5.4.3.14)."""
    counts = _counts(prepared, grid)
    low = extremes(prepared, grid, counts.chosen, greatest=False)
    high = extremes(prepared, grid, counts.chosen, greatest=True)
    unsure = counts.bad > 0
    unsure |= _beaten(prepared, grid, low, greatest=False) | _beaten(prepared, grid, high, greatest=True)
    quality = np.where(unsure, _UNCERTAIN, Quality.GOOD).astype(np.uint8)
    values = high.values.astype(np.float64) - low.values.astype(np.float64)
    return _finished(grid, values, quality, _calculated(prepared, grid), missing=low.count == 0)


def _calculated(prepared: Prepared, grid: Grid) -> NDArray[np.int64]:
    return Bits.CALCULATED + Bits.PARTIAL * partial(prepared, grid)


def _means(prepared: Prepared, grid: Grid, counts: _Counts) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the mean of the good values of each interval, and the interval of each good value."""
    interval = interval_of(prepared.times[counts.chosen], grid)
    sums = np.bincount(interval, weights=prepared.numbers[counts.chosen], minlength=len(grid))
    return sums / np.maximum(counts.good, 1), interval


def average(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration) -> Processed:
    """Return Average (§5.4.3.5); its Partial bit is never set."""
    counts = _counts(prepared, grid)
    means, _ = _means(prepared, grid, counts)
    quality = _share_quality(counts, configuration)
    return _finished(grid, means, quality, Bits.CALCULATED, missing=counts.good == 0)


def spread(prepared: Prepared, grid: Grid, function: AggregateFunction) -> Processed:
    """Return standard deviations and variances (§5.4.3.37 to §5.4.3.40); 0 of a single value, as Annex A.36 has it."""
    counts = _counts(prepared, grid)
    means, interval = _means(prepared, grid, counts)
    squares = (prepared.numbers[counts.chosen] - means[interval]) ** 2
    total = np.bincount(interval, weights=squares, minlength=len(grid))
    sample = function in (AggregateFunction.STANDARD_DEVIATION_SAMPLE, AggregateFunction.VARIANCE_SAMPLE)
    values = total / np.maximum(counts.good - sample, 1)
    if function in (AggregateFunction.STANDARD_DEVIATION_SAMPLE, AggregateFunction.STANDARD_DEVIATION_POPULATION):
        values = np.sqrt(values)
    quality = np.where(counts.good < counts.total, _UNCERTAIN, Quality.GOOD).astype(np.uint8)
    return _finished(grid, values, quality, _calculated(prepared, grid), missing=counts.good == 0)


def count(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration) -> Processed:
    """Return Count (§5.4.3.21): good values; 0 where there are none."""
    counts = _counts(prepared, grid)
    quality = _share_quality(counts, configuration)
    values = counts.good.astype(np.float64)
    return _finished(grid, values, quality, _calculated(prepared, grid), missing=outside(prepared, grid))


def transitions(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration) -> Processed:
    """Return NumberOfTransitions (§5.4.3.24): changes from one usable value to the next, the first of all included."""
    held = prepared.values[prepared.usable]
    changed = np.r_[True, held[1:] != held[:-1]][: len(held)]
    inside = (prepared.usable_times >= grid.start) & (prepared.usable_times < grid.end)
    interval = interval_of(prepared.usable_times[inside], grid)
    values = np.bincount(interval, weights=changed[inside], minlength=len(grid)).astype(np.float64, copy=False)
    quality = _share_quality(_counts(prepared, grid), configuration)
    return _finished(grid, values, quality, _calculated(prepared, grid), missing=outside(prepared, grid))


def edge(prepared: Prepared, grid: Grid, *, last: bool) -> Processed:
    """Return Start or End (§5.4.3.25, §5.4.3.26): the first or last stored value, with its time and quality."""
    low = np.searchsorted(prepared.times, grid.starts)
    high = np.searchsorted(prepared.times, grid.ends)
    missing = low == high
    if not len(prepared):
        return Processed.nothing(grid.starts)
    source = np.minimum(high - 1 if last else low, len(prepared) - 1)
    numbers = prepared.values[source].astype(np.float64)
    quality = prepared.qualities[source].copy()
    quality[~np.isfinite(numbers) & (quality < Quality.BAD)] = Quality.BAD_NOT_A_NUMBER
    bits = Bits.PARTIAL * partial(prepared, grid)
    return _finished(grid, numbers, quality, bits, missing=missing, times=prepared.times[source], source=source)


def delta(prepared: Prepared, grid: Grid) -> Processed:
    """Return Delta (§5.4.3.27): last good value minus first; uncertain when others had to be skipped to find them."""
    counts = _counts(prepared, grid)
    missing = counts.good == 0
    if not len(counts.chosen):
        return Processed.nothing(grid.starts)
    times = prepared.times[counts.chosen]
    low = np.minimum(np.searchsorted(times, grid.starts), len(times) - 1)
    high = np.maximum(np.searchsorted(times, grid.ends) - 1, 0)
    first, last = counts.chosen[low], counts.chosen[high]
    skipped = np.searchsorted(prepared.times, grid.starts) != first
    skipped |= np.searchsorted(prepared.times, grid.ends) - 1 != last
    quality = np.where(skipped, _UNCERTAIN, Quality.GOOD).astype(np.uint8)
    values = prepared.numbers[last] - prepared.numbers[first]
    return _finished(grid, values, quality, _calculated(prepared, grid), missing=missing)


def worst(prepared: Prepared, grid: Grid, start_bound: NDArray[np.uint8] | None) -> Processed:
    """Return WorstQuality, or with qualities of the start bounds WorstQuality2 (§5.4.3.35, §5.4.3.36).

    The value is the severity as a StatusCode: 0, 0x40000000 or 0x80000000. TreatUncertainAsBad has no say.
    """
    k = len(grid)
    span = within(prepared, grid)
    severity = (prepared.qualities[span] & SEVERITY_MASK).astype(np.int64)
    severity[~np.isfinite(prepared.values[span].astype(np.float64))] = Quality.BAD
    interval = interval_of(prepared.times[span], grid)
    by_rank = np.stack([np.bincount(interval[severity == rank], minlength=k) for rank in (0x80, 0x40, 0)])
    if start_bound is not None:
        # A bound at a stored value is that value, which is counted already.
        place = np.searchsorted(prepared.times, grid.starts)
        counted = np.append(prepared.times, np.int64(-1))[place] == grid.starts
        for row, rank in enumerate((0x80, 0x40, 0)):
            by_rank[row] += ((start_bound & SEVERITY_MASK) == rank) & ~counted
    place = np.argmax(by_rank > 0, axis=0)
    values = np.array([0x80000000, 0x40000000, 0], np.float64)[place]
    multiple = np.take_along_axis(by_rank, place[None], 0)[0] > 1
    missing = outside(prepared, grid) | (by_rank.sum(axis=0) == 0)
    bits = _calculated(prepared, grid) + Bits.MULTIPLE_VALUES * multiple
    return _finished(grid, values, np.zeros(k, np.uint8), bits, missing=missing)
