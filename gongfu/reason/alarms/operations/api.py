"""HTTP of suppressions."""

import asyncio
from typing import Annotated

import msgspec

from gongfu.kernel.permissions import Action
from gongfu.reason.alarms.operations.service import DesignItem, Operation, SuppressionItem, SuppressionService
from gongfu.reason.alarms.suppression.types import Design, ServiceBody, ShelveBody
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


class EndBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Why a suppression is ended."""

    comment: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class SuppressionList(msgspec.Struct, frozen=True):
    """Suppressions, newest first."""

    items: list[SuppressionItem]


class DesignList(msgspec.Struct, frozen=True):
    """Suppressions by design in order of name."""

    items: list[DesignItem]


class OperationPage(msgspec.Struct, frozen=True):
    """A page of the journal of operations, newest first."""

    items: list[Operation]
    next: str | None


def routes(service: SuppressionService) -> list[Route]:
    """Return the operations."""

    async def shelve(call: Call) -> SuppressionItem:
        return await asyncio.to_thread(service.shelve, call.subject, call.body)

    async def out(call: Call) -> SuppressionItem:
        return await asyncio.to_thread(service.take_out_of_service, call.subject, call.body)

    async def end(call: Call) -> SuppressionItem:
        return await asyncio.to_thread(service.end, call.subject, call.integer("id"), call.body.comment)

    async def listed(call: Call) -> SuppressionList:
        ended = call.query.get("ended") == "true"
        return SuppressionList(await asyncio.to_thread(service.list_of, call.subject, ended=ended))

    async def operations(call: Call) -> Page:
        args = call.subject, cursor_of(call, int), limit_of(call)
        items, key = await asyncio.to_thread(service.operations, *args)
        return Page(items, None if key is None else encode_cursor(key))

    async def designs(call: Call) -> DesignList:
        return DesignList(await asyncio.to_thread(service.designs, call.subject))

    async def make(call: Call) -> DesignItem:
        return await asyncio.to_thread(service.put_design, call.subject, 0, call.body)

    async def change(call: Call) -> DesignItem:
        return await asyncio.to_thread(service.put_design, call.subject, call.integer("id"), call.body)

    async def remove(call: Call) -> None:
        await asyncio.to_thread(service.remove_design, call.subject, call.integer("id"))

    operate, engineer = Action.ALARM_ACKNOWLEDGE, Action.RULE_WRITE
    path, one = "/alarm-designs", "/alarm-designs/{id}"
    return [
        Route("POST", "/alarms:shelve", operate, shelve, "Shelve alarms for a while", ShelveBody, SuppressionItem),
        Route(
            "POST", "/alarms:out-of-service", engineer, out, "Take alarms out of service", ServiceBody, SuppressionItem
        ),
        Route("GET", "/alarm-suppressions", Action.READ, listed, "Suppressions (?ended=true)", None, SuppressionList),
        Route("POST", "/alarm-suppressions/{id}:end", operate, end, "Unshelve, or put back", EndBody, SuppressionItem),
        Route(
            "GET",
            "/alarm-operations",
            Action.READ,
            operations,
            "What was done about alarms as such",
            None,
            OperationPage,
        ),
        Route("GET", path, Action.READ, designs, "Suppressions by design", None, DesignList),
        Route("POST", path, engineer, make, "Suppress by design", Design, DesignItem, 201),
        Route("PUT", one, engineer, change, "Change a suppression by design", Design, DesignItem),
        Route("DELETE", one, engineer, remove, "Remove a suppression by design", None, None, 204),
    ]
