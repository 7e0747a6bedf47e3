"""The links of a node: their sessions, what these ask for, and one timer for all."""

import asyncio
import heapq
import logging
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Executor

from sqlalchemy import Engine

from gongfu.kernel.counters import Counters
from gongfu.store.records.engine import reading
from gongfu.tree.host import link_records
from gongfu.tree.host.batch import Queued
from gongfu.tree.host.jobs import Delivery, Renewal, Takers, TurnJob
from gongfu.tree.host.link_end import Link
from gongfu.tree.host.link_records import LinkRow
from gongfu.tree.host.outage import is_outage
from gongfu.tree.host.parent_time import ParentTime
from gongfu.tree.host.section import LinkView, Turn
from gongfu.tree.host.transport import Transport
from gongfu.tree.host.writer import Writer
from gongfu.tree.link.effects import (
    ClockSkew,
    Deliver,
    Effect,
    Forget,
    Load,
    NewEpoch,
    PeerRetired,
    PeerRewound,
    Send,
)
from gongfu.tree.link.frames import FrameError, decode, encode
from gongfu.tree.link.limits import DEFAULT_LIMITS, FOREVER, Limits
from gongfu.tree.link.position import Position
from gongfu.tree.link.session import Session

_RETRY_S = 1.0
_SECOND = 1_000_000_000
# A clock offset that moved by less is not told to the writer.
_OFFSET_STEP = 10_000_000
# Nor is less of the parent's time told to the children.
_TOLD_STEP = 1_000_000

logger = logging.getLogger(__name__)


def draw_tag() -> int:
    """Return a random tag of a connection."""
    return secrets.randbelow(2**62 - 1) + 1


