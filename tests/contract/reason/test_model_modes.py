"""FMUs of FMI 2 and 3, co-simulation and model exchange with events: the stream with kills, back-fill and the service
come to equal outputs, each in processes of its own."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gongfu.bus.ownership import Sole
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.models.backfill.group import AssetGroup
from gongfu.reason.models.calling.types import InvokeBody, rows_of
from gongfu.reason.models.inspecting import proposed
from gongfu.reason.models.placement import Placement
from gongfu.reason.models.sandbox.process import ModelProcess
from gongfu.reason.models.scopes import Scope
from gongfu.reason.models.spec import ModelSpec
from gongfu.reason.models.streaming.run import ModelRun
from gongfu.reason.outputs import ModelOutputs
from tests.fixtures.fmus import Fmus
from tests.unit.reason.test_model_streaming import Keep, Point, block, flat

ASSETS, ROWS = 2, 32
Found = list[tuple[int, int, float, int]]


def placed(spec: ModelSpec) -> Placement:
    scope = Scope(1, 1, spec.id, "", 0, "", "", "**", {}, {}, False)
    n = np.arange(ASSETS)
    inputs, outputs = len(spec.inputs), len(spec.outputs)
    factors = [(np.ones((ASSETS, each)), np.zeros((ASSETS, each))) for each in (inputs, outputs)]
    return Placement(
        scope, n + 100, [f"p{one}" for one in n], np.zeros(ASSETS, dtype=np.uint8), [""] * ASSETS, "", n,
        np.arange(1, ASSETS * inputs + 1).reshape(ASSETS, inputs),
        np.arange(500, 500 + ASSETS * outputs).reshape(ASSETS, outputs),
        *factors[0], *factors[1],
    )  # fmt: skip


def samples(spec: ModelSpec, where: Placement) -> list[Point]:
    """Rows of each asset at times of its own, irregular; each input steps now and then."""
    rng = np.random.default_rng(7)
    found: list[Point] = []
    for asset in range(ASSETS):
        times = np.cumsum(rng.choice([0.05, 0.1, 0.25, 0.5], ROWS)) + 1.0 + asset
        for port in range(len(spec.inputs)):
            values = np.repeat(rng.integers(0, 3, ROWS // 8 + 1), 8)[:ROWS].astype(float)
            series = int(where.inputs[asset, port])
            found += [(series, int(at * 1000) * SECOND // 1000, float(v)) for at, v in zip(times, values, strict=True)]
    return sorted(found, key=lambda point: point[1])


async def worked_off(run: ModelRun, sequence: int) -> None:
    for _ in range(6000):
        if run.done(0) >= sequence:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"block {sequence} is not worked off")


async def streamed(spec: ModelSpec, make: Callable[[], ModelProcess], points: list[Point], where: Placement) -> Found:
    keep = Keep()

    def run_of(executor: ModelProcess) -> ModelRun:
        counters = Counters()
        return ModelRun("m", 1, spec, executor, ModelOutputs(keep, counters, Sole()), keep, counters)

    blocks = [points[at : at + 7] for at in range(0, len(points), 7)]
    executor = make()
    run = run_of(executor)
    await run.bind([where], {})
    run.start()
    sequence, lost = 0, False
    while sequence < len(blocks):
        sequence += 1
        await run.take(0, sequence, block(blocks[sequence - 1]), b"x")
        if sequence % 3 == 0:
            await worked_off(run, sequence)
        if sequence % 4 == 0:
            assert await run.checkpoint()
        if sequence == 5:
            # The model's process is gone, the run is not.
            await executor.close()
        if sequence == len(blocks) - 3 and not lost:
            # Both are gone, and begin from the last checkpoint.
            lost = True
            await executor.close()
            executor = make()
            run = run_of(executor)
            assert await run.load()
            await run.bind([where], {})
            run.start()
            sequence = run.position(0)
    await worked_off(run, len(blocks))
    assert not run.figures.lost.any()
    await run.close()
    return keep.points()


async def filled(spec: ModelSpec, make: Callable[[], ModelProcess], points: list[Point], where: Placement) -> Found:
    found: Found = []
    executor = make()
    group = AssetGroup(spec, where, executor)
    for at in range(0, len(points), 20):
        if at == 40:
            await executor.close()
            executor = make()
            again = AssetGroup(spec, where, executor)
            again.restore(group.snapshot())
            group = again
        computed = await group.compute(block(points[at : at + 20]))
        if computed.points is not None:
            found += flat({ValueType.DOUBLE: computed.points})
    await executor.close()
    return sorted(found)


async def invoked(spec: ModelSpec, make: Callable[[], ModelProcess], points: list[Point], where: Placement) -> Found:
    found: Found = []
    executor = make()
    for asset in range(ASSETS):
        columns: dict[str, list[float | None]] = {}
        times: list[int] = []
        for index, port in enumerate(spec.inputs):
            own = sorted((at, value) for series, at, value in points if series == where.inputs[asset, index])
            columns[port.name], times = [value for _, value in own], [at for at, _ in own]
        rows = rows_of(spec, InvokeBody(columns=columns, times=[at / SECOND for at in times]))
        outcome = await executor.evaluate(rows)
        for index, port in enumerate(spec.outputs):
            series = int(where.outputs[asset, index])
            found += [(series, at, float(v), 0) for at, v in zip(times, outcome.columns[port.name], strict=True)]
    await executor.close()
    return sorted(found)


@pytest.mark.parametrize("name", ["tank2", "tank3-serialised", "ball3"])
async def test_an_fmu_gives_equal_outputs_on_the_stream_on_history_and_as_a_service(
    fmus: Fmus, tmp_path: Path, name: str
) -> None:
    made = 0

    def make() -> ModelProcess:
        nonlocal made
        made += 1
        return ModelProcess("fmu", fmus(name), tmp_path / f"scratch{made}")

    reader = make()
    spec = proposed(await reader.start(), "0" * 64)
    await reader.close()
    where = placed(spec)
    points = samples(spec, where)
    service = await invoked(spec, make, points, where)
    assert len(service) == ASSETS * ROWS * len(spec.outputs)
    assert len({value for _, _, value, _ in service}) > ROWS
    assert await filled(spec, make, points, where) == service
    assert await streamed(spec, make, points, where) == service
