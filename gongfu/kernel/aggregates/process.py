"""The way in: one aggregate of one series over a grid of intervals, and values at given times."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.aggregates import bounded, regions, stored
from gongfu.kernel.aggregates.bounds import simple_bounds
from gongfu.kernel.aggregates.prepared import Prepared, prepare
from gongfu.kernel.aggregates.types import (
    AggregateConfiguration,
    AggregateFunction,
    Grid,
    Points,
    Processed,
)

_F = AggregateFunction


def process(
    function: AggregateFunction, points: Points, grid: Grid, configuration: AggregateConfiguration
) -> Processed:
    """Return one value for each interval of the grid; see ``Points`` for what must be at hand.

    Time and memory grow with values plus intervals; nothing is done value by value.
    """
    prepared = prepare(points, configuration)
    match function:
        case _F.INTERPOLATIVE:
            return bounded.interpolated(prepared, grid.starts, configuration)
        case _F.AVERAGE:
            return stored.average(prepared, grid, configuration)
        case _F.TIME_AVERAGE | _F.TOTAL:
            return regions.time_average(prepared, grid, configuration, total=function is _F.TOTAL)
        case _F.TIME_AVERAGE2 | _F.TOTAL2:
            return regions.time_average2(prepared, grid, configuration, total=function is _F.TOTAL2)
        case _F.MINIMUM | _F.MAXIMUM | _F.MINIMUM_ACTUAL_TIME | _F.MAXIMUM_ACTUAL_TIME:
            return stored.extreme(prepared, grid, function)
        case _F.MINIMUM2 | _F.MAXIMUM2 | _F.MINIMUM_ACTUAL_TIME2 | _F.MAXIMUM_ACTUAL_TIME2:
            return bounded.extreme2(prepared, grid, configuration, function)
        case _F.START | _F.END:
            return stored.edge(prepared, grid, last=function is _F.END)
        case _F.COUNT:
            return stored.count(prepared, grid, configuration)
        case _F.NUMBER_OF_TRANSITIONS:
            return stored.transitions(prepared, grid, configuration)
        case _:
            return _further(function, prepared, grid, configuration)


def _further(
    function: AggregateFunction, prepared: Prepared, grid: Grid, configuration: AggregateConfiguration
) -> Processed:
    match function:
        case _F.RANGE:
            return stored.value_range(prepared, grid)
        case _F.RANGE2:
            return bounded.range2(prepared, grid, configuration)
        case _F.DELTA:
            return stored.delta(prepared, grid)
        case _F.START_BOUND:
            return bounded.start_bound(prepared, grid, configuration)
        case _F.END_BOUND:
            return bounded.end_bound(prepared, grid, configuration)
        case _F.DELTA_BOUNDS:
            return bounded.delta_bounds(prepared, grid, configuration)
        case _F.WORST_QUALITY:
            return stored.worst(prepared, grid, None)
        case _F.WORST_QUALITY2:
            # Without TreatUncertainAsBad, so that an uncertain bound stays uncertain.
            plain = prepare(_points_of(prepared), replace(configuration, treat_uncertain_as_bad=False))
            bounds = simple_bounds(plain, grid.starts, configuration)
            return stored.worst(prepared, grid, bounds.qualities)
        case (
            _F.STANDARD_DEVIATION_SAMPLE
            | _F.STANDARD_DEVIATION_POPULATION
            | _F.VARIANCE_SAMPLE
            | _F.VARIANCE_POPULATION
        ):
            return stored.spread(prepared, grid, function)
        case _:
            return regions.durations(prepared, grid, configuration, function)


def _points_of(prepared: Prepared) -> Points:
    return Points(prepared.times, prepared.values, prepared.qualities, prepared.last is not None)


def values_at(points: Points, at: NDArray[np.int64], configuration: AggregateConfiguration) -> Processed:
    """Return the interpolated values at some times (OPC 10000-11 §6.5.5, without useSimpleBounds).

    ``points`` have, for each time, the last usable value at or before it, the first usable one behind it, and any bad
    value between these two.
    """
    return bounded.interpolated(prepare(points, configuration), at, configuration)
