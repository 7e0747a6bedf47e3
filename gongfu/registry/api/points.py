"""HTTP of points."""

import asyncio

import msgspec

from gongfu.kernel.permissions import Action
from gongfu.registry.api.query import flag_of, number_of, search_of
from gongfu.registry.live import Live
from gongfu.registry.points import PointDocument, PointPatch
from gongfu.registry.service import Registry
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


class PointPage(msgspec.Struct, frozen=True):
    """A page of points in order of asset path and name."""

    items: list[PointDocument]
    next: str | None


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

    listing = "List points with their newest values (?asset=id, ?subtree=true, ?search, ?limit, ?cursor)"
    return [
        Route("GET", "/points", Action.READ, list_points, listing, None, PointPage),
        Route("PATCH", "/points/{series}", Action.POINT_WRITE, change, "Describe a point", PointPatch, PointDocument),
    ]
