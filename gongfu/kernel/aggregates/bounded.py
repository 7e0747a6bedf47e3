"""Aggregates that return bounds, or choose between bounds and stored values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.aggregates.bounds import Bounds, interpolated_bounds, simple_bounds
from gongfu.kernel.aggregates.prepared import Prepared, outside, partial
from gongfu.kernel.aggregates.regions import weigh
from gongfu.kernel.aggregates.stored import extremes, within
from gongfu.kernel.aggregates.types import AggregateConfiguration, AggregateFunction, Bits, Grid, Processed
from gongfu.kernel.quality import Quality


def interpolated(prepared: Prepared, at: NDArray[np.int64], configuration: AggregateConfiguration) -> Processed:
    """Return the values at some times: Interpolative (§5.4.3.4), and ReadAtTime of Part 11."""
    bounds = interpolated_bounds(prepared, at, configuration)
    bits = np.where(bounds.raw | bounds.bad, Bits.RAW, Bits.INTERPOLATED).astype(np.uint8)
    return Processed(at.copy(), bounds.values, bounds.qualities, bits, bounds.source)


def start_bound(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration) -> Processed:
    """Return StartBound (§5.4.3.28)."""
    bounds = simple_bounds(prepared, grid.starts, configuration)
    bits = np.where(bounds.raw | bounds.bad, Bits.RAW, Bits.INTERPOLATED)
    return _bound(prepared, grid, bounds, bits)


def end_bound(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration) -> Processed:
    """Return EndBound (§5.4.3.29)."""
    bounds = simple_bounds(prepared, grid.ends, configuration)
    return _bound(prepared, grid, bounds, np.where(bounds.bad, Bits.RAW, Bits.CALCULATED))


def _bound(prepared: Prepared, grid: Grid, bounds: Bounds, bits: NDArray[np.int64]) -> Processed:
    # Annex A.25 sets Partial on bounds without a value too, unless the interval lies behind all data.
    marked = (bits + Bits.PARTIAL * (partial(prepared, grid) & ~outside(prepared, grid))).astype(np.uint8)
    return Processed(grid.starts, bounds.values, bounds.qualities.copy(), marked, bounds.source)


def delta_bounds(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration) -> Processed:
    """Return DeltaBounds (§5.4.3.30)."""
    first = simple_bounds(prepared, grid.starts, configuration)
    last = simple_bounds(prepared, grid.ends, configuration)
    done = Processed.nothing(grid.starts)
    held = ~first.bad & ~last.bad
    sure = first.good & last.good
    done.values[held] = last.values[held] - first.values[held]
    done.qualities[held] = np.where(sure[held], Quality.GOOD, Quality.UNCERTAIN_SUBNORMAL)
    done.bits[held] = (Bits.CALCULATED + Bits.PARTIAL * partial(prepared, grid)).astype(np.uint8)[held]
    return done


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The extreme of bounds and stored values of each interval."""

    values: NDArray[np.float64]
    times: NDArray[np.int64]
    interpolated: NDArray[np.bool_]
    from_end: NDArray[np.bool_]
    source: NDArray[np.int64]
    count: NDArray[np.int64]


def _choose(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration, *, greatest: bool) -> _Chosen:
    span = within(prepared, grid)
    # A value stored at the start is the start bound; it is found among the stored ones.
    usable = np.flatnonzero(~prepared.bad[span]) + span.start
    found = extremes(prepared, grid, usable, greatest=greatest)
    first = simple_bounds(prepared, grid.starts, configuration)
    last = simple_bounds(prepared, grid.ends, configuration)
    nothing = -np.inf if greatest else np.inf
    stored = np.where(found.count > 0, found.values.astype(np.float64), nothing)
    start = np.where(first.bad | first.raw, nothing, first.values)
    # The end bound is a candidate on slopes only (§5.4.3.15).
    end = np.full(len(grid), nothing) if configuration.stepped else np.where(last.bad, nothing, last.values)
    rows = np.stack([start, stored, end])
    extreme = rows.max(axis=0) if greatest else rows.min(axis=0)
    # The earliest of equals: start bound, stored value, end bound.
    place = np.argmax(rows == extreme, axis=0)
    count = (start == extreme) + np.where(stored == extreme, found.count, 0) + (end == extreme)
    count = np.where(extreme == nothing, 0, count)
    at = prepared.times[np.maximum(found.first, 0)] if len(prepared) else grid.starts
    times = np.select([place == 0, place == 1], [grid.starts, at], grid.ends - configuration.resolution)
    return _Chosen(
        extreme,
        times,
        (place == 0) | ((place == 2) & ~last.raw),
        place == 2,
        np.where(place == 1, found.first, -1),
        count,
    )


def extreme2(
    prepared: Prepared, grid: Grid, configuration: AggregateConfiguration, function: AggregateFunction
) -> Processed:
    """Return Minimum2, Maximum2, MinimumActualTime2, MaximumActualTime2 (§5.4.3.15 to §5.4.3.18)."""
    greatest = function in (AggregateFunction.MAXIMUM2, AggregateFunction.MAXIMUM_ACTUAL_TIME2)
    actual = function in (AggregateFunction.MINIMUM_ACTUAL_TIME2, AggregateFunction.MAXIMUM_ACTUAL_TIME2)
    chosen = _choose(prepared, grid, configuration, greatest=greatest)
    qualities = weigh(prepared, grid, configuration).qualities
    done = Processed.nothing(grid.starts)
    held = (chosen.count > 0) & (qualities < Quality.BAD)
    done.qualities[:] = np.where(chosen.count > 0, qualities, np.maximum(qualities, Quality.BAD_NO_DATA))
    bits = Bits.PARTIAL * partial(prepared, grid) + Bits.MULTIPLE_VALUES * (chosen.count > 1)
    if actual:
        # Before the end there is no stored value of the end: it was interpolated.
        bits = bits + Bits.INTERPOLATED * (chosen.interpolated | chosen.from_end)
        done.times[held] = chosen.times[held]
    else:
        raw_at_start = ~chosen.interpolated & ~chosen.from_end & (chosen.times == grid.starts)
        bits = bits + np.select(
            [chosen.interpolated, raw_at_start], [int(Bits.INTERPOLATED), int(Bits.RAW)], int(Bits.CALCULATED)
        )
    done.values[held] = chosen.values[held]
    done.bits[held] = bits.astype(np.uint8)[held]
    done.source[held] = chosen.source[held]
    return done


def range2(prepared: Prepared, grid: Grid, configuration: AggregateConfiguration) -> Processed:
    """Return Range2 (§5.4.3.19): Maximum2 minus Minimum2."""
    low = extreme2(prepared, grid, configuration, AggregateFunction.MINIMUM2)
    high = extreme2(prepared, grid, configuration, AggregateFunction.MAXIMUM2)
    done = Processed.nothing(grid.starts)
    done.qualities[:] = low.qualities
    done.values[:] = high.values - low.values
    held = low.qualities < Quality.BAD
    done.bits[held] = (Bits.CALCULATED + Bits.PARTIAL * partial(prepared, grid)).astype(np.uint8)[held]
    return done
