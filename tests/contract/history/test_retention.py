"""What is too old goes, is counted, and leaves its roll-ups; everything else stays."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, SECOND
from gongfu.store.history import rollups
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.retention import Keep, Retention
from gongfu.store.history.rollups import Rollups, RollupTimes
from gongfu.store.history.types import RollupLevel
from tests.contract.history.points import batch
from tests.contract.history.served import ServedHistory, wait_for

DAY = 86_400 * SECOND


def run_on(store: ClickHouseHistory) -> Callable[[str], str]:
    def run(statement: str) -> str:
        if statement.startswith("SELECT"):
            return store.call(lambda client: client.raw_query(statement, fmt="TabSeparated")).decode()
        store.call(lambda client: client.command(statement))
        return ""

    return run


def rows(store: ClickHouseHistory, source: str) -> int:
    return int(str(store.call(lambda client: client.command(f"SELECT count() FROM gongfu.{source}"))))


async def test_points_go_and_roll_ups_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "HOUR_POINTS", 10)
    served = ServedHistory(tmp_path / "h")
    served.start()
    try:
        store = served.store()
        today = time.time_ns() // DAY * DAY
        days = [today - back * DAY for back in (1200, 800, 400, 12, 8, 3)]
        times = [day + i * 600 * SECOND for day in days for i in range(50)]
        await store.insert([
            batch(ValueType.DOUBLE, [1] * len(times), times, [1.0] * len(times)),
            batch(ValueType.INT64, [2] * len(times), times, [1] * len(times)),
        ])  # fmt: skip
        # A correction, whose versions go with the point.
        await store.correct(
            ValueType.INT64, batch(ValueType.INT64, [2], times[:1], [5]).columns, corrected_by="me", reason="wrong"
        )
        run, counters = run_on(store), Counters()
        job = Rollups(run, counters.add, RollupTimes(under_way=0))
        retention = Retention(run, counters.add, Keep(points=10 * 86_400), job.pending)
        # Not before the roll-ups are there.
        assert await asyncio.to_thread(retention.step) == 0

        def build() -> None:
            while job.step():
                pass

        await asyncio.to_thread(build)
        removed = await asyncio.to_thread(retention.step)
        assert removed == 2 * 4 * 50
        assert counters.snapshot()["points_expired"] == removed
        # Partitions go at once, the rest by a mutation in the background.
        wait_for(lambda: rows(store, "point_double") == 100 and rows(store, "point_int64") == 100, "points are removed")
        wait_for(lambda: rows(store, "point_int64_versions") == 0, "versions are removed")
        found = await store.query(ValueType.DOUBLE, [1], 0, MAX_NS)
        assert found.columns.times.tolist() == times[-100:]
        ranges = (await store.rolled(RollupLevel.HOUR, [1], 0, MAX_NS))[1]
        assert [begin for begin, _ in ranges] == days
        assert rows(store, "rollup_double_1h FINAL WHERE points = 6") == 6 * 8
        # A point that comes too late for its roll-up does not spoil it, and goes with the next pass.
        await store.insert([batch(ValueType.DOUBLE, [1], [days[0] + 1], [9.0])])
        await asyncio.to_thread(build)
        assert rows(store, "rollup_double_1h FINAL WHERE max > 8") == 0
        assert [begin for begin, _ in (await store.rolled(RollupLevel.HOUR, [1], 0, MAX_NS))[1]] == days
        # Nothing new to do on the same day.
        assert await asyncio.to_thread(retention.step) == 0
        shorter = Retention(run, counters.add, Keep(rollups=10 * 86_400), job.pending)
        assert await asyncio.to_thread(shorter.step) > 0
        wait_for(lambda: rows(store, "rollup_double_1h") == 2 * 9, "roll-ups are removed")
        await store.close()
    finally:
        served.kill()
