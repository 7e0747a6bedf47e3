"""Spare streams of a cluster: where blocks go while the stream of a partition has no leader.

After a crash of its leader a stream takes nothing until NATS has elected another, 4 to 9 s later. Every partition has
a spare stream whose leader is kept on another server. A block that it acknowledged is as durable as one in the log;
the log gets it from there as soon as it has a leader again (``spare_move``), in the spare's order and under the message
id that it has already, so that a block that the log had taken without saying so is not stored twice. Readers read the
log only.

Writers tell each other that they use a spare, and all of them use it then. They go back together: one of them moves
the blocks in bulk; when few are left, or when they do not get less because the writers are as fast, it asks all to hold
new ones, moves the rest and lets all go. If the rest is not moved in that time, writers go on for a moment, and it
asks again: what is in the spare gets less in any case. So the blocks of a device that comes to another writer stay
behind those that it has sent before. A writer that hears no end of it uses the spare again.
"""

import asyncio
import itertools
import logging
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from gongfu.bus.block_streams import SpareStreams
from gongfu.bus.connection import subscribe
from gongfu.bus.ending import end_tasks
from gongfu.bus.jetstream import JetStreamError
from gongfu.bus.spare_move import MoveStalledError, SpareMove
from gongfu.bus.spare_turns import TURN_S, hold_time, is_time_to_hold
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects

_LOOK_S = 5.0
_TOLD_S = 0.5
# At its start a writer listens for so long whether others use a spare.
_ANSWERS_S = 0.5
# Another writer that was not heard of for so long does not use the spare any more.
_SILENT_S = 3.5
# Of the writers that use a spare the first by name moves the blocks; when nothing has moved for so long, all do.
_IDLE_MOVER_S = 5.0
# A writer holds new blocks for so long at most; longer than any ``hold_time``.
_HELD_S = 4.0
# "use" that another sent before all went back may come after that.
_LATE_S = 0.3
_BRIEFLY_S = 0.02
_POLL_S = 0.1

logger = logging.getLogger(__name__)


def open_spares(bus: Client, subjects: Subjects, partitions: int, replicas: int, counters: Counters) -> "Spares | None":
    """Return what a block log needs of the spares; None when there is a single server."""
    return Spares(bus, subjects, partitions, counters) if replicas > 1 else None


class Writer(Protocol):
    """What the spares ask of the block log that uses them."""

    def route(self, partition: int, *, to_spare: bool) -> None:
        """Send all blocks of a partition that are not acknowledged, and all that follow, to its spare or to the log."""
        ...

    def hold(self, partition: int) -> None:
        """Keep what follows until ``route``."""
        ...

    def under_way(self, partition: int) -> list["asyncio.Future[int]"]:
        """Return the futures of the blocks that were sent and are not acknowledged."""
        ...


class _Told(msgspec.Struct):
    """What writers tell each other: ``who`` uses a spare; ``use`` it, and whether it has blocks of theirs (``taken``);
    ``hold`` new blocks; ``held``: so it is; ``back`` to the log, or ``on`` with the spare. Those four belong to a turn
    of the writer that has asked."""

    partition: int
    writer: str
    say: str
    to: str = ""
    turn: int = 0
    taken: bool = False


@dataclass(eq=False)
class _Use:
    """The spare of a partition is in use here.

    Attributes:
        heard: other writers that use it, and when they last said so.
        taken: whether the spare has blocks, of ours or of others.
        held: writers that hold new blocks, while we go back; None otherwise.
        asked: the writers that were asked to.
        joined: whether another writer began to use the spare meanwhile.
        holds_for: the writer that has asked us to hold new blocks, and its turn; None when we do not.
        turn: counts our own holds.
    """

    heard: dict[str, float] = field(default_factory=dict[str, float])
    taken: bool = False
    held: set[str] | None = None
    asked: set[str] = field(default_factory=set[str])
    joined: bool = False
    holds_for: tuple[str, int] | None = None
    turn: int = 0


