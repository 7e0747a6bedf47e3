"""The host of the tree's sections: their turns, the links to the neighbours, time."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import unavailable
from gongfu.store.records.engine import reading
from gongfu.tree.host import link_records
from gongfu.tree.host.agenda import Agenda
from gongfu.tree.host.batch import SqlTurn
from gongfu.tree.host.jobs import Statement, Takers, TurnJob
from gongfu.tree.host.link_records import LinkRow
from gongfu.tree.host.links import Links
from gongfu.tree.host.parent_time import ParentTime
from gongfu.tree.host.section import LinkView, Section, Turn
from gongfu.tree.host.transport import Transport
from gongfu.tree.host.writer import Writer
from gongfu.tree.link.limits import DEFAULT_LIMITS, FOREVER, Limits

T = TypeVar("T")

# Turns that wait, at most; one takes about a millisecond.
_TURNS = 1000
_SUBMITTED = 100_000
_READERS = 2
_NUDGE_S = 0.5
_NUDGED = 100
# A clock that is set is noticed within this.
_LOOK = 1_000_000_000

_NANOSECONDS = 1_000_000_000


class TreeHost:
    """Implements ``Host``."""

    def __init__(
        self,
        node: str,
        engine: Engine,
        sections: Sequence[Section],
        transport: Transport,
        *,
        time: ParentTime | None = None,
        counters: Counters | None = None,
        nudged: Callable[[list[str]], None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Make a host; see ``start``.

        Args:
            node: own id.
            engine: the records, migrated.
            sections: in the order in which they restate.
            transport: carries frames to the neighbours.
            time: own clock.
            counters: of the process.
            nudged: called at most twice a second with what changed.
            limits: of every link.
        """
        self.node = node
        self.counters = Counters() if counters is None else counters
        self._engine = engine
        self._sections = sections
        self._time = time or ParentTime()
        self._agenda = Agenda()
        self._takers = Takers(sections, self.counters)
        self._readers = ThreadPoolExecutor(_READERS, "tree-reader")
        # Of its own: the links do not wait for somebody's long query.
        self._outboxes = ThreadPoolExecutor(1, "tree-outbox")
        self._writer = Writer(engine, node, self._time.now, self._time.wall, self.counters, self._queued)
        self._links = Links(
            node,
            engine,
            self._writer,
            self._outboxes,
            transport,
            self._takers,
            self._time,
            self.counters,
            limits=limits,
            time_changed=self._plan,
            due_changed=self._plan,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = FOREVER
        self._running = False
        self._nudged = nudged
        self._nudges: dict[str, None] = {}
        self._nudge_timer: asyncio.TimerHandle | None = None

    # Life.

    async def start(self) -> None:
        """Read the links, start the sections, then the links."""
        self._loop = asyncio.get_running_loop()
        rows = await self._writer.start()
        self._running = True
        for row in rows.values():
            self._links.add(row)
            if not row.stated and not row.retired:
                self._writer.put(Statement(self._takers, row.peer))
        for section in self._sections:
            await section.start(self)
        await self._links.start()
        self._plan()

    async def stop(self) -> None:
        """End the sections, the links, and the writer when it has done what waits."""
        for section in reversed(self._sections):
            await section.stop()
        self._running = False
        await self._links.stop()
        await self._writer.stop()
        self._end()

    async def abandon(self) -> None:
        """End as by a crash: nothing more is written or sent. For tests of what a crash leaves."""
        self._running = False
        await self._writer.abandon()
        await self._links.stop()
        self._end()

    def _end(self) -> None:
        for timer in (self._timer, self._nudge_timer):
            if timer is not None:
                timer.cancel()
        for threads in (self._readers, self._outboxes):
            threads.shutdown(wait=False, cancel_futures=True)

    # Turns.

    async def turn(self, work: Callable[[Turn], T]) -> T:
        """Run a turn and return what it returns, after the commit.

        Raises:
            Problem: 503 when too many turns wait, or the host stops, or the records cannot be written.
            Exception: whatever the turn raised; it was rolled back, others of its transaction were not.
        """
        if not self._running:
            raise unavailable("the tree is stopping")
        if self._writer.waiting >= _TURNS:
            self.counters.add("tree_turns_shed.turns-full")
            raise unavailable("too many changes of the tree wait")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._writer.put(TurnJob(work, future, self.counters))
        return cast(T, await future)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a query on another thread, on what is committed."""
        if not self._running:
            raise unavailable("the tree is stopping")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with reading(self._engine) as connection:
            return work(connection)

    def submit(self, work: Callable[[Turn], object]) -> None:
        """Run a turn some time; an exception is logged and counted."""
        if self._writer.waiting >= _SUBMITTED:
            self.counters.add("tree_turns_shed.submitted-full")
            return
        self._writer.put(TurnJob(work, None, self.counters))

    # Time.

    def at(self, when: int, action: Callable[[], None]) -> Callable[[], None]:
        """Do this on the event loop when the parent's time is ``when``; returns what cancels it."""
        cancel = self._agenda.add(when, action)
        self._plan()
        return cancel

    def now(self) -> int:
        """The parent's time, UTC ns."""
        return self._time.now()

    def _plan(self) -> None:
        """Set the one timer to what is due first."""
        if self._loop is None or not self._running:
            return
        monotonic = self._time.monotonic()
        due = min(self._links.due, monotonic + _LOOK)
        if (when := self._agenda.next) is not None:
            due = min(due, monotonic + when - self._time.now())
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_later(max(due - monotonic, 0) / _NANOSECONDS, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._running:
            return
        self._links.tick()
        self._agenda.run(self._time.now())
        self._plan()

    # Links.

    def links(self) -> Sequence[LinkView]:
        """All links, the parent's first."""
        return self._links.views()

    def open_link(self, turn: Turn, peer: str, *, parent: bool = False) -> None:
        """Begin a link to a new neighbour, with the commit of the turn. Nothing happens if it is there."""
        assert isinstance(turn, SqlTurn)
        link = turn.link(peer)
        if link is not None and not link.retired:
            return
        if link is None:
            row = link_records.add_link(turn.connection, peer, parent, turn.wall)
        else:
            row = link_records.reopen_link(turn.connection, link, parent, turn.wall)
        turn.links[peer] = row
        # A copy: the row changes with the turns that follow.
        turn.then(partial(self._opened, replace(row)))

    def _opened(self, row: LinkRow) -> None:
        self._links.replace(row)
        self._writer.put(Statement(self._takers, row.peer))

    def close_link(self, turn: Turn, peer: str) -> None:
        """End the link to a neighbour that was retired or moved, with the commit of the turn."""
        assert isinstance(turn, SqlTurn)
        link = turn.link(peer)
        if link is None or link.retired:
            return
        link_records.retire_link(turn.connection, link)
        ended = LinkRow(link.id, peer, link.upward, link.epoch, link.last, link.acknowledged, link.received, True)
        turn.links[peer] = ended
        turn.sends.pop(peer, None)
        turn.then(partial(self._links.retire, peer))

    def _queued(self, queued: Any) -> None:
        self._links.queued(queued)

    @property
    def idle(self) -> bool:
        """Whether no turn waits, all links are up, and the neighbours have everything."""
        return not self._writer.waiting and all(link.up and link.session.idle for link in self._links)

    # What is shown.

    def nudge(self, *what: str) -> None:
        """Tell the console's streams what changed; many become one, twice a second."""
        if self._nudged is None or self._loop is None:
            return
        for name in what:
            if len(self._nudges) >= _NUDGED:
                name = "orders" if name.startswith("order/") else name
            self._nudges[name] = None
        if self._nudge_timer is None:
            self._nudge_timer = self._loop.call_later(_NUDGE_S, self._send_nudges)

    def _send_nudges(self) -> None:
        self._nudge_timer = None
        nudges, self._nudges = self._nudges, {}
        if self._nudged is not None:
            self._nudged(list(nudges))

    def metrics(self) -> dict[str, float]:
        """Return gauges for the metrics of the role."""
        views = self._links.views()
        wall = self._time.wall()
        oldest = min((view.oldest for view in views if view.oldest), default=wall)
        return {
            "tree_links": len(views),
            "tree_links_up": sum(view.up for view in views),
            "tree_links_skewed": sum(view.skewed for view in views),
            "tree_outbox_waiting": sum(view.waiting for view in views),
            "tree_turns_waiting": self._writer.waiting,
            "tree_timers": len(self._agenda),
            "tree_lag_seconds": max(wall - oldest, 0) / _NANOSECONDS,
            "tree_clock_offset_seconds": (self._time.now() - wall) / _NANOSECONDS,
        }
