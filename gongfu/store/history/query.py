"""Series queries: from a request of a tenant to columns. The one way in for the API; checks tenant and bounds."""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from gongfu.kernel.block import Columns
from gongfu.kernel.errors import Problem, invalid, not_found, unavailable
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, MILLISECOND, SECOND, parse_rfc3339
from gongfu.store.history.directory import PointDirectory, PointInfo
from gongfu.store.history.documents import SeriesQuery
from gongfu.store.history.types import (
    Aggregate,
    HistoryError,
    HistoryStore,
    HistoryUnavailable,
    Order,
    Samples,
    ShardUnavailable,
    SqlLimits,
    SqlResult,
)

T = TypeVar("T")

MAX_SERIES = 1000
DEFAULT_LIMIT = 10_000
MAX_LIMIT = 1_000_000
# All series of one answer together; the limit of each is cut to its share.
MAX_POINTS = 2_000_000
MAX_STEP_SECONDS = 10 * 366 * 86_400
# Values that an aggregate gives, by how it was asked; others keep the type of the series.
_DOUBLE_RESULTS = frozenset({Aggregate.AVERAGE, Aggregate.COUNT})


@dataclass(frozen=True, slots=True)
class Found:
    """What a query gave for one series; ``value_type`` is that of the values, which aggregates may change."""

    point: PointInfo
    value_type: ValueType
    columns: Columns


@dataclass(frozen=True, slots=True)
class _Wanted:
    time_from: int
    time_to: int
    order: Order
    limit: int
    how: Aggregate | None
    step: int
    good_only: bool


def moment_of(value: str | int, name: str) -> int:
    """Return UTC ns of an RFC 3339 time or of milliseconds since 1970.

    Raises:
        Problem: 400.
    """
    if isinstance(value, int):
        if not 0 <= value <= MAX_NS // MILLISECOND:
            raise invalid(f"{name} must be milliseconds since 1970, at most {MAX_NS // MILLISECOND}")
        return value * MILLISECOND
    try:
        return parse_rfc3339(value)
    except ValueError as error:
        raise invalid(f"{name}: {str(error)[:200]}") from None


def _wanted(request: SeriesQuery, n: int) -> _Wanted:
    """Check a request and return what it asks of the store."""
    how = None if request.aggregate is None else Aggregate(request.aggregate)
    if (how is None) != (request.step is None):
        raise invalid("aggregate and step go together")
    step = request.step or 0.0
    if how is not None and not 1e-9 <= step <= MAX_STEP_SECONDS:
        raise invalid(f"step must be 1e-9 to {MAX_STEP_SECONDS} seconds")
    limit = DEFAULT_LIMIT if request.limit is None else request.limit
    if not 1 <= limit <= MAX_LIMIT:
        raise invalid(f"limit must be 1 to {MAX_LIMIT}")
    time_from = moment_of(request.start, "from")
    time_to = MAX_NS if request.to is None else moment_of(request.to, "to")
    if time_to < time_from:
        raise invalid("to must not be before from")
    good_only = request.quality == "good" if request.quality else how is not None
    return _Wanted(
        time_from,
        time_to,
        Order(request.order),
        min(limit, max(1, MAX_POINTS // n)),
        how,
        max(1, round(step * SECOND)),
        good_only,
    )


class HistoryQueries:
    """Queries of tenants against one history."""

    def __init__(self, store: HistoryStore, directory: PointDirectory) -> None:
        self._store = store
        self._directory = directory

    async def series(self, tenant: int, request: SeriesQuery) -> tuple[list[Found], bool]:
        """Return the columns of each series in the order of the request, and whether some has more than the limit.

        Raises:
            Problem: 400 for what is not documented, 404 for a series the tenant does not have, 503.
        """
        points = await self._points(tenant, request)
        wanted = _wanted(request, len(points))
        by_type: dict[ValueType, list[PointInfo]] = {}
        for point in points:
            by_type.setdefault(point.value_type, []).append(point)
        found: dict[int, Found] = {}
        truncated = False
        for value_type, group in by_type.items():
            samples = await self._read(value_type, [point.series for point in group], wanted)
            result = ValueType.DOUBLE if wanted.how in _DOUBLE_RESULTS else value_type
            truncated |= samples.truncated
            for point, columns in zip(group, _split(samples, [point.series for point in group]), strict=True):
                found[point.series] = Found(point, result, columns)
        return [found[point.series] for point in points], truncated

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

    async def _points(self, tenant: int, request: SeriesQuery) -> list[PointInfo]:
        names = [(name.asset, name.point) for name in request.points]
        n = len(request.series) + len(names)
        if not 1 <= n <= MAX_SERIES:
            raise invalid(f"name 1 to {MAX_SERIES} series")
        points: dict[int, PointInfo] = {}
        if request.series:
            known = await asyncio.to_thread(self._directory.by_series, tenant, set(request.series))
            for series in request.series:
                if series not in known:
                    raise not_found(f"series {series}")
                points[series] = known[series]
        if names:
            named = await asyncio.to_thread(self._directory.by_name, tenant, set(names))
            for asset, point in names:
                info = named.get((asset, point))
                if info is None:
                    raise not_found(f"point {point!r} of asset {asset!r}"[:300])
                points[info.series] = info
        return list(points.values())

    async def _read(self, value_type: ValueType, series: Sequence[int], wanted: _Wanted) -> Samples:
        store, span = self._store, (wanted.time_from, wanted.time_to)
        order, limit, good = wanted.order, wanted.limit, wanted.good_only
        if wanted.how is None:
            reading = store.query(value_type, series, *span, order=order, limit=limit, good_only=good)
        else:
            reading = store.aggregate(
                value_type, series, *span, how=wanted.how, step=wanted.step, order=order, limit=limit, good_only=good
            )
        return await self.guarded(reading)


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
