"""HTTP of notifications."""

import asyncio
import html
from typing import Annotated

import msgspec

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Action
from gongfu.reason.notify.service import ChannelItem, NotificationService, OutboxState, Receipt, RouteItem
from gongfu.reason.notify.types import ChannelBody, RouteBody
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Raw, Route


class TestBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whom a test message goes to."""

    __test__ = False

    recipient: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class ChannelList(msgspec.Struct, frozen=True):
    """Channels in order of name."""

    items: list[ChannelItem]


class RouteList(msgspec.Struct, frozen=True):
    """Routes in order of name."""

    items: list[RouteItem]


class ReceiptPage(msgspec.Struct, frozen=True):
    """A page of receipts, newest first."""

    items: list[Receipt]
    next: str | None


def routes(service: NotificationService, link_key: bytes) -> list[Route]:
    """Return the operations; ``link_key`` signs the links of notifications."""

    async def channels(call: Call) -> ChannelList:
        return ChannelList(await asyncio.to_thread(service.channels, call.subject))

    async def make_channel(call: Call) -> ChannelItem:
        return await asyncio.to_thread(service.put_channel, call.subject, 0, call.body)

    async def put_channel(call: Call) -> ChannelItem:
        return await asyncio.to_thread(service.put_channel, call.subject, call.integer("id"), call.body)

    async def remove_channel(call: Call) -> None:
        await asyncio.to_thread(service.remove_channel, call.subject, call.integer("id"))

    async def test(call: Call) -> Receipt:
        return await asyncio.to_thread(service.test, call.subject, call.integer("id"), call.body.recipient)

    async def listed(call: Call) -> RouteList:
        return RouteList(await asyncio.to_thread(service.routes, call.subject))

    async def make_route(call: Call) -> RouteItem:
        return await asyncio.to_thread(service.put_route, call.subject, 0, call.body)

    async def put_route(call: Call) -> RouteItem:
        return await asyncio.to_thread(service.put_route, call.subject, call.integer("id"), call.body)

    async def remove_route(call: Call) -> None:
        await asyncio.to_thread(service.remove_route, call.subject, call.integer("id"))

    async def receipts(call: Call) -> Page:
        cursor, limit = cursor_of(call, tuple[int, str]), limit_of(call)
        state, alarm = call.query.get("state") or None, call.query.get("alarm") or None
        items, key = await asyncio.to_thread(service.receipts, call.subject, cursor, limit, state, alarm)
        return Page(items, None if key is None else encode_cursor(key))

    async def state(call: Call) -> OutboxState:
        return await asyncio.to_thread(service.state, call.subject)

    async def ask(call: Call) -> Raw:
        # Programs that look at links in mail follow them by GET; only a person presses the button.
        button = '<form method="post"><button>确认告警 Acknowledge</button></form>'
        return _page("确认此告警？ Acknowledge this alarm?", button)

    async def confirm(call: Call) -> Raw:
        try:
            message = await asyncio.to_thread(service.confirm, link_key, call.path["token"])
        except Problem as problem:
            return _page(problem.detail or problem.title, "", problem.status)
        return _page("已确认 Acknowledged", f"<p>{html.escape(message)}</p>")

    engineer, read = Action.RULE_WRITE, Action.READ
    return [
        Route("GET", "/notification-channels", engineer, channels, "Channels", None, ChannelList),
        Route(
            "POST", "/notification-channels", engineer, make_channel, "Make a channel", ChannelBody, ChannelItem, 201
        ),
        Route(
            "PUT", "/notification-channels/{id}", engineer, put_channel, "Change a channel", ChannelBody, ChannelItem
        ),
        Route("DELETE", "/notification-channels/{id}", engineer, remove_channel, "Delete a channel", None, None, 204),
        Route("POST", "/notification-channels/{id}:test", engineer, test, "Try a channel", TestBody, Receipt, 202),
        Route("GET", "/notification-routes", engineer, listed, "Routes", None, RouteList),
        Route("POST", "/notification-routes", engineer, make_route, "Make a route", RouteBody, RouteItem, 201),
        Route("PUT", "/notification-routes/{id}", engineer, put_route, "Change a route", RouteBody, RouteItem),
        Route("DELETE", "/notification-routes/{id}", engineer, remove_route, "Delete a route", None, None, 204),
        Route("GET", "/notifications", read, receipts, "Receipts (?state, ?alarm)", None, ReceiptPage),
        Route("GET", "/notifications:state", read, state, "Notifications by state", None, OutboxState),
        Route("GET", "/notifications/acknowledge/{token}", None, ask, "The page of a notification's link", None, str),
        Route("POST", "/notifications/acknowledge/{token}", None, confirm, "Acknowledge by a link", None, str),
    ]


def _page(title: str, body: str, status: int = 200) -> Raw:
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Gongfu</title>'
    style = (
        "<style>body{font:16px sans-serif;margin:3em auto;max-width:30em;padding:0 1em}"
        "button{font:inherit;padding:.6em 1.2em}</style>"
    )
    text = f"<!doctype html><html>{head}{style}<h1>{html.escape(title)}</h1>{body}</html>"
    headers = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    return Raw(text.encode(), "text/html; charset=utf-8", headers, status)
