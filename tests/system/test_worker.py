"""The worker as a process: rules, models, latest values, restarts, and a history that is away."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from gongfu.bus.connection import subscribe
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.alarms.types import AlarmEvent
from gongfu.reason.rules.records import add, remove
from gongfu.reason.rules.types import Kind
from gongfu.store.records.engine import writing
from tests.contract.reason.plant import START, body
from tests.fixtures.nats import NatsServer
from tests.system.worker_bench import (
    SUBJECTS,
    Worker,
    block_of,
    latest_of,
    open_log,
    state_of,
    taken,
    until,
)

STEP = 1000 * SECOND


@pytest.fixture
def worker(tmp_path: Path, nats_server: NatsServer, sqlite_template: Path) -> Iterator[Worker]:
    found = Worker(tmp_path / "data", nats_server, sqlite_template)
    yield found
    found.close()


def rule(worker: Worker, **changes: Any) -> int:
    with writing(worker.engine) as connection:
        return add(connection, 1, body(**changes), 1).id


async def announce(bus: Client, kind: str, **document: Any) -> None:
    await bus.publish(SUBJECTS.event("rule" if kind in ("rule", "binding") else "registry"), json.dumps(
        {"kind": kind, **document}
    ).encode())  # fmt: skip


async def test_rules_alarms_and_latest_values_while_the_history_is_away(worker: Worker, bus: Client) -> None:
    hot = worker.plant.point("plant/kiln", "temp", unit="Cel")
    key = rule(worker)
    silent = rule(worker, kind=Kind.ABSENCE, condition={"timeout_s": 0.3}, point="*")
    log = await open_log(bus)
    events: list[AlarmEvent] = []

    async def heard(message: Any) -> None:
        import msgspec

        events.append(msgspec.json.decode(message.data, type=AlarmEvent))

    await subscribe(bus, SUBJECTS.event("alarm"), heard)
    await worker.start()
    await log.append(0, block_of([(hot, START, 5.0), (hot, START + 1, 12.0)], START))
    sequence = await log.append(0, block_of([(hot, START + 2, float("nan"))], START, quality=0x81))
    await taken(bus, sequence)
    (item,) = (await latest_of(bus, hot, 999)).items
    assert (item.series, item.value, item.quality, item.time) == (hot, None, 0x81, START + 2)

    async def both() -> bool:
        return {event.alarm.rule_id for event in events} == {key, silent}

    await until(both, "alarms of both rules")
    assert [event.alarm.message for event in events if event.alarm.rule_id == key] == ["temp is 12 Cel, above 10 Cel"]
    # A new asset: its first block already counts.
    other = worker.plant.point("plant/mill", "temp")
    sequence = await log.append(0, block_of([(other, START, 99.0)], START))
    await taken(bus, sequence)
    assert {alarm.asset_path for alarm in worker.alarms() if alarm.rule_id == key} == {"plant/kiln", "plant/mill"}
    # A rule that goes away returns its alarms; one that comes looks at the latest value.
    with writing(worker.engine) as connection:
        remove(connection, 1, key)
    await announce(bus, "rule", id=key, change="deleted", tenant=1)

    async def returned() -> bool:
        states = {alarm.state for alarm in worker.alarms() if alarm.rule_id == key}
        return states == {"unacknowledged_returned"}

    await until(returned, "alarms of a removed rule return")
    late = rule(worker, condition={"direction": "above", "limit": 50}, name="late")
    await announce(bus, "rule", id=late, change="created", tenant=1)

    async def raised() -> bool:
        return any(alarm.rule_id == late for alarm in worker.alarms())

    await until(raised, "a new rule sees the latest value")
    # A deleted point is told.
    worker.plant.delete_point(other)
    await announce(bus, "point", id=other, name="temp", tenant=1, change="deleted")
    worker.plant.delete_point(hot)
    await announce(bus, "point", id=hot, name="temp", tenant=1, change="deleted")

    async def told() -> bool:
        state = await state_of(bus)
        return state is not None and "deleted" in state.rules[str(late)].error

    await until(told, "the rule says that its points are gone")
    assert await worker.stop() == 0
    await log.close()


def story(series: list[int], blocks: int, seed: int) -> list[list[tuple[int, int, float]]]:
    """Blocks of samples, now and then late, that cross the limits often.

    Times are far apart and delays end half-way between them, so that no delay ends by the clock while the test runs.
    """
    choose = random.Random(seed)
    rows = []
    for number in range(blocks):
        base = number * 2 // 5
        rows.append([
            (choose.choice(series), START + (base + choose.randint(-6, 1)) * STEP, choose.uniform(0, 20))
            for _ in range(choose.randint(1, 4))
        ])  # fmt: skip
    return rows


def define(worker: Worker) -> list[int]:
    series = [worker.plant.point(f"plant/{name}", "temp") for name in ("a", "b", "c", "d")]
    rule(worker, condition={"direction": "above", "limit": 15, "deadband": 3, "delay_s": 1500})
    rule(worker, condition={"direction": "below", "limit": 4}, asset="plant/a")
    rule(worker, kind=Kind.RATE, condition={"direction": "above", "per_s": 0.0005, "window_s": 5000})
    rule(worker, kind=Kind.ABSENCE, condition={"timeout_s": 4500})
    return series


async def test_kill_9_of_the_worker_changes_no_alarm(
    worker: Worker, bus: Client, tmp_path: Path, nats_server: NatsServer, sqlite_template: Path
) -> None:
    series = define(worker)
    log = await open_log(bus)
    blocks = story(series, 600, seed=3)
    # Kills come after the n-th block, wherever the worker is then.
    choose = random.Random(4)
    kills = sorted(choose.sample(range(50, len(blocks)), 6))
    await worker.start()
    sequence = 0
    for number, rows in enumerate(blocks):
        sequence = await log.append(0, block_of(rows, START + number))
        if number in kills:
            await taken(bus, choose.randint(max(1, sequence - 30), sequence))
            if number == kills[2]:
                # Let a checkpoint be written, so that the state, too, comes from the file.
                await until(worker.has_checkpoint, "a checkpoint")
            worker.kill()
            await worker.start()
    await taken(bus, sequence)
    assert await worker.stop() == 0

    calm = Worker(tmp_path / "calm", nats_server, sqlite_template)
    try:
        assert define(calm) == series
        await calm.start()
        await taken(bus, sequence)
        assert await calm.stop() == 0
        expected, got = calm.alarms(), worker.alarms()
    finally:
        calm.close()
    assert len(expected) > 100
    assert [item.id for item in got] == [item.id for item in expected]
    for mine, theirs in zip(got, expected, strict=True):
        journals = [[(entry.change, entry.time) for entry in item.journal or []] for item in (mine, theirs)]
        assert journals[0] == journals[1]
        assert (mine.state, mine.value) == (theirs.state, theirs.value)
    await log.close()


def define_kinds(worker: Worker) -> list[int]:
    """Rules that keep something between samples: windows, patterns over two points, siblings, samples that wait."""
    series = [worker.plant.point(f"plant/{name}", point) for name in ("a", "b", "c") for point in ("temp", "flow")]
    # Half a step beside the times of samples: none becomes due by the clock while the test runs.
    late = {"lateness_s": 6.5 * STEP / SECOND}
    step = STEP / SECOND
    window = {"direction": "above", "limit": 11, "deadband": 2}
    rule(worker, condition={"direction": "above", "limit": 15, "deadband": 3, "delay_s": 1.5 * step}, **late)
    for shape in (
        {"window": "tumbling", "aggregate": "mean", "size_s": 4 * step},
        {"window": "sliding", "aggregate": "max", "size_s": 6 * step, "every_s": 2 * step, "limit": 16},
        {"window": "session", "aggregate": "range", "gap_s": 2 * step},
    ):
        rule(worker, kind=Kind.WINDOW, condition=window | shape, **late)
    both = {"tolerance_s": 5 * step}
    rule(worker, kind=Kind.PATTERN, point="", condition={"expression": "temp > 10 and flow < temp", **both}, **late)
    sequence = {"sequence": ["temp > 12", "flow < 5"], "within_s": 6 * step, **both}
    rule(worker, kind=Kind.PATTERN, point="", condition=sequence, **late)
    deviation = {"against": "median", "direction": "either", "limit": 6, "every_s": 2 * step, "tolerance_s": 9 * step}
    rule(worker, kind=Kind.DEVIATION, condition=deviation, **late)
    return series


async def test_kill_9_in_the_middle_of_windows_changes_no_alarm(
    worker: Worker, bus: Client, tmp_path: Path, nats_server: NatsServer, sqlite_template: Path
) -> None:
    """All samples are late now and then; the calm worker gets them one by one, this one is killed between them."""
    series = define_kinds(worker)
    log = await open_log(bus)
    blocks, choose = story(series, 400, seed=5), random.Random(6)
    kills = sorted(choose.sample(range(40, len(blocks)), 4))
    await worker.start()
    sequence = 0
    for number, rows in enumerate(blocks):
        sequence = await log.append(0, block_of(rows, START + number))
        if number in kills:
            await taken(bus, choose.randint(max(1, sequence - 20), sequence))
            if number == kills[1]:
                await until(worker.has_checkpoint, "a checkpoint")
            worker.kill()
            await worker.start()
    await taken(bus, sequence)
    assert await worker.stop() == 0
    calm = Worker(tmp_path / "calm", nats_server, sqlite_template)
    try:
        assert define_kinds(calm) == series
        await calm.start()
        await taken(bus, sequence)
        assert await calm.stop() == 0
        expected, got = calm.alarms(), worker.alarms()
    finally:
        calm.close()
    assert len({item.rule_id for item in expected}) == 7
    assert [(item.id, item.state, item.value) for item in got] == [
        (item.id, item.state, item.value) for item in expected
    ]
    await log.close()


async def test_history_that_was_away_gets_everything_and_a_restart_begins_where_it_was(
    worker: Worker, bus: Client
) -> None:
    series = worker.plant.point("plant/kiln", "temp")
    log = await open_log(bus)
    await worker.start()
    for number in range(50):
        sequence = await log.append(0, block_of([(series, START + number, float(number))], START))
    await taken(bus, sequence)
    assert await worker.stop() == 0
    await worker.start_history()
    await worker.start()

    async def stored() -> bool:
        try:
            position = json.loads((worker.directory / "history-position.json").read_text())
        except FileNotFoundError:
            return False
        return position["positions"] == {"0": sequence}

    await until(stored, "all blocks in the history", 90)
    assert (await latest_of(bus, series)).items[0].value == 49.0
    assert await worker.stop() == 0
    await log.close()


async def test_integer_points_and_a_damaged_checkpoint(worker: Worker, bus: Client) -> None:
    series = worker.plant.point("plant/kiln", "temp", ValueType.INT64)
    rule(worker)
    log = await open_log(bus)
    await worker.start()
    sequence = await log.append(0, block_of([(series, START, 2**53 + 1)], START, ValueType.INT64))
    await taken(bus, sequence)
    assert await worker.stop() == 0
    path = worker.directory / "twins" / "checkpoint"
    path.write_bytes(path.read_bytes()[:100])
    before = worker.alarms()
    assert len(before) == 1
    await worker.start()
    assert worker.process is not None
    assert "reading the log from its start" in worker.process.output
    await taken(bus, sequence)
    assert (await latest_of(bus, series)).items[0].value == 2**53 + 1
    assert await worker.stop() == 0
    assert worker.alarms() == before
    await log.close()