class Links:
    """Carries out what the sessions ask for. On the event loop."""

    def __init__(
        self,
        node: str,
        engine: Engine,
        writer: Writer,
        readers: Executor,
        transport: Transport,
        takers: Takers,
        time: ParentTime,
        counters: Counters,
        *,
        limits: Limits = DEFAULT_LIMITS,
        time_changed: Callable[[], None],
        due_changed: Callable[[], None],
    ) -> None:
        """Make them, without any link.

        Args:
            node: own id.
            engine: the records.
            writer: of the tree's tables.
            readers: thread that reads outboxes.
            transport: carries the frames.
            takers: of messages.
            time: own and parent's.
            counters: of the process.
            limits: of every link.
            time_changed: called when the parent's time has moved.
            due_changed: called when ``due`` may be earlier than it was.
        """
        self._node = node
        self._engine = engine
        self._writer = writer
        self._readers = readers
        self._transport = transport
        self._takers = takers
        self._time = time
        self._counters = counters
        self._limits = limits
        self._time_changed = time_changed
        self._due_changed = due_changed
        self._links: dict[str, Link] = {}
        self._dues: list[tuple[int, str]] = []
        self._reads: set[asyncio.Task[None]] = set()
        self._running = False
        # What children are told: the parent's time minus monotonic time.
        self._told = time.base

    # Life.

    def __iter__(self) -> Iterator[Link]:
        """All links that have not ended, the parent's first."""
        return iter(sorted((x for x in self._links.values() if not x.session.retired), key=lambda x: not x.upward))

    def get(self, peer: str) -> Link | None:
        """Return a link."""
        return self._links.get(peer)

    def add(self, row: LinkRow) -> None:
        """Run a link, from what is stored. One with a former parent is over: there is no way to it any more."""
        if row.upward and row.retired:
            return
        session = Session(
            self._node,
            row.peer,
            row.durable(),
            draw_tag,
            wall=self._time.wall_base if row.upward else self._told,
            limits=self._limits,
            counters=self._counters,
        )
        link = self._links[row.peer] = Link(row, session)
        if link.upward:
            self._follow(link)
        if self._running:
            self._transport.open(row.peer, row.upward)

    async def start(self) -> None:
        """Let the frames come."""
        await self._transport.start(self._arrived, self._reachable)
        self._running = True
        for link in list(self._links.values()):
            self._transport.open(link.peer, link.upward)

    async def stop(self) -> None:
        """End."""
        if self._running:
            self._running = False
            await self._transport.stop()
        for task in self._reads:
            task.cancel()
        self._links.clear()

    def retire(self, peer: str) -> None:
        """A link has ended; the other end is told as long as there is a way to it."""
        link = self._links.get(peer)
        if link is None:
            return
        self._perform(link, link.session.retire(self._time.monotonic()))
        if link.upward:
            self._drop(link)
        self._link_changed(link, up=False)

    def _drop(self, link: Link) -> None:
        del self._links[link.peer]
        self._transport.close(link.peer)

    def replace(self, row: LinkRow) -> None:
        """Run a link that begins, or begins again."""
        before = self._links.get(row.peer)
        if before is not None:
            self._drop(before)
        self.add(row)

    # Transport.

    def _reachable(self, peer: str, there: bool) -> None:
        link = self._links.get(peer)
        if link is None:
            return
        if there:
            self._perform(link, link.session.connected(self._time.monotonic()))
        else:
            link.session.disconnected()
            self._settle(link)

    def _arrived(self, peer: str, data: bytes) -> None:
        link = self._links.get(peer)
        if link is None:
            self._counters.add("link_frames_dropped.link-unknown")
            return
        try:
            frame = decode(data)
        except FrameError as error:
            self._counters.add(f"link_frames_dropped.{error.reason}")
            return
        self._perform(link, link.session.received(self._time.monotonic(), frame))

    # Effects.

    def _perform(self, link: Link, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._transport.send(link.peer, encode(effect.frame))
            elif isinstance(effect, Deliver):
                self._deliver(link, effect)
            elif isinstance(effect, Load):
                self._load(link, effect)
            elif isinstance(effect, Forget):
                self._writer.forget(link.peer, effect.acknowledged)
                link.forget(effect.acknowledged.number)
            elif isinstance(effect, NewEpoch):
                self._renew(link, effect)
            elif isinstance(effect, PeerRewound):
                claimed, had = effect.claimed, effect.acknowledged
                detail = f"had {had.number} of epoch {had.epoch}, has {claimed.number} of epoch {claimed.epoch}"
                self._audit(link, "link.rewind", f"the other end's records are older than they were: {detail}")
            elif isinstance(effect, PeerRetired):
                self._audit(link, "link.end", "the other end says that the link has ended")
            elif isinstance(effect, ClockSkew):
                verdict = "more than the bound" if effect.skewed else "within the bound again"
                self._audit(link, "clock.skew", f"the clocks differ by {effect.offset / _SECOND:.1f} s, {verdict}")
        self._settle(link)

    def _settle(self, link: Link) -> None:
        """Look at what an event has changed: the state of the link, the clock, when it is due."""
        session = link.session
        if session.up != link.up:
            self._link_changed(link, up=session.up)
        offset = session.clock.offset
        if offset is not None and (link.offset is None or abs(offset - link.offset) >= _OFFSET_STEP):
            link.offset = offset
            self._writer.clock_offset(link.peer, offset)
        if link.upward:
            self._follow(link)
        due = session.due
        if due < link.planned:
            link.planned = due
            heapq.heappush(self._dues, (due, link.peer))
            self._due_changed()

    def _follow(self, link: Link) -> None:
        # While that of a new parent is unknown, the former one's is the best guess.
        offset = link.session.clock.offset
        if offset is not None and self._links.get(link.peer) is link and self._time.set_offset(offset):
            self._time_changed()
            self._pass_on()

    def _pass_on(self) -> None:
        """Tell the children the parent's time from now on."""
        if abs(self._time.base - self._told) < _TOLD_STEP:
            return
        self._told = self._time.base
        for link in self._links.values():
            if not link.upward:
                link.session.wall_changed(self._told)

    def _link_changed(self, link: Link, *, up: bool) -> None:
        if up == link.up:
            return
        link.up = up
        link.changed = self._time.wall()
        self._counters.add("tree_connections_made" if up else "tree_connections_lost")
        for section in self._takers.sections:
            try:
                section.link_changed(link.peer, up)
            except Exception:
                logger.exception("%s failed at a link", type(section).__name__)

    def _audit(self, link: Link, action: str, detail: str) -> None:
        def work(turn: Turn) -> None:
            turn.audit(action, f"node/{link.peer}", detail)

        self._writer.put(TurnJob(work, None, self._counters))

    def _deliver(self, link: Link, effect: Deliver) -> None:
        generation = link.generation

        def committed(position: Position) -> None:
            if self._alive(link):
                self._perform(link, link.session.committed(position))

        def rolled_back() -> None:
            if self._alive(link) and link.generation == generation:
                link.generation += 1
                link.session.failed()

        self._writer.put(Delivery(self._takers, link.peer, effect, committed, rolled_back))

    def _alive(self, link: Link) -> bool:
        return self._links.get(link.peer) is link

    def _renew(self, link: Link, effect: NewEpoch) -> None:
        def renewed(last: int) -> None:
            if self._alive(link):
                link.marks.clear()
                if last:
                    link.stored(last, self._time.wall())
                self._perform(link, link.session.renewed(self._time.monotonic(), last))

        def failed() -> None:
            asyncio.get_running_loop().call_later(_RETRY_S, again)

        def again() -> None:
            if self._alive(link):
                self._renew(link, effect)

        had = link.session.outgoing.acknowledged
        self._writer.put(Renewal(self._takers, link.peer, effect, had, renewed, failed))

    def _load(self, link: Link, effect: Load) -> None:
        task = asyncio.ensure_future(self._read(link, effect))
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)

    async def _read(self, link: Link, effect: Load) -> None:
        loop = asyncio.get_running_loop()
        while self._alive(link):
            try:
                bodies = await loop.run_in_executor(self._readers, self._page, link.row, effect)
            except Exception as error:
                if not is_outage(error):
                    logger.exception("the outbox for %s cannot be read", link.peer)
                self._counters.add("tree_outbox_reads_failed")
                await asyncio.sleep(_RETRY_S)
                continue
            if self._alive(link):
                answer = link.session.loaded(self._time.monotonic(), effect.epoch, effect.first, bodies)
                self._perform(link, answer)
            return

    def _page(self, row: int, effect: Load) -> list[bytes]:
        with reading(self._engine) as connection:
            return link_records.load(connection, row, effect)

    def queued(self, queued: Queued) -> None:
        """Messages were committed to an outbox."""
        link = self._links.get(queued.peer)
        if link is None:
            return
        if queued.epoch == link.session.outgoing.epoch:
            link.stored(queued.first + len(queued.bodies) - 1, queued.stored_at)
        now = self._time.monotonic()
        self._perform(link, link.session.queued(now, queued.epoch, queued.first, queued.bodies))

    # Time.

    @property
    def due(self) -> int:
        """Monotonic time at which ``tick`` must be called."""
        return self._dues[0][0] if self._dues else FOREVER

    def tick(self) -> None:
        """Time has passed."""
        if self._time.look():
            for link in list(self._links.values()):
                if link.upward:
                    link.session.wall_changed(self._time.wall_base)
                    self._settle(link)
            self._pass_on()
        now = self._time.monotonic()
        while self._dues and self._dues[0][0] <= now:
            planned, peer = heapq.heappop(self._dues)
            link = self._links.get(peer)
            if link is None or link.planned != planned:
                continue
            link.planned = FOREVER
            self._perform(link, link.session.tick(now) if link.session.due <= now else [])

    def views(self) -> list[LinkView]:
        """Return all links as they are shown."""
        return [
            LinkView(
                peer=link.peer,
                up=link.up,
                changed=link.changed,
                waiting=link.waiting,
                oldest=link.marks[0][1] if link.marks and link.waiting else 0,
                offset=link.session.clock.offset,
                skewed=link.session.clock.skewed,
                round_trip=link.session.outgoing.trip.smoothed,
            )
            for link in self
        ]
