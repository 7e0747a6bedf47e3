"""Units of births reach the points; a unit that changes is told and rescales nothing."""

import asyncio

from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SystemClock
from gongfu.node.stated_units import serve_units
from gongfu.registry.source_units import SourceUnits
from gongfu.registry.tables import event, point, source_unit
from tests.contract.sparkplug.conftest import PATIENCE_S, SUBJECTS, Edge, HostDoor
from tests.contract.telemetry.sparkplug_bytes import M, chunk, number


class U(M):
    """A metric with an engUnit."""

    def encode(self) -> bytes:
        said = chunk(9, chunk(1, b"engUnit") + chunk(2, number(1, 12) + chunk(8, self.unit.encode())))
        return super().encode() + said

    def __init__(self, name: str, alias: int, value: float, unit: str) -> None:
        super().__init__(10, value, name, alias=alias)
        self.unit = unit


def units_of(door: HostDoor) -> dict[str, tuple[str, str | None, int | None]]:
    query = point.outerjoin(source_unit, source_unit.c.point_id == point.c.id).select()
    with door.engine.connect() as connection:
        rows = connection.execute(
            query.with_only_columns(point.c.name, point.c.unit, source_unit.c.text, source_unit.c.changes)
        )
        return {row.name: (row.unit, row.text, row.changes) for row in rows}


async def test_units_of_a_birth_become_those_of_its_points(door: HostDoor) -> None:
    edge = await Edge(door.client(), bd_seq=3).connect()
    # The birth comes before anybody takes units: it waits.
    await edge.birth([U("温度", 1, 20.5, "°C"), U("力", 2, 1.0, "Zentner"), M(10, 1.0, "bare", alias=3)])
    await door.until_stored(("machine/工厂/边缘 1", "温度"), (0, 20.5))
    counters = Counters()
    taken = await serve_units(door.bus, SUBJECTS, SourceUnits(door.engine, SystemClock()), counters)

    async def until(expected: dict[str, tuple[str, str | None, int | None]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if units_of(door) == expected:
                    return
                await asyncio.sleep(0.05)

    await until({"温度": ("Cel", "°C", 0), "力": ("", "Zentner", 0), "bare": ("", None, None)})
    await edge.birth([U("温度", 1, 68.9, "°F"), U("力", 2, 1.0, "Zentner"), M(10, 1.0, "bare", alias=3)])
    await until({"温度": ("Cel", "°F", 1), "力": ("", "Zentner", 0), "bare": ("", None, None)})
    values = await door.until_stored(("machine/工厂/边缘 1", "温度"), (0, 68.9))
    assert [value for _, value in values] == [20.5, 68.9]  # as they were sent
    with door.engine.connect() as connection:
        kinds = sorted(row.kind for row in connection.execute(event.select()))
    assert kinds == ["unit.changed", "unit.unknown"]
    await taken.unsubscribe()
    counted = counters.snapshot()
    assert (counted["units.taken"], counted["units.unknown"], counted["units.changed"]) == (1, 1, 1)
