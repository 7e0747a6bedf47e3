"""The role models as a process: outputs are points, a kill changes nothing, and a model that hangs delays nobody."""

import asyncio
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from gongfu.appkit.catalogue import find_models
from gongfu.bus.blocklog import BlockLog
from gongfu.bus.blockreader import BlockReader
from gongfu.bus.connection import open_bus
from gongfu.bus.requests import request
from gongfu.kernel.block import decode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.models.service import BindingBody, ModelService
from gongfu.reason.models.spec import Kind, ModelSpec
from gongfu.reason.models.streaming.types import ScopeState, StreamState
from gongfu.reason.models.types import Port
from gongfu.reason.rules.records import add
from gongfu.store.objects.folder import ObjectFolder
from gongfu.store.records.engine import writing
from gongfu.store.twins.checkpoint import read_checkpoint
from tests.contract.reason.plant import START, body
from tests.fixtures.nats import NatsServer
from tests.system.worker_bench import SUBJECTS, Worker, block_of, open_log, taken, until

TEP = "tennessee-eastman.reactor-cooling"
# Times of samples are so far apart, and delays end half-way between them, that no delay ends by the clock in between.
STEP = 1000 * SECOND
# A running mean and the number of rows so far: what it gives depends on everything it has seen.
SMOOTH = b"""
import numpy as np
from gongfu.appkit.contract import Port, model

@model(id="test.smooth", version="1.0.0", inputs=[Port("a", "1"), Port("b", "1")],
       outputs=[Port("mean", "1"), Port("seen", "1")], tolerance_s=5000)
def smooth(columns, dt, state):
    mean, seen = (0.0, 0) if state is None else state
    means, counts = [], []
    for value in (columns["a"] * columns["b"]).tolist():
        seen += 1
        mean += (value - mean) / seen
        means.append(mean)
        counts.append(float(seen))
    return {"mean": np.array(means), "seen": np.array(counts)}, (mean, seen)
"""
HANGS = (
    SMOOTH.replace(b"test.smooth", b"test.hangs")
    .replace(b"    means, counts = [], []", b"    while True: pass")
    .replace(b'"mean", "1"', b'"m2", "1"')
    .replace(b'"seen", "1"', b'"s2", "1"')
)


def ports(*names: str) -> tuple[Port, ...]:
    return tuple(Port(name, "1") for name in names)


def smooth(name: str, *outputs: str, **more: Any) -> ModelSpec:
    return ModelSpec(
        id=name, version="1.0.0", kind=Kind.PYTHON, inputs=ports("a", "b"), outputs=ports(*outputs),
        tolerance_s=5000, state=True, **more,
    )  # fmt: skip


