"""Aggregates of OPC UA Part 13 over stored series, piece by piece: memory is bounded whatever the range."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.aggregates.process import process, values_at
from gongfu.kernel.aggregates.types import (
    STORED_IF_STEPPED,
    STORED_VALUE,
    AggregateConfiguration,
    AggregateFunction,
    Grid,
    Points,
    Processed,
)
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from gongfu.store.history.budget import PIECE, Budget, too_many
from gongfu.store.history.surroundings import Run, SeriesReader, joined

# Fewer times than this are read one by one; what one costs of the budget.
FEW_TIMES = 4
SINGLE_COST = 10_000


@dataclass(frozen=True, slots=True)
class Results:
    """Results of one series, of ``value_type``; ``missing`` marks those without a value."""

    value_type: ValueType
    times: NDArray[np.int64]
    values: NDArray[Any] | list[str]
    qualities: NDArray[np.uint8]
    bits: NDArray[np.uint8]
    missing: NDArray[np.bool_]


async def aggregates(
    reader: SeriesReader,
    value_type: ValueType,
    function: AggregateFunction,
    grid: Grid,
    configuration: AggregateConfiguration,
    budget: Budget,
) -> Results:
    """Return one result for each interval of the grid.

    Raises:
        Problem: 422 when more would be read than may be, or one interval has more than ``PIECE`` values.
    """
    uncertain = not configuration.treat_uncertain_as_bad
    before, behind, (run, more) = await asyncio.gather(
        reader.before(grid.start, uncertain=uncertain),
        reader.after(grid.end, uncertain=uncertain),
        reader.read(grid.start, grid.end, PIECE),
    )
    found: list[Results] = []
    start = grid.start
    while start < grid.end:
        if start > grid.start:
            run, more = await reader.read(start, grid.end, PIECE)
        budget.take(len(run))
        end = grid.end
        if more:
            end = start + (int(run.times[-1]) - start) // grid.step * grid.step
            if end == start:
                raise too_many(f"one interval has more than {PIECE} values: take a shorter step")
            run = run.part(slice(0, int(np.searchsorted(run.times, end))))
        after = await reader.after(end, uncertain=uncertain) if end < grid.end else behind
        piece = Grid(start, end, grid.step)
        whole = joined([run for run in (before, run, after) if len(run)] or [before])
        found.append(
            await asyncio.to_thread(_processed, value_type, function, whole, not len(after), piece, configuration)
        )
        before, start = _tail(whole, end, uncertain), end
    return _together(found)


def _processed(
    value_type: ValueType,
    function: AggregateFunction,
    run: Run,
    ends: bool,
    grid: Grid,
    configuration: AggregateConfiguration,
) -> Results:
    points = Points(run.times, run.numbers(), run.qualities, ends)
    done = process(function, points, grid, configuration)
    stored = function in STORED_VALUE or (configuration.stepped and function in STORED_IF_STEPPED)
    return results_of(value_type if stored else ValueType.DOUBLE, run, done)


def results_of(value_type: ValueType, run: Run, done: Processed) -> Results:
    """Return results whose values are of a type: stored ones exactly as they are stored."""
    missing = (done.qualities >= Quality.BAD) | np.isnan(done.values)
    if value_type is ValueType.DOUBLE:
        return Results(value_type, done.times, done.values, done.qualities, done.bits, missing)
    chosen = np.where(missing, 0, done.source)
    values: Any
    if isinstance(run.values, np.ndarray):
        values = run.values[chosen] if len(run) else np.zeros(len(chosen), np.int64)
    else:
        values = [run.values[i] if i >= 0 and len(run) else "" for i in np.where(missing, -1, chosen).tolist()]
    return Results(value_type, done.times, values, done.qualities, done.bits, missing)


def _tail(run: Run, end: int, uncertain: bool) -> Run:
    """Return what the next piece needs to know of what lies before it."""
    past = run.part(slice(0, int(np.searchsorted(run.times, end))))
    usable = np.flatnonzero(past.usable(uncertain=uncertain))[-2:].tolist()
    last = [len(past) - 1] if len(past) else []
    return past.part(np.unique(np.array([*usable, *last], np.int64)))


def _together(found: Sequence[Results]) -> Results:
    if len(found) == 1:
        return found[0]
    first = found[0].values
    values: Any
    if isinstance(first, np.ndarray):
        values = np.concatenate([np.asarray(one.values) for one in found])
    else:
        values = [value for one in found for value in one.values]
    return Results(
        found[0].value_type,
        np.concatenate([one.times for one in found]),
        values,
        np.concatenate([one.qualities for one in found]),
        np.concatenate([one.bits for one in found]),
        np.concatenate([one.missing for one in found]),
    )


async def _dense(reader: SeriesReader, moments: NDArray[np.int64], start: int, budget: Budget) -> tuple[Run, int]:
    """Return all values from a time to the last one that fits, and the index behind the times these serve.

    Where few times lie among very many values nothing is returned for one time: its neighbours are cheaper alone.
    """
    run, more = await reader.read(int(moments[start]), int(moments[-1]) + 1, PIECE)
    budget.take(len(run))
    stop = len(moments)
    if more:
        stop = int(np.searchsorted(moments, run.times[-1], side="right"))
        if stop - start < FEW_TIMES:
            return run.part(slice(0, 0)), start + 1
    return run.part(slice(0, int(np.searchsorted(run.times, int(moments[stop - 1]), side="right")))), stop


async def at_times(
    reader: SeriesReader,
    value_type: ValueType,
    at: Sequence[int],
    configuration: AggregateConfiguration,
    budget: Budget,
) -> Results:
    """Return the values at some times in their order: stored ones, or interpolated from the nearest usable ones.

    Raises:
        Problem: 422 when more would be read than may be.
    """
    moments = np.array(sorted(set(at)), np.int64)
    uncertain = not configuration.treat_uncertain_as_bad
    found: list[Results] = []
    start = 0
    while start < len(moments):
        inner, stop = Run(np.empty(0, np.int64), [], np.empty(0, np.uint8)), start + 1
        if len(moments) - start >= FEW_TIMES:
            inner, stop = await _dense(reader, moments, start, budget)
        first, last = int(moments[start]), int(moments[stop - 1])
        before, after = await asyncio.gather(
            reader.before(first + (not len(inner)), uncertain=uncertain), reader.after(last + 1, uncertain=uncertain)
        )
        budget.take(SINGLE_COST if stop == start + 1 else 0)
        run = joined([one for one in (before, inner, after) if len(one)] or [before])
        points = Points(run.times, run.numbers(), run.qualities, ends=not len(after))
        done = values_at(points, moments[start:stop], configuration)
        found.append(results_of(value_type if configuration.stepped else ValueType.DOUBLE, run, done))
        start = stop
    together = _together(found)
    order = np.searchsorted(moments, np.array(at, np.int64))
    values = together.values
    return Results(
        together.value_type,
        together.times[order],
        values[order] if isinstance(values, np.ndarray) else [values[i] for i in order.tolist()],
        together.qualities[order],
        together.bits[order],
        together.missing[order],
    )
