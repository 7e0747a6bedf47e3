"""HTTP of figures: overview, statistics, operations; and of ranges."""

import msgspec

from gongfu.bus.commands import Ask
from gongfu.identify.management.requests import (
    ListRanges,
    NewRange,
    OneRange,
    RangeDone,
    RangeList,
    RangeRemoved,
    RangeView,
)
from gongfu.identify.statistics.documents import OperationsView, OverviewView, StatisticsView, StatisticsWish
from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.rest.paging import cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


class RangePage(msgspec.Struct, frozen=True):
    """A page of ranges, by prefix and pattern."""

    items: list[RangeView]
    next: str | None


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""
    return [*_figures(ask), *_ranges(ask)]


def _figures(ask: Ask) -> list[Route]:
    async def overview(call: Call) -> OverviewView:
        return await ask(call.subject, "overview", None, OverviewView)

    async def statistics(call: Call) -> StatisticsView:
        days = call.query.get("days", "30")
        if not days.isascii() or not days.isdecimal() or len(days) > 6:
            raise invalid("days must be a number")
        wish = StatisticsWish(call.query.get("by", "enterprise"), int(days), call.query.get("prefix", ""))
        return await ask(call.subject, "statistics", wish, StatisticsView)

    async def operations(call: Call) -> OperationsView:
        return await ask(call.subject, "operations", None, OperationsView)

    read = Action.READ
    words = "Exact counts, resolutions real and replayed (?by=enterprise|industry|region|prefix|day, ?days, ?prefix)"
    return [
        Route("GET", "/identifiers", read, overview, "The identifier service at a glance", None, OverviewView),
        Route("GET", "/identifiers/statistics", read, statistics, words, None, StatisticsView),
        Route("GET", "/identifiers/operations", read, operations, "How the service runs", None, OperationsView),
    ]


def _ranges(ask: Ask) -> list[Route]:
    async def page(call: Call) -> RangePage:
        wish = ListRanges(call.query.get("prefix", ""), cursor_of(call, int) or 0, limit_of(call))
        found = await ask(call.subject, "range-list", wish, RangeList)
        return RangePage(found.items, None if found.next is None else encode_cursor(found.next))

    async def define(call: Call) -> RangeDone:
        return await ask(call.subject, "range-define", call.body, RangeDone)

    async def remove(call: Call) -> RangeRemoved:
        return await ask(call.subject, "range-remove", call.body, RangeRemoved)

    write, all_ = Action.IDENTIFIER_WRITE, "/identifiers/ranges"
    listing = "Ranges with holes and overrides (?prefix, ?limit, ?cursor)"
    return [
        Route("GET", all_, Action.READ, page, listing, None, RangePage),
        Route("POST", all_, write, define, "Register a range of numbers", NewRange, RangeDone),
        Route("POST", f"{all_}:remove", write, remove, "Remove members of ranges", OneRange, RangeRemoved),
    ]
