"""Figures by day: exact totals at the end of each, resolutions as they came, also after a restart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gongfu.identify.namespace.types import PrefixState
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import Operation
from gongfu.identify.statistics.daily import Daily, day_number
from gongfu.identify.statistics.documents import StatisticsWish
from gongfu.identify.statistics.resolutions import Resolutions
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND
from tests.fixtures.identifiers import PREFIX, identifiers

FIRST = day_number("2026-11-22")


class Clock:
    def __init__(self) -> None:
        self.day = FIRST

    def now_ns(self) -> int:
        return (self.day * 86_400 + 3600) * SECOND


@asynccontextmanager
async def daily(engine: Engine, clock: Clock, core: Identifiers) -> AsyncIterator[tuple[Daily, Resolutions]]:
    resolutions = Resolutions(lambda: 0.0)
    made = Daily(engine, clock, core, resolutions)
    await made.start()
    yield made, resolutions
    await made.stop()


async def test_days_end_with_exact_totals_and_have_their_own_resolutions(
    tmp_path: Path, sqlite_records: Engine
) -> None:
    clock = Clock()
    async with identifiers(tmp_path) as node:
        await node.add_prefix("99.2", enterprise="Other", industry="C40", region="11")
        async with daily(sqlite_records, clock, node.identifiers) as (figures, resolutions):
            note = resolutions.face(bytes, lambda key: PREFIX)
            for suffix in "abc":
                await node.create(f"{PREFIX}/{suffix}", model="x")
            for client in ("one", "one", "two"):
                note(client, b"question")
            await figures.write()
            clock.day += 2
            await figures.write()
            await node.write(Operation.DELETE, f"{PREFIX}/a")
            note("three", b"question")
        async with daily(sqlite_records, clock, node.identifiers) as (figures, resolutions):
            resolutions.face(bytes, lambda key: PREFIX)("four", b"question")
            view = await figures.statistics(StatisticsWish("day", 4))
            assert [(one.key, one.total, one.added, one.real, one.replayed) for one in view.items] == [
                ("2026-11-21", 0, 0, 0, 0),
                ("2026-11-22", 3, 3, 2, 1),
                ("2026-11-23", 3, 0, 0, 0),
                ("2026-11-24", 2, -1, 2, 0),
            ]
            by = await figures.statistics(StatisticsWish("industry"))
            assert [(one.key, one.total, one.real, one.replayed) for one in by.items] == [
                ("C34", 2, 4, 1),
                ("C40", 0, 0, 0),
            ]
            assert (by.total.total, by.total.prefixes) == (2, 2)
            past = await figures.day_cells("2026-11-22")
            assert [(cell.region, cell.industry, cell.registered, cell.added, cell.real) for cell in past.cells] == [
                ("11", "C40", 0, 0, 0),
                ("3702", "C34", 3, 3, 2),
            ]
            await node.add_prefix(PREFIX, state=PrefixState.REVOKED)
            revoked = await figures.statistics(StatisticsWish("industry"))
            assert [one.key for one in revoked.items] == ["C40"]
            with pytest.raises(Problem):
                await figures.day_cells("2026-11-25")
            with pytest.raises(Problem):
                await figures.day_cells("yesterday")
