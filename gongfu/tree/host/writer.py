"""The one writer of the tree's tables: a thread that gathers jobs into transactions (group commit)."""

import asyncio
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial

from sqlalchemy import Engine

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem, unavailable
from gongfu.store.records.engine import reading, writing
from gongfu.tree.host import link_records
from gongfu.tree.host.batch import Batch, Queued
from gongfu.tree.host.link_records import LinkRow
from gongfu.tree.host.outage import is_outage
from gongfu.tree.link.position import Position

# SQLite has one writer at a time, and other processes of the node write too: what takes longer waits for the next one.
_BATCH_S = 0.05
_BATCH_JOBS = 512
_PAUSE_SHARE = 0.1
# What the other end has is deleted so late; after a crash it is asked again.
_FORGET_S = 0.5
_OUTAGE_S = 1.0
# A clock offset that changed by less is not worth a write.
_OFFSET_STEP = 10_000_000

logger = logging.getLogger(__name__)


class Job(ABC):
    """A unit of work of the writer."""

    # Whether it is done again when the records were away; else ``failed`` is called.
    lasting = False

    @abstractmethod
    def run(self, batch: Batch) -> None:
        """Write, in savepoints of its own; put into ``batch.after`` what follows on the event loop.

        Raises:
            Exception: the whole transaction must be rolled back; ``is_outage``, as a rule.
        """

    @abstractmethod
    def failed(self, error: Exception) -> None:
        """The transaction failed. On the event loop."""


class Writer:
    """Runs jobs in their order, as many as there are in one transaction."""

    def __init__(
        self,
        engine: Engine,
        node: str,
        now: Callable[[], int],
        wall: Callable[[], int],
        counters: Counters,
        queued: Callable[[Queued], None],
    ) -> None:
        """Make a writer.

        Args:
            engine: the records.
            node: own id.
            now: the parent's time, UTC ns; called on the writer's thread.
            wall: own clock, UTC ns; likewise.
            counters: of the process.
            queued: told on the event loop of messages that were committed to an outbox.
        """
        self._engine = engine
        self._node = node
        self._now = now
        self._wall = wall
        self._counters = counters
        self._queued = queued
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        # By peer, what was not written yet: what it has, and its clock.
        self._forgotten: dict[str, Position] = {}
        self._offsets: dict[str, int] = {}
        self._forget_at = 0.0
        self._stopping = False
        self._abandoned = False
        self._links: dict[str, LinkRow] | None = None

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return len(self._jobs)

    async def start(self) -> dict[str, LinkRow]:
        """Begin; returns the links as they are stored."""
        self._loop = asyncio.get_running_loop()
        links = await self._loop.run_in_executor(None, self._read_links)
        self._thread = threading.Thread(target=self._run, name="tree-writer", daemon=True)
        self._thread.start()
        return links

    async def stop(self) -> None:
        """Do what waits and end."""
        await self._end()

    async def abandon(self) -> None:
        """End at once; what waits is lost, as by a crash. Nothing is told to the event loop any more."""
        self._abandoned = True
        self._jobs.clear()
        await self._end()

    async def _end(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def put(self, job: Job) -> None:
        """Queue a job."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def forget(self, peer: str, acknowledged: Position) -> None:
        """The other end has this; written some time soon."""
        with self._changed:
            self._late()
            self._forgotten[peer] = acknowledged

    def clock_offset(self, peer: str, offset: int) -> None:
        """The other end's clock is so far from the own; written some time soon."""
        with self._changed:
            self._late()
            self._offsets[peer] = offset

    def _late(self) -> None:
        if not self._forgotten and not self._offsets:
            self._forget_at = time.monotonic() + _FORGET_S
            self._changed.notify()

    # On the thread.

    def _read_links(self) -> dict[str, LinkRow]:
        with reading(self._engine) as connection:
            return link_records.links(connection)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._stopping and not self._forget_due:
                    late = self._forgotten or self._offsets
                    self._changed.wait(self._forget_at - time.monotonic() if late else None)
                if self._abandoned or (self._stopping and not self._jobs and not self._forgotten and not self._offsets):
                    return
                jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), _BATCH_JOBS))]
            began = time.monotonic()
            try:
                self._write(jobs)
            except _Abandoned:
                return
            time.sleep((time.monotonic() - began) * _PAUSE_SHARE)

    @property
    def _forget_due(self) -> bool:
        return bool(self._forgotten or self._offsets) and time.monotonic() >= self._forget_at

    def _write(self, jobs: list[Job]) -> None:
        try:
            done, after = self._transact(jobs)
        except Exception as error:
            self._links = None
            self._roll_back(jobs, error)
            return
        with self._changed:
            self._jobs.extendleft(reversed(jobs[done:]))
        self._tell(after)

    def _transact(self, jobs: list[Job]) -> tuple[int, list[Callable[[], None]]]:
        """Run jobs until the time is over; returns how many, and what follows."""
        stop = time.monotonic() + _BATCH_S
        with writing(self._engine) as connection:
            if self._links is None:
                self._links = link_records.links(connection)
            batch = Batch(connection, self._node, self._links, self._now(), self._wall(), self._counters, self._queued)
            self._forget(batch)
            done = 0
            for job in jobs:
                job.run(batch)
                done += 1
                if time.monotonic() > stop:
                    break
            batch.finish()
        return done, batch.after

    def _forget(self, batch: Batch) -> None:
        with self._changed:
            if not self._forget_due and not self._stopping:
                return
            forgotten, self._forgotten = self._forgotten, {}
            offsets, self._offsets = self._offsets, {}
        for peer, acknowledged in forgotten.items():
            if (link := batch.links.get(peer)) is not None and not link.retired:
                batch.forget(link, acknowledged)
        for peer, offset in offsets.items():
            link = batch.links.get(peer)
            if link is not None and (link.clock_offset is None or abs(link.clock_offset - offset) >= _OFFSET_STEP):
                link_records.set_clock_offset(batch.connection, link.id, offset)
                link.clock_offset = offset

    def _roll_back(self, jobs: list[Job], error: Exception) -> None:
        """Nothing of a transaction was written: find out whose fault it was."""
        if self._abandoned:
            raise _Abandoned
        if is_outage(error):
            self._counters.add("tree_transactions_failed.records-away")
            logger.warning("the records cannot be written: %s", type(error).__name__)
            lasting = [job for job in jobs if job.lasting]
            self._tell([partial(job.failed, _records_away()) for job in jobs if not job.lasting])
            with self._changed:
                self._jobs.extendleft(reversed(lasting))
                self._changed.wait_for(lambda: self._stopping, _OUTAGE_S)
                left = list(self._jobs) if self._stopping else []
                for _ in left:
                    self._jobs.popleft()
            self._tell([partial(job.failed, _records_away()) for job in left])
        elif len(jobs) > 1:
            for job in jobs:
                self._write([job])
        else:
            self._counters.add("tree_transactions_failed.internal")
            logger.error("a transaction of the tree failed", exc_info=error)
            self._tell([partial(job.failed, error) for job in jobs])

    def _tell(self, after: list[Callable[[], None]]) -> None:
        if self._abandoned:
            raise _Abandoned
        if after and self._loop is not None:
            self._loop.call_soon_threadsafe(_do_all, after)


class _Abandoned(Exception):
    """The host was left as by a crash."""


def _records_away() -> Problem:
    return unavailable("the records cannot be written")


def _do_all(actions: list[Callable[[], None]]) -> None:
    for action in actions:
        try:
            action()
        except Exception:
            logger.exception("what follows a turn failed")
