"""API of the history: ``POST /v1/series:query`` and ``POST /v1/sql``."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.rest.routing import Call, Raw, Route, Streamed
from gongfu.store.history.answers import arrow_stream, columns_of, versions_document
from gongfu.store.history.documents import (
    PointVersions,
    SeriesAnswer,
    SeriesCorrected,
    SeriesCorrection,
    SeriesExport,
    SeriesQuery,
    SqlAnswer,
    SqlColumn,
    SqlQuery,
)
from gongfu.store.history.export import Exports, request_of
from gongfu.store.history.query import HistoryQueries
from gongfu.store.history.requests import moment_of
from gongfu.store.history.sql_tables import SqlTable, SqlTables
from gongfu.store.history.types import SqlLimits

if TYPE_CHECKING:
    from gongfu.store.history.sandbox import Rewritten

ARROW = "application/vnd.apache.arrow.stream"
# Values that are turned into JSON on the event loop: 2 ms.
AT_ONCE = 10_000


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
            stream = await asyncio.to_thread(arrow_stream, found)
            return Raw(stream, ARROW, {"Gongfu-Truncated": str(truncated).lower()})
        if sum(len(one.columns) for one in found) < AT_ONCE:
            # A thread costs more than this.
            return SeriesAnswer(series=columns_of(found, times_format == "ms"), truncated=truncated)
        columns = await asyncio.to_thread(columns_of, found, times_format == "ms")
        return SeriesAnswer(series=columns, truncated=truncated)

    async def versions(call: Call) -> PointVersions:
        moment = call.query.get("time", "")
        if not moment:
            raise invalid("time is missing: the source time of the value, RFC 3339 or milliseconds since 1970")
        plain = int(moment) if moment.isascii() and moment.isdigit() and len(moment) <= 18 else moment
        point, found = await service.queries.versions(
            call.subject.tenant, call.integer("series"), moment_of(plain, "time")
        )
        return versions_document(point, moment_of(plain, "time"), found)

    async def correct(call: Call) -> SeriesCorrected:
        changed = await service.queries.correct(call.subject.tenant, call.body, call.subject.name)
        return SeriesCorrected(changed=changed)

    exports = Exports(service.queries)

    async def export(call: Call) -> Streamed:
        request = request_of(call.query) if call.body is None else call.body
        return await exports.start(call.subject.tenant, request)

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
        Route("GET", "/series:export", Action.READ, export, "Download points (?series=1,2&from=&to=&format=)"),
        Route("POST", "/series:export", Action.READ, export, "Download points as a file", SeriesExport),
        Route(
            "GET",
            "/series/{series}/versions",
            Action.READ,
            versions,
            "Read all versions of one value (?time=)",
            None,
            PointVersions,
        ),
        Route(
            "POST",
            "/series:correct",
            Action.POINT_WRITE,
            correct,
            "Correct points by hand; what they replace stays readable",
            SeriesCorrection,
            SeriesCorrected,
        ),
        Route("POST", "/sql", Action.QUERY_SQL, sql, "Run a read-only SQL query", SqlQuery, SqlAnswer),
    ]


def _rewrite(query: str, tenant: int, tables: Mapping[str, SqlTable]) -> "Rewritten":
    # Imported with the first query: the parser takes 30 MB and half a second.
    from gongfu.store.history.sandbox import rewrite

    return rewrite(query, tenant, tables)
