"""HTTP of alarms."""

import asyncio
from typing import Annotated

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.reason.alarms.service import SELECTIONS, AlarmService
from gongfu.reason.alarms.types import Alarm
from gongfu.reason.rules.types import Priority
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


class Comment(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Why a person acknowledges or clears."""

    comment: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class AlarmPage(msgspec.Struct, frozen=True):
    """A page of alarms, newest raise first."""

    items: list[Alarm]
    next: str | None


def routes(service: AlarmService) -> list[Route]:
    """Return the operations."""

    async def list_alarms(call: Call) -> Page:
        selection = call.query.get("state", "active")
        priority = call.query.get("priority") or None
        if selection not in SELECTIONS:
            raise invalid(f"state must be one of {', '.join(SELECTIONS)}")
        if priority is not None and priority not in list(Priority):
            raise invalid(f"priority must be one of {', '.join(Priority)}")
        items, key = await asyncio.to_thread(
            service.page,
            call.subject,
            selection,
            priority,
            call.query.get("asset") or None,
            cursor_of(call, tuple[int, str]),
            limit_of(call),
        )
        return Page(items, None if key is None else encode_cursor(key))

    async def get(call: Call) -> Alarm:
        return await asyncio.to_thread(service.get, call.subject, call.path["id"])

    async def acknowledge(call: Call) -> Alarm:
        return await asyncio.to_thread(service.acknowledge, call.subject, call.path["id"], call.body.comment)

    async def reset(call: Call) -> Alarm:
        return await asyncio.to_thread(service.reset, call.subject, call.path["id"], call.body.comment)

    async def clear(call: Call) -> Alarm:
        return await asyncio.to_thread(service.clear, call.subject, call.path["id"], call.body.comment)

    states = "|".join(SELECTIONS)
    listing = f"List alarms (?state={states}, ?priority, ?asset=path, ?limit, ?cursor)"
    may = Action.ALARM_ACKNOWLEDGE
    return [
        Route("GET", "/alarms", Action.READ, list_alarms, listing, None, AlarmPage),
        Route("GET", "/alarms/{id}", Action.READ, get, "An alarm with its journal", None, Alarm),
        Route("POST", "/alarms/{id}:acknowledge", may, acknowledge, "Acknowledge an alarm", Comment, Alarm),
        Route("POST", "/alarms/{id}:reset", may, reset, "Reset a latched alarm", Comment, Alarm),
        Route("POST", "/alarms/{id}:clear", may, clear, "Close an alarm", Comment, Alarm),
    ]
