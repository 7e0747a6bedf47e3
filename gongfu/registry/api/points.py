"""HTTP of points."""

import asyncio
from typing import Any

import msgspec

from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.permissions import Action
from gongfu.registry.api.query import flag_of, number_of, search_of
from gongfu.registry.live import Live
from gongfu.registry.names import RowId
from gongfu.registry.points import PointDocument, PointPatch
from gongfu.registry.service import Registry
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route

_MAX_SERIES = 10_000


class PointPage(msgspec.Struct, frozen=True):
    """A page of points in order of asset path and name."""

    items: list[PointDocument]
    next: str | None


class LatestQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request for newest values of at most 10,000 series."""

    series: list[RowId]


class LatestItem(msgspec.Struct, frozen=True):
    """Newest value of a series; times are RFC 3339 UTC."""

    series: int
    value: Any
    quality: str
    time: str
    ingested_at: str | None


class LatestAnswer(msgspec.Struct, frozen=True):
    """Newest values, in the order asked for; series without a value are left out."""

    items: list[LatestItem]


def routes(registry: Registry, live: Live) -> list[Route]:
    """Return the operations."""
    points = registry.points

    async def with_latest(documents: list[PointDocument]) -> list[PointDocument]:
        latest = await live.latest([document.series for document in documents])
        return [msgspec.structs.replace(document, latest=latest.get(document.series)) for document in documents]

    async def list_points(call: Call) -> Page:
        def page() -> tuple[list[PointDocument], tuple[str, str] | None]:
            return points.page(
                call.subject,
                cursor_of(call, tuple[str, str]),
                limit_of(call),
                search=search_of(call),
                asset=number_of(call, "asset"),
                subtree=flag_of(call, "subtree") or False,
            )

        documents, key = await asyncio.to_thread(page)
        return Page(await with_latest(documents), None if key is None else encode_cursor(key))

    async def change(call: Call) -> PointDocument:
        document = await asyncio.to_thread(points.change, call.subject, call.integer("series"), call.body)
        return (await with_latest([document]))[0]

    async def newest(call: Call) -> LatestAnswer:
        wanted = list(dict.fromkeys(call.body.series))
        if len(wanted) > _MAX_SERIES:
            raise invalid(f"series must have at most {_MAX_SERIES} ids")
        known = {item.series for item in await asyncio.to_thread(points.some, call.subject, wanted)}
        if missing := [series for series in wanted if series not in known]:
            raise not_found(f"point {missing[0]}")
        latest = await live.latest(wanted)
        return LatestAnswer(
            [
                LatestItem(series, value.value, value.quality, value.time, value.ingested_at)
                for series in wanted
                if (value := latest.get(series)) is not None
            ]
        )

    listing = "List points with their newest values (?asset=id, ?subtree=true, ?search, ?limit, ?cursor)"
    return [
        Route("GET", "/points", Action.READ, list_points, listing, None, PointPage),
        Route("PATCH", "/points/{series}", Action.POINT_WRITE, change, "Describe a point", PointPatch, PointDocument),
        Route("POST", "/series:latest", Action.READ, newest, "Newest values of series", LatestQuery, LatestAnswer),
    ]
