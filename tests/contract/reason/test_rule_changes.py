"""A change of rules on a running pipeline: compiled beside the feed, taken over between two blocks, never half."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, select, update

from gongfu.kernel.block import Block, Columns
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.alarms.ledger import AlarmLedger
from gongfu.reason.alarms.records import alarm
from gongfu.reason.compiler import Compiled, Compiler, Program
from gongfu.reason.pipeline import ReasonPipeline
from gongfu.reason.rules import records as rules
from gongfu.reason.rules.types import Kind
from gongfu.store.records.engine import open_records, writing
from gongfu.store.twins.checkpoint import CheckpointFile, read_checkpoint, write_checkpoint
from tests.contract.reason.plant import START, Plant, body

ABOVE = {"direction": "above", "limit": 10.0}
DELAYED = {"direction": "above", "limit": 10.0, "delay_s": 2.0}


class Gate(Compiler):
    """A compiler that waits, when told to, before it begins or after it has read."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.reached, self.open = threading.Event(), threading.Event()
        self.open.set()
        self.before = True

    def rules(self, before: Compiled | None = None) -> Program:
        if self.before:
            self._wait()
        program = super().rules(before)
        if not self.before:
            self._wait()
        return program

    def _wait(self) -> None:
        self.reached.set()
        assert self.open.wait(60)


class Node:
    """The pipeline of a plant; blocks have a sample a second of each series."""

    def __init__(self, plant: Plant, directory: Path) -> None:
        self.plant = plant
        self.gate = Gate(plant.engine)
        self.file = directory / "checkpoint"
        self.pipeline = ReasonPipeline(
            self.gate, AlarmLedger(plant.engine), CheckpointFile(self.file), Counters(), plant.clock, _nobody
        )

    async def take(self, number: int, **values: float) -> None:
        """Take a block with the values of series, ``s1=3.0``."""
        series = np.array([int(name[1:]) for name in values], dtype=np.uint32)
        times = np.full(len(series), START + number * SECOND)
        columns = Columns(series, times, np.zeros(len(series), np.uint8), np.array(list(values.values())))
        await self.pipeline.take(0, number, Block(1, START + number * SECOND, {ValueType.DOUBLE: columns}), b"")

    async def changing(self, change: Callable[[], Any], meanwhile: Callable[[], Awaitable[None]], beside: bool) -> None:
        """Change the rules; ``meanwhile`` happens while they are compiled, or before where the world stops."""
        if not beside:
            await meanwhile()
            change()
            await self.pipeline.reload_rules()
            return
        change()
        self.gate.open.clear()
        self.gate.reached.clear()
        task = asyncio.create_task(self.pipeline.reload_rules())
        await asyncio.to_thread(self.gate.reached.wait, 60)
        assert self.pipeline.gauges()["rules_compiling"]
        await meanwhile()
        assert not task.done()
        self.gate.open.set()
        await task

    def alarms(self) -> list[Any]:
        """Return all that matters of the alarms."""
        columns = (alarm.c.rule_id, alarm.c.series, alarm.c.raised_at, alarm.c.returned_at)
        with writing(self.plant.engine) as connection:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(*columns[:3]))]


async def _nobody(events: Any) -> None:
    pass


def put(plant: Plant, **changes: Any) -> int:
    with writing(plant.engine) as connection:
        return rules.add(connection, 1, body(**changes), 1).id


def change(plant: Plant, key: int, **changes: Any) -> None:
    with writing(plant.engine) as connection:
        assert rules.change(connection, 1, key, body(**changes), 2) is not None


@pytest.mark.parametrize("before", [True, False], ids=["before it reads", "after it has read"])
def test_blocks_meanwhile_are_judged_by_the_old_rules(tmp_path: Path, before: bool) -> None:
    """The same samples, the same change at the same block: compiled beside the feed, and with the world stopped."""
    told: list[Any] = []
    for beside in (False, True):
        directory = tmp_path / str(beside)
        directory.mkdir()
        plant = fresh(directory)
        told.append(asyncio.run(_changed(Node(plant, directory), before, beside)))
        plant.engine.dispose()
    assert told[0] == told[1]


