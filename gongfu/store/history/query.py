"""Series queries: from a request of a tenant to columns. The one way in for the API; checks tenant and bounds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.aggregates.types import Grid
from gongfu.kernel.block import Columns
from gongfu.kernel.errors import Problem, invalid, not_found, unavailable
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import Clock, SystemClock
from gongfu.store.history.budget import PIECE, Budget, too_many
from gongfu.store.history.corrections import columns_to_correct
from gongfu.store.history.directory import PointDirectory, PointInfo
from gongfu.store.history.documents import PointName, SeriesCorrection, SeriesQuery
from gongfu.store.history.gaps import Gaps, find_gaps
from gongfu.store.history.processed import aggregates, at_times
from gongfu.store.history.requests import TEXT, Wanted, wanted
from gongfu.store.history.statements import TEXT_AGGREGATES
from gongfu.store.history.stepping import result_type, stepped_values
from gongfu.store.history.surroundings import Run, SeriesReader, joined
from gongfu.store.history.types import (
    HistoryError,
    HistoryStore,
    HistoryUnavailable,
    Order,
    Samples,
    ShardUnavailable,
    SqlLimits,
    SqlResult,
    Version,
)

T = TypeVar("T")

MAX_SERIES = 1000
# Series of one request that are read at a time where each needs several reads.
TOGETHER = 3


@dataclass(frozen=True, slots=True)
class Found:
    """What a query gave for one series; ``value_type`` is that of the values, which aggregates may change.

    Attributes:
        bits: historian bits of results that have them, else None.
        missing: which results have no value, None when all have.
        gaps: when they were asked for.
    """

    point: PointInfo
    value_type: ValueType
    columns: Columns
    bits: NDArray[np.uint8] | None = None
    missing: NDArray[np.bool_] | None = None
    gaps: Gaps | None = None


class HistoryQueries:
    """Queries of tenants against one history."""

    def __init__(self, store: HistoryStore, directory: PointDirectory, clock: Clock | None = None) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock or SystemClock()

    async def series(self, tenant: int, request: SeriesQuery) -> tuple[list[Found], bool]:
        """Return the columns of each series in the order of the request, and whether some has more than the limit.

        Raises:
            Problem: 400 for what is not documented, 404 for a series the tenant does not have, 503.
        """
        points = await self.points(tenant, request.series, request.points)
        asked = wanted(request, len(points), self._clock.now_ns())
        for point in points:
            asked.check_type(point.value_type)
            asked.configuration_for(point.value_type)
        budget = Budget()
        truncated = False
        if asked.function is not None or asked.at:
            found = await self._each(points, lambda point: self._calculated(point, asked, budget))
        elif asked.as_of is not None and asked.how is not None:
            found = await self._each(points, lambda point: self._stepped(point, asked, budget))
        else:
            found, truncated = await self._direct(points, asked)
        if asked.gaps is not None:
            gaps = await self._each(points, lambda point: self._gaps(point, asked, budget))
            found = [replace(one, gaps=silences) for one, silences in zip(found, gaps, strict=True)]
        return found, truncated

    async def versions(self, tenant: int, series: int, moment: int) -> tuple[PointInfo, list[Version]]:
        """Return the versions of a point at a source time (UTC ns), oldest first.

        Raises:
            Problem: 404 for a series the tenant does not have, or without a value at that time; 503.
        """
        (point,) = await self.points(tenant, [series], [])
        found = await self.guarded(self._store.versions(point.value_type, series, moment))
        if not found:
            raise not_found(f"a value of series {series} at that time")
        return point, found

    async def guarded(self, action: Awaitable[T]) -> T:
        """Await something of the history, telling its failures as problems.

        Raises:
            Problem: see ``problem_of``.
        """
        try:
            return await action
        except HistoryError as error:
            raise problem_of(error) from None

    async def sql(self, statement: str, row_filters: Mapping[str, str], limits: SqlLimits) -> tuple[SqlResult, float]:
        """Run a statement of the sandbox; return its result and the milliseconds it took.

        Raises:
            Problem: 400 with the engine's words, 503.
        """
        begin = time.perf_counter()
        result = await self.guarded(self._store.sql(statement, row_filters, limits))
        return result, (time.perf_counter() - begin) * 1000

    async def correct(self, tenant: int, request: SeriesCorrection, corrected_by: str) -> int:
        """Correct points of a series of a tenant and return how many changed.

        Raises:
            Problem: 400 for what is no value of the series, 404 for a series the tenant does not have, 503.
        """
        (point,) = await self.points(tenant, [request.series], [])
        columns = columns_to_correct(point.series, point.value_type, request)
        reason = request.reason.strip()
        return await self.guarded(
            self._store.correct(point.value_type, columns, corrected_by=corrected_by[:200], reason=reason[:1000])
        )

    async def points(self, tenant: int, series: Sequence[int], named: Sequence[PointName]) -> list[PointInfo]:
        """Return points of a tenant in the order they are named, each once.

        Raises:
            Problem: 400 for none or too many, 404 for one the tenant does not have.
        """
        names = [(name.asset, name.point) for name in named]
        if not 1 <= len(series) + len(names) <= MAX_SERIES:
            raise invalid(f"name 1 to {MAX_SERIES} series")
        points: dict[int, PointInfo] = {}
        if series:
            known = await asyncio.to_thread(self._directory.by_series, tenant, set(series))
            for one in series:
                if one not in known:
                    raise not_found(f"series {one}")
                points[one] = known[one]
        if names:
            by_name = await asyncio.to_thread(self._directory.by_name, tenant, set(names))
            for asset, point in names:
                info = by_name.get((asset, point))
                if info is None:
                    raise not_found(f"point {point!r} of asset {asset!r}"[:300])
                points[info.series] = info
        return list(points.values())

    def reader(self, point: PointInfo, as_of: int | None) -> SeriesReader:
        """Return a reader of one series; what it raises is the store's."""
        return SeriesReader(self._store, point.value_type, point.series, as_of)

    async def _each(self, points: Sequence[PointInfo], action: Callable[[PointInfo], Awaitable[T]]) -> list[T]:
        """Do something for each point, a few at a time; the first failure ends all."""
        slots = asyncio.Semaphore(TOGETHER)

        async def one(point: PointInfo) -> T:
            async with slots:
                return await self.guarded(action(point))

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(point)) for point in points]
        except* Problem as failed:
            # The first tells enough.
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _direct(self, points: Sequence[PointInfo], asked: Wanted) -> tuple[list[Found], bool]:
        by_type: dict[ValueType, list[PointInfo]] = {}
        for point in points:
            by_type.setdefault(point.value_type, []).append(point)
        found: dict[int, Found] = {}
        truncated = False
        for value_type, group in by_type.items():
            samples = await self._read(value_type, [point.series for point in group], asked)
            result = value_type if asked.how is None else result_type(value_type, asked.how)
            truncated |= samples.truncated
            for point, columns in zip(group, _split(samples, [point.series for point in group]), strict=True):
                found[point.series] = Found(point, result, columns)
        return [found[point.series] for point in points], truncated

    async def _read(self, value_type: ValueType, series: Sequence[int], asked: Wanted) -> Samples:
        store, span = self._store, (asked.time_from, asked.time_to)
        order, limit, good = asked.order, asked.limit, asked.good_only
        if asked.how is None:
            known = {} if asked.as_of is None else {"as_of": asked.as_of}
            reading = store.query(value_type, series, *span, order=order, limit=limit, good_only=good, **known)
        else:
            reading = store.aggregate(
                value_type, series, *span, how=asked.how, step=asked.step, order=order, limit=limit, good_only=good
            )
        return await self.guarded(reading)

    async def _calculated(self, point: PointInfo, asked: Wanted, budget: Budget) -> Found:
        reader, configuration = self.reader(point, asked.as_of), asked.configuration_for(point.value_type)
        if asked.function is None:
            done = await at_times(reader, point.value_type, asked.at, configuration, budget)
        else:
            grid = Grid(asked.time_from, asked.time_to, asked.step)
            done = await aggregates(reader, point.value_type, asked.function, grid, configuration, budget)
        columns = Columns(np.full(len(done.times), point.series, "<u4"), done.times, done.qualities, done.values)
        found = Found(point, done.value_type, columns, done.bits, done.missing)
        return _backwards(found) if asked.order is Order.DESCENDING and not asked.at else found

    async def _stepped(self, point: PointInfo, asked: Wanted, budget: Budget) -> Found:
        assert asked.how is not None
        if point.value_type in TEXT and asked.how not in TEXT_AGGREGATES:
            raise invalid(f"{asked.how} is not defined for {point.value_type.label} points")
        reader, pieces, start, more = self.reader(point, asked.as_of), [], asked.time_from, True
        while more:
            run, more = await reader.read(start, asked.time_to, PIECE)
            budget.take(len(run))
            if more:
                start = int(run.times[-1]) // asked.step * asked.step
                run = run.part(slice(0, int(np.searchsorted(run.times, start))))
                if not len(run):
                    raise too_many(f"one step has more than {PIECE} values: take a shorter step")
            pieces.append(stepped_values(run, asked.how, asked.step, good_only=asked.good_only))
        run = joined(pieces)
        run = run.part(slice(0, asked.limit) if asked.order is Order.ASCENDING else slice(-asked.limit, None))
        columns = Columns(np.full(len(run), point.series, "<u4"), run.times, run.qualities, _held(run))
        found = Found(point, result_type(point.value_type, asked.how), columns)
        return _backwards(found) if asked.order is Order.DESCENDING else found

    async def _gaps(self, point: PointInfo, asked: Wanted, budget: Budget) -> Gaps:
        assert asked.gaps is not None
        now = self._clock.now_ns()
        span = (min(asked.at), max(asked.at) + 1) if asked.at else (asked.time_from, asked.time_to)
        reader = self.reader(point, asked.as_of)
        return await find_gaps(reader, *span, now, asked.gaps, budget, good_only=asked.good_only)


