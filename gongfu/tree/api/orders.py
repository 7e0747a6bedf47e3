"""HTTP of orders: forwarded to the order engine in the tree role."""

from typing import Any

import msgspec

from gongfu.bus.commands import Ask
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Handler, Route
from gongfu.tree.orders.documents import (
    AllowRequest,
    ApproveRequest,
    ChangeRequest,
    DraftRequest,
    EventList,
    EventsRequest,
    EventView,
    KindView,
    ListRequest,
    OrderList,
    OrderRequest,
    OrderView,
    PreviewView,
    ReasonRequest,
    TargetList,
    TargetsRequest,
    TargetView,
)


class Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Digest of the text that is approved."""

    digest: str


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words for those who read the audit."""

    reason: str = ""


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether this node obeys a kind; null is what the kind itself says."""

    allowed: bool | None


class KindPage(msgspec.Struct, frozen=True):
    """All kinds."""

    items: list[KindView]
    next: str | None


class OrderPage(msgspec.Struct, frozen=True):
    """A page of orders, newest first."""

    items: list[OrderView]
    next: str | None


class TargetPage(msgspec.Struct, frozen=True):
    """A page of targets, by node id."""

    items: list[TargetView]
    next: str | None


class EventPage(msgspec.Struct, frozen=True):
    """A page of what happened, newest first."""

    items: list[EventView]
    next: str | None


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""
    return [*_reading(ask), *_writing(ask)]


def _reading(ask: Ask) -> list[Route]:
    async def kinds(call: Call) -> Page:
        return Page(await ask(call.subject, "order-kinds", None, list[KindView]))

    async def orders(call: Call) -> Page:
        request = ListRequest(call.query.get("state"), limit_of(call), cursor_of(call, int))
        found = await ask(call.subject, "order-list", request, OrderList)
        return _page(found.items, found.next)

    async def order(call: Call) -> OrderView:
        return await ask(call.subject, "order-show", OrderRequest(call.path["id"]), OrderView)

    async def targets(call: Call) -> Page:
        request = TargetsRequest(
            call.path["id"],
            call.query.get("state"),
            call.query.get("tier"),
            limit_of(call),
            cursor_of(call, str) or "",
        )
        found = await ask(call.subject, "order-targets", request, TargetList)
        return _page(found.items, found.next)

    async def events(call: Call) -> Page:
        request = EventsRequest(call.path["id"], limit_of(call), cursor_of(call, int))
        found = await ask(call.subject, "order-audit", request, EventList)
        return _page(found.items, found.next)

    target_list = "List the targets of an order by node id (?state, ?tier, ?limit, ?cursor)"
    return [
        Route("GET", "/order-kinds", Action.READ, kinds, "List the kinds of orders this node knows", None, KindPage),
        Route(
            "GET",
            "/orders",
            Action.READ,
            orders,
            "List orders, newest first (?state, ?limit, ?cursor)",
            None,
            OrderPage,
        ),
        Route("GET", "/orders/{id}", Action.READ, order, "Show an order and how far it has come", None, OrderView),
        Route("GET", "/orders/{id}/targets", Action.READ, targets, target_list, None, TargetPage),
        Route(
            "GET", "/orders/{id}/audit", Action.READ, events, "What happened to an order at this node", None, EventPage
        ),
    ]


def _writing(ask: Ask) -> list[Route]:
    async def allow(call: Call) -> Page:
        request = AllowRequest(call.path["kind"], call.body.allowed)
        return Page(await ask(call.subject, "order-allow", request, list[KindView]))

    async def preview(call: Call) -> PreviewView:
        return await ask(call.subject, "order-preview", call.body, PreviewView)

    async def draft(call: Call) -> OrderView:
        return await ask(call.subject, "order-draft", call.body, OrderView)

    async def change(call: Call) -> OrderView:
        return await ask(call.subject, "order-change", ChangeRequest(call.path["id"], call.body), OrderView)

    async def approve(call: Call) -> OrderView:
        return await ask(call.subject, "order-approve", ApproveRequest(call.path["id"], call.body.digest), OrderView)

    async def discard(call: Call) -> OrderView:
        return await ask(call.subject, "order-discard", ReasonRequest(call.path["id"]), OrderView)

    def plain(command: str) -> Handler:
        async def answer(call: Call) -> OrderView:
            return await ask(call.subject, command, OrderRequest(call.path["id"]), OrderView)

        return answer

    def reasoned(command: str) -> Handler:
        async def answer(call: Call) -> OrderView:
            return await ask(call.subject, command, ReasonRequest(call.path["id"], call.body.reason), OrderView)

        return answer

    write, one = Action.ORDER_WRITE, "/orders/{id}"
    return [
        Route("POST", "/order-kinds/{kind}:allow", Action.TREE_WRITE, allow, "Obey a kind or not", Allowed, KindPage),
        Route("POST", "/orders:preview", write, preview, "Whom an order would reach", DraftRequest, PreviewView),
        Route("POST", "/orders", write, draft, "Draft an order", DraftRequest, OrderView, 201),
        Route("PATCH", one, write, change, "Change a draft; its approvals are void", DraftRequest, OrderView),
        Route("POST", f"{one}:approve", Action.ORDER_APPROVE, approve, "Approve the text you saw", Digest, OrderView),
        Route("POST", f"{one}:issue", write, plain("order-issue"), "Sign and send an order", None, OrderView),
        Route("POST", f"{one}:discard", write, discard, "Give up a draft", None, OrderView),
        Route("POST", f"{one}:revoke", write, reasoned("order-revoke"), "Take an order back", Reason, OrderView),
        Route(
            "POST",
            f"{one}:accept",
            Action.ORDER_ANSWER,
            plain("order-accept"),
            "Accept it for this node",
            None,
            OrderView,
        ),
        Route("POST", f"{one}:refuse", Action.ORDER_ANSWER, reasoned("order-refuse"), "Refuse it", Reason, OrderView),
    ]


def _page(items: list[Any], following: object) -> Page:
    return Page(items, None if following is None else encode_cursor(following))
