"""Back-fills of several tenants: each gets its turn, and a job that was interrupted by others gives the same points."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from gongfu.appkit.contract import Port, model
from gongfu.bus.ownership import Sole
from gongfu.kernel.block import Columns
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.reason.models.backfill import reading as reading_module
from gongfu.reason.models.backfill import records, runner
from gongfu.reason.models.backfill.runner import Backfills, next_job
from gongfu.reason.models.backfill.service import BackfillService
from gongfu.reason.models.backfill.types import BackfillBody, Job, JobState, Progress
from gongfu.reason.models.catalogue import Catalogue
from gongfu.reason.models.executor import InProcess
from gongfu.reason.models.service import BindingBody, ModelService
from gongfu.reason.outputs import ModelOutputs
from gongfu.store.history.types import Samples
from gongfu.store.records.engine import reading
from tests.contract.reason.plant import START, Plant
from tests.unit.reason.test_model_streaming import Keep

HOUR = 3600 * SECOND
WINDOWS = 6


@model(id="test.double", version="1.0.0", inputs=[Port("x", "K")], outputs=[Port("y", "K")])
def double(columns: Any, dt: Any) -> Any:
    return {"y": 2 * columns["x"]}


def job(key: int, tenant: int) -> Job:
    body = BackfillBody(time_from="", time_to="")
    return Job(
        id=key, tenant=tenant, model="m", request=body, state=JobState.WAITING, progress=Progress(), error="",
        created_by="", created_at=0, changed_at=0,
    )  # fmt: skip


def test_tenants_have_turns_and_a_tenants_jobs_their_order() -> None:
    jobs = [job(1, 1), job(2, 1), job(3, 1), job(4, 7), job(5, 3)]
    served, order = 0, list[int]()
    while (turn := next_job(jobs, served)) is not None:
        order.append(turn.id)
        jobs.remove(turn)
        served = turn.tenant
    assert order == [1, 5, 4, 2, 3]


class Archive:
    """A history in memory: one sample a minute of each series; notes who read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    async def query(
        self, value_type: ValueType, series: Sequence[int], time_from: int, time_to: int, **more: Any
    ) -> Samples:
        self.read.append(series[0])
        minutes = np.arange(-(-time_from // (60 * SECOND)), -(-time_to // (60 * SECOND)))
        times = np.tile(minutes * 60 * SECOND, len(series))
        which = np.repeat(np.array(series, dtype=np.uint32), len(minutes))
        columns = Columns(which, times, np.zeros(len(times), dtype=np.uint8), np.sin(times / HOUR) + which)
        return Samples(columns, np.zeros(0, dtype=np.int64))


async def filled(engine: Engine, folder: Path, jobs: dict[int, int], turn_s: float) -> tuple[list[int], Keep]:
    """Run so many jobs of tenants, all handed in before; return in which order their series were read, and points."""
    plant = Plant(engine)
    models = ModelService(engine, plant.clock, lambda _: None, {"test.double": double})
    service = BackfillService(engine, plant.clock, models)
    series: dict[int, int] = {}
    for tenant, number in jobs.items():
        series[plant.point("pump", "x", unit="K", of=tenant)] = tenant
        models.bind(plant.subject(of=tenant), "test.double", BindingBody(asset="pump"))
        plant.point("pump", "y", unit="K", of=tenant)
        for _ in range(number):
            times = [format_rfc3339(START - WINDOWS * HOUR), format_rfc3339(START)]
            service.start(plant.subject(of=tenant), "test.double", BackfillBody(time_from=times[0], time_to=times[1]))
    archive, keep, counters = Archive(), Keep(), Counters()
    catalogue: Any = Catalogue({"test.double": double})
    backfills = Backfills(
        engine, catalogue, lambda *_: InProcess(double), archive, None, ModelOutputs(keep, counters, Sole()), folder,  # type: ignore[arg-type]
        1, counters, plant.clock, turn_s,
    )  # fmt: skip
    task = asyncio.create_task(backfills.run())
    try:
        while True:
            with reading(engine) as connection:
                left = records.count_open(connection)
            if not left:
                break
            assert not task.done(), task.result()
            await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.wait({task})
    with reading(engine) as connection:
        found = [one for tenant in jobs for one in records.page(connection, tenant, None, None, 100)]
    assert {one.state for one in found} == {JobState.DONE}, [one.error for one in found]
    return [series[one] for one in archive.read], keep


async def test_one_who_hands_in_many_holds_nobody_up(
    sqlite_records: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_module, "_FIRST_NS", HOUR)
    monkeypatch.setattr(reading_module, "_LONGEST_NS", HOUR)
    order, keep = await filled(sqlite_records, tmp_path, {1: 3, 2: 1}, turn_s=0.0)
    assert order.count(2) == WINDOWS
    # Window by window in turn: the second tenant is through long before the three jobs of the first.
    assert order[: 2 * WINDOWS] == [1, 2] * WINDOWS
    assert order[2 * WINDOWS :] == [1] * (2 * WINDOWS)
    points = keep.points()
    assert len({(series, at) for series, at, _, _ in points}) == 2 * WINDOWS * 60
    assert len({value for _, _, value, _ in points}) > WINDOWS * 60


async def test_a_turn_is_not_given_away_while_it_lasts(sqlite_records: Engine, tmp_path: Path) -> None:
    order, _ = await filled(sqlite_records, tmp_path, {1: 2, 2: 1}, turn_s=3600.0)
    assert order == [1, 2, 1]


@pytest.mark.parametrize(("half", "begins"), [(12, 3), (9, 0)])
async def test_where_an_asset_was_is_nothing_for_another(
    sqlite_records: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: int, begins: int
) -> None:
    """The asset at which a turn ended may have been unbound before the next turn."""
    asked: list[tuple[str, int]] = []

    class Statements:
        async def ask(self, _tenant: int, _spec: Any, _given: Any, path: str, since: int, _until: int) -> Any:
            asked.append((path, since // (60 * SECOND)))
            return np.zeros(0, dtype=np.int64), {}

    async def nothing(*_: Any, **__: Any) -> bool:
        return False

    outputs = ModelOutputs(Keep(), Counters(), Sole())
    backfills = Backfills(
        sqlite_records, None, None, None, Statements(), outputs, tmp_path, 1, Counters(), None,  # type: ignore[arg-type]
    )  # fmt: skip
    monkeypatch.setattr(backfills, "_note", nothing)
    monkeypatch.setattr(backfills, "_turn_over", nothing)
    monkeypatch.setattr(runner, "parameter_values", lambda *_: {})
    scope = SimpleNamespace(id=4, parameters={})
    placement: Any = SimpleNamespace(scope=scope, assets=np.array([5, 12, 20]), paths=["a", "b", "c"])
    spec: Any = SimpleNamespace(step_s=60.0, outputs=())
    before = Progress(assets=3, assets_done=1, binding=4, after=5, asset=half, time=3 * 60 * SECOND)
    work: Any = backfills._statements  # pyright: ignore[reportPrivateUsage]
    after = await work(job(1, 1), spec, placement, 0, 5 * 60 * SECOND, before)
    assert asked == [("b", at) for at in range(begins, 5)] + [("c", at) for at in range(5)]
    assert (after.assets_done, after.asset, after.time) == (3, 0, 0)
