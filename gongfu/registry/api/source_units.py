"""HTTP of the units that machines say for points."""

import asyncio

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.registry.source_units import STATES, SourceUnitDocument, SourceUnits
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


class SourceUnitPage(msgspec.Struct, frozen=True):
    """A page of units of sources, in order of asset path and point name."""

    items: list[SourceUnitDocument]
    next: str | None


def routes(units: SourceUnits) -> list[Route]:
    """Return the operations."""

    async def list_units(call: Call) -> Page:
        state = STATES.get(call.query.get("state", ""))
        if state is None:
            raise invalid("state must be changed, unknown or differs")

        def page() -> tuple[list[SourceUnitDocument], tuple[str, str] | None]:
            return units.page(
                call.subject,
                cursor_of(call, tuple[str, str]),
                limit_of(call),
                path=call.query.get("asset"),
                state=state,
            )

        documents, key = await asyncio.to_thread(page)
        return Page(documents, None if key is None else encode_cursor(key))

    listing = "Units that machines say for points (?asset=path, ?state=changed|unknown|differs, ?limit, ?cursor)"
    return [Route("GET", "/source-units", Action.READ, list_units, listing, None, SourceUnitPage)]
