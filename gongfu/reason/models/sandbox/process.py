"""A model in a process of its own: start, describe, evaluate, start again after a failure."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from gongfu.confine.frames import FrameError
from gongfu.confine.process import Confined
from gongfu.confine.types import MIB, ConfinedEnded, Ended, EndReason, ProcessLimits, Start, Walls
from gongfu.reason.models.sandbox import protocol
from gongfu.reason.models.sandbox.checking import DescriptionError, are_kept, checked, detail_of, words_of
from gongfu.reason.models.sandbox.journal import Journal
from gongfu.reason.models.sandbox.splitting import parts_of, whole_of
from gongfu.reason.models.sandbox.types import Description, FailureReason, Limits, ModelFailure, Outcome, Rows

_ENTRY = "gongfu.reason.models.kinds.serving:serve"
# States that are taken out in one call.
_FETCHED = 16
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 60.0
_REASONS = {
    EndReason.TIMEOUT: FailureReason.TIMEOUT,
    EndReason.CPU: FailureReason.CPU,
    EndReason.MEMORY: FailureReason.MEMORY,
    EndReason.SIGNALLED: FailureReason.CRASHED,
}


def failure_of(ended: Ended, lines: int = 0) -> ModelFailure:
    """Return the failure for the end of a model's process; the detail has the last line that it wrote after ``lines``
    lines, which belong to earlier calls."""
    detail = f"the model's process ended: {ended.detail}"
    if ended.reason is EndReason.TIMEOUT or ended.reason is EndReason.CPU:
        detail = f"the model was stopped: {ended.detail}"
    if ended.log and ended.lines > lines and ended.reason in (EndReason.SIGNALLED, EndReason.EXITED, EndReason.MEMORY):
        detail += f"; its last line of output: {ended.log[-1]}"
    return ModelFailure(_REASONS.get(ended.reason, FailureReason.ENDED), detail)


class ModelProcess:
    """One model version in one confined process. Calls wait for one another; see :mod:`.types` for what they carry.

    Args:
        kind: ``python``, ``fmu``, ``onnx`` or ``table``.
        artifact: file of the artifact; the process may read it and nothing else of the node.
        scratch: folder of its own that the process may write, made if it is not there; emptied at every start.
        parameters: values by name of those that differ from the default.
        limits: limits of the model.
    """

    def __init__(
        self,
        kind: str,
        artifact: Path,
        scratch: Path,
        parameters: Mapping[str, float] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._kind = kind
        self._artifact = artifact.absolute()
        self._scratch = scratch.absolute()
        self._parameters = dict(parameters or {})
        self._limits = limits or Limits()
        self._turn = asyncio.Lock()
        self._confined: Confined | None = None
        self._description: Description | None = None
        self._journal = Journal()
        self._filled: Confined | None = None
        self._failures = 0
        self._not_before = 0.0
        self._last: ModelFailure | None = None
        self.starts = 0
        self.walls = Walls()

    async def start(self) -> Description:
        """Start the process unless it runs; return what the artifact says of itself.

        Raises:
            ModelFailure: the artifact is refused, or the process ended; ENDED while the pause after failures lasts,
                which doubles with every failed start or call in a row, from 0.2 to 60 s, and begins with the second.
        """
        async with self._turn:
            await self._ensure()
            assert self._description is not None
            return self._description

    async def evaluate(self, rows: Rows, *, states: bool = True) -> Outcome:
        """Evaluate rows, many of many assets in one call.

        With ``states=False`` the process keeps the states, and the outcome holds ``HELD`` for each: that saves the
        cost of taking them out (FMUs) in every call. ``HELD`` given in ``rows.states`` means the state that is held
        for the asset. It outlives the process: the rows since states were last taken out are kept, and computed again
        by a new one.

        Raises:
            ModelFailure: see FailureReason; states are then what they were before the call. STATE: no state is held
                for an asset with ``HELD``.
        """
        async with self._turn:
            confined = await self._ready()
            try:
                given = self._journal.spelt(rows)
            except KeyError as error:
                raise ModelFailure(FailureReason.STATE, f"no state of asset {error} is held") from None
            outcome = await self._compute(confined, given, not states)
            if self._description is not None and self._description.has_state:
                if states:
                    self._journal.release(rows.assets.tolist())
                else:
                    self._journal.write(given, outcome.failures)
            return outcome

    async def states(self, assets: list[int]) -> list[bytes | None]:
        """Take out the states that are held for assets, None where none is; those of all other assets are let go.

        Raises:
            ModelFailure: as evaluate.
        """
        async with self._turn:
            confined = await self._ready()
            self._journal.release(self._journal.held() - set(assets))
            found = await self._take_out(confined)
            return [found.get(asset) for asset in assets]

    async def _ready(self) -> Confined:
        """Return a process that holds what the journal says."""
        confined = await self._ensure()
        if self._filled is not confined:
            for call in self._journal.replay():
                await self._compute(confined, call, True)
            self._filled = confined
        if self._journal.full:
            await self._take_out(confined)
        return confined

    async def _take_out(self, confined: Confined) -> dict[int, bytes]:
        called = self._journal.called()
        found: dict[int, bytes] = {}
        size = self._journal.rest_bytes()
        for begin in range(0, len(called), _FETCHED):
            assets = called[begin : begin + _FETCHED]
            request = protocol.encode(protocol.Fetch(assets, sorted(self._journal.held()) if begin == 0 else None))
            answer, _ = await self._ask(confined, request, self._limits.wall_s, self._limits.cpu_s)
            if not isinstance(answer, protocol.Fetched) or len(answer.states) != len(assets):
                raise await self._broken(confined, "its answer does not fit the question")
            found |= {each: state for each, state in zip(assets, answer.states, strict=True) if state is not None}
            # It holds them all itself, so they fit into its memory; ours is not its to fill.
            size += sum(len(state) for state in answer.states if state is not None)
            if size > self._limits.memory_bytes:
                raise await self._broken(confined, "its states are longer than its memory")
        return self._journal.rebase(found)

    async def _compute(self, confined: Confined, rows: Rows, keep: bool) -> Outcome:
        """Compute rows, in several calls where the states are long."""
        # Until all is answered: after a failure it holds nothing that can be relied on.
        self._filled = None
        outcome = whole_of([await self._compute_part(confined, part, keep) for part in parts_of(rows)])
        self._filled = confined
        self._failures = 0
        return outcome

    async def _compute_part(self, confined: Confined, rows: Rows, keep: bool) -> Outcome:
        assert self._description is not None
        try:
            request = protocol.encode_rows(rows, keep=keep)
        except protocol.ProtocolError as error:
            raise ModelFailure(FailureReason.REFUSED, str(error)) from None
        before = confined.cpu_s()
        answer, rest = await self._ask(confined, request, self._limits.wall_s, self._limits.cpu_s)
        if not isinstance(answer, protocol.Evaluated) or len(answer.states) != len(rows.states):
            raise await self._broken(confined, "its answer does not fit the question")
        if keep and not are_kept(answer.states):
            raise await self._broken(confined, "it sent states that it was to keep")
        try:
            outputs = [port.name for port in self._description.outputs]
            columns = protocol.decode_outputs(answer, rest, outputs, len(rows.times))
        except protocol.ProtocolError as error:
            raise await self._broken(confined, str(error)) from None
        assets = rows.assets.tolist()
        failures, notes = words_of(answer.failures, assets), words_of(answer.notes, assets)
        return Outcome(columns, answer.states, confined.cpu_s() - before, failures, notes)

    def resident_bytes(self) -> int:
        """Return the memory of the process at present, 0 when there is none."""
        return 0 if self._confined is None or self._confined.ended else self._confined.resident_bytes()

    def cpu_s(self) -> float:
        """Return the CPU time of the process so far, 0 when there is none."""
        return 0.0 if self._confined is None or self._confined.ended else self._confined.cpu_s()

    def log(self) -> tuple[str, ...]:
        """Return the last lines that the process wrote."""
        return () if self._confined is None else self._confined.log()

    async def close(self) -> None:
        """End the process; the scratch folder goes with it."""
        async with self._turn:
            if self._confined is not None:
                await self._confined.close()
                self._confined = None
            await asyncio.to_thread(shutil.rmtree, self._scratch, True)

    async def _ensure(self) -> Confined:
        if self._confined is not None and self._confined.ended is None:
            return self._confined
        now = asyncio.get_running_loop().time()
        if now < self._not_before and self._last is not None:
            wait = self._not_before - now
            raise ModelFailure(FailureReason.ENDED, f"not started again for {wait:.1f} s, after: {self._last.detail}")
        try:
            return await self._begin()
        except ModelFailure as failure:
            self._count(failure)
            raise

    async def _begin(self) -> Confined:
        await asyncio.to_thread(_empty, self._scratch)
        limits = ProcessLimits(
            memory_bytes=self._limits.memory_bytes,
            start_wall_s=self._limits.start_wall_s,
            frame_bytes=self._limits.output_bytes + MIB,
        )
        confined = Confined(
            Start(
                entry=_ENTRY,
                name=f"model:{self._kind}",
                readable=(self._artifact,),
                writable=(self._scratch,),
                environment={"TMPDIR": str(self._scratch), "HOME": str(self._scratch)},
                limits=limits,
            )
        )
        self.starts += 1
        try:
            self.walls = await confined.start()
        except ConfinedEnded as error:
            raise failure_of(error.ended) from None
        self._confined = confined
        opening = protocol.Open(self._kind, str(self._artifact), str(self._scratch), self._parameters)
        wall = self._limits.start_wall_s
        try:
            answer, _ = await self._ask(confined, protocol.encode(opening), wall, wall)
        except ModelFailure:
            await confined.kill()
            raise
        if not isinstance(answer, protocol.Described) or answer.description.kind != self._kind:
            raise await self._broken(confined, "its answer does not fit the question")
        try:
            # Parsing a unit may cost a second of CPU the first time.
            self._description = await asyncio.to_thread(checked, answer.description)
        except DescriptionError as error:
            await confined.kill()
            raise ModelFailure(FailureReason.REFUSED, str(error)) from None
        return confined

    async def _ask(
        self, confined: Confined, request: list[bytes | memoryview], wall_s: float, cpu_s: float
    ) -> tuple[protocol.Answer, memoryview]:
        done = False
        lines = confined.lines_written()
        try:
            with confined.deadline(wall_s=wall_s, cpu_s=cpu_s):
                await confined.send(*request)
                frame = await confined.receive()
            done = True
        except FrameError as error:
            done = True
            raise ModelFailure(FailureReason.REFUSED, f"the request is too long: {error}") from None
        except ConfinedEnded as error:
            failure = failure_of(error.ended, lines)
            self._count(failure)
            raise failure from None
        finally:
            if not done:
                # Cancelled: the answer would be taken for that of the next request.
                await confined.kill()
        try:
            answer, rest = protocol.decode_answer(frame)
        except protocol.ProtocolError as error:
            raise await self._broken(confined, str(error)) from None
        if isinstance(answer, protocol.Failed):
            raise ModelFailure(answer.reason, detail_of(answer.detail))
        return answer, rest

    async def _broken(self, confined: Confined, detail: str) -> ModelFailure:
        ended = await confined.kill(EndReason.CHANNEL, detail)
        failure = failure_of(ended)
        self._count(failure)
        return failure

    def _count(self, failure: ModelFailure) -> None:
        if failure is self._last:
            return
        self._last = failure
        self._failures += 1
        # The first failure may be followed at once: most likely other rows do well.
        pause = 0.0 if self._failures == 1 else min(_FIRST_PAUSE_S * 2 ** (self._failures - 2), _LONGEST_PAUSE_S)
        self._not_before = asyncio.get_running_loop().time() + pause


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
