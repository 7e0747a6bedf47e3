"""What the worker does by the clock: lag, ticks, checkpoints, and compiling anew when definitions change."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from gongfu.bus.block_streams import SettledLog
from gongfu.bus.connection import subscribe
from gongfu.bus.ending import end_tasks
from gongfu.bus.jetstream import JetStreamError
from gongfu.bus.ownership import OwnershipLostError
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.reason.pipeline import ReasonPipeline

logger = logging.getLogger(__name__)

TICK_S = 1.0
CHECKPOINT_S = 5.0
COUNT_S = 10.0
# Many definitions are often written at once; they are compiled together.
_SETTLE_S = 0.1
_POLL_S = 0.02
# A checkpoint may take this share of the time.
_CHECKPOINT_SHARE = 0.02


class _Kind(msgspec.Struct):
    """What matters of ``evt.rule`` and ``evt.registry``."""

    kind: str = ""


class Watch:
    """Runs beside the feed of one partition; ``start`` and ``stop``."""

    def __init__(
        self,
        pipeline: ReasonPipeline,
        bus: Client,
        subjects: Subjects,
        partition: int,
        clock: Clock,
        history_position: Callable[[int], int],
    ) -> None:
        self._pipeline = pipeline
        self._bus = bus
        self._subjects = subjects
        self._partition = partition
        self._log = SettledLog(bus, subjects, partition)
        self._clock = clock
        self._history_position = history_position
        self._lag = {"reason_blocks": 0.0, "history_blocks": 0.0}
        self._floor = 0
        self._changed = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._decode = msgspec.json.Decoder(_Kind).decode

    async def start(self) -> None:
        """Listen to changes and begin."""
        self._subscriptions = [
            await subscribe(self._bus, self._subjects.event(kind), self._definition_changed)
            for kind in ("rule", "registry")
        ]
        self._tasks = [
            asyncio.create_task(self._every(TICK_S, self._tick), name="tick"),
            asyncio.create_task(self._checkpoints(), name="checkpoints"),
            asyncio.create_task(self._compile(), name="compile"),
            asyncio.create_task(self._every(COUNT_S, self._count), name="count"),
        ]
        # What changed between the start of the pipeline and the subscription.
        self._note()

    async def stop(self) -> None:
        """End; the last checkpoint is the pipeline's."""
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        await end_tasks(self._tasks)

    @property
    def lag(self) -> dict[str, float]:
        """Blocks in the log that reason and history have not taken yet, a second ago at most."""
        return dict(self._lag)

    @property
    def caught_up(self) -> bool:
        """Whether all of the log was taken once since the start."""
        return self._floor > 0

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await act()
            except OwnershipLostError:
                return
            except Exception:
                # One failure, such as records that are away, must not end ticks or checkpoints for good.
                logger.exception("%s failed", getattr(act, "__name__", "task"))

    async def _tick(self) -> None:
        now = self._clock.now_ns()
        partition = self._partition
        try:
            state = await self._log.state()
        except JetStreamError:
            state = None
        if state is None:
            return  # without the log, or with blocks in its spare, nobody knows what is missing
        last, first, count = int(state["last_seq"]), int(state["first_seq"]), int(state["messages"])
        self._lag = {
            name: float(max(0, last - max(position, first - 1))) if count else 0.0
            for name, position in (
                ("reason_blocks", self._pipeline.position(partition)),
                ("history_blocks", self._history_position(partition)),
            )
        }
        end = last if count else 0
        deadline = asyncio.get_running_loop().time() + TICK_S
        while self._pipeline.position(partition) < end:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(_POLL_S)
        # All that came in before ``now`` has been taken.
        if not self._floor:
            self._floor = now
            await self._pipeline.return_stale_alarms()
        await self._pipeline.tick(now, self._floor)

    async def _checkpoints(self) -> None:
        loop = asyncio.get_running_loop()
        wait = CHECKPOINT_S
        while True:
            await asyncio.sleep(wait)
            begin = loop.time()
            try:
                await self._pipeline.checkpoint()
            except OwnershipLostError:
                return
            except Exception:
                logger.exception("checkpoint failed")
            wait = max(CHECKPOINT_S, (loop.time() - begin) / _CHECKPOINT_SHARE)

    async def _definition_changed(self, message: Msg) -> None:
        try:
            kind = self._decode(message.data).kind
        except msgspec.MsgspecError:
            logger.warning("an event on %s is not understood", message.subject)
            return
        if kind in ("asset", "point", "tenant", "rule"):
            self._note()

    def _note(self) -> None:
        self._changed.set()

    async def _compile(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(_SETTLE_S)
            self._changed.clear()
            try:
                await self._pipeline.reload_rules()
            except Exception:
                logger.exception("rules could not be compiled anew; the old ones run on")

    async def _count(self) -> None:
        if await self._pipeline.points_were_deleted():
            self._note()
