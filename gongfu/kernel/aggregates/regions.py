"""Aggregates weighted by time: each interval is cut into regions in which one rule holds (OPC 10000-13 §5.4.3.2)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.aggregates.bounds import simple_bounds
from gongfu.kernel.aggregates.prepared import (
    NS_PER_MS,
    NS_PER_S,
    Prepared,
    outside,
    partial,
    partial_at_start,
)
from gongfu.kernel.aggregates.types import AggregateConfiguration, AggregateFunction, Bits, Grid, Processed
from gongfu.kernel.quality import Quality

_UNCERTAIN = Quality.UNCERTAIN_SUBNORMAL


@dataclass(frozen=True, slots=True)
class Regions:
    """Stretches of time between neighbouring stored values and edges of intervals, ascending.

    Attributes:
        begins: ``int64[m]``.
        finishes: ``int64[m]``.
        interval: ``int64[m]``: index of the interval it lies in.
        place: ``int64[m]``: index of the last stored value at or before its begin, -1 without.
        at_edge: ``bool[m]``: it begins where its interval does.
    """

    begins: NDArray[np.int64]
    finishes: NDArray[np.int64]
    interval: NDArray[np.int64]
    place: NDArray[np.int64]
    at_edge: NDArray[np.bool_]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Nanoseconds of each."""
        return self.finishes - self.begins


def regions(times: NDArray[np.int64], grid: Grid, stop: int) -> Regions:
    """Return the regions of the grid up to ``stop``, cut at some times."""
    starts = grid.starts
    edges = starts[starts < stop]
    low, high = np.searchsorted(times, [grid.start, min(stop, grid.end)]).tolist()
    inner = times[low:high]
    # Two ascending runs: a stable sort merges them.
    merged = np.sort(np.concatenate([edges, inner]), kind="stable")
    begins = merged[np.r_[True, merged[1:] != merged[:-1]]] if len(merged) else merged
    finishes = np.append(begins[1:], np.int64(min(stop, grid.end)))[: len(begins)]
    at_edge, at_value = np.zeros(len(begins), bool), np.zeros(len(begins), bool)
    at_edge[np.searchsorted(begins, edges)] = True
    at_value[np.searchsorted(begins, inner)] = True
    return Regions(begins, finishes, np.cumsum(at_edge) - 1, np.cumsum(at_value) + (low - 1), at_edge)


def data_stop(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration) -> int:
    """Return the end of what is known: the last value of all data holds for one tick of the resolution."""
    if prepared.last is None:
        return grid.end
    return min(grid.end, prepared.last + configuration.resolution)


def _sums(cut: Regions, weights: NDArray[np.float64] | NDArray[np.int64], k: int) -> NDArray[np.float64]:
    return np.bincount(cut.interval, weights=weights, minlength=k).astype(np.float64, copy=False)


@dataclass(frozen=True, slots=True)
class Weighed:
    """Simple regions of each interval with what is in them.

    Attributes:
        usable: ``float64[k]``: ns with a value, good or uncertain.
        integral: ``float64[k]``: value times ns over these.
        qualities: ``uint8[k]``: PercentTime qualities.
    """

    usable: NDArray[np.float64]
    integral: NDArray[np.float64]
    qualities: NDArray[np.uint8]


def weigh(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration) -> Weighed:
    """Return time weights with Simple Bounding Values.

    A region is bad when it begins at a bad value or at none, uncertain when it begins at an uncertain value or, unless
    stepped, ends at a value that is not good. Only good regions count as good and only bad ones as bad, as in Annex A.
    """
    k, n = len(grid), len(prepared)
    cut = regions(prepared.times, grid, data_stop(prepared, grid, configuration))
    if not n or not len(cut.begins):
        return Weighed(np.zeros(k), np.zeros(k), np.full(k, Quality.BAD_NO_DATA, np.uint8))
    before = np.maximum(cut.place, 0)
    has_after = before + 1 < n
    after = np.minimum(before + 1, n - 1)
    usable = (cut.place >= 0) & ~prepared.bad[before]
    unsure = prepared.uncertain[before]
    low = np.where(usable, prepared.numbers[before], 0.0)
    middle = low
    if not configuration.stepped:
        unsure = unsure | np.where(has_after, ~prepared.good[after], prepared.last is not None)
        line = usable & has_after & ~prepared.bad[after]
        middle = _middles(cut, prepared.times, prepared.numbers, before, after, low, line)
    lengths = cut.lengths
    width = _sums(cut, lengths, k)
    bad = _sums(cut, lengths * ~usable, k)
    good = _sums(cut, lengths * (usable & ~unsure), k)
    quality = np.full(k, _UNCERTAIN, np.uint8)
    quality[100 * good >= configuration.percent_data_good * width] = Quality.GOOD
    quality[(bad > 0) & (100 * bad >= configuration.percent_data_bad * width)] = Quality.BAD
    quality[bad >= width] = Quality.BAD_NO_DATA
    return Weighed(width - bad, _sums(cut, middle * lengths, k), quality)


