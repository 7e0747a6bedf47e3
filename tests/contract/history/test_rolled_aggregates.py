"""Aggregates that read roll-ups are those of the points, whatever is rolled up and whatever changes after."""

from typing import Any

import numpy as np
import pytest

from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, SECOND
from gongfu.store.history import rolled_aggregates, rollup_tables, rollups
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.stepping import stepped_values
from gongfu.store.history.surroundings import run_of
from gongfu.store.history.types import Aggregate, Order, RollupLevel
from tests.contract.history.points import batch, fresh_series, rows
from tests.contract.history.served import ServedHistory
from tests.contract.history.test_rollups import DAY, START, finish

HOUR = 3600 * SECOND


@pytest.fixture
async def store(served: ServedHistory, monkeypatch: pytest.MonkeyPatch) -> Any:
    for module in (rollup_tables, rollups):
        monkeypatch.setattr(module, "HOUR_POINTS", 20, raising=False)
        monkeypatch.setattr(module, "MINUTE_POINTS", 40, raising=False)
    made = served.store()
    yield made
    await made.close()


async def check(store: ClickHouseHistory, series: int, steps: list[int]) -> None:
    spans = [(0, MAX_NS), (START + 7 * HOUR + 1, START + 5 * DAY + 11 * HOUR + 30 * SECOND)]
    for (time_from, time_to), step in zip(spans, steps, strict=False):
        run = run_of(await store.query(ValueType.DOUBLE, [series], time_from, time_to, limit=10**6))
        for how in Aggregate:
            found = await store.aggregate(ValueType.DOUBLE, [series], time_from, time_to, how=how, step=step)
            expected = stepped_values(run, how, step, good_only=True)
            assert found.columns.times.tolist() == expected.times.tolist(), (how, step)
            given = np.asarray(found.columns.values)
            np.testing.assert_allclose(given, np.asarray(expected.values), atol=1e-12)
            assert found.columns.qualities.tolist() == expected.qualities.tolist()


async def test_they_are_those_of_the_points(store: ClickHouseHistory) -> None:
    random = np.random.default_rng(3)
    one, two = fresh_series(), fresh_series()
    n = 600
    times = START + np.sort(random.choice(6 * 86_400, n, replace=False)) * SECOND
    qualities = random.choice(np.array([0, 0, 0, 65, 128], "u1"), n).tolist()
    values = np.round(random.normal(size=n), 1)
    for series in (one, two):
        await store.insert(
            [
                batch(
                    ValueType.DOUBLE,
                    [series] * n,
                    times.tolist(),
                    values.tolist(),
                    qualities=qualities,
                    ingested=START + 6 * DAY,
                )
            ]
        )
    await finish(store)
    ranges = await store.rolled(RollupLevel.HOUR, [one], 0, MAX_NS)
    assert ranges, "nothing is rolled up: this test would show nothing"
    await check(store, one, [7 * HOUR, 30 * 60 * SECOND])
    # Late data in the middle of what was rolled up: read as points until it is rolled up again.
    late = START + 2 * DAY + HOUR + 5
    await store.insert([batch(ValueType.DOUBLE, [one], [late], [99.0], ingested=START + 8 * DAY)])
    await check(store, one, [7 * HOUR])
    together = await store.aggregate(
        ValueType.DOUBLE, [two, one], 0, MAX_NS, how=Aggregate.MAXIMUM, step=24 * HOUR, order=Order.DESCENDING, limit=2
    )
    assert together.truncated
    assert [row[0] for row in rows(together)] == [one, one, two, two]
    good, last = np.array(qualities) < 64, START // DAY + 5
    tops = [np.max(values[(times // DAY == day) & good]) for day in (last, last - 1)]
    assert [row[2] for row in rows(together)] == [*tops, *tops]


def test_what_is_covered_and_what_is_not() -> None:
    minute = 60 * SECOND
    covered, holes = rolled_aggregates.split(
        [(0, DAY), (2 * DAY, 3 * DAY)], minute + 1, 3 * DAY - 1, RollupLevel.MINUTE
    )
    assert covered == [(2 * minute, DAY), (2 * DAY, 3 * DAY - minute)]
    assert holes == [(minute + 1, 2 * minute), (DAY, 2 * DAY), (3 * DAY - minute, 3 * DAY - 1)]
    assert rolled_aggregates.split([], 5, 6, RollupLevel.HOUR) == ([], [(5, 6)])
    level = rolled_aggregates.level_for(ValueType.DOUBLE, [1], 0, 9 * DAY, Aggregate.MINMAX, 2 * HOUR)
    assert level is RollupLevel.HOUR
    assert rolled_aggregates.level_for(ValueType.DOUBLE, [1], 0, 9 * DAY, Aggregate.MINMAX, 90 * SECOND) is None
    assert rolled_aggregates.level_for(ValueType.DOUBLE, [1], 0, 9 * DAY, Aggregate.COUNT, 2 * HOUR) is None