def _held(run: Run) -> NDArray[Any] | list[str]:
    return run.values if isinstance(run.values, np.ndarray) else list(run.values)


def _backwards(found: Found) -> Found:
    back, columns = slice(None, None, -1), found.columns
    turned = Columns(columns.series[back], columns.times[back], columns.qualities[back], columns.values[back])
    bits = None if found.bits is None else found.bits[back]
    missing = None if found.missing is None else found.missing[back]
    return replace(found, columns=turned, bits=bits, missing=missing)


# ClickHouse: TIMEOUT_EXCEEDED, MEMORY_LIMIT_EXCEEDED, TOO_MANY_ROWS, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES
_LIMITS = {
    159: "the query took too long",
    241: "the query needs too much memory",
    158: "the query reads too many rows",
    307: "the query reads too many bytes",
    396: "the result is too large",
}


def problem_of(error: HistoryError) -> Problem:
    """Return the problem that tells a caller of a failure, without stack traces; a node that is away is named."""
    if error.code in _LIMITS:
        detail = f"{_LIMITS[error.code]}: narrow it, or aggregate"
        return Problem(422, "query-limit", "The query passes a limit", detail)
    if isinstance(error, ShardUnavailable):
        return unavailable(f"the history node {error.address} does not answer")
    if isinstance(error, HistoryUnavailable):
        return unavailable("the history does not answer")
    return invalid(plain_message(str(error)))


def plain_message(text: str) -> str:
    """Return the engine's sentence out of the driver's and the engine's wrapping."""
    text = text.partition("DB::Exception: ")[2] or text
    for end in (" (for url", " (version ", ": While ", " Stack trace"):
        text = text.partition(end)[0]
    return text.strip()[:500]


def _split(samples: Samples, series: Sequence[int]) -> list[Columns]:
    """Return the columns of each series; the samples are ordered by series."""
    columns = samples.columns
    ids = np.asarray(series, dtype=columns.series.dtype)
    starts = np.searchsorted(columns.series, ids, side="left").tolist()
    ends = np.searchsorted(columns.series, ids, side="right").tolist()
    return [
        Columns(columns.series[a:b], columns.times[a:b], columns.qualities[a:b], columns.values[a:b])
        for a, b in zip(starts, ends, strict=True)
    ]
