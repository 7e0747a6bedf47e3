"""Roll-ups built by the job against roll-ups of the points that the history shows, computed with NumPy."""

import asyncio
from typing import Any

import numpy as np
import pytest

from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, SECOND
from gongfu.store.history import rollup_tables, rollups
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.rollups import Rollups, RollupTimes
from gongfu.store.history.types import RollupLevel
from tests.contract.history.points import batch, fresh_series
from tests.contract.history.served import ServedHistory

DAY = 86_400 * SECOND
# 2023-11-01, years before any clock of a test.
START = 19_662 * DAY


def job(store: ClickHouseHistory) -> Rollups:
    """A job that waits for nothing: all points of these tests are in the history before it runs."""

    def run(statement: str) -> str:
        if statement.startswith("INSERT"):
            store.call(lambda client: client.command(statement))
            return ""
        return store.call(lambda client: client.raw_query(statement, fmt="TabSeparated")).decode()

    return Rollups(run, Counters().add, RollupTimes(under_way=0))


async def finish(store: ClickHouseHistory) -> None:
    def steps() -> None:
        one = job(store)
        while one.step():
            pass

    await asyncio.to_thread(steps)


async def read(store: ClickHouseHistory, level: RollupLevel, series: int) -> dict[int, tuple[Any, ...]]:
    """Return by start of bucket (UTC s) what is in the table within the final ranges."""
    ranges = (await store.rolled(level, [series], 0, MAX_NS)).get(series, [])
    statement = (
        f"SELECT toUnixTimestamp(bucket), points, good, sum, min, max, first, last, toUnixTimestamp64Nano(first_at), "
        f"toUnixTimestamp64Nano(last_at), worst FROM gongfu.rollup_double_{level} FINAL "
        f"WHERE series = {series} ORDER BY bucket"
    )
    raw = await asyncio.to_thread(store.call, lambda client: client.raw_query(statement, fmt="TabSeparated"))
    rows = [tuple(float(field) if "." in field or "e" in field else int(field) for field in line.split("\t"))
            for line in raw.decode().splitlines()]  # fmt: skip
    return {int(row[0]): row[1:] for row in rows if any(a <= int(row[0]) * SECOND < b for a, b in ranges)}


