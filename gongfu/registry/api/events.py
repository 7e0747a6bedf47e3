"""HTTP of events and drops."""

import asyncio

import msgspec

from gongfu.kernel.permissions import Action
from gongfu.registry import drops
from gongfu.registry.api.query import number_of
from gongfu.registry.drops import DropDocument, DropKey
from gongfu.registry.events import EventDocument, EventKey, NewEvent, parse_time
from gongfu.registry.service import Registry
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


class EventPage(msgspec.Struct, frozen=True):
    """A page of events, oldest first."""

    items: list[EventDocument]
    next: str | None


class DropPage(msgspec.Struct, frozen=True):
    """A page of drop counts, the last dropped first."""

    items: list[DropDocument]
    next: str | None


def routes(registry: Registry) -> list[Route]:
    """Return the operations."""
    events = registry.events

    async def list_events(call: Call) -> Page:
        def time_of(name: str) -> int | None:
            text = call.query.get(name)
            return None if text is None else parse_time(text, name)

        def page() -> tuple[list[EventDocument], EventKey | None]:
            return events.page(
                call.subject,
                cursor_of(call, EventKey),
                limit_of(call),
                path=call.query.get("asset"),
                time_from=time_of("from"),
                time_to=time_of("to"),
            )

        documents, key = await asyncio.to_thread(page)
        return Page(documents, None if key is None else encode_cursor(key))

    async def create(call: Call) -> EventDocument:
        return await asyncio.to_thread(events.create, call.subject, call.body)

    async def list_drops(call: Call) -> Page:
        documents, key = await asyncio.to_thread(
            drops.page,
            registry.engine,
            call.subject,
            cursor_of(call, DropKey),
            limit_of(call),
            number_of(call, "device"),
            call.query.get("kind", ""),
        )
        return Page(documents, None if key is None else encode_cursor(key))

    listing = "List events that overlap a time range (?asset=path, ?from, ?to, ?limit, ?cursor)"
    dropped = (
        "What was rejected, shed, delayed (ms) or refused (requests), by device (?device=id, ?kind, ?limit, ?cursor)"
    )
    return [
        Route("GET", "/events", Action.READ, list_events, listing, None, EventPage),
        Route("POST", "/events", Action.EVENT_WRITE, create, "Note an event", NewEvent, EventDocument, 201),
        Route("GET", "/drops", Action.READ, list_drops, dropped, None, DropPage),
    ]
