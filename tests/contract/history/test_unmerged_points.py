"""Points of fresh parts, in which a replaced version lies beside the newest: reads without FINAL fall back to it."""

from collections.abc import Mapping
from typing import Any

import pytest

from gongfu.kernel.points import ValueType
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.types import Aggregate, Order
from tests.contract.history.points import T0, batch, fresh_series, rows
from tests.contract.history.served import ServedHistory

SECOND = 1_000_000_000


class Watched(ClickHouseHistory):
    """Remembers the statements of its reads."""

    statements: list[str]

    async def _read(self, statement: str, further: Mapping[str, Any] | None = None) -> bytes:
        self.statements.append(statement)
        return await super()._read(statement, further)


@pytest.fixture
async def store(served: ServedHistory) -> Any:
    plain = served.store()
    watched = Watched(plain.address, "gongfu", "a password of a test")
    watched.statements = []
    # No merge may take away what the tests are about.
    watched.call(lambda client: client.command("SYSTEM STOP MERGES gongfu.point_double"))
    yield watched
    watched.call(lambda client: client.command("SYSTEM START MERGES gongfu.point_double"))
    await watched.close()
    await plain.close()


async def test_points_that_were_never_replaced_are_read_once_and_without_final(store: Watched) -> None:
    one = fresh_series()
    for k in range(3):
        await store.insert([batch(ValueType.DOUBLE, [one] * 2, [T0 + k, T0 + k + 10], [k, k + 10])])
    store.statements.clear()
    found = await store.query(ValueType.DOUBLE, [one], 0, T0 + 100)
    assert [row[1] - T0 for row in rows(found)] == [0, 1, 2, 10, 11, 12]
    assert len(store.statements) == 1
    assert "FINAL" not in store.statements[0]


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("others", [0, 2, 12])
async def test_a_replaced_version_never_shows(store: Watched, order: Order, limit: int, others: int) -> None:
    one = fresh_series()
    series = list(range(one, one + 1 + others))
    times = [T0 + k * SECOND for k in range(4)]
    await store.insert([batch(ValueType.DOUBLE, [s], [t], [1.0]) for s in series for t in times])
    # The second point of the first series is corrected twice, the last one of it once.
    for value, later in ((2.0, 1), (3.0, 2)):
        await store.insert([batch(ValueType.DOUBLE, [one], [times[1]], [value], ingested=T0 + later * SECOND)])
    await store.insert([batch(ValueType.DOUBLE, [one], [times[3]], [9.0], ingested=T0 + SECOND)])
    expected = [
        (s, t, {times[1]: 3.0, times[3]: 9.0}.get(t, 1.0) if s == one else 1.0, 0) for s in series for t in times
    ]
    if order is Order.DESCENDING:
        expected.sort(key=lambda row: (row[0], -row[1]))
    expected = [row for s in series for row in [found for found in expected if found[0] == s][:limit]]
    found = await store.query(ValueType.DOUBLE, series, 0, T0 + 100 * SECOND, order=order, limit=limit)
    assert rows(found) == expected
    assert found.truncated is (limit < 4)


async def test_good_points_are_not_those_whose_bad_correction_is_left_out(store: Watched) -> None:
    one = fresh_series()
    await store.insert([batch(ValueType.DOUBLE, [one] * 2, [T0, T0 + 1], [1.0, 2.0])])
    await store.insert([
        batch(ValueType.DOUBLE, [one], [T0], [5.0], qualities=[0x80], ingested=T0 + SECOND)
    ])  # fmt: skip
    found = await store.query(ValueType.DOUBLE, [one], 0, T0 + 100, good_only=True)
    assert rows(found) == [(one, T0 + 1, 2.0, 0)]


async def test_aggregates_take_the_newest_version(store: Watched) -> None:
    one = fresh_series()
    times = [T0 + k * SECOND for k in range(100)]
    await store.insert([batch(ValueType.DOUBLE, [one] * 100, times, [1.0] * 100)])
    await store.insert([batch(ValueType.DOUBLE, [one] * 50, times[:50], [3.0] * 50, ingested=T0 + SECOND)])
    for how, value in ((Aggregate.AVERAGE, 2.0), (Aggregate.COUNT, 100.0), (Aggregate.MAXIMUM, 3.0)):
        found = await store.aggregate(ValueType.DOUBLE, [one], times[0], times[-1] + 1, how=how, step=10**15)
        assert [row[2] for row in rows(found)] == [value]
