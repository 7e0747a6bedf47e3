"""HTTP of prefixes and delegations."""

import msgspec

from gongfu.bus.commands import Ask
from gongfu.identify.management.documents import NewPrefix, PrefixPatch, PrefixView
from gongfu.identify.management.requests import ChangePrefix, ListPrefixes, OneName, PrefixList
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


class PrefixPage(msgspec.Struct, frozen=True):
    """A page of prefixes by name."""

    items: list[PrefixView]
    next: str | None


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""

    async def page(call: Call) -> PrefixPage:
        query = call.query
        wish = ListPrefixes(
            cursor_of(call, str) or "",
            limit_of(call),
            query.get("search", ""),
            query.get("state", ""),
            query.get("enterprise", ""),
        )
        found = await ask(call.subject, "prefix-list", wish, PrefixList)
        return PrefixPage(found.items, None if found.next is None else encode_cursor(found.next))

    async def create(call: Call) -> PrefixView:
        return await ask(call.subject, "prefix-create", call.body, PrefixView)

    async def show(call: Call) -> PrefixView:
        return await ask(call.subject, "prefix-show", OneName(call.path["name"]), PrefixView)

    async def change(call: Call) -> PrefixView:
        return await ask(call.subject, "prefix-change", ChangePrefix(call.path["name"], call.body), PrefixView)

    listing = "Prefixes of this service and delegations (?search, ?state, ?enterprise, ?limit, ?cursor)"
    read, review, one = Action.READ, Action.IDENTIFIER_REVIEW, "/identifiers/prefixes/{name}"
    return [
        Route("GET", "/identifiers/prefixes", read, page, listing, None, PrefixPage),
        Route(
            "POST",
            "/identifiers/prefixes",
            review,
            create,
            "Register a prefix, or delegate one to another node",
            NewPrefix,
            PrefixView,
            201,
        ),
        Route("GET", one, read, show, "Show a prefix", None, PrefixView),
        Route("PATCH", one, review, change, "Change a prefix, suspend or revoke it", PrefixPatch, PrefixView),
    ]