def _middles(
    cut: Regions,
    times: NDArray[np.int64],
    numbers: NDArray[np.float64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    low: NDArray[np.float64],
    line: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the value in the middle of each region, on the line where there is one: its mean over the region."""
    b, a = before[line], after[line]
    span = times[a] - times[b]
    middle = (cut.begins[line] - times[b]) + cut.lengths[line] / 2
    share = middle / span
    means = low.copy()
    means[line] = numbers[b] * (1.0 - share) + numbers[a] * share
    return means


def _done(grid: Grid, values: NDArray[np.float64], qualities: NDArray[np.uint8], bits: NDArray[np.int64]) -> Processed:
    result = Processed.nothing(grid.starts)
    result.qualities[:] = qualities
    held = qualities < Quality.BAD
    result.values[held] = values[held]
    result.bits[held] = bits.astype(np.uint8)[held]
    return result


def time_average2(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration, *, total: bool) -> Processed:
    """Return TimeAverage2 or Total2 (§5.4.3.7, §5.4.3.9)."""
    weighed = weigh(prepared, grid, configuration)
    values = weighed.integral / NS_PER_S if total else weighed.integral / np.maximum(weighed.usable, 1)
    bits = Bits.CALCULATED + Bits.PARTIAL * partial(prepared, grid)
    return _done(grid, values, weighed.qualities, bits)


def time_average(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration, *, total: bool) -> Processed:
    """Return TimeAverage or Total (§5.4.3.6, §5.4.3.8): always on lines between values that are not bad.

    The time before the first of them does not count; behind the last one the value is extrapolated. Total is the time
    integral over what counts: TimeAverage times the length of the interval, where the interval is complete.
    """
    k, n = len(grid), len(prepared.usable)
    if not n:
        return Processed.nothing(grid.starts)
    times, numbers = prepared.usable_times, prepared.numbers[prepared.usable]
    cut = regions(times, grid, grid.end)
    before = np.maximum(cut.place, 0)
    after = np.minimum(before + 1, n - 1)
    known = cut.place >= 0
    has_after = before + 1 < n
    low = np.where(known, numbers[before], 0.0)
    middle = _middles(cut, times, numbers, before, after, low, known & has_after)
    beyond = known & ~has_after
    if configuration.use_sloped_extrapolation and n > 1 and beyond.any():
        slope = (numbers[-1] - numbers[-2]) / (times[-1] - times[-2])
        middle[beyond] = numbers[-1] + slope * (cut.begins[beyond] - times[-1] + cut.lengths[beyond] / 2)
    first, second = prepared.usable[before], prepared.usable[after]
    skipped = prepared.bad_before[second] > prepared.bad_before[np.minimum(first + 1, len(prepared))]
    unsure = prepared.uncertain[first] | prepared.uncertain[second] | (has_after & skipped) | ~has_after | ~known
    covered = _sums(cut, cut.lengths * known, k)
    integral = _sums(cut, middle * cut.lengths * known, k)
    quality = np.where(_sums(cut, unsure.astype(np.float64), k) > 0, _UNCERTAIN, Quality.GOOD).astype(np.uint8)
    quality[covered == 0] = Quality.BAD_NO_DATA
    values = integral / NS_PER_S if total else integral / np.maximum(covered, 1)
    bits = Bits.CALCULATED + Bits.PARTIAL * partial_at_start(prepared, grid)
    return _done(grid, values, quality, bits)


def durations(
    prepared: Prepared, grid: Grid, configuration: AggregateConfiguration, function: AggregateFunction
) -> Processed:
    """Return DurationGood, DurationBad, PercentGood, PercentBad and the two DurationInState (§5.4.3.22 to .34).

    A value holds its quality until the next; an interval begins with its Simple Bounding Value. Milliseconds.
    """
    k = len(grid)
    if not len(prepared):
        return Processed.nothing(grid.starts)
    cut = regions(prepared.times, grid, data_stop(prepared, grid, configuration))
    bounds = simple_bounds(prepared, grid.starts, configuration)
    before = np.maximum(cut.place, 0)
    good = np.where(cut.at_edge, bounds.good[cut.interval], (cut.place >= 0) & prepared.good[before])
    bad = np.where(cut.at_edge, bounds.bad[cut.interval], (cut.place < 0) | prepared.bad[before])
    lengths = cut.lengths
    width = np.maximum(_sums(cut, lengths, k), 1)
    quality = np.zeros(k, np.uint8)
    if function is AggregateFunction.DURATION_GOOD:
        values = _sums(cut, lengths * good, k) / NS_PER_MS
    elif function is AggregateFunction.DURATION_BAD:
        values = _sums(cut, lengths * bad, k) / NS_PER_MS
    elif function is AggregateFunction.PERCENT_GOOD:
        values = 100 * _sums(cut, lengths * good, k) / width
    elif function is AggregateFunction.PERCENT_BAD:
        values = 100 * _sums(cut, lengths * bad, k) / width
    else:
        state = np.where(cut.at_edge, bounds.values[cut.interval], prepared.numbers[before])
        wanted = (state == 0) == (function is AggregateFunction.DURATION_IN_STATE_ZERO)
        values = _sums(cut, lengths * (good & wanted), k) / NS_PER_MS
        quality = weigh(prepared, grid, configuration).qualities
    quality = np.where(outside(prepared, grid), Quality.BAD_NO_DATA, quality).astype(np.uint8)
    bits = Bits.CALCULATED + Bits.PARTIAL * partial(prepared, grid)
    # Milliseconds to the microsecond: one tick of the resolution is noise.
    return _done(grid, np.round(values, 3) if "Duration" in function else values, quality, bits)