class Site:
    """A worker, with models that people registered and bound."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.plant = worker, worker.plant
        self.subject = worker.plant.subject()
        objects = ObjectFolder(worker.directory / "objects")
        self.models = ModelService(worker.engine, worker.plant.clock, lambda _: None, find_models(), objects)

    def pumps(self, number: int) -> list[int]:
        return [self.plant.point(f"hall/pump {n}", name, unit="1") for n in range(number) for name in ("a", "b")]

    def rule(self, **changes: Any) -> None:
        with writing(self.worker.engine) as connection:
            add(connection, 1, body(**changes), 1)


@pytest.fixture
def open_site(tmp_path: Path, nats_server: NatsServer, sqlite_template: Path) -> Iterator[Any]:
    made: list[Worker] = []

    def one(name: str, server: NatsServer = nats_server) -> Site:
        made.append(Worker(tmp_path / name, server, sqlite_template))
        return Site(made[-1])

    yield one
    for worker in made:
        worker.close()


@pytest.fixture
def other_server(tmp_path: Path) -> Iterator[NatsServer]:
    directory = tmp_path / "other"
    directory.mkdir()
    server = NatsServer(directory)
    server.start()
    yield server
    server.kill()


async def state(bus: Client) -> dict[str, ScopeState]:
    try:
        return (await request(bus, SUBJECTS.service("models.state"), None, 2.0, StreamState)).bindings
    except Problem:
        return {}


async def outputs_in(bus: Client, log: BlockLog, inputs: list[int]) -> list[bytes]:
    """Return the blocks of outputs that are in a log, in order."""
    last = await log.last_sequence(0)
    reader = BlockReader(bus, SUBJECTS, 0, 1, Counters())
    found: list[tuple[int, bytes]] = []
    try:
        while not found or found[-1][0] < last:
            found += await reader.next_batch(10.0)
    finally:
        await reader.close()
    series = {data: decode_block(data).columns[ValueType.DOUBLE].series[0] for _, data in found}
    return [data for _, data in found if series[data] not in inputs]


async def has_outputs_at(bus: Client, log: BlockLog, inputs: list[int], time: int, number: int) -> bool:
    """Return whether so many output points have a value at a time."""
    columns = [decode_block(data).columns[ValueType.DOUBLE] for data in await outputs_in(bus, log, inputs)]
    return len({int(series) for one in columns for series in one.series[one.times == time]}) == number


async def quiet(bus: Client, log: BlockLog) -> bool:
    """Return whether the role answers, and nothing came into the log for a second."""
    before = await log.last_sequence(0)
    await asyncio.sleep(1.0)
    return bool(await state(bus)) and before == await log.last_sequence(0)


async def test_a_model_that_hangs_is_stopped_and_delays_no_other(open_site: Any, bus: Client) -> None:
    site: Site = open_site("one")
    tep = find_models()[TEP]
    values = {"reactor": 120.4 + 273.15, "outlet": 94.599, "level": 75.0, "valve": 41.106}
    series = {
        port.name: site.plant.point("tep/reactor", port.point, unit="K" if port.name == "reactor" else port.unit)
        for port in tep.inputs
    }
    limits = msgspec.convert({"wall_s": 1.0, "cpu_s": 1.0}, type(smooth("x.y", "o").limits))
    site.models.register(site.subject, smooth("test.hangs", "m2", "s2", limits=limits), HANGS)
    a, b = site.pumps(1)
    site.models.bind(site.subject, TEP, BindingBody(asset="tep/reactor"))
    site.models.bind(site.subject, "test.hangs", BindingBody(assets="hall/*"))
    site.rule(name="duty", asset="tep/*", point="heat_duty", condition={"direction": "above", "limit": 6000})
    log = await open_log(bus)
    await site.worker.start()
    await site.worker.start_models()
    for number in range(20):
        time = START + number * SECOND
        await log.append(0, block_of([(a, time, 1.0), (b, time, 1.0)], START))
    rows = [(series[name], START, value) for name, value in values.items()]
    # Two blocks: the set is complete with the second.
    await log.append(0, block_of(rows[:2], START))
    await log.append(0, block_of(rows[2:], START))

    async def both() -> Any:
        found = await state(bus)
        return found if len(found) == 2 and found["1"].evaluated and found["2"].failed else None

    found = await until(both, "one has run, the other was stopped", 60)
    assert (found["1"].status, found["1"].last_at, found["1"].evaluated) == ("running", START, 1)
    assert found["2"].status == "failing"
    assert "stopped" in found["2"].error

    async def alarmed() -> bool:
        return any(alarm.point == "heat_duty" and alarm.unit == "kW" for alarm in site.worker.alarms())

    await until(alarmed, "a rule on the model's output", 60)
    await log.close()


async def test_a_kill_in_the_middle_changes_no_output_and_no_alarm(
    open_site: Any, bus: Client, other_server: NatsServer
) -> None:
    cut_bus = await open_bus(other_server.address, "test")
    sites: list[tuple[Site, Client]] = [(open_site("whole"), bus), (open_site("cut", other_server), cut_bus)]
    rows: list[list[tuple[int, int, float]]] = []
    choose = random.Random(7)
    told: list[tuple[list[bytes], Any]] = []
    for site, client in sites:
        series = site.pumps(3)
        site.models.register(site.subject, smooth("test.smooth", "mean", "seen"), SMOOTH)
        site.models.bind(site.subject, "test.smooth", BindingBody(assets="hall/*"))
        site.rule(
            name="mean",
            asset="hall/*",
            point="mean",
            condition={"direction": "above", "limit": 45.0, "deadband": 5.0, "delay_s": 3.5 * STEP / SECOND},
        )
        rows = rows or [
            [(one, START + n * STEP, choose.uniform(0, 14)) for one in choose.sample(series, choose.randint(1, 6))]
            for n in range(120)
        ]
        log = await open_log(client)
        await site.worker.start()
        await site.worker.start_models()
        for number, block in enumerate(rows):
            await log.append(0, block_of(block, START + number * STEP))
            if client is cut_bus and number in (3, 40, 80):
                if number == 80:  # with a checkpoint in the middle; the others are before the first
                    await until(partial(has_moved, site.worker, 30), "a later checkpoint", 60)
                site.worker.kill_models()
                await site.worker.start_models()
        # All pumps' inputs in one block: rows of their own, which come after all that the blocks before gave.
        end = START + 130 * STEP
        await log.append(0, block_of([(one, end, 7.0) for one in series], end))
        await until(partial(has_outputs_at, client, log, series, end, 6), "the last row of every pump", 120)
        await until(partial(quiet, client, log), "no more outputs", 60)
        outputs = await outputs_in(client, log, series)
        await taken(client, await log.last_sequence(0))
        alarms = [(one.asset_path, one.state, one.raised_at, one.returned_at) for one in site.worker.alarms()]
        told.append((outputs, sorted(alarms, key=str)))
        await log.close()
    await cut_bus.close()
    assert len(told[0][0]) > 60
    assert told[1][0] == told[0][0]  # byte for byte, in the same order
    assert told[0][1]
    assert told[1][1] == told[0][1]


async def has_moved(worker: Worker, sequence: int) -> bool:
    """Return whether a checkpoint of the model is past a block."""
    for file in (worker.directory / "models").glob("*.state"):
        stored = read_checkpoint(file)
        if stored is not None and stored[1]["positions"]["0"] > sequence:
            return True
    return False
