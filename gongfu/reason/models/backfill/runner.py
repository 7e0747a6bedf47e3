"""Runs back-fill jobs, one at a time, tenants in turn; a job goes on where it was after its next turn or a restart."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gongfu.kernel.block import Block
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.partitions import partition_of
from gongfu.kernel.times import SECOND, Clock, parse_rfc3339
from gongfu.reason.models.backfill import records
from gongfu.reason.models.backfill.group import AssetGroup, Computed, part_of
from gongfu.reason.models.backfill.reading import Windows
from gongfu.reason.models.backfill.types import Job, JobState, Progress
from gongfu.reason.models.catalogue import Catalogue
from gongfu.reason.models.executor import Executor
from gongfu.reason.models.placement import Placement, place
from gongfu.reason.models.sandbox.types import ModelFailure
from gongfu.reason.models.scopes import all_scopes
from gongfu.reason.models.spec import Kind, ModelSpec, parameter_values
from gongfu.reason.models.sql.runner import SqlModels, points_of
from gongfu.reason.models.types import ModelDefinitionError
from gongfu.reason.outputs import ModelOutputs
from gongfu.reason.rules.patterns import asset_pattern
from gongfu.store.history.types import HistoryError, HistoryStore
from gongfu.store.records.engine import reading, writing
from gongfu.store.twins.checkpoint import CheckpointError, CheckpointFile

logger = logging.getLogger(__name__)

_LOOK_S = 1.0
# How long a tenant's job works while jobs of other tenants wait; a turn costs the start of a model's process.
_TURN_S = 20.0
_AGAIN_S = (0.5, 2.0, 10.0, 30.0, 60.0)
# Series of the assets that are computed together.
_SERIES = 64
SUFFIX = ".job"

Open = Callable[[ModelSpec, Mapping[str, float], str], Executor]


class _Cancelled(Exception):
    """Somebody asked the job to end."""


class _Failed(Exception):
    """The job cannot go on; the text says why."""


class _TurnOver(Exception):
    """Another tenant's job is next; this one goes on later from what is stored."""


