"""API of the history: ``POST /v1/series:query`` and ``POST /v1/sql``."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.kernel.points import ValueType
from gongfu.rest.routing import Call, Raw, Route
from gongfu.store.history.documents import (
    SeriesAnswer,
    SeriesColumns,
    SeriesQuery,
    SqlAnswer,
    SqlColumn,
    SqlQuery,
    json_qualities,
    json_times,
    json_values,
)
from gongfu.store.history.query import Found, HistoryQueries
from gongfu.store.history.sql_tables import SqlTable, SqlTables
from gongfu.store.history.types import SqlLimits

if TYPE_CHECKING:
    from gongfu.store.history.sandbox import Rewritten

ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, slots=True)
class HistoryService:
    """What the API of the history needs."""

    queries: HistoryQueries
    tables: SqlTables
    limits: SqlLimits = field(default_factory=SqlLimits)


def routes(service: HistoryService) -> list[Route]:
    """Return the operations."""

    async def query(call: Call) -> SeriesAnswer | Raw:
        request: SeriesQuery = call.body
        times_format = call.query.get("times_format", "rfc3339")
        if times_format not in ("rfc3339", "ms"):
            raise invalid("times_format must be rfc3339 or ms")
        found, truncated = await service.queries.series(call.subject.tenant, request)
        if ARROW in call.accept:
            return Raw(await asyncio.to_thread(_arrow, found), ARROW, {"Gongfu-Truncated": str(truncated).lower()})
        columns = await asyncio.to_thread(_columns, found, times_format == "ms")
        return SeriesAnswer(series=columns, truncated=truncated)

    async def sql(call: Call) -> SqlAnswer:
        request: SqlQuery = call.body
        tenant = call.subject.tenant
        statement = await asyncio.to_thread(_rewrite, request.query, tenant, service.tables.tables)
        await service.queries.guarded(service.tables.sync(tenant, statement.tables))
        result, elapsed = await service.queries.sql(statement.sql, statement.row_filters, service.limits)
        columns = [SqlColumn(name, type_name) for name, type_name in result.columns]
        return SqlAnswer(columns=columns, rows=result.rows, truncated=result.truncated, elapsed_ms=round(elapsed, 1))

    summary = f"Read points or aggregates of series (JSON, or Accept: {ARROW})"
    return [
        Route("POST", "/series:query", Action.READ, query, summary, SeriesQuery, SeriesAnswer),
        Route("POST", "/sql", Action.QUERY_SQL, sql, "Run a read-only SQL query", SqlQuery, SqlAnswer),
    ]


def _rewrite(query: str, tenant: int, tables: Mapping[str, SqlTable]) -> "Rewritten":
    # Imported with the first query: the parser takes 30 MB and half a second.
    from gongfu.store.history.sandbox import rewrite

    return rewrite(query, tenant, tables)


def _columns(found: Sequence[Found], milliseconds: bool) -> list[SeriesColumns]:
    return [
        SeriesColumns(
            series=one.point.series,
            asset_path=one.point.asset_path,
            name=one.point.name,
            type=one.value_type.label,
            unit=one.point.unit,
            times=json_times(one.columns.times, milliseconds=milliseconds),
            values=json_values(one.value_type, one.columns.values),
            qualities=json_qualities(one.columns.qualities),
        )
        for one in found
    ]


def _arrow(found: Sequence[Found]) -> bytes:
    """Return an Arrow IPC stream with columns ``series``, ``time``, ``value``, ``quality``, one batch a series.

    Raises:
        Problem: 400 when the series have different value types: a stream has one schema.
    """
    import pyarrow as pa

    kinds = {one.value_type for one in found}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.label for kind in kinds))
        raise invalid(f"an Arrow answer holds series of one value type, these have {names}")
    types: dict[ValueType, Any] = {
        ValueType.DOUBLE: pa.float64(),
        ValueType.INT64: pa.int64(),
        ValueType.BOOLEAN: pa.bool_(),
        ValueType.STRING: pa.string(),
        ValueType.JSON: pa.string(),
    }
    kind = kinds.pop()
    schema = pa.schema(
        [
            ("series", pa.uint32()),
            ("time", pa.timestamp("ns", "UTC")),
            ("value", types[kind]),
            ("quality", pa.uint8()),
        ]
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        for one in found:
            values: Any = one.columns.values
            if kind is ValueType.BOOLEAN:
                values = values.astype(bool)
            arrays = [
                pa.array(one.columns.series, pa.uint32()),
                pa.array(one.columns.times, pa.int64()).cast(pa.timestamp("ns", "UTC")),
                pa.array(values, types[kind]),
                pa.array(one.columns.qualities, pa.uint8()),
            ]
            stream.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()
