"""A model on the stream and on history: the same samples give the same outputs, however they are cut into blocks."""

import asyncio
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.appkit.contract import Column, Port, model
from gongfu.bus.ownership import Sole
from gongfu.kernel.block import Block, Columns, decode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.models.backfill.group import AssetGroup, part_of
from gongfu.reason.models.executor import InProcess
from gongfu.reason.models.placement import Placement
from gongfu.reason.models.sandbox.types import FailureReason, ModelFailure, Outcome, Rows
from gongfu.reason.models.scopes import Scope
from gongfu.reason.models.spec import ModelSpec, spec_of
from gongfu.reason.models.streaming.run import ModelRun
from gongfu.reason.outputs import ModelOutputs

ASSETS = 3
Point = tuple[int, int, float]


@model(
    id="test.energy",
    version="1.0.0",
    inputs=[Port("a", "K"), Port("b", "K")],
    outputs=[Port("sum", "K"), Port("rate", "K/s")],
    tolerance_s=4.0,
)
def energy(columns: Mapping[str, Column], dt: Column) -> Mapping[str, Column]:
    total = columns["a"] + columns["b"]
    return {"sum": total, "rate": total / dt}


def spec_with(**changes: Any) -> ModelSpec:
    import msgspec

    return msgspec.structs.replace(spec_of(energy), **changes)


def placement() -> Placement:
    scope = Scope(1, 1, "test.energy", "", 0, "", "", "**", {}, {}, False)
    n = np.arange(ASSETS)
    return Placement(
        scope, n + 100, [f"p{one}" for one in n], np.zeros(ASSETS, dtype=np.uint8), [""] * ASSETS, "", n,
        np.stack([2 * n + 1, 2 * n + 2], axis=1), np.stack([2 * n + 51, 2 * n + 52], axis=1),
        *(np.ones((ASSETS, 2)) if one % 2 == 0 else np.zeros((ASSETS, 2)) for one in range(4)),
    )  # fmt: skip


class Keep:
    """A log and a checkpoint store that keep what they are given."""

    def __init__(self) -> None:
        self.blocks: dict[str, bytes] = {}
        self.stored: Any = None

    def append(
        self, partition: int, payload: bytes, since: float | None = None, message_id: str = ""
    ) -> "asyncio.Future[int]":
        self.blocks.setdefault(message_id, payload)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(1)
        return done

    async def load(self) -> Any:
        return self.stored

    async def save(self, arrays: Any, document: Any) -> None:
        self.stored = (arrays, document)

    def points(self) -> list[tuple[int, int, float, int]]:
        return sorted(point for payload in self.blocks.values() for point in flat(decode_block(payload).columns))


def flat(columns: dict[ValueType, Columns]) -> list[tuple[int, int, float, int]]:
    return [
        (series, time, value if value == value else 1e99, quality)
        for one in columns.values()
        for series, time, value, quality in zip(
            one.series.tolist(),
            one.times.tolist(),
            np.asarray(one.values).tolist(),
            one.qualities.tolist(),
            strict=True,
        )
    ]


def block(rows: list[Point]) -> Block:
    series, times, values = zip(*rows, strict=True) if rows else ((), (), ())
    columns = Columns(
        np.array(series, dtype=np.uint32), np.array(times, dtype=np.int64), np.zeros(len(rows), dtype=np.uint8),
        np.array(values, dtype=np.float64),
    )  # fmt: skip
    return Block(1, 0, {ValueType.DOUBLE: columns})


def run_of(spec: ModelSpec, keep: Keep, executor: Any = None) -> ModelRun:
    counters = Counters()
    outputs = ModelOutputs(keep, counters, Sole())
    return ModelRun("m", 1, spec, executor or InProcess(energy), outputs, keep, counters)


async def worked_off(run: ModelRun, sequence: int) -> None:
    for _ in range(100_000):
        if run.done(0) >= sequence:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"block {sequence} is not worked off")