async def expected(store: ClickHouseHistory, level: RollupLevel, series: int) -> dict[int, tuple[Any, ...]]:
    ranges = (await store.rolled(level, [series], 0, MAX_NS)).get(series, [])
    found = await store.query(ValueType.DOUBLE, [series], 0, MAX_NS, limit=10**7)
    times, qualities = found.columns.times, found.columns.qualities
    values = np.asarray(found.columns.values)
    buckets: dict[int, tuple[Any, ...]] = {}
    for start in np.unique(times // SECOND // level.seconds * level.seconds).tolist():
        if not any(a <= start * SECOND < b for a, b in ranges):
            continue
        inside = (times >= start * SECOND) & (times < (start + level.seconds) * SECOND)
        good = inside & (qualities < 64) & np.isfinite(values)
        v, t = values[good], times[good]
        if len(v):
            buckets[start] = (
                int(inside.sum()), len(v), pytest.approx(float(v.sum()), rel=1e-9), float(v.min()), float(v.max()),
                float(v[0]), float(v[-1]), int(t[0]), int(t[-1]), int(qualities[good].max()),
            )  # fmt: skip
        else:
            buckets[start] = (int(inside.sum()), 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return buckets


async def same(store: ClickHouseHistory, series: int) -> int:
    """Fail unless the roll-ups are those of the points; return how many buckets there are."""
    n = 0
    for level in RollupLevel:
        found, wanted = await read(store, level, series), await expected(store, level, series)
        assert found == wanted
        n += len(found)
    return n


@pytest.fixture
def small_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day with 20 points is rolled up by hour, one with 60 by minute."""
    monkeypatch.setattr(rollups, "HOUR_POINTS", 20)
    monkeypatch.setattr(rollups, "MINUTE_POINTS", 60)


@pytest.mark.usefixtures("small_days")
async def test_late_points_resends_and_corrections_are_rolled_up_once(served: ServedHistory) -> None:
    store, series = served.store(), fresh_series()
    random = np.random.default_rng(11)

    def some(day: int, n: int, of: int = series) -> Any:
        times = np.sort(random.choice(86_400, n, replace=False)) * SECOND + START + day * DAY
        values = np.round(random.normal(20, 5, n), 2)
        values[::17] = np.nan
        return batch(ValueType.DOUBLE, [of] * n, times.tolist(), values.tolist(),
                     qualities=np.where(random.random(n) < 0.2, 0x80, 3).tolist())  # fmt: skip

    first, second, sparse = some(0, 80), some(1, 30), some(3, 5, series + 1)
    await store.insert([first, second, sparse])
    await finish(store)
    assert await same(store, series) > 60
    both = [series, series + 1]
    assert await store.rolled(RollupLevel.HOUR, both, 0, MAX_NS) == {series: [(START, START + 2 * DAY)]}
    assert (await store.rolled(RollupLevel.MINUTE, both, 0, MAX_NS))[series][0][0] == START

    # A resend changes nothing, and nothing is built again.
    await store.insert([first])
    assert await store.rolled(RollupLevel.HOUR, [series], 0, MAX_NS) == {series: [(START, START + 2 * DAY)]}
    # A late point: that day is not final until it is built again.
    await store.insert([batch(ValueType.DOUBLE, [series], [START + 5], [1000.0])])
    assert await store.rolled(RollupLevel.HOUR, [series], 0, MAX_NS) == {series: [(START + DAY, START + 2 * DAY)]}
    await finish(store)
    assert await same(store, series) > 60
    assert max(row[4] for row in (await read(store, RollupLevel.HOUR, series)).values()) == 1000.0
    # A correction by hand of it.
    corrected = batch(ValueType.DOUBLE, [series], [START + 5], [-7.0]).columns
    assert await store.correct(ValueType.DOUBLE, corrected, corrected_by="somebody", reason="a bad sensor") == 1
    assert await store.rolled(RollupLevel.HOUR, [series], 0, MAX_NS) == {series: [(START + DAY, START + 2 * DAY)]}
    await finish(store)
    assert await same(store, series) > 60
    assert max(row[4] for row in (await read(store, RollupLevel.HOUR, series)).values()) < 1000.0
    # A sparse day becomes a dense one.
    await store.insert([some(3, 40, series + 1)])
    await finish(store)
    await same(store, series + 1)
    assert await store.rolled(RollupLevel.HOUR, [series + 1], 0, MAX_NS) == {
        series + 1: [(START + 3 * DAY, START + 4 * DAY)]
    }
    await store.close()


@pytest.mark.usefixtures("small_days")
async def test_a_crash_inside_a_build_shows_nothing_wrong(served: ServedHistory) -> None:
    store, series = served.store(), fresh_series()
    n = 100
    times = [START + 10 * DAY + i * 60 * SECOND for i in range(n)]
    await store.insert([batch(ValueType.DOUBLE, [series] * n, times, [float(i) for i in range(n)])])
    await finish(store)
    await store.insert([batch(ValueType.DOUBLE, [series], [times[3] + 1], [77.0])])

    class Crash(Exception):
        pass

    def until(statements: int) -> None:
        one, left = job(store), [statements]
        inner = one._run  # pyright: ignore[reportPrivateUsage]

        def counted(statement: str) -> str:
            if statement.startswith("INSERT"):
                left[0] -= 1
                if left[0] < 0:
                    raise Crash
            return inner(statement)

        one._run = counted  # pyright: ignore[reportPrivateUsage]
        one.step()

    for statements in range(3):
        with pytest.raises(Crash):
            await asyncio.to_thread(until, statements)
        assert await store.rolled(RollupLevel.HOUR, [series], 0, MAX_NS) == {}
    await finish(store)
    assert await same(store, series) > 0
    await store.close()


async def test_sparse_days_cost_no_rows(served: ServedHistory) -> None:
    store, series = served.store(), fresh_series()
    n = rollup_tables.HOUR_POINTS - 1
    times = [START + 20 * DAY + i * 30 * SECOND for i in range(n)]
    await store.insert([batch(ValueType.DOUBLE, [series] * n, times, [1.0] * n)])
    await finish(store)
    assert await store.rolled(RollupLevel.HOUR, [series], 0, MAX_NS) == {}
    await store.close()