class Backfills:
    """Works on the jobs in the records; ``run`` until cancelled."""

    def __init__(
        self,
        engine: Engine,
        catalogue: Catalogue,
        open_executor: Open,
        history: HistoryStore,
        sql: SqlModels,
        outputs: ModelOutputs,
        folder: Path,
        partitions: int,
        counters: Counters,
        clock: Clock,
        turn_s: float = _TURN_S,
    ) -> None:
        self._turn_s, self._turn_ends, self._served = turn_s, 0.0, 0
        self._engine, self._catalogue, self._open = engine, catalogue, open_executor
        self._history, self._sql, self._outputs = history, sql, outputs
        self._folder, self._partitions = folder, partitions
        self._counters, self._clock = counters, clock

    async def run(self) -> None:
        """Do what is to be done, for ever."""
        while True:
            try:
                jobs = await asyncio.to_thread(self._open_jobs)
                for job in jobs:
                    if job.state is JobState.CANCELLING:
                        await self._one(job)
                job = next_job([job for job in jobs if job.state is not JobState.CANCELLING], self._served)
                if job is not None:
                    self._served, self._turn_ends = job.tenant, time.monotonic() + self._turn_s
                    await self._one(job)
            except SQLAlchemyError as error:
                logger.warning("the records do not answer; back-fills wait: %s", type(error).__name__)
                jobs = []
            if not jobs:
                await asyncio.sleep(_LOOK_S)

    def _open_jobs(self) -> list[Job]:
        with reading(self._engine) as connection:
            return list(records.open_jobs(connection))

    async def _one(self, job: Job) -> None:
        state, error = JobState.DONE, ""
        try:
            if job.state is JobState.CANCELLING:
                raise _Cancelled
            await self._note(job, state=JobState.RUNNING)
            await self._work(job)
        except _TurnOver:
            with suppress(_Cancelled):
                await self._note(job, state=JobState.WAITING)
            return
        except _Cancelled:
            state = JobState.CANCELLED
        except SQLAlchemyError:
            # It stays open, and goes on from its checkpoint.
            raise
        except (_Failed, ModelDefinitionError, ModelFailure, Problem) as failure:
            state, error = JobState.FAILED, getattr(failure, "detail", "") or str(failure)
        except Exception as fault:
            logger.exception("back-fill %d failed", job.id)
            state, error = JobState.FAILED, f"a fault of the node: {type(fault).__name__}; see the log of role models"
        self._counters.add(f"model_backfills.{state}")
        self._file(job).unlink(missing_ok=True)
        await self._note(job, state=state, error=error)

    def _file(self, job: Job) -> Path:
        return self._folder / f"backfill-{job.id}{SUFFIX}"

    async def _note(
        self, job: Job, progress: Progress | None = None, state: JobState | None = None, error: str | None = None
    ) -> None:
        """Write what is known of a job, as long as it takes.

        Raises:
            _Cancelled: somebody asked it to end, and it runs or would wait.
        """
        goes_on = state in (None, JobState.RUNNING, JobState.WAITING)

        def write() -> JobState:
            with writing(self._engine) as connection:
                found = records.find(connection, job.id)
                current = JobState.CANCELLED if found is None else found.state
                if state is None or not goes_on or current is not JobState.CANCELLING:
                    records.note(connection, job.id, self._clock.now_ns(), progress=progress, state=state, error=error)
                return current

        before = await self._insist(write)
        if before is JobState.CANCELLING and goes_on:
            raise _Cancelled

    async def _turn_over(self, job: Job) -> bool:
        """Return whether the job has had its time and another tenant waits."""
        if time.monotonic() < self._turn_ends:
            return False
        self._turn_ends = time.monotonic() + self._turn_s
        return any(other.tenant != job.tenant for other in await asyncio.to_thread(self._open_jobs))

    @staticmethod
    async def _insist(write: Callable[[], JobState]) -> JobState:
        for wait in (*_AGAIN_S, None):
            try:
                return await asyncio.to_thread(write)
            except SQLAlchemyError:
                if wait is None:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def _work(self, job: Job) -> None:
        time_from, time_to = parse_rfc3339(job.request.time_from), parse_rfc3339(job.request.time_to)
        todo = await asyncio.to_thread(self._placements, job)
        progress = msgspec.structs.replace(job.progress, assets=sum(len(part.running) for _, part in todo))
        if not progress.assets:
            raise _Failed(f"no asset that is bound to {job.model} and runs matches {job.request.assets!r}")
        for spec, placement in todo:
            key = placement.scope.id
            if key < progress.binding:
                continue
            if spec.kind is Kind.SQL:
                progress = await self._statements(job, spec, placement, time_from, time_to, progress)
                continue
            parameters = parameter_values(spec, placement.scope.parameters)
            executor = self._open(spec, parameters, f"backfill-{job.id}-{key}")
            try:
                progress = await self._binding(job, spec, placement, executor, time_from, time_to, progress)
            finally:
                await executor.close()

    def _placements(self, job: Job) -> list[tuple[ModelSpec, Placement]]:
        pattern, taken = asset_pattern(job.request.assets), dict[int, int]()
        with reading(self._engine) as connection:
            scopes = all_scopes(connection, job.tenant, job.model)
            found = [
                self._catalogue.find(connection, job.tenant, job.model, job.request.version or scope.version)
                for scope in scopes
            ]
        pairs = sorted(zip(scopes, found, strict=True), key=lambda pair: (pair[0].asset == 0, pair[0].id))
        placed: list[tuple[ModelSpec, Placement]] = []
        for scope, stored in pairs:
            if stored is None:
                raise _Failed(f"there is no {job.model} {job.request.version or scope.version}")
            whole = place(self._engine, scope, stored.spec, self._clock.now_ns(), taken)
            mine = [at for at, row in enumerate(whole.running.tolist()) if pattern.fullmatch(whole.paths[row])]
            placed.append((stored.spec, part_of(whole, np.array(mine, dtype=np.int64))))
        return sorted(placed, key=lambda pair: pair[1].scope.id)

    async def _binding(
        self,
        job: Job,
        spec: ModelSpec,
        placement: Placement,
        executor: Executor,
        time_from: int,
        time_to: int,
        progress: Progress,
    ) -> Progress:
        size = max(1, _SERIES // max(len(spec.inputs), 1))
        after = progress.after if progress.binding == placement.scope.id else 0
        rows = np.flatnonzero(placement.assets > after)
        for start in range(0, len(rows), size):
            part = part_of(placement, rows[start : start + size])
            group = AssetGroup(spec, part, executor)
            progress = await self._group(job, group, time_from, time_to, progress)
            progress = msgspec.structs.replace(
                progress,
                assets_done=progress.assets_done + len(group.assets),
                binding=placement.scope.id,
                after=group.assets[-1],
            )
            progress = _shared(progress, 0.0)
            await self._note(job, progress)
            if await self._turn_over(job):
                raise _TurnOver
        return msgspec.structs.replace(progress, binding=placement.scope.id + 1, after=0)

    async def _group(self, job: Job, group: AssetGroup, time_from: int, time_to: int, progress: Progress) -> Progress:
        file = CheckpointFile(self._file(job))
        windows = Windows(
            self._history, self._engine, job.tenant, group.series, *([group.longest] * (group.longest > 0))
        )
        at = time_from
        try:
            stored = await file.load()
            if stored is not None and stored[1]["assets"] == group.assets:
                group.restore(stored[0])
                at, progress = int(stored[1]["time"]), msgspec.convert(stored[1]["progress"], Progress)
        except (CheckpointError, KeyError, ValueError) as error:
            logger.warning("the checkpoint of back-fill %d does not fit (%s); its assets begin anew", job.id, error)
        while at < time_to:
            block, end = await self._read(windows, at, time_to)
            before = group.shed
            computed = await self._compute(group, block)
            points = 0
            if computed.points is not None:
                points = len(computed.points)
                cause = Block(job.tenant, job.created_at, {})
                elsewhere = self._homes(group, computed.points.series.tolist()) if self._partitions > 1 else {}
                await self._outputs.publish(cause, 0, at, computed.points, elsewhere, f"backfill-{job.id}")
                await self._outputs.settle()
            at = end
            progress = msgspec.structs.replace(
                progress,
                samples=progress.samples + len(block),
                rows=progress.rows + computed.rows,
                failed=progress.failed + computed.failed,
                shed=progress.shed + group.shed - before,
                points=progress.points + points,
                cpu_s=round(progress.cpu_s + computed.cpu_s, 6),
            )
            share = (at - time_from) / (time_to - time_from) * len(group.assets)
            progress = _shared(progress, share)
            document = {"assets": group.assets, "time": at, "progress": msgspec.to_builtins(progress)}
            await file.save(group.snapshot(), document)
            await self._note(job, progress)
            if await self._turn_over(job):
                raise _TurnOver
        return progress

    @staticmethod
    async def _compute(group: AssetGroup, block: Block) -> Computed:
        """Return what a window gives; a call that fails is tried again from the same state."""
        before = group.snapshot()
        for wait in _AGAIN_S[:3]:
            try:
                return await group.compute(block)
            except ModelFailure as failure:
                logger.warning("a back-fill tries again in %g s: %s", wait, failure.detail)
                group.restore(before)
                await asyncio.sleep(wait)
        return await group.compute(block)

    async def _read(self, windows: Windows, at: int, time_to: int) -> tuple[Block, int]:
        for wait in (*_AGAIN_S, None):
            try:
                return await windows.next(at, time_to)
            except HistoryError as error:
                if wait is None:
                    raise _Failed(f"the history does not answer: {error}") from None
                await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    def _homes(self, group: AssetGroup, series: list[int]) -> dict[int, int]:
        homes = {one: partition_of(asset, self._partitions) for one, asset in group.owners.items()}
        return {one: homes[one] for one in set(series)}

    async def _statements(
        self, job: Job, spec: ModelSpec, placement: Placement, time_from: int, time_to: int, progress: Progress
    ) -> Progress:
        """Run the statement of a SQL model for each step of the time, asset by asset."""
        step = round((spec.step_s or 60.0) * SECOND)
        parameters = parameter_values(spec, placement.scope.parameters)
        after = progress.after if progress.binding == placement.scope.id else 0
        begin, last = time_from // step * step, -(-time_to // step) * step
        # The asset may be gone by now: where it was is nothing for another one.
        half, reached = (progress.asset, progress.time) if progress.binding == placement.scope.id else (0, 0)
        for row, asset in enumerate(placement.assets.tolist()):
            if asset <= after:
                continue
            for at in range(max(begin, reached) if asset == half else begin, last, step):
                times, columns = await self._sql.ask(job.tenant, spec, parameters, placement.paths[row], at, at + step)
                points = 0
                if len(times):
                    found = points_of(placement, row, times, [columns[port.name] for port in spec.outputs])
                    points = len(found)
                    cause = Block(job.tenant, job.created_at, {})
                    home = partition_of(asset, self._partitions)
                    await self._outputs.publish(cause, home, at, found, {}, f"backfill-{job.id}")
                progress = msgspec.structs.replace(
                    progress, rows=progress.rows + len(times), points=progress.points + points
                )
                progress = _shared(progress, (at + step - begin) / (last - begin))
                await self._note(job, progress)
                if await self._turn_over(job):
                    await self._outputs.settle()
                    progress = msgspec.structs.replace(progress, binding=placement.scope.id, after=after)
                    await self._note(job, msgspec.structs.replace(progress, asset=asset, time=at + step))
                    raise _TurnOver
            await self._outputs.settle()
            after = asset
            progress = msgspec.structs.replace(
                progress, assets_done=progress.assets_done + 1, binding=placement.scope.id, after=asset, asset=0, time=0
            )
            await self._note(job, _shared(progress, 0.0))
        return msgspec.structs.replace(progress, binding=placement.scope.id + 1, after=0)


def next_job(jobs: Sequence[Job], served: int) -> Job | None:
    """Return the job whose turn it is: the oldest of the tenant that follows the one that was served, round and round.

    Args:
        jobs: open jobs, oldest first.
        served: tenant whose job had the last turn; 0 for none.
    """
    if not jobs:
        return None
    tenants = sorted({job.tenant for job in jobs})
    turn = next((one for one in tenants if one > served), tenants[0])
    return next(job for job in jobs if job.tenant == turn)


def _shared(progress: Progress, more: float) -> Progress:
    return msgspec.structs.replace(
        progress, share=round(min((progress.assets_done + more) / max(progress.assets, 1), 1.0), 4)
    )