async def stream(spec: ModelSpec, blocks: list[list[Point]], cut: int | None) -> Keep:
    """Return what a run wrote; after ``cut`` blocks it is lost without a word and begins from its checkpoint."""
    keep = Keep()
    run = run_of(spec, keep)
    await run.bind([placement()], {})
    run.start()
    sequence = 0
    while sequence < len(blocks):
        await run.take(0, sequence + 1, block(blocks[sequence]), b"x")
        sequence += 1
        if sequence == cut:
            await worked_off(run, sequence // 2)
            await run.checkpoint()
            await worked_off(run, sequence)
            run = run_of(spec, keep)
            assert await run.load()
            await run.bind([placement()], {})
            run.start()
            sequence, cut = run.position(0), None
    await worked_off(run, len(blocks))
    await run.close()
    return keep


async def history(spec: ModelSpec, rows: list[Point], windows: list[int]) -> list[tuple[int, int, float, int]]:
    group = AssetGroup(spec, placement(), InProcess(energy))
    found: list[tuple[int, int, float, int]] = []
    bounds = [0, *sorted(set(windows)), 10**18]
    for begin, end in pairwise(bounds):
        chosen = sorted(row for row in rows if begin * SECOND <= row[1] < end * SECOND)
        again = AssetGroup(spec, placement(), InProcess(energy))
        again.restore(group.snapshot())
        group = again
        points = (await group.compute(block(chosen))).points
        if points is not None:
            found += flat({ValueType.DOUBLE: points})
    return sorted(found)


samples = st.lists(
    st.tuples(st.integers(1, 2 * ASSETS), st.integers(1, 40), st.floats(-9, 9)), min_size=1, max_size=60,
    unique_by=lambda row: row[:2],
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    samples,
    st.lists(st.integers(1, 59), max_size=8),
    st.one_of(st.none(), st.integers(1, 5)),
    st.lists(st.integers(1, 40), max_size=4),
    st.sampled_from([(0.0, 0.0, None), (4.0, 3.0, None), (6.0, 3.0, 2.0)]),
    st.lists(st.integers(0, 3), min_size=2 * ASSETS, max_size=2 * ASSETS),
)
def test_history_gives_what_the_stream_gave_in_any_blocks_and_over_a_kill(
    rows: list[Point],
    cuts: list[int],
    kill: int | None,
    windows: list[int],
    times: tuple[float, float, float | None],
    delays: list[int],
) -> None:
    spec = spec_with(tolerance_s=times[0], wait_s=times[1], step_s=times[2])
    # Every series is in order; among series, points come up to ``wait_s`` late.
    arrived = sorted(rows, key=lambda row: (row[1] + delays[row[0] - 1], row[1]))
    arrived = [(series, time * SECOND, value) for series, time, value in arrived]
    bounds = [0, *sorted({one for one in cuts if one < len(arrived)}), len(arrived)]
    blocks = [arrived[a:b] for a, b in pairwise(bounds)]
    streamed = asyncio.run(stream(spec, blocks, kill if kill and kill <= len(blocks) else None))
    assert len(streamed.points()) == len({point[:2] for point in streamed.points()})  # none twice
    assert asyncio.run(history(spec, arrived, windows)) == streamed.points()


class Fails:
    """An executor that fails as it is told, then computes."""

    def __init__(self, *reasons: FailureReason) -> None:
        self.reasons = list(reasons)
        self.inner = InProcess(energy)

    async def evaluate(self, rows: Rows, *, states: bool = True) -> Outcome:
        if self.reasons:
            raise ModelFailure(self.reasons.pop(0), "as it was told")
        outcome = await self.inner.evaluate(rows)
        return outcome._replace(failures={101: "this asset is odd"}) if 101 in rows.assets else outcome

    async def close(self) -> None:
        pass


async def test_failures_are_counted_at_their_assets_and_the_rest_goes_on() -> None:
    keep = Keep()
    run = run_of(spec_of(energy), keep, Fails(FailureReason.CRASHED, FailureReason.CRASHED, FailureReason.CRASHED))
    await run.bind([placement()], {})
    run.start()
    await run.take(0, 1, block([(1, SECOND, 1.0), (2, SECOND, 1.0)]), b"x")
    await worked_off(run, 1)
    assert (run.figures.lost.tolist(), run.figures.failing.tolist()) == ([1, 0, 0], [True, False, False])
    assert "as it was told" in run.figures.error
    await run.take(0, 2, block([(1, 2 * SECOND, 1.0), (2, 2 * SECOND, 1.0)]), b"x")
    await worked_off(run, 2)
    assert run.figures.lost.tolist() == [2, 0, 0]  # the process failed before: not tried again at once
    rows = [(series, 3 * SECOND, 1.0) for series in (1, 2, 3, 4)]
    await run.take(0, 3, block(rows), b"x")
    await worked_off(run, 3)
    assert (run.figures.rows.tolist(), run.figures.lost.tolist()) == ([1, 1, 0], [2, 1, 0])
    assert run.figures.error == "this asset is odd"
    await run.close()
    assert {point[0] for point in keep.points()} == {51, 52}


async def test_a_run_that_is_bound_anew_keeps_the_state_of_what_stays() -> None:
    keep = Keep()
    run = run_of(spec_of(energy), keep)
    whole = placement()
    await run.bind([whole], {})
    run.start()
    await run.take(0, 1, block([(1, SECOND, 1.0), (3, SECOND, 1.0)]), b"x")
    await worked_off(run, 1)
    moved = placement()
    moved.inputs[1] = (7, 4)  # the second asset has another point now
    await run.bind([moved], {})
    await run.take(0, 2, block([(2, 2 * SECOND, 1.0), (4, 2 * SECOND, 1.0)]), b"x")
    await worked_off(run, 2)
    await run.close()
    assert {point[0] for point in keep.points()} == {51, 52}


async def test_a_checkpoint_of_another_artifact_of_the_same_version_is_not_taken_over() -> None:
    keep = Keep()
    run = run_of(spec_with(sha256="a" * 64), keep)
    run.begin(0, 7)
    assert await run.checkpoint()
    again = run_of(spec_with(sha256="a" * 64), keep)
    assert await again.load()
    assert again.position(0) == 7
    assert not await run_of(spec_with(sha256="b" * 64), keep).load()


class Slow(InProcess):
    """A model whose call takes as long as it is held."""

    def __init__(self) -> None:
        super().__init__(energy)
        self.called, self.go = asyncio.Event(), asyncio.Event()

    async def evaluate(self, rows: Rows, *, states: bool = True) -> Outcome:
        self.called.set()
        await self.go.wait()
        return await super().evaluate(rows, states=states)


async def test_a_binding_does_not_wait_for_a_slow_call_and_is_there_after_it() -> None:
    keep, slow = Keep(), Slow()
    run = run_of(spec_with(tolerance_s=0.0), keep, slow)
    await run.bind([some_of([0])], {})
    run.start()
    await run.take(0, 1, block([(1, SECOND, 1.0), (2, SECOND, 2.0)]), b"x")
    await slow.called.wait()
    await asyncio.wait_for(run.bind([some_of([1])], {}), 5)
    await run.take(0, 2, block([(1, 2 * SECOND, 1.0), (2, 2 * SECOND, 2.0), (3, SECOND, 3.0), (4, SECOND, 4.0)]), b"x")
    slow.go.set()
    await worked_off(run, 2)
    await run.close()
    sums = [(series, time, value) for series, time, value, _ in keep.points() if series in (51, 53)]
    assert sums == [(51, SECOND, 3.0), (53, SECOND, 7.0)]


def some_of(rows: list[int]) -> Placement:
    return part_of(placement(), np.array(rows, dtype=np.int64))


async def test_a_slot_that_fell_free_earlier_is_no_reason_to_give_two_assets_one() -> None:
    keep = Keep()
    run = run_of(spec_with(tolerance_s=0.0), keep)
    for rows in ([0, 1], [1], [1, 2]):
        await run.bind([some_of(rows)], {})
    run.start()
    await run.take(0, 1, block([(3, SECOND, 1.0), (4, SECOND, 2.0), (5, SECOND, 10.0), (6, SECOND, 20.0)]), b"x")
    await worked_off(run, 1)
    await run.close()
    assert run.slot_of(101) != run.slot_of(102)
    sums = [(series, value) for series, _, value, _ in keep.points() if series in (51, 53, 55)]
    assert sums == [(53, 3.0), (55, 30.0)]
