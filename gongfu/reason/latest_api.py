"""HTTP of latest values."""

import asyncio
import math
from typing import Annotated, Any

import msgspec
from sqlalchemy import Engine

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import severity
from gongfu.kernel.times import format_rfc3339
from gongfu.reason.rules.records import PointRow, points_by_series
from gongfu.reason.status import MAX_LATEST, LatestAnswer, LatestItem, LatestRequest, Worker
from gongfu.rest.routing import Call, Route
from gongfu.store.records.engine import reading
from gongfu.store.twins.latest import Twins


class SeriesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Request of POST /v1/series:latest."""

    series: Annotated[list[int], msgspec.Meta(max_length=MAX_LATEST)]


class LatestDocument(msgspec.Struct, frozen=True):
    """Latest value of a series. ``value`` is null for NaN and infinities. Times are RFC 3339 UTC."""

    series: int
    asset_path: str
    name: str
    type: str
    unit: str
    value: Any
    quality: str
    time: str
    ingested_at: str


class LatestList(msgspec.Struct, frozen=True):
    """Latest values; series without one, and those of other tenants, are left out."""

    items: list[LatestDocument]


def answer_latest(twins: Twins, request: LatestRequest) -> LatestAnswer:
    """Return the latest values of some series (``svc.latest``).

    Raises:
        Problem: 400 when more than ``MAX_LATEST`` are asked for.
    """
    if len(request.series) > MAX_LATEST:
        raise invalid(f"at most {MAX_LATEST} series")
    items: list[LatestItem] = []
    for series in request.series:
        latest = twins.get(series)
        if latest is not None:
            value = latest.value
            if isinstance(value, float) and not math.isfinite(value):
                value = None
            items.append(LatestItem(series, value, latest.quality, latest.time, latest.ingested))
    return LatestAnswer(items)


def routes(engine: Engine, worker: Worker) -> list[Route]:
    """Return the operations."""

    def points_of(tenant: int, series: list[int]) -> dict[int, PointRow]:
        with reading(engine) as connection:
            rows = points_by_series(connection, sorted(set(series)))
        return {row.series: row for row in rows if row.tenant == tenant}

    async def latest(call: Call) -> LatestList:
        points = await asyncio.to_thread(points_of, call.subject.tenant, call.body.series)
        items = await worker.latest(list(points)) if points else []
        return LatestList([_document(points[item.series], item) for item in items])

    return [
        Route("POST", "/series:latest", Action.READ, latest, "Latest values of series", SeriesBody, LatestList),
    ]


def _document(point: PointRow, item: LatestItem) -> LatestDocument:
    return LatestDocument(
        item.series,
        point.asset_path,
        point.name,
        ValueType(point.value_type).label,
        point.unit,
        item.value,
        severity(item.quality),
        format_rfc3339(item.time),
        format_rfc3339(item.ingested),
    )
