"""HTTP of identifiers one at a time."""

import msgspec

from gongfu.bus.commands import Ask
from gongfu.identify.management.record_documents import NewRecord, OutcomeView, RecordChange, RecordView
from gongfu.identify.management.requests import HandleList, ListHandles, OneHandle
from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Handler, Route


class HandleItem(msgspec.Struct, frozen=True):
    """An identifier that has a record of its own."""

    handle: str


class HandlePage(msgspec.Struct, frozen=True):
    """A page of identifiers of a prefix, by suffix."""

    items: list[HandleItem]
    next: str | None


def handle_of(call: Call) -> str:
    """Return ``?handle``.

    Raises:
        Problem: 400 without one.
    """
    handle = call.query.get("handle")
    if not handle:
        raise invalid("handle is needed: ?handle=prefix/suffix, percent-encoded")
    return handle


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""

    async def page(call: Call) -> HandlePage:
        prefix = call.query.get("prefix")
        if not prefix:
            raise invalid("prefix is needed: ?prefix=")
        after = cursor_of(call, str)
        wish = ListHandles(prefix, call.query.get("from", "") if after is None else after, limit_of(call))
        found = await ask(call.subject, "record-list", wish, HandleList)
        items = [HandleItem(handle) for handle in found.items]
        return HandlePage(items, None if found.next is None else encode_cursor(found.next))

    async def show(call: Call) -> RecordView:
        return await ask(call.subject, "record-show", OneHandle(handle_of(call)), RecordView)

    def write(command: str) -> Handler:
        async def answer(call: Call) -> OutcomeView:
            return await ask(call.subject, command, call.body, OutcomeView)

        return answer

    async def delete(call: Call) -> OutcomeView:
        return await ask(call.subject, "record-delete", OneHandle(handle_of(call)), OutcomeView)

    read, register, one = Action.READ, Action.IDENTIFIER_WRITE, "/identifiers/record"
    listing = "Identifiers of a prefix that have a record of their own, by suffix (?prefix, ?from, ?limit, ?cursor)"
    return [
        Route("GET", "/identifiers/records", read, page, listing, None, HandlePage),
        Route("GET", one, read, show, "Show an identifier that is registered here (?handle)", None, RecordView),
        Route("POST", one, register, write("record-create"), "Register an identifier", NewRecord, OutcomeView, 201),
        Route("PUT", one, register, write("record-put"), "Register it or replace it", NewRecord, OutcomeView),
        Route("PATCH", one, register, write("record-change"), "Change single values", RecordChange, OutcomeView),
        Route("DELETE", one, register, delete, "Delete an identifier (?handle)", None, OutcomeView),
    ]
