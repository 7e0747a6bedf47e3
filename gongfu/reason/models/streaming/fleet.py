"""All models on the stream: from the bindings in the records to runs, and the feeds that give them blocks."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
from nats.aio.client import Client
from sqlalchemy import Engine

from gongfu.bus.blockfeed import BlockConsumer, BlockFeed
from gongfu.bus.ending import end_tasks
from gongfu.bus.jetstream import stream_state
from gongfu.bus.ownership import Ownership, Sole
from gongfu.kernel.block import Block
from gongfu.kernel.counters import Counters
from gongfu.kernel.partitions import partition_of
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.reason.models import versions
from gongfu.reason.models.catalogue import Catalogue
from gongfu.reason.models.executor import Executor
from gongfu.reason.models.placement import Placement, no_placement, place
from gongfu.reason.models.scopes import Scope, all_scopes
from gongfu.reason.models.spec import Kind, ModelSpec, parameter_values
from gongfu.reason.models.sql.runner import Periods
from gongfu.reason.models.streaming.run import ModelRun
from gongfu.reason.models.streaming.telling import asset_states, period_state, scope_state
from gongfu.reason.models.streaming.types import AssetsAnswer, AssetsAsk, StreamState
from gongfu.reason.models.types import ModelDefinitionError
from gongfu.reason.outputs import Log, ModelOutputs
from gongfu.reason.rules import records as rule_records
from gongfu.store.records.engine import reading
from gongfu.store.twins.checkpoint import CheckpointFile

logger = logging.getLogger(__name__)

CHECKPOINT_S = 5.0
_FEED_AGAIN_S = 1.0
SUFFIX = ".state"


class RunKey(NamedTuple):
    """What one process computes: bindings that agree in all of it share it."""

    tenant: int
    model: str
    version: str
    parameters: tuple[tuple[str, float], ...]

    @property
    def name(self) -> str:
        """A short name for files and message ids; the same in every process."""
        digest = hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]
        return f"model-{digest}"


# Opens what computes a version: its spec, parameter values, and a name for folders.
Open = Callable[[ModelSpec, Mapping[str, float], str], Executor]


@dataclass(slots=True)
class _Wanted:
    spec: ModelSpec
    parameters: dict[str, float]
    placements: list[Placement]


class _News:
    """Consumer that notices points which have come since the bindings were resolved."""

    name = "news"

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.highest = 0
        self.positions: dict[int, int] = {}

    def position(self, partition: int) -> int:
        return self.positions.get(partition, 0)

    async def take(self, partition: int, sequence: int, block: Block | None, data: bytes) -> None:
        self.positions[partition] = sequence
        if block is None:
            return
        for columns in block.columns.values():
            if len(columns) and (newest := int(columns.series.max())) > self.highest:
                self.highest = newest
                self.came.set()


class Fleet:
    """Runs by key. ``load`` whenever definitions may have changed; ``close`` at the end."""

    def __init__(
        self,
        bus: Client,
        subjects: Subjects,
        engine: Engine,
        catalogue: Catalogue,
        open_executor: Open,
        log: Log,
        folder: Path,
        partitions: int,
        counters: Counters,
        clock: Clock,
        ownership: Ownership | None = None,
    ) -> None:
        """Compose.

        Args:
            bus: an open connection.
            subjects: names on the bus.
            engine: the records.
            catalogue: the models.
            open_executor: makes what computes a version.
            log: takes the outputs.
            folder: where checkpoints are.
            partitions: number of partitions of the block log.
            counters: counters of the process.
            clock: present time.
            ownership: asked before anything is written; default is the only role of its kind.
        """
        self._bus, self._subjects, self._engine = bus, subjects, engine
        self._catalogue, self._open, self._log = catalogue, open_executor, log
        self._folder, self._partitions = folder, partitions
        self._counters, self._clock = counters, clock
        self._ownership = ownership or Sole()
        self.runs: dict[RunKey, ModelRun] = {}
        # By binding: what it came to, and the run it is in.
        self._placements: dict[int, tuple[Placement, RunKey | None]] = {}
        self._periodic: dict[int, tuple[ModelSpec, Placement]] = {}
        self._news = _News()
        self._feeds: list[asyncio.Task[None]] = []
        self._fed: tuple[str, ...] = ()
        self._saving: set[asyncio.Task[bool]] = set()
        self._lock = asyncio.Lock()
        self._read: tuple[object, ...] = ()

    async def load(self, *, always: bool = True) -> None:
        """Read the bindings anew; runs begin, go on at other assets, or end.

        Args:
            always: also when no binding, model or point has come or gone since: an asset may have got another type.

        Raises:
            SQLAlchemyError: the records do not answer; all goes on as it was.
        """
        async with self._lock:
            mark = await asyncio.to_thread(self._mark)
            if mark == self._read and not always:
                return
            wanted, placements, self._periodic = await asyncio.to_thread(self._resolve)
            specs = {key: want.spec for key, want in wanted.items()}
            await self._end([key for key, run in self.runs.items() if run.spec != specs.get(key)])
            for key, want in wanted.items():
                run = self.runs.get(key)
                fresh = run is None
                if run is None:
                    run = await self._begin(key, want)
                await run.bind(want.placements, self._elsewhere(want.placements))
                if fresh:
                    # Where it begins is durable before the first block: a kill in the first seconds loses nothing.
                    await run.checkpoint()
                    run.start()
                    self.runs[key] = run
            self._placements = placements
            names = tuple(sorted(key.name for key in self.runs))
            if names != self._fed:
                await self._feed_anew()
                self._fed = names
            # What is bound again later begins anew, and so does what was unbound while nothing ran.
            for file in self._folder.glob(f"*{SUFFIX}"):
                if file.name.removesuffix(SUFFIX) not in names:
                    file.unlink(missing_ok=True)
            self._read = mark

    async def _end(self, keys: Sequence[RunKey]) -> None:
        """End runs for good: unbound, or of a version that was removed and came again as another."""
        for key in keys:
            self._fed = ()
            # A checkpoint that waits would start the process again.
            await end_tasks([task for task in self._saving if task.get_name() == key.name])
            await self.runs.pop(key).close(0.0)
            self._file(key).unlink(missing_ok=True)

    def _mark(self) -> tuple[object, ...]:
        """Return what is another when a binding, model or point has come or gone."""
        with reading(self._engine) as connection:
            return (
                rule_records.revision(connection),
                rule_records.newest_point(connection),
                all_scopes(connection),
                versions.newest_change(connection),
            )

    def _resolve(
        self,
    ) -> tuple[
        dict[RunKey, _Wanted], dict[int, tuple[Placement, RunKey | None]], dict[int, tuple[ModelSpec, Placement]]
    ]:
        now, taken = self._clock.now_ns(), dict[int, int]()
        with reading(self._engine) as connection:
            scopes = all_scopes(connection)
            found = {
                scope.id: self._catalogue.find(connection, scope.tenant, scope.model, scope.version) for scope in scopes
            }
        wanted: dict[RunKey, _Wanted] = {}
        placements: dict[int, tuple[Placement, RunKey | None]] = {}
        periodic: dict[int, tuple[ModelSpec, Placement]] = {}
        # A binding to one asset goes before one to a pattern.
        for scope in sorted(scopes, key=lambda scope: (scope.asset == 0, scope.id)):
            stored = found[scope.id]
            if stored is None:
                placements[scope.id] = (no_placement(scope, _no_model(scope)), None)
                continue
            spec = stored.spec
            try:
                parameters = parameter_values(spec, scope.parameters)
            except ModelDefinitionError as error:
                placements[scope.id] = (no_placement(scope, str(error)), None)
                continue
            placement = place(self._engine, scope, spec, now, taken)
            if spec.kind is Kind.SQL:
                periodic[scope.id] = (spec, placement)
                placements[scope.id] = (placement, None)
                continue
            key = RunKey(scope.tenant, spec.id, spec.version, tuple(sorted(parameters.items())))
            wanted.setdefault(key, _Wanted(spec, parameters, [])).placements.append(placement)
            placements[scope.id] = (placement, key)
        return wanted, placements, periodic

    async def _begin(self, key: RunKey, want: _Wanted) -> ModelRun:
        executor = self._open(want.spec, want.parameters, key.name)
        outputs = ModelOutputs(self._log, self._counters, self._ownership)
        store = CheckpointFile(self._file(key))
        run = ModelRun(key.name, key.tenant, want.spec, executor, outputs, store, self._counters)
        known = await run.load()
        for partition in range(self._partitions):
            last = await self._last(partition)
            if not known or run.position(partition) > last:
                run.begin(partition, last)
        return run

    async def _last(self, partition: int) -> int:
        return int((await stream_state(self._bus, self._subjects.blocks_stream(partition)))["last_seq"])

    def _file(self, key: RunKey) -> Path:
        return self._folder / f"{key.name}{SUFFIX}"

    def _elsewhere(self, placements: list[Placement]) -> dict[int, int]:
        if self._partitions == 1:
            return {}
        found: dict[int, int] = {}
        for placement in placements:
            for asset, series in zip(
                placement.assets[placement.running].tolist(), placement.outputs.tolist(), strict=True
            ):
                found.update(dict.fromkeys(series, partition_of(asset, self._partitions)))
        return found

    async def _feed_anew(self) -> None:
        await end_tasks(self._feeds)
        self._feeds = []
        if not self.runs:
            return
        for partition in range(self._partitions):
            if partition not in self._news.positions:
                self._news.positions[partition] = await self._last(partition)
            task = asyncio.create_task(self._feed(partition), name=f"feed {partition}")
            self._feeds.append(task)

    async def _feed(self, partition: int) -> None:
        while True:
            consumers: list[BlockConsumer] = [*self.runs.values(), self._news]
            feed = BlockFeed(self._bus, self._subjects, partition, self._counters, consumers)
            try:
                await feed.run()
            except Exception:
                self._counters.add("model_feeds_failed")
                logger.exception("the feed of partition %d ended; it begins again", partition)
                await asyncio.sleep(_FEED_AGAIN_S)

    @property
    def news(self) -> asyncio.Event:
        """Set when points came that a binding may apply to."""
        return self._news.came

    @property
    def periodic(self) -> Mapping[int, tuple[ModelSpec, Placement]]:
        """SQL models by binding: they run by the clock."""
        return self._periodic

    def open_ended(self) -> bool:
        """Return whether points that come may let an asset run."""
        return any(
            not placement.scope.asset or bool((placement.states != 0).any())
            for placement, _ in self._placements.values()
        )

    def state(self, periods: Mapping[int, Periods]) -> StreamState:
        """Return what all bindings do; ``periods`` are those of SQL models, by binding."""
        return StreamState({
            str(key): period_state(self._periodic[key][0], placement, periods.get(key, Periods()))
            if key in self._periodic
            else scope_state(placement, self.runs.get(run) if run else None)
            for key, (placement, run) in self._placements.items()
        })  # fmt: skip

    def assets(self, ask: AssetsAsk) -> AssetsAnswer:
        """Return a page of the assets of a binding; none when there is no such binding."""
        found = self._placements.get(ask.binding)
        if found is None or found[0].scope.tenant != ask.tenant:
            return AssetsAnswer([])
        placement, run = found
        return asset_states(placement, self.runs.get(run) if run else None, ask)

    async def checkpoint(self) -> None:
        """Write a checkpoint of every run that changed; none waits for another's call, and those of calls that take
        longer than the time between checkpoints are not waited for."""
        busy = {task.get_name() for task in self._saving}
        self._saving |= {
            asyncio.create_task(run.checkpoint(), name=run.name) for run in self.runs.values() if run.name not in busy
        }
        if self._saving:
            done, self._saving = await asyncio.wait(self._saving, timeout=CHECKPOINT_S)
            for task in done:
                task.result()

    async def close(self) -> None:
        """End all runs with a last checkpoint each."""
        async with self._lock:
            await end_tasks(self._feeds)
            await end_tasks(self._saving)
            await asyncio.gather(*(run.close() for run in self.runs.values()))
            self.runs, self._feeds, self._fed = {}, [], ()


def _no_model(scope: Scope) -> str:
    return f"this node has no model {scope.model}{f' {scope.version}' if scope.version else ''}"