async def _changed(node: Node, before: bool, beside: bool) -> list[Any]:
    plant, node.gate.before = node.plant, before
    plant.point("plant/kiln", "temp")
    plant.point("plant/mill", "temp")
    first, second, third = put(plant), put(plant, name="delayed", condition=DELAYED), put(plant, name="gone")
    await node.pipeline.start()
    await node.take(1, s1=11.0, s2=3.0)

    def edit() -> None:
        change(plant, first, condition={"direction": "above", "limit": 20.0})
        change(plant, third, name="gone", enabled=False)
        put(plant, name="low", condition={"direction": "below", "limit": 4.0})
        change(plant, second, name="another name", condition=DELAYED)

    async def meanwhile() -> None:
        await node.take(2, s1=12.0, s2=15.0)
        assert len(node.alarms()) == 4
        assert plant.point("plant/oven", "temp") == 3
        await node.take(3, s1=12.5, s2=3.0, s3=13.0)
        await node.take(4, s1=13.0, s2=3.0, s3=14.0)

    await node.changing(edit, meanwhile, beside)
    assert node.pipeline.gauges()["rules_compiled"] == 3
    assert not node.pipeline.gauges()["rules_compiling"]
    await node.take(5, s1=25.0, s2=3.0, s3=15.0)
    await node.take(6, s1=1.0, s2=12.0, s3=26.0)
    assert node.pipeline.rule_states()[str(second)].series == 3
    # A delay that began under the old rules ends in time under the new ones.
    assert (second, 3) in [row[:2] for row in node.alarms()]
    return node.alarms()


def fresh(directory: Path) -> Plant:
    from gongfu.store.records.migrations import migrate

    engine = open_records(f"sqlite:///{directory / 'records.db'}")
    migrate(engine)
    return Plant(engine)


def test_a_point_that_comes_to_a_rule_whose_pattern_changes(tmp_path: Path) -> None:
    plant = fresh(tmp_path)
    plant.point("plant/kiln", "temp")
    key = put(plant)

    async def run() -> None:
        node = Node(plant, tmp_path)
        node.gate.before = False
        await node.pipeline.start()
        await node.take(1, s1=11.0)

        async def meanwhile() -> None:
            assert plant.point("plant/mill", "temp") == 2
            await node.take(2, s1=11.0, s2=11.0)
            assert len(node.alarms()) == 2

        await node.changing(lambda: change(plant, key, asset="plant/k*"), meanwhile, beside=True)
        await node.take(3, s1=12.0, s2=12.0)
        assert node.pipeline.rule_states()[str(key)].series == 1
        assert [(series, ended is None) for _, series, _, ended in node.alarms()] == [(1, True), (2, False)]

    asyncio.run(run())


def test_a_change_while_one_is_compiled_comes_after_it(tmp_path: Path) -> None:
    plant = fresh(tmp_path)
    plant.point("plant/kiln", "temp")
    key = put(plant)

    async def run() -> None:
        node = Node(plant, tmp_path)
        node.gate.before = False
        await node.pipeline.start()
        further: list[asyncio.Task[None]] = []

        async def meanwhile() -> None:
            change(plant, key, condition={"direction": "above", "limit": 30.0})
            further.append(asyncio.create_task(node.pipeline.reload_rules()))
            await node.take(1, s1=11.0)
            assert len(node.alarms()) == 1

        await node.changing(
            lambda: change(plant, key, condition={"direction": "above", "limit": 20.0}), meanwhile, beside=True
        )
        await further[0]
        assert node.pipeline.engine.rules[key].limit == 30.0
        await node.take(2, s1=25.0)
        assert [row[3] is None for row in node.alarms()] == [False]

    asyncio.run(run())


