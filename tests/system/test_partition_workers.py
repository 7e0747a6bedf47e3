"""Workers that come, go, are killed and are stopped: every partition has one owner, and nothing happens twice."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from gongfu.kernel.partitions import partition_of
from gongfu.reason.rules.records import add
from gongfu.reason.rules.types import Kind
from gongfu.store.records.engine import writing
from tests.contract.reason.plant import START, body
from tests.fixtures.nats import NatsServer
from tests.system.fleet import PARTITIONS, Fleet, all_taken, open_fleet_log, shares_are
from tests.system.test_worker import story
from tests.system.worker_bench import SUBJECTS, block_of

ASSETS = [f"plant/a{n}" for n in range(8)]


@pytest.fixture
async def fleet(tmp_path: Path, nats_server: NatsServer, sqlite_template: Path) -> AsyncIterator[Fleet]:
    found = Fleet(tmp_path / "fleet", nats_server, sqlite_template)
    yield found
    for name, process in found.running.items():
        print(name, process.output)  # shown when the test fails
    found.close()


def define(fleet: Fleet) -> dict[int, int]:
    """Make assets and rules; return the partition of each series."""
    where = {fleet.plant.point(path, "temp"): partition_of(fleet.plant.asset(path), PARTITIONS) for path in ASSETS}
    for changes in (
        {"condition": {"direction": "above", "limit": 15, "deadband": 3, "delay_s": 1500}},
        {"condition": {"direction": "below", "limit": 4}, "asset": "plant/a1"},
        {"kind": Kind.RATE, "condition": {"direction": "above", "per_s": 0.0005, "window_s": 5000}},
    ):
        with writing(fleet.engine) as connection:
            add(connection, 1, body(**changes), 1)
    return where


async def latest(bus: Client, series: list[int]) -> dict[int, Any]:
    from gongfu.bus.gather import gather
    from gongfu.web.live import newest_items

    answers = await gather(bus, SUBJECTS.service("latest"), {"series": series}, 1.0)
    return newest_items(item for answer in answers for item in answer["items"])


async def test_added_killed_and_stopped_workers_change_nothing_of_the_outcome(
    fleet: Fleet, bus: Client, tmp_path: Path, nats_server: NatsServer, sqlite_template: Path
) -> None:
    where = define(fleet)
    assert set(where.values()) == set(range(PARTITIONS)), "the assets are in all partitions"
    log = await open_fleet_log(bus)
    blocks = story(sorted(where), 400, seed=5)
    ends = dict.fromkeys(range(PARTITIONS), 0)
    fed = 0

    async def feed(count: int) -> None:
        nonlocal fed
        for number, rows in enumerate(blocks[fed : fed + count], fed):
            for partition in sorted({where[series] for series, _, _ in rows}):
                mine = [row for row in rows if where[row[0]] == partition]
                ends[partition] = await log.append(partition, block_of(mine, START + number))
        fed += count

    await fleet.begin("worker-1")
    await shares_are(bus, 4)
    await feed(60)
    # One more worker: gets its share in order.
    await fleet.begin("worker-2")
    await feed(60)
    await shares_are(bus, 2, 2)
    await feed(60)
    # One is killed and stays away: the other gets its share, with the state.
    fleet.end("worker-1")
    await feed(60)
    await shares_are(bus, 4)
    await all_taken(bus, ends)
    # One is stopped as by a debugger; it believes to have everything when it goes on.
    await fleet.suspend("worker-2")
    await feed(60)
    await fleet.begin("worker-3")
    await all_taken(bus, ends)
    fleet.signal("worker-2", signal.SIGCONT)
    await feed(50)
    await shares_are(bus, 2, 2)
    await feed(len(blocks) - fed)
    await all_taken(bus, ends)
    assert "lost to another worker" in fleet.running["worker-2"].output
    values = await latest(bus, sorted(where))
    for name in ("worker-2", "worker-3"):
        fleet.end(name)

    calm = Fleet(tmp_path / "calm", nats_server, sqlite_template, alone=True)
    try:
        assert define(calm) == where
        await calm.begin("worker")
        await all_taken(bus, ends)
        expected_values = await latest(bus, sorted(where))
        calm.end("worker")
        expected, got = calm.alarms(), fleet.alarms()
    finally:
        calm.close()
    assert len(expected) > 60
    assert [item.id for item in got] == [item.id for item in expected]
    for mine, theirs in zip(got, expected, strict=True):
        journals = [[(entry.change, entry.time) for entry in item.journal or []] for item in (mine, theirs)]
        assert journals[0] == journals[1]
        assert (mine.state, mine.value) == (theirs.state, theirs.value)
    assert values == expected_values
    await log.close()
