"""The process of an app as the host sees it: started confined, called one function at a time, ended when it fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gongfu.appkit.context.messages import (
    Answer,
    Ask,
    AskAlarm,
    AskPublish,
    AskPutObject,
    AskWrite,
    Began,
    Begin,
    Call,
    CallJob,
    CallWindow,
    Done,
    Log,
    decode_from_app,
    encode,
)
from gongfu.appkit.context.order_messages import CallOrder, CallProbe
from gongfu.appkit.manifest import Manifest, Needs
from gongfu.appkit.permissions import by_name
from gongfu.confine.frames import FrameError
from gongfu.confine.process import Confined
from gongfu.confine.types import MIB, ConfinedEnded, Ended, EndReason, ProcessLimits, Start, Walls

logger = logging.getLogger("gongfu.apps")

ENTRY = "gongfu.appkit.context.process:run"
START_S = 20.0
_CLOSE_S = 2.0
# What is called again after a crash; its questions wait until the node can answer.
_PATIENT = (CallWindow, CallJob, CallOrder)
_CHANGES = (AskWrite, AskAlarm, AskPublish, AskPutObject)


class AppFailure(Exception):
    """The process of an app has ended or cannot be started; the text is for people."""


class NotCalled(AppFailure):
    """The process ended before a call began, over something else."""


@dataclass(frozen=True, slots=True)
class AppCode:
    """An installed version: its manifest, the folder with its files, the folder that is its own, and what was granted
    (None: all it asks for)."""

    manifest: Manifest
    folder: Path
    data: Path
    granted: Needs | None = None


class AppProcess:
    """One process, from start to end.

    ``answer`` takes what the app asks, and whether the answer may wait until the node can give it: windows and jobs do,
    people who call a route do not. ``log`` takes lines as (level, text).
    """

    def __init__(
        self,
        code: AppCode,
        answer: Callable[[Ask, bool], Awaitable[Answer]],
        log: Callable[[str, str], None],
    ) -> None:
        self._code = code
        self._answer = answer
        self._log = log
        self._turn = asyncio.Lock()
        self._calls: set[asyncio.Task[Done]] = set()
        resources = code.manifest.resources
        limits = ProcessLimits(
            memory_bytes=resources.memory_bytes,
            file_bytes=max(resources.storage_bytes, MIB),
            storage_bytes=max(2 * resources.storage_bytes, 4 * MIB),
            start_wall_s=START_S,
            log_lines=100,
        )
        self._frame_bytes = limits.frame_bytes
        self._confined = Confined(
            Start(
                entry=ENTRY,
                name=code.manifest.app.id,
                readable=(code.folder,),
                writable=(code.data,),
                limits=limits,
            )
        )
        self._began = False

    async def start(self) -> Began:
        """Start it and load the app; return what it declares.

        Raises:
            AppFailure: it cannot be started or loaded.
        """
        about, needs = self._code.manifest.app, self._code.manifest.needs
        begin = Begin(
            app=about.id,
            version=about.version,
            folder=str(self._code.folder),
            module=about.module,
            data=str(self._code.data),
            records=needs.records,
            storage_bytes=self._code.manifest.resources.storage_bytes,
            permissions=by_name(needs, needs if self._code.granted is None else self._code.granted),
        )
        try:
            await self._confined.start()
            with self._confined.deadline(wall_s=START_S):
                await self._confined.send(encode(begin))
                while isinstance(first := decode_from_app(await self._confined.receive()), Log):
                    self._log(first.level, first.text)
        except ConfinedEnded as end:
            raise AppFailure(_told(end.ended)) from None
        except msgspec.MsgspecError:
            await self._confined.kill(EndReason.CHANNEL, "it said what no app says")
            raise AppFailure("it said what no app says") from None
        if isinstance(first, Done):
            await self._confined.kill()
            raise AppFailure(first.error)
        if not isinstance(first, Began):
            await self._confined.kill()
            raise AppFailure("it asked before it was called")
        self._began = True
        return first

    async def call(self, call: Call, wall_s: float) -> Done:
        """Call one function, after those that were called before; what it raises is in ``Done.error``.

        A call that is not waited for any more is brought to its end all the same if it has begun; if not, it never
        begins. One that takes longer than ``wall_s`` ends the process; the time that the node takes to answer it does
        not count.

        Raises:
            NotCalled: the process had ended before.
            AppFailure: the process has ended.
        """
        begun = asyncio.Event()
        task = asyncio.ensure_future(self._call(call, wall_s, begun))
        self._calls.add(task)
        task.add_done_callback(self._forget)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # ``close`` broke it off, while the node had no answer for it. Whoever waits for it is to go on.
            if task.cancelled() and not _is_to_end():
                raise AppFailure("its process ended before the node had an answer for it") from None
            if not begun.is_set():
                task.cancel()
            raise

    def _forget(self, task: "asyncio.Task[Done]") -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it

    async def _call(self, call: Call, wall_s: float, begun: asyncio.Event) -> Done:
        async with self._turn:
            begun.set()
            if (ended := self._confined.ended) is not None:
                raise NotCalled(_told(ended))
            try:
                return await self._until_done(call, wall_s)
            except ConfinedEnded as end:
                raise AppFailure(_told(end.ended)) from None
            except FrameError as error:
                # Nothing was sent, so it would wait for ever.
                raise AppFailure(_told(await self._confined.kill(EndReason.CHANNEL, str(error)))) from None
            except msgspec.MsgspecError as error:
                ended = await self._confined.kill(EndReason.CHANNEL, f"it said what no app says: {error}"[:300])
                raise AppFailure(_told(ended)) from None

    async def _until_done(self, call: Call, wall_s: float) -> Done:
        loop, patient, next_frame = asyncio.get_running_loop(), isinstance(call, _PATIENT), encode(call)
        while True:
            began = loop.time()
            with self._confined.deadline(wall_s=max(wall_s, 0.001)):
                await self._confined.send(next_frame)
                while isinstance(said := decode_from_app(await self._confined.receive()), Log):
                    self._log(said.level, said.text)
            wall_s -= loop.time() - began
            if isinstance(said, Done):
                return said
            if isinstance(said, Began):
                raise msgspec.ValidationError("it began twice")
            if isinstance(call, CallProbe) and isinstance(said, _CHANGES):
                next_frame = encode(Answer(status=403, text="a probe only looks: it changes nothing"))
                continue
            next_frame = encode(await self._answer(said, patient))
            if len(next_frame) > self._frame_bytes:
                text = f"the answer has more than {self._frame_bytes // MIB} MiB; ask for less at a time"
                next_frame = encode(Answer(status=413, text=text))

    async def wait(self) -> str:
        """Wait for the end of the process; return why, in one line."""
        return _told(await self._confined.wait())

    async def close(self) -> None:
        """End it: wait for the call that runs, at most two seconds, then ask it to end, then kill it."""
        if self._calls:
            _, late = await asyncio.wait(set(self._calls), timeout=_CLOSE_S)
            for call in late:
                call.cancel()
        if self._confined.process_id:
            await self._confined.close()

    @property
    def process_id(self) -> int:
        """Process id, 0 before the start."""
        return self._confined.process_id

    @property
    def walls(self) -> Walls:
        """What is enforced on this machine."""
        return self._confined.walls

    def cpu_s(self) -> float:
        """CPU time of its life, in seconds."""
        return self._confined.cpu_s() if self._began else 0.0

    def resident_bytes(self) -> int:
        """Its resident memory."""
        running = self._began and self._confined.ended is None
        return self._confined.resident_bytes() if running else 0

    def output(self) -> tuple[str, ...]:
        """Last lines of what it printed."""
        return self._confined.log() if self._confined.process_id else ()


def _is_to_end() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def _told(ended: Ended) -> str:
    last = f"; its last line: {ended.log[-1]}" if ended.log else ""
    return f"{ended.detail}{last}"[:1000]
