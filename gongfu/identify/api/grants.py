"""HTTP of grants."""

import msgspec

from gongfu.bus.commands import Ask
from gongfu.identify.management.documents import GrantView, NewGrant
from gongfu.identify.management.requests import GrantList, ListNumbers, OneNumber
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


class GrantPage(msgspec.Struct, frozen=True):
    """A page of grants by id."""

    items: list[GrantView]
    next: str | None


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""

    async def page(call: Call) -> GrantPage:
        query = call.query
        after = cursor_of(call, int) or 0
        wish = ListNumbers(after, limit_of(call), query.get("target", ""), query.get("grantee", ""))
        found = await ask(call.subject, "grant-list", wish, GrantList)
        return GrantPage(found.items, None if found.next is None else encode_cursor(found.next))

    async def create(call: Call) -> GrantView:
        return await ask(call.subject, "grant-create", call.body, GrantView)

    async def remove(call: Call) -> None:
        await ask(call.subject, "grant-remove", OneNumber(call.integer("id")))

    review, all_ = Action.IDENTIFIER_REVIEW, "/identifiers/grants"
    listing = "Grants to read or write values (?target, ?grantee, ?limit, ?cursor)"
    return [
        Route("GET", all_, Action.READ, page, listing, None, GrantPage),
        Route("POST", all_, review, create, "Let a handle's holder read or write values", NewGrant, GrantView, 201),
        Route("DELETE", f"{all_}/{{id}}", review, remove, "Take a grant back", None, None, 204),
    ]
