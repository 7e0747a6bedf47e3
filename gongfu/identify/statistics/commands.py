"""Commands of figures (``identify.<command>``)."""

from typing import Any

from gongfu.bus.commands import Command
from gongfu.identify.statistics.daily import Daily
from gongfu.identify.statistics.documents import DayWish, StatisticsWish
from gongfu.identify.statistics.operations import Operations
from gongfu.kernel.permissions import Subject


def commands(daily: Daily, operations: Operations) -> list[Command]:
    """Return the commands."""

    async def overview(_: Subject, __: None) -> Any:
        return await operations.overview()

    async def statistics(_: Subject, wish: StatisticsWish) -> Any:
        return await daily.statistics(wish)

    async def figures(_: Subject, __: None) -> Any:
        return await operations.operations()

    async def day_cells(_: Subject, wish: DayWish) -> Any:
        return await daily.day_cells(wish.day)

    return [
        Command("overview", None, overview),
        Command("statistics", StatisticsWish, statistics),
        Command("operations", None, figures),
        Command("day-cells", DayWish, day_cells),
    ]
