"""Partitions into which nothing is inserted any more are merged, without a statement from outside and within bounds."""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gongfu.store.history import upkeep
from gongfu.store.history.bodies import memory_file
from gongfu.store.history.compaction import SECONDS_PER_MEGABYTE, Compaction, Pace
from gongfu.store.history.engine import Engine, EngineError
from gongfu.store.history.retention import Keep
from tests.contract.history.served import wait_for

NOW = Pace(quiet_seconds=0)


class Counted:
    """A ``Compaction`` of an engine with a clock that is set by hand."""

    def __init__(self, engine: Engine, pace: Pace) -> None:
        self.now = 1000.0
        self.counters: Counter[str] = Counter()

        def count(name: str, n: int) -> None:
            self.counters[name] += n

        self.statements: list[str] = []

        def run(statement: str) -> str:
            self.statements.append(statement)
            return engine.run(statement).data.decode()

        self.compaction = Compaction(run, count, pace, lambda: self.now)

    def merged(self) -> int:
        before = self.counters["partitions_merged"]
        while self.compaction.step():
            pass
        return self.counters["partitions_merged"] - before


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "h")
    yield made
    made.close()


def _insert(engine: Engine, year: int, value: float = 1.0, rows: int = 3, series: int = 1) -> None:
    """Insert ``rows`` points as the client does: rows that replace others stay beside them."""
    lines = "".join(
        f"{series}\t{year}-03-01 00:00:{i:02d}\t{value + i}\t0\t{year}-03-01 00:01:00\n" for i in range(rows)
    )
    descriptor = memory_file("test")
    os.write(descriptor, lines.encode())
    head = "INSERT INTO gongfu.point_double (series, time, value, quality, ingested)"
    engine.insert(head, "TabSeparated", descriptor, settings={"optimize_on_insert": "0"})
    os.close(descriptor)


def _parts(engine: Engine) -> list[tuple[int, int]]:
    """Return (year, level) of the active parts."""
    found = engine.run(
        "SELECT partition_id, level FROM system.parts WHERE active AND table = 'point_double' ORDER BY ALL"
    ).data.decode()
    return [(int(year), int(level)) for year, level in (line.split("\t") for line in found.splitlines())]


def test_a_quiet_partition_becomes_one_part_and_keeps_its_points(engine: Engine) -> None:
    for year, inserts in ((2021, 5), (2022, 1), (2023, 3)):
        for k in range(inserts):
            _insert(engine, year, float(k), series=k + 1)
    expected = engine.run("SELECT * FROM gongfu.point_double FINAL ORDER BY series, time").data
    counted = Counted(engine, NOW)
    assert counted.merged() == 3
    assert [year for year, _ in _parts(engine)] == [2021, 2022, 2023]
    # FINAL reads a part of a higher level without comparing its rows.
    assert all(level > 0 for _, level in _parts(engine))
    assert engine.run("SELECT * FROM gongfu.point_double FINAL ORDER BY series, time").data == expected
    assert counted.merged() == 0


def test_a_replaced_version_is_gone_and_the_newest_stays(engine: Engine) -> None:
    _insert(engine, 2021, 1.0)
    _insert(engine, 2021, 50.0)
    assert Counted(engine, NOW).merged() == 1
    assert engine.run("SELECT value FROM gongfu.point_double ORDER BY time").data == b"50\n51\n52\n"


def test_a_partition_that_changes_is_left_alone(engine: Engine) -> None:
    _insert(engine, 2021)
    _insert(engine, 2021, series=2)
    assert Counted(engine, Pace(quiet_seconds=3600)).merged() == 0
    assert len(_parts(engine)) == 2


def test_merging_takes_no_more_than_its_share_of_time(engine: Engine) -> None:
    counted = Counted(engine, Pace(quiet_seconds=0, share=1e-6))
    _insert(engine, 2021)
    assert counted.merged() == 1
    _insert(engine, 2021, series=2)
    assert counted.merged() == 0
    size = int(engine.run("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'point_double'").data)
    counted.now += size / 1e6 * SECONDS_PER_MEGABYTE / 1e-6
    assert counted.merged() == 1
    assert len(_parts(engine)) == 1


def test_a_crumb_beside_a_large_part_is_not_worth_a_merge(engine: Engine) -> None:
    values = random.Random(1)
    text = "".join(
        f"9\t2021-{1 + i // 86_400 // 28:02d}-{1 + i // 86_400 % 28:02d} "
        f"{i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d}\t{values.random()}\t0\t2021-01-01 00:00:00\n"
        for i in range(60_000)
    )
    descriptor = memory_file("test")
    os.write(descriptor, text.encode())
    head = "INSERT INTO gongfu.point_double (series, time, value, quality, ingested)"
    engine.insert(head, "TabSeparated", descriptor, settings={"optimize_on_insert": "0"})
    os.close(descriptor)
    counted = Counted(engine, NOW)
    assert counted.merged() == 1
    _insert(engine, 2021, rows=1)
    counted.now += 1e6
    assert counted.merged() == 0
    assert len(_parts(engine)) == 2


def test_a_failed_merge_is_not_tried_again_at_once(engine: Engine) -> None:
    _insert(engine, 2021)
    counted = Counted(engine, NOW)
    run = counted.compaction._run

    def failing(statement: str) -> str:
        if statement.startswith("OPTIMIZE"):
            raise OSError("no room")
        return run(statement)

    counted.compaction._run = failing
    attempts: list[Callable[[], bool]] = [counted.compaction.step] * 2
    with pytest.raises(OSError, match="no room"):
        attempts[0]()
    assert attempts[1]() is False


def test_the_upkeep_merges_without_being_asked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(upkeep, "Compaction", lambda run, count: Compaction(run, count, NOW))
    _insert(engine, 2021)
    _insert(engine, 2021, series=2)
    counters: Counter[str] = Counter()

    def count(name: str, n: int) -> None:
        counters[name] += n

    working = upkeep.Upkeep(engine, count, Keep())
    working.start()
    try:
        wait_for(lambda: counters["partitions_merged"] > 0, "a quiet partition is merged", 60.0)
    finally:
        working.stop(60.0)
    assert len(_parts(engine)) == 1
    assert counters["upkeep_failed"] == 0


def test_nothing_is_merged_while_the_node_starts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "FIRST_SECONDS", 3600.0)
    for series in range(12):
        _insert(engine, 2021, series=series)
    starting = upkeep.Upkeep(engine, lambda _name, _n: None, Keep())
    starting.start()
    try:
        with pytest.raises(EngineError, match="Cancelled merging"):
            engine.run("OPTIMIZE TABLE gongfu.point_double FINAL")
    finally:
        starting.stop(60.0)
    monkeypatch.setattr(upkeep, "FIRST_SECONDS", 0.1)
    working = upkeep.Upkeep(engine, lambda _name, _n: None, Keep())
    working.start()
    try:
        wait_for(lambda: not working._held, "merges may run", 60.0)
        engine.run("OPTIMIZE TABLE gongfu.point_double FINAL")
    finally:
        working.stop(60.0)
    assert len(_parts(engine)) == 1
