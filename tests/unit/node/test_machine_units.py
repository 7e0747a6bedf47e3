"""Units of machines that nobody can keep yet: their points come later, or the records are away."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy.exc import OperationalError

from gongfu.connect.kit.machine_units import MachineUnit, document
from gongfu.ingest.types import Writer
from gongfu.kernel.counters import Counters
from gongfu.node.machine_units import MachineUnitDesk
from gongfu.registry.source_units import Outcome, Statement

WRITER = Writer(1, 7, "machine", 3, "hall")


class Units:
    """Records with some points; the first questions fail."""

    def __init__(self, points: set[str], failures: int = 0) -> None:
        self.points, self.failures = points, failures
        self.kept: list[tuple[str, str]] = []

    def state(self, statement: Statement) -> Outcome:
        if self.failures:
            self.failures -= 1
            raise OperationalError("select", {}, Exception("database is locked"))
        said = [(unit.asset, unit.text) for unit in statement.units if unit.point in self.points]
        self.kept += [one for one in said if one not in self.kept]
        return Outcome(missing=len(statement.units) - len(said))


def said(text: str) -> dict[str, Any]:
    return document([MachineUnit(asset="", point="p", text=text), MachineUnit(asset="x", point="q", text=text)])


async def kept(units: Units, again: tuple[float, ...], *texts: str, points: set[str]) -> Counters:
    """Say units, make points after the first try, and wait until there is nothing to do."""
    counters, tasks = Counters(), list[asyncio.Task[Any]]()
    stand_in: Any = units
    with ThreadPoolExecutor(1) as executor:
        desk = MachineUnitDesk(stand_in, executor, counters, again)
        for text in texts:
            desk.take(WRITER, said(text), lambda work: tasks.append(asyncio.ensure_future(work)))
        assert len(tasks) == 1  # in order, one after the other
        await asyncio.sleep(0.05)
        units.points |= points
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks)
        assert desk._pending == {}  # pyright: ignore[reportPrivateUsage]
    return counters


async def test_a_point_that_comes_later_gets_its_unit() -> None:
    units = Units({"p"})
    counters = await kept(units, (0.1,) * 50, "bar", points={"q"})
    assert sorted(units.kept) == [("hall", "bar"), ("hall/x", "bar")]
    assert "units.left_out" not in counters.snapshot()


async def test_records_that_are_away_for_a_moment_lose_no_unit() -> None:
    units = Units({"p", "q"}, failures=2)
    await kept(units, (0.01,) * 5, "mbar", "bar", points=set())
    # What was said last is what is kept.
    assert sorted(units.kept) == [("hall", "bar"), ("hall/x", "bar")]


async def test_a_point_that_never_comes_is_counted() -> None:
    units = Units({"p"})
    counters = await kept(units, (0.01, 0.01), "bar", points=set())
    assert counters.snapshot()["units.left_out"] == 1