def test_a_checkpoint_of_an_earlier_version_loads(tmp_path: Path) -> None:
    plant = fresh(tmp_path)
    plant.point("plant/kiln", "temp")
    key = put(plant, condition=DELAYED)

    async def run() -> None:
        node = Node(plant, tmp_path)
        await node.pipeline.start()
        await node.take(1, s1=11.0)
        await node.pipeline.close()
        stored = read_checkpoint(node.file)
        assert stored is not None
        arrays, document = stored
        document["program"]["rules"] = json.loads(arrays.pop("program.patterns").tobytes())
        document["program"]["texts"] = {str(key): 0}
        write_checkpoint(node.file, arrays, document)
        again = Node(plant, tmp_path)
        await again.pipeline.start()
        assert again.pipeline.position(0) == 1
        assert again.pipeline.gauges()["rule_instances"] == 1
        await again.take(2, s1=11.0)
        await again.take(3, s1=11.0)
        # The delay has gone on from before.
        assert [row[2] for row in again.alarms()] == [START + 3 * SECOND]

    asyncio.run(run())


def test_what_cannot_be_compiled_is_told_and_stops_no_other(records: Engine, tmp_path: Path) -> None:
    plant = Plant(records)
    for asset in ("kiln", "mill"):
        plant.point(f"plant/{asset}", "temp")
    good, bad, lost = put(plant, asset="plant/kiln"), put(plant), put(plant, asset="plant/mill")
    pattern = put(plant, kind=Kind.PATTERN, point="", condition={"expression": "temp > 1"})

    async def run() -> None:
        node = Node(plant, tmp_path)
        await node.pipeline.start()
        with writing(records) as connection:
            connection.execute(update(rules.rule).where(rules.rule.c.id == bad).values(condition={"limit": "x"}))
            broken = {"expression": "temp >"}
            connection.execute(update(rules.rule).where(rules.rule.c.id == pattern).values(condition=broken))
        await node.pipeline.reload_rules()
        plant.delete_point(2)
        node.gate.before = True
        # The records tell of deletions by their audit; here the program is made as if it had.
        assert node.pipeline._program is not None
        node.pipeline._program.revision = -1
        await node.pipeline.reload_rules()
        change(plant, good, asset="plant/kiln", condition={"direction": "above", "limit": 5.0})
        await node.pipeline.reload_rules()
        states = node.pipeline.rule_states()
        assert states[str(good)].error == ""
        assert "cannot be read" in states[str(bad)].error
        assert states[str(pattern)].error
        assert "points were deleted" in states[str(lost)].error
        plant.point("plant/oven", "temp")
        await node.take(1, s1=7.0, s3=7.0)
        assert "points were deleted" in node.pipeline.rule_states()[str(lost)].error
        assert [row[0] for row in node.alarms()] == [good]

    asyncio.run(run())


def test_killed_while_it_compiles(tmp_path: Path) -> None:
    """After kill -9 in the middle of a change, the new rules begin where the checkpoint ends, as after any restart."""
    plant = fresh(tmp_path)
    plant.point("plant/kiln", "temp")
    key = put(plant, condition=DELAYED)
    plant.engine.dispose()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.contract.reason.test_rule_changes", str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"compiling\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    plant.engine = open_records(f"sqlite:///{tmp_path / 'records.db'}")

    async def run() -> None:
        node = Node(plant, tmp_path)
        await node.pipeline.start()
        # The checkpoint was written while the change was compiled: whole, and of the old rules.
        assert node.pipeline.position(0) == 2
        assert node.pipeline.engine.rules[key].name == "renamed"
        await node.take(3, s1=12.0)
        await node.take(4, s1=1.0)
        assert node.alarms() == [(key, 1, START + 3 * SECOND, START + 4 * SECOND)]

    asyncio.run(run())
    plant.engine.dispose()


async def _until_killed(directory: Path) -> None:
    plant = object.__new__(Plant)
    plant.engine = open_records(f"sqlite:///{directory / 'records.db'}")
    from tests.contract.reason.plant import FixedClock

    plant.clock = FixedClock()
    node = Node(plant, directory)
    await node.pipeline.start()
    await node.take(1, s1=11.0)
    change(plant, 1, name="renamed", condition=DELAYED)
    node.gate.open.clear()
    node.gate.reached.clear()
    task = asyncio.create_task(node.pipeline.reload_rules())
    await asyncio.to_thread(node.gate.reached.wait, 60)
    await node.take(2, s1=11.5)
    assert await node.pipeline.checkpoint()
    await node.take(3, s1=12.0)
    print("compiling", flush=True)
    await task


if __name__ == "__main__":
    asyncio.run(_until_killed(Path(sys.argv[1])))
