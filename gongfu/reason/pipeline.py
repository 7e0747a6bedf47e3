"""Reason pipeline: blocks to latest values and rules; transitions to alarms.

A block's effects are durable before a checkpoint passes it: alarms are committed. After a crash the blocks since the
checkpoint are taken again; alarms bear names that follow from their cause, so nothing happens twice. Models run in a
role of their own (gongfu/reason/models/streaming).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.exc import SQLAlchemyError

from gongfu.bus.ownership import Ownership, OwnershipLostError, Sole
from gongfu.kernel.block import Block
from gongfu.kernel.counters import Counters
from gongfu.kernel.quality import Quality
from gongfu.kernel.times import Clock
from gongfu.reason.alarms.ledger import AlarmLedger
from gongfu.reason.alarms.types import AlarmEvent
from gongfu.reason.compiler import Compiler, Program
from gongfu.reason.rule_change import Change, Present, compiled, prepare_change, take_change
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.records import PointRow
from gongfu.reason.rules.transitions import RuleStatus, Transition
from gongfu.reason.status import RuleState
from gongfu.store.twins.checkpoint import CheckpointError, CheckpointStore
from gongfu.store.twins.latest import Twins

logger = logging.getLogger(__name__)

# State up to this is copied for a checkpoint, so that nothing waits; beyond it, memory counts more.
COPY_BYTES = 128 * 1024 * 1024
_RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_FORMAT = 1


class ReasonPipeline:
    """Consumer ``reason`` of the block feed of one partition. Everything that changes its state holds its lock.

    Counters: ``reason_blocks``, ``reason_points``, ``reason_blocks_damaged``, ``reason_blocks_failed``,
    ``points_late``, ``rule_transitions``, ``alarm_retries``, ``checkpoints``,
    ``checkpoints_failed``, ``checkpoints_damaged``.
    """

    name = "reason"

    def __init__(
        self,
        compiler: Compiler,
        ledger: AlarmLedger,
        checkpoints: CheckpointStore,
        counters: Counters,
        clock: Clock,
        announce: Callable[[Sequence[AlarmEvent]], Awaitable[None]],
        ownership: Ownership | None = None,
        compiling: Executor | None = None,
    ) -> None:
        """Set up; ``start`` before use.

        Args:
            compiler: reads the rules of the partition.
            ledger: writes alarms of the partition.
            checkpoints: keeps the state.
            counters: counters of the process.
            clock: the time.
            announce: called with alarms after their commit.
            ownership: asked before anything is written; default is a node with one worker.
            compiling: where changed rules are compiled; default the threads that all share.
        """
        self._compiler = compiler
        self._ledger = ledger
        ledger.look_at(self._latest)
        self._checkpoints = checkpoints
        self._counters = counters
        self._clock = clock
        self._announce = announce
        self._ownership = ownership or Sole()
        self._compiling = compiling
        self.twins = Twins()
        self.engine = RuleEngine()
        self._positions: dict[int, int] = {}
        self._program: Program | None = None
        self._rule_errors: dict[int, str] = {}
        self._known: NDArray[np.bool_] = np.zeros(1, dtype=np.bool_)
        self._lock = asyncio.Lock()
        # One change at a time; the points that have come since it was begun, None while there is none.
        self._changing = asyncio.Lock()
        self._came: list[PointRow] | None = None
        self._change_failed = ""
        self._sound = True
        self._cut_off = False  # a stop has cut off alarms, which are told again only from an earlier state
        self._closed = False
        self._dirty = False

    async def start(self) -> None:
        """Load the checkpoint, compile, and take over the state.

        Raises:
            SQLAlchemyError: the records do not answer.
        """
        async with self._lock:
            stored = await self._read_checkpoint()
            now = self._clock.now_ns()
            program = await asyncio.to_thread(self._compiler.rules, compiled(*stored) if stored else None)
            transitions: list[Transition] = []
            if stored is not None:
                try:
                    transitions = self._restore(*stored, program, now)
                except (KeyError, ValueError, IndexError, TypeError) as error:
                    logger.error("the checkpoint does not fit (%s); reading the log from its start", error)
                    self.twins, self.engine = Twins(), RuleEngine()
                    self._positions, stored = {}, None
                    program = await asyncio.to_thread(self._compiler.rules)
            if stored is None:
                transitions = self.engine.assign(program.assignments(), self.twins, now)
            self._adopt(program, program.errors(None))
            await self._commit(transitions)

    async def _read_checkpoint(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        try:
            return await self._checkpoints.load()
        except CheckpointError as error:
            logger.error("%s; reading the log from its start", error)
            self._counters.add("checkpoints_damaged")
            return None

    def _restore(
        self, arrays: dict[str, NDArray[Any]], document: dict[str, Any], program: Program, now: int
    ) -> list[Transition]:
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']}")

        def part(name: str) -> dict[str, NDArray[Any]]:
            return {key.removeprefix(name): array for key, array in arrays.items() if key.startswith(name)}

        self.twins = Twins.restore(part("twins."), document["twins"])
        before = compiled(arrays, document)
        assignments = program.assignments(before.series_of if before else None)
        transitions = self.engine.restore(assignments, part("rules."), document["rules"], self.twins, now)
        self._positions = {int(key): int(value) for key, value in document["positions"].items()}
        return transitions

    def _adopt(self, program: Program, errors: dict[int, str]) -> None:
        self._rule_errors = errors
        self._program = program
        program.settle()
        self._mark_known(program.highest, slice(0, program.highest + 1))

    def _mark_known(self, highest: int, which: Any) -> None:
        if highest >= len(self._known):
            grown = np.zeros(max(highest + 1, len(self._known) * 5 // 4), dtype=np.bool_)
            grown[: len(self._known)] = self._known
            self._known = grown
        self._known[which] = True

    def position(self, partition: int) -> int:
        """Return the sequence of the last block of a partition that was taken."""
        return self._positions.get(partition, 0)

    def forget(self, partition: int) -> None:
        """Begin a partition anew: its log was replaced, and sequences mean other blocks than before."""
        self._positions.pop(partition, None)

    async def take(self, partition: int, sequence: int, block: Block | None, data: bytes) -> None:
        """Take one block: latest values, rules, and what follows from them."""
        async with self._lock:
            if not self._closed:
                return await self._take(partition, sequence, block)
        await asyncio.Event().wait()  # until the feed is cancelled; the last checkpoint needs the lock

    async def _take(self, partition: int, sequence: int, block: Block | None) -> None:
        if sequence <= self.position(partition):
            return
        await self._ownership.valid()
        if block is None:
            self._counters.add("reason_blocks_damaged")
        else:
            self._sound = False
            try:
                await self._reason(block)
            except OwnershipLostError:
                raise
            except Exception:
                # A fault of ours at one block must not stop all later ones, nor the history.
                self._counters.add("reason_blocks_failed")
                logger.exception("block %d of partition %d was not evaluated", sequence, partition)
            self._sound = True
        self._counters.add("reason_blocks")
        self._positions[partition] = sequence
        self._dirty = True

    async def _reason(self, block: Block) -> None:
        await self._notice_points(block)
        late = self.twins.late
        self.twins.update(block)
        self._counters.add("points_late", self.twins.late - late)
        await self._commit(self.engine.evaluate(block))
        self._counters.add("reason_points", len(block))

    async def close(self) -> None:
        """Take no further block, and write a last checkpoint."""
        await self.end()
        await self.checkpoint()

    async def end(self) -> None:
        """Take no further block, and write nothing."""
        async with self._lock:
            self._closed = True

    async def _notice_points(self, block: Block) -> None:
        """Let rules find points that have come since they were compiled, before the first sample is evaluated."""
        new: set[int] = set()
        for columns in block.columns.values():
            if not len(columns):
                continue
            known = self._known
            inside = columns.series < len(known)
            unknown = ~inside | ~known[np.where(inside, columns.series, 0)]
            if bool(unknown.any()):
                new.update(columns.series[unknown].tolist())
        if not new:
            return
        series = sorted(new)
        points = await self._insist("records", lambda: asyncio.to_thread(self._compiler.points, series))
        self._mark_known(series[-1], series)
        assert self._program is not None
        if self._came is not None:
            self._came += points
        for key in self._program.add(points):
            self._rule_errors[key] = self._program.error(key)
        if lacking := self._program.lacking():
            transitions = self.engine.extend(lacking, self.twins, self._clock.now_ns())
            self._program.settle()
            await self._commit(transitions)

    async def reload_rules(self) -> None:
        """Compile the rules anew beside the feed, and let them take over between two blocks."""
        async with self._changing:
            try:
                revision = await self._insist("records", lambda: asyncio.to_thread(self._compiler.revision))
                async with self._lock:
                    assert self._program is not None
                    present = Present(self._program, self.engine.rules, self.engine.outlines(), revision)
                    self._came = []
                change = await self._insist("records", lambda: self._prepared(present))
                async with self._lock:
                    await self._take_change(change, self._came)
                self._change_failed = ""
            except Exception as error:
                self._change_failed = f"a change of rules could not be compiled: {type(error).__name__}"
                raise
            finally:
                self._came = None

    async def _prepared(self, present: Present) -> Change:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._compiling, prepare_change, self._compiler, present)

    async def _take_change(self, change: Change, came: Sequence[PointRow]) -> None:
        self._sound = False
        transitions = take_change(change, came, self.engine, self.twins, self._clock.now_ns())
        self._adopt(change.program, change.errors)
        await self._commit(transitions)
        self._sound = self._dirty = True

    async def points_were_deleted(self) -> bool:
        """Return whether a point may have gone or moved since the rules were compiled."""
        if (program := self._program) is None:
            return False
        return program.stale or await asyncio.to_thread(self._compiler.revision) != program.revision

    async def tick(self, now: int, floor: int) -> None:
        """Let time pass; call it when all blocks up to ``now`` were taken. See ``RuleEngine.tick``."""
        async with self._lock:
            self._sound = False
            transitions = self.engine.tick(now, floor)
            if transitions:
                await self._commit(transitions)
                self._dirty = True
            self._sound = True

    async def return_stale_alarms(self) -> None:
        """Return alarms that no instance stands for; once, when all of the log was taken."""
        async with self._lock:
            await self._ownership.valid()
            standing, now = self.engine.standing(), self._clock.now_ns()
            events = await self._insist("records", lambda: asyncio.to_thread(self._ledger.return_stale, standing, now))
            await self._announce(events)

    async def _commit(self, transitions: Sequence[Transition]) -> None:
        if not transitions:
            return
        rules, now, apply = self.engine.rules, self._clock.now_ns(), self._ledger.apply
        try:
            await self._ownership.valid()
            events = await self._insist("records", lambda: asyncio.to_thread(apply, transitions, rules, now))
        except asyncio.CancelledError:
            self._cut_off = True
            raise
        self._counters.add("rule_transitions", len(transitions))
        await self._announce(events)

    async def _insist(self, what: str, call: Callable[[], Any]) -> Any:
        """Return what a call on the records gives, however long they are away; the block log keeps the rest."""
        attempt = 0
        while True:
            try:
                return await call()
            except SQLAlchemyError as error:
                self._counters.add("alarm_retries")
                if attempt == 0:
                    logger.warning("%s do not answer, trying again: %s", what, type(error).__name__)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1

    async def checkpoint(self) -> bool:
        """Write a checkpoint if anything changed; return whether one was written."""
        async with self._lock:
            if not self._dirty or not self._sound or self._cut_off:
                return False
            large = self.twins.nbytes + self.engine.nbytes > COPY_BYTES
            arrays, document = self._snapshot(copy=not large)
            self._dirty = False
            if large:  # state of this size is not copied: the blocks wait in the log while it is written
                return await self._save(arrays, document)
        return await self._save(arrays, document)

    async def _save(self, arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> bool:
        try:
            await self._ownership.valid()
            await self._checkpoints.save(arrays, document)
        except OSError as error:
            self._dirty = True
            self._counters.add("checkpoints_failed")
            logger.error("the checkpoint cannot be written: %s", error)
            return False
        self._counters.add("checkpoints")
        return True

    def _snapshot(self, *, copy: bool) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        document: dict[str, Any] = {"format": _FORMAT, "positions": {str(k): v for k, v in self._positions.items()}}
        for name, (columns, rest) in {
            "twins": self.twins.snapshot(copy=copy),
            "rules": self.engine.snapshot(copy=copy),
        }.items():
            arrays.update((f"{name}.{key}", column) for key, column in columns.items())
            document[name] = rest
        if self._program is not None:
            document["program"] = self._program.document()
            arrays["program.patterns"] = self._program.patterns()
        return arrays, document

    def _latest(self, series: int) -> float | None:
        """Return the latest good value of a series as a number; the ledger asks while the pipeline holds its lock."""
        found = self.twins.get(series)
        if found is None or found.quality >= Quality.BAD or not isinstance(found.value, (int, float)):
            return None
        return float(found.value)

    def rule_states(self, wanted: Sequence[int] | None = None) -> dict[str, RuleState]:
        """Return the state of rules by id, default of all."""
        chosen = None if wanted is None else frozenset(wanted)
        return {
            str(key): RuleState(
                status.series,
                status.active,
                status.evaluated,
                status.withheld,
                status.error or self._rule_errors.get(key, "") or self._change_failed,
                status.late,
                status.bad,
                status.waiting,
            )
            for key, status in self._statuses(chosen).items()
        }

    def _statuses(self, chosen: frozenset[int] | None) -> dict[int, RuleStatus]:
        """Return the status of rules; those without a point are in no table."""
        known = self.engine.rules.keys() | self._rule_errors.keys()
        return {key: RuleStatus() for key in known if chosen is None or key in chosen} | self.engine.status(chosen)

    def gauges(self) -> dict[str, float]:
        """Return the gauges of reason."""
        return {
            "twins_series": float(len(self.twins)),
            "twins_texts_dropped": float(self.twins.texts_dropped),
            "rules_compiled": float(len(self.engine.rules)),
            "rules_compiling": 0.0 if self._came is None else float(max(1, len(self.engine.rules))),
            "rule_instances": float(self.engine.instances),
            "rule_samples_bad": float(self.engine.samples_bad),
            "rule_samples_out_of_order": float(self.engine.samples_out_of_order),
            "alarms_withheld": float(self.engine.alarms_withheld()),
        }
