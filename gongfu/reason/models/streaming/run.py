"""One model version on the stream: blocks in, rows computed in its own process, outputs to the block log.

It takes blocks into a bounded queue of its own and works them off by itself, so a model that is slow or dead holds up
nobody: when its queue is full, it falls behind in the log and catches up later. State and position are one checkpoint.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gongfu.bus.ownership import OwnershipLostError
from gongfu.kernel.block import Block
from gongfu.kernel.counters import Counters
from gongfu.reason.models.executor import Executor
from gongfu.reason.models.placement import Placement
from gongfu.reason.models.rows import Routes, joined
from gongfu.reason.models.sampling import Sampler, Sampling, Sets
from gongfu.reason.models.sandbox.types import HELD, FailureReason, ModelFailure, Outcome
from gongfu.reason.models.spec import ModelSpec
from gongfu.reason.models.streaming.figures import Figures
from gongfu.reason.outputs import ModelOutputs
from gongfu.store.twins.checkpoint import CheckpointError, CheckpointStore

logger = logging.getLogger(__name__)

QUEUE_BLOCKS = 64
CLOSE_S = 5.0
QUEUE_BYTES = 16 * 1024 * 1024
# Rows of so many blocks go into one call, up to so many rows.
_CALL_BLOCKS = 16
_CALL_ROWS = 50_000
_FORMAT = 1
# Failures that end the process without telling what the rows had to do with it: tried once more.
_AGAIN = frozenset({FailureReason.CRASHED, FailureReason.ENDED, FailureReason.MEMORY, FailureReason.STATE})


class _Cause(NamedTuple):
    """A block that was taken; None when nothing of it is an input."""

    partition: int
    sequence: int
    block: Block | None
    size: int


class ModelRun:
    """Consumer of the block feeds. ``start`` before it takes blocks, ``close`` after.

    Counters: ``model_rows``, ``model_rows_failed``, ``model_calls_failed.<reason>``.
    """

    def __init__(
        self,
        name: str,
        tenant: int,
        spec: ModelSpec,
        executor: Executor,
        outputs: ModelOutputs,
        checkpoints: CheckpointStore,
        counters: Counters,
    ) -> None:
        """Compose.

        Args:
            name: unique name of the run, in counters and message ids.
            tenant: whose blocks it takes.
            spec: the version.
            executor: computes rows.
            outputs: takes them to the block log.
            checkpoints: keeps state and positions.
            counters: counters of the process.
        """
        self.name = name
        self.spec = spec
        self.tenant = tenant
        self.executor = executor
        self.figures = Figures()
        self._outputs = outputs
        self._checkpoints = checkpoints
        self._counters = counters
        self._inputs = [port.name for port in spec.inputs]
        self._results = [port.name for port in spec.outputs]
        self._sampler = Sampler(len(spec.inputs), Sampling.of(spec))
        self._slots: dict[int, int] = {}
        self._series: NDArray[np.int64] = np.zeros((0, len(spec.inputs)), dtype=np.int64)
        self._states: list[bytes | None] = []
        self._routes = Routes([], {}, self._inputs, self._results)
        self._elsewhere: Mapping[int, int] = {}
        self._binding: tuple[Sequence[Placement], Mapping[int, int]] | None = None
        self._taken: dict[int, int] = {}
        self._done: dict[int, int] = {}
        self._queue: deque[_Cause] = deque()
        self._size = 0
        self._came, self._room = asyncio.Event(), asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._dirty = False
        self._failing = False

    async def load(self) -> bool:
        """Take over the checkpoint; return whether there was one that fits."""
        try:
            stored = await self._checkpoints.load()
            if stored is None:
                return False
            self._restore(*stored)
        except (CheckpointError, KeyError, ValueError, IndexError, TypeError) as error:
            logger.error("the checkpoint of %s does not fit (%s); its state begins anew", self.name, error)
            self._counters.add("checkpoints_damaged")
            return False
        return True

    def start(self) -> None:
        """Begin to work; call with a running loop."""
        self._task = asyncio.create_task(self._work(), name=self.name)

    async def close(self, wait_s: float = CLOSE_S) -> None:
        """End the work, and write a last checkpoint; a call that does not end in time is given up, and its rows are
        computed again from the checkpoint before."""
        idle = False
        with suppress(TimeoutError):
            await asyncio.wait_for(self._lock.acquire(), wait_s)
            idle = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if idle:
            self._lock.release()
            with suppress(TimeoutError):
                # Where its process must be started first to have the states, that may take too long.
                await asyncio.wait_for(self.checkpoint(), wait_s)
        await self.executor.close()

    def position(self, partition: int) -> int:
        """Return the sequence of the last block that it needs no more from the feed."""
        return self._taken.get(partition, 0)

    def begin(self, partition: int, sequence: int) -> None:
        """Take nothing up to a block; for a run without a checkpoint, or when the log was replaced."""
        self._taken[partition] = self._done[partition] = sequence
        self._dirty = True

    def done(self, partition: int) -> int:
        """Return the sequence of the last block that was worked off."""
        return self._done.get(partition, 0)

    @property
    def behind(self) -> int:
        """Blocks in its queue."""
        return len(self._queue)

    async def bind(self, placements: Sequence[Placement], elsewhere: Mapping[int, int]) -> None:
        """Run at the assets of these bindings, after the call that runs, which is not waited for: it may take minutes.
        Assets that stay with the same points keep their state. ``elsewhere``: partition by output series, of several.
        """
        self._binding = (placements, elsewhere)
        if not self._lock.locked():
            self._rebind()

    def _rebind(self) -> None:
        if self._binding is not None:
            (placements, self._elsewhere), self._binding = self._binding, None
            self._place(placements)
            self._dirty = True

    def _place(self, placements: Sequence[Placement]) -> None:
        wanted: dict[int, NDArray[np.int64]] = {}
        for placement in placements:
            wanted.update(zip(placement.assets[placement.running].tolist(), placement.inputs, strict=True))
        gone = [slot for asset, slot in self._slots.items() if asset not in wanted]
        self._slots = {asset: slot for asset, slot in self._slots.items() if asset in wanted}
        new = [asset for asset in wanted if asset not in self._slots]
        changed = [slot for asset, slot in self._slots.items() if not np.array_equal(self._series[slot], wanted[asset])]
        used = set(self._slots.values())
        # The lowest free ones: also those that fell free at earlier bindings.
        free = (slot for slot in range(len(used) + len(new)) if slot not in used)
        self._slots.update(zip(new, free, strict=False))
        size = max(max(self._slots.values(), default=-1) + 1, len(self._states))
        self._sampler.grow(size)
        self.figures.grow(size)
        self._states += [None] * (size - len(self._states))
        series = np.full((size, len(self._inputs)), -1, dtype=np.int64)
        for asset, slot in self._slots.items():
            series[slot] = wanted[asset]
        begin = np.array(sorted({*gone, *changed}), dtype=np.int64)
        self._sampler.forget(begin)
        self.figures.forget(begin)
        for slot in begin.tolist():
            self._states[slot] = None
        self._series = series
        self._routes = Routes(placements, self._slots, self._inputs, self._results)

    def slot_of(self, asset: int) -> int | None:
        """Return the slot of an asset that runs."""
        return self._slots.get(asset)

    @property
    def sampler(self) -> Sampler:
        """What waits and what was incomplete, by slot."""
        return self._sampler

    async def take(self, partition: int, sequence: int, block: Block | None, data: bytes) -> None:
        """See ``BlockConsumer``; waits while its queue is full."""
        if sequence <= self._taken.get(partition, 0):
            return
        mine = block is not None and block.tenant == self.tenant
        while self._queue and (len(self._queue) >= QUEUE_BLOCKS or self._size + len(data) > QUEUE_BYTES):
            self._room.clear()
            await self._room.wait()
        self._taken[partition] = sequence
        if not mine:
            if not self._queue and not self._lock.locked():
                self._done[partition] = sequence
                self._dirty = True
                return
            last = self._queue[-1] if self._queue else None
            if last is not None and last.block is None and last.partition == partition:
                self._queue[-1] = last._replace(sequence=sequence)
                return
        self._queue.append(_Cause(partition, sequence, block if mine else None, len(data) if mine else 0))
        self._size += len(data) if mine else 0
        self._came.set()

    async def _work(self) -> None:
        while True:
            if not self._queue:
                self._came.clear()
                await self._came.wait()
            async with self._lock:
                self._rebind()
                causes: list[_Cause] = []
                try:
                    await self._compute(self._gather(causes))
                except OwnershipLostError:
                    return
                except Exception:
                    # A fault of ours at some rows must not stop all later ones.
                    self._counters.add("model_calls_failed.host")
                    logger.exception("rows of %s were not computed", self.name)
                for cause in causes:
                    self._done[cause.partition] = cause.sequence
                self._dirty = True
            self._room.set()

    def _gather(self, causes: list[_Cause]) -> list[tuple[_Cause, Sets]]:
        """Take blocks off the queue until there is enough for one call; all of them are added to ``causes``."""
        parts, rows = list[tuple[_Cause, Sets]](), 0
        while self._queue and len(parts) < _CALL_BLOCKS and rows < _CALL_ROWS:
            cause = self._queue.popleft()
            self._size -= cause.size
            causes.append(cause)
            points = None if cause.block is None else self._routes.points(cause.block)
            sets = None if points is None else self._sampler.take(points)
            if sets is not None:
                parts.append((cause, sets))
                rows += len(sets.slots)
        return parts

    async def _compute(self, parts: Sequence[tuple[_Cause, Sets]]) -> None:
        if not parts:
            return
        sets, order = joined([part for _, part in parts])
        outcome = await self._call(sets)
        if outcome is None:
            return
        good = np.ones(len(order), dtype=np.bool_)
        if outcome.failures:
            failed = np.isin(self._routes.assets[sets.slots], np.array(list(outcome.failures), dtype=np.int64))
            good = ~failed
            self.figures.failed(sets.slots[failed], next(iter(outcome.failures.values())))
            self._counters.add("model_rows_failed", int(failed.sum()))
        results = {name: np.empty(len(order)) for name in self._results}
        usable = np.empty(len(order), dtype=np.bool_)
        for name, column in results.items():
            column[order] = outcome.columns[name]
        usable[order] = good
        start = 0
        for cause, part in parts:
            end = start + len(part.slots)
            rows = np.flatnonzero(usable[start:end])
            if len(rows) and cause.block is not None:
                columns = {name: column[start:end] for name, column in results.items()}
                points = self._routes.outputs(part, columns, rows)
                await self._outputs.publish(
                    cause.block, cause.partition, cause.sequence, points, self._elsewhere, self.name
                )
            start = end

    async def _call(self, sets: Sets) -> Outcome | None:
        """Return what the model gave, None when it failed; states are taken over."""
        rows = self._routes.rows(sets, self._states)
        for again in (True, False):
            try:
                # States stay with the executor between checkpoints: taking them out may cost more than the rows.
                outcome = await self.executor.evaluate(rows, states=False)
                break
            except ModelFailure as failure:
                if again and failure.reason in _AGAIN and not self._failing:
                    continue
                self._fail(failure, sets)
                if failure.reason is FailureReason.STATE:
                    self._states = [None if state == HELD else state for state in self._states]
                return None
        else:
            return None
        self._failing = False
        slots = sets.slots[rows.offsets[:-1]]
        for slot, state in zip(slots.tolist(), outcome.states, strict=True):
            self._states[slot] = state
        self.figures.evaluated(sets.slots, sets.times, outcome.columns, outcome.cpu_s, outcome.notes)
        self._counters.add("model_rows", len(sets.slots))
        return outcome

    def _fail(self, failure: ModelFailure, sets: Sets) -> None:
        if not self._failing:
            logger.warning("model %s failed (%s): %s", self.spec.id, failure.reason, failure.detail)
        self._failing = True
        self.figures.failed(sets.slots, f"{failure.reason}: {failure.detail}"[:400], whole=True)
        self._counters.add(f"model_calls_failed.{failure.reason}")
        self._counters.add("model_rows_failed", len(sets.slots))

    async def checkpoint(self) -> bool:
        """Write a checkpoint if anything changed; return whether one was written. Waits for the call that runs."""
        async with self._lock:
            self._rebind()
            if not self._dirty:
                return False
            await self._outputs.settle()
            try:
                states = await self._taken_out()
            except ModelFailure as failure:
                # Its process is gone and may not be started yet; the next checkpoint has all of it.
                self._counters.add("checkpoints_failed")
                logger.warning("the states of %s cannot be had (%s): %s", self.name, failure.reason, failure.detail)
                return False
            arrays, document = self._snapshot(states)
            self._dirty = False
        try:
            await self._checkpoints.save(arrays, document)
        except OSError as error:
            self._dirty = True
            self._counters.add("checkpoints_failed")
            logger.error("the checkpoint of %s cannot be written: %s", self.name, error)
            return False
        return True

    async def _taken_out(self) -> list[bytes | None]:
        """Return the states with those that the executor holds."""
        states = list(self._states)
        held = {asset: slot for asset, slot in self._slots.items() if states[slot] == HELD}
        if held:
            found = await self.executor.states(list(held))
            for slot, state in zip(held.values(), found, strict=True):
                states[slot] = state
        return states

    def _snapshot(self, states: Sequence[bytes | None]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {
            f"sampler.{name}": column for name, column in self._sampler.snapshot().items()
        }
        arrays["assets"] = np.array(list(self._slots), dtype=np.int64)
        arrays["slots"] = np.array(list(self._slots.values()), dtype=np.int64)
        arrays["series"] = self._series
        arrays["state.lengths"] = np.array([-1 if state is None else len(state) for state in states], dtype=np.int64)
        arrays["state.bytes"] = np.frombuffer(b"".join(state for state in states if state), dtype=np.uint8)
        positions = {str(partition): sequence for partition, sequence in self._done.items()}
        model = {"model": self.spec.id, "version": self.spec.version, "sha256": self.spec.sha256}
        return arrays, {"format": _FORMAT, **model, "positions": positions}

    def _restore(self, arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> None:
        if document["format"] != _FORMAT or (document["model"], document["version"]) != (
            self.spec.id,
            self.spec.version,
        ):
            raise ValueError(f"it is one of {document['model']} {document['version']}")
        if document.get("sha256", self.spec.sha256) != self.spec.sha256:
            raise ValueError("it is one of another artifact of that version")
        self._sampler.restore(
            {name.removeprefix("sampler."): array for name, array in arrays.items() if name.startswith("sampler.")}
        )
        self._slots = dict(zip(arrays["assets"].tolist(), arrays["slots"].tolist(), strict=True))
        self._series = arrays["series"]
        octets, at = arrays["state.bytes"].tobytes(), 0
        self._states = []
        for length in arrays["state.lengths"].tolist():
            self._states.append(None if length < 0 else octets[at : at + length])
            at += max(length, 0)
        if len(self._states) != len(self._sampler):
            raise ValueError("states and slots differ in number")
        self.figures.grow(len(self._states))
        self._done = {int(partition): int(sequence) for partition, sequence in document["positions"].items()}
        self._taken = dict(self._done)