class Spares:
    """The spares of one block log. ``start`` before, ``close`` after; use from its event loop.

    Counters: ``blocks_diverted`` (times that a partition went to its spare), ``blocks_from_spare``.
    """

    def __init__(self, bus: Client, subjects: Subjects, partitions: int, counters: Counters) -> None:
        self._bus = bus
        self._subjects = subjects
        self._partitions = partitions
        self._counters = counters
        self._name = bus.new_inbox()
        # 1 to 2: writers do not do the same at the same time.
        self._differs = 1 + zlib.crc32(self._name.encode()) % 100 / 100
        self._uses: dict[int, _Use] = {}
        self._streams = SpareStreams(bus, subjects)
        self._moves = [SpareMove(bus, subjects, partition, counters) for partition in range(partitions)]
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: dict[int, float] = {}
        self._turns = itertools.count(1)
        self._closed = False

    async def start(self, writer: Writer) -> None:
        """Listen to other writers, and look after the spares. What is left in one from before goes first."""
        self._writer = writer
        self._heard = await subscribe(self._bus, self._subjects.diverted(), self._hear)
        await self._say(0, "who")
        await asyncio.sleep(_ANSWERS_S)
        await self._look_at_all()
        self._spawn(self._look_after())

    async def close(self) -> None:
        """Stop; blocks that are still in a spare are moved by another writer or at the next start."""
        # The loops look at this: nats-py may swallow a cancellation.
        self._closed = True
        tasks = list(self._tasks)
        await end_tasks(tasks)
        for move in self._moves:
            await move.close()
        with suppress(NatsError, OSError):
            await self._heard.unsubscribe()

    @property
    def name(self) -> str:
        """What this writer is called; of those that use a spare the first by name moves its blocks."""
        return self._name

    def in_use(self, partition: int) -> bool:
        """Return whether blocks of the partition go to its spare."""
        return partition in self._uses

    def use(self, partition: int) -> None:
        """The log has no leader: send the blocks of a partition to its spare until all of it is in the log."""
        if partition in self._uses or self._closed:
            return
        use = self._uses[partition] = _Use()
        self._counters.add("blocks_diverted")
        logger.warning("partition %d has no leader: its blocks go to the spare", partition)
        self._writer.route(partition, to_spare=True)
        self._spawn(self._tell(partition, use))
        self._spawn(self._come_back(partition, use))

    def acknowledged(self, partition: int) -> None:
        """The spare has taken a block."""
        if (use := self._uses.get(partition)) is not None:
            use.taken = True

    def refused(self, partition: int) -> None:
        """The spare has no leader either: whichever of the two has one first takes the blocks."""
        use = self._uses.get(partition)
        if use is not None and not use.taken:
            self._end(partition)

    def suspect(self, partition: int) -> None:
        """The log has been silent: use the spare if it has no leader."""
        if partition not in self._uses and not self._closed:
            self._spawn(self._ask(partition))

    def _end(self, partition: int) -> None:
        del self._uses[partition]
        self._ended[partition] = asyncio.get_running_loop().time()
        self._writer.route(partition, to_spare=False)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, partition: int) -> None:
        try:
            leader = await self._streams.has_leader(partition)
        except JetStreamError:
            leader = False
        if not leader and self._bus.is_connected:
            self.use(partition)

    async def _hear(self, message: Msg) -> None:
        try:
            told = msgspec.json.decode(message.data, type=_Told)
        except msgspec.MsgspecError:
            return
        partition = told.partition
        if told.say == "who":
            for used, use in self._uses.items():
                await self._say(used, "use", taken=use.taken)
            return
        if told.writer == self._name or not 0 <= partition < self._partitions:
            return
        if told.say == "use" and partition not in self._uses:
            if asyncio.get_running_loop().time() - self._ended.get(partition, 0.0) < _LATE_S:
                return
            self.use(partition)
        if (use := self._uses.get(partition)) is not None:
            self._heed(use, told)

    def _heed(self, use: _Use, told: _Told) -> None:
        asker = (told.writer, told.turn)
        use.heard[told.writer] = asyncio.get_running_loop().time()
        match told.say:
            case "use":
                use.taken = use.taken or told.taken
                use.joined = use.joined or (use.held is not None and told.writer not in use.asked)
            case "hold" if use.held is None:
                use.holds_for = asker
                self._writer.hold(told.partition)
                self._spawn(self._follow(told.partition, use))
            case "held" if use.held is not None and (told.to, told.turn) == (self._name, use.turn):
                use.held.add(told.writer)
            case "back" if use.holds_for == asker:
                self._end(told.partition)
            case "on" if use.holds_for == asker:
                self._go_on(told.partition, use)
            case _:
                pass

    def _go_on(self, partition: int, use: _Use) -> None:
        """Use the spare again, and tell the others before it takes a block: some may have gone back."""
        use.holds_for, use.held = None, None
        self._spawn(self._say(partition, "use", taken=use.taken))
        self._writer.route(partition, to_spare=True)

    async def _follow(self, partition: int, use: _Use) -> None:
        """Answer a request to hold new blocks; use the spare again when nothing follows from it."""
        asked = use.holds_for
        assert asked is not None
        loop = asyncio.get_running_loop()
        until = loop.time() + _HELD_S
        if sent := self._writer.under_way(partition):
            await asyncio.wait(sent, timeout=_HELD_S)
        if not self._writer.under_way(partition) and self._uses.get(partition) is use and use.holds_for == asked:
            await self._say(partition, "held", *asked)
        await asyncio.sleep(until - loop.time())
        if self._uses.get(partition) is use and use.holds_for == asked:
            self._go_on(partition, use)

    async def _say(self, partition: int, say: str, to: str = "", turn: int = 0, *, taken: bool = False) -> None:
        with suppress(NatsError, OSError):
            await self._bus.publish(
                self._subjects.diverted(), msgspec.json.encode(_Told(partition, self._name, say, to, turn, taken))
            )

    async def _tell(self, partition: int, use: _Use) -> None:
        while self._is_used(partition, use):
            if use.held is None and not use.holds_for:
                await self._say(partition, "use", taken=use.taken)
            await asyncio.sleep(_TOLD_S)

    async def _come_back(self, partition: int, use: _Use) -> None:
        """Move blocks, or wait until another has moved them; then let all writers go back to the log."""
        loop = asyncio.get_running_loop()
        moved_at, front, holds = loop.time(), 0, 0
        while self._is_used(partition, use):
            try:
                spare, has_leader = await self._streams.spare(partition), await self._streams.has_leader(partition)
                state = spare["state"]
                if state["first_seq"] != front or not state["messages"] or not has_leader:
                    moved_at, front = loop.time(), state["first_seq"]
                moves = self._is_mover(use) or loop.time() - moved_at > _IDLE_MOVER_S
                if not has_leader or not moves or not self._is_current(partition, use):
                    await asyncio.sleep(_POLL_S)
                    continue
                await self._streams.keep_apart(partition, spare)
                moved = await self._moves[partition].move(TURN_S * self._differs)
                left = await self._left(partition)
                if is_time_to_hold(left, state["messages"], moved) and self._is_current(partition, use):
                    await self._lead_back(partition, use, hold_time(holds))
                    holds += 1
            except (JetStreamError, MoveStalledError) as error:
                logger.debug("partition %d stays with its spare: %s", partition, error)
                moved_at = loop.time() if isinstance(error, JetStreamError) else moved_at
                await asyncio.sleep(_POLL_S * self._differs)

    async def _lead_back(self, partition: int, use: _Use, hold_s: float) -> None:
        """Let all writers hold new blocks, move what is left, and let all go back; let them go on if that fails."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        until = began + hold_s
        use.asked, use.held, use.joined, use.turn = set(self._others(use)), set(), False, next(self._turns)
        self._writer.hold(partition)
        await self._say(partition, "hold", turn=use.turn)
        is_back = False
        try:
            while not is_back and loop.time() < until and self._is_current(partition, use):
                # Whether all hold is looked at before: what the spare has afterwards is all of it.
                all_hold = use.asked <= use.held and not self._writer.under_way(partition)
                await self._moves[partition].move(until - loop.time())
                is_back = all_hold and not use.joined and not await self._left(partition)
                if not all_hold:
                    await asyncio.sleep(_BRIEFLY_S)
        except (JetStreamError, MoveStalledError) as error:
            logger.debug("partition %d stays with its spare: %s", partition, error)
        if not self._is_current(partition, use):
            return
        # The others hold no longer than this.
        if not is_back or loop.time() > began + _HELD_S - _LATE_S:
            await self._say(partition, "on", turn=use.turn)
            self._go_on(partition, use)
            return
        self._end(partition)
        await self._say(partition, "back", turn=use.turn)
        logger.info("partition %d is back in the log", partition)
        await self._look_at(partition)

    async def _left(self, partition: int) -> int:
        return int((await self._streams.spare(partition))["state"]["messages"])

    def _is_current(self, partition: int, use: _Use) -> bool:
        """Return whether the spare is still in use since then, and we follow nobody."""
        return self._uses.get(partition) is use and not use.holds_for

    def _is_used(self, partition: int, use: _Use) -> bool:
        """Return whether the spare is still in use since then."""
        return self._uses.get(partition) is use and not self._closed

    def _others(self, use: _Use) -> list[str]:
        now = asyncio.get_running_loop().time()
        return [writer for writer, at in use.heard.items() if now - at < _SILENT_S]

    def _is_mover(self, use: _Use) -> bool:
        return all(self._name <= other for other in self._others(use))

    async def _look_after(self) -> None:
        while not self._closed:
            await asyncio.sleep(_LOOK_S)
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        """Keep the leaders of a partition and of its spare apart, and take care of what a writer that is gone left."""
        unused = [partition for partition in range(self._partitions) if partition not in self._uses]
        await asyncio.gather(*map(self._look_at, unused))

    async def _look_at(self, partition: int) -> None:
        with suppress(JetStreamError, NatsError, OSError):
            spare = await self._streams.spare(partition)
            if spare["state"]["messages"]:
                self.use(partition)
                self.acknowledged(partition)
            else:
                await self._streams.keep_apart(partition, spare)
