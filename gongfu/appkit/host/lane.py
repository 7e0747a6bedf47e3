"""The lane of an app: blocks of the log to windows to its functions, at its own speed, with its own position.

Everything that follows from a block is done before the next one is taken, so that what is stored after a block is
consistent: positions, open windows, states. After a crash the blocks behind the stored position come again, make the
same windows, and meet the same states.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.context.messages import CallWindow, Done, PointsDeclared, packed
from gongfu.appkit.declarations import OnPoints
from gongfu.appkit.grants import Grants, asks_for
from gongfu.appkit.host.checkpoint import Progress, write_progress
from gongfu.appkit.host.directory import KnownPoint
from gongfu.appkit.samples import Samples
from gongfu.appkit.value_columns import TEXT, of_stored
from gongfu.appkit.windowing import Ready, Waiting, Windowing
from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType

logger = logging.getLogger("gongfu.apps")

STORE_S = 1.0
MAX_STATES_BYTES = 64 << 20
# How often a window is given to a process that ends over it; then it is left out, counted and shown.
ATTEMPTS = 3

# Nothing came for so long: it is asked whether all of the log is read, at most so often.
_QUIET_S = 1.0

# Calls a function with a window; returns None when the process ended instead of answering.
Give = Callable[[CallWindow], Awaitable[Done | None]]
# Tells whether the log holds nothing that the lane has not taken.
AllRead = Callable[[], Awaitable[bool]]


class PointsKnown(Protocol):
    """The points of the tenant (``directory.Directory``)."""

    by_series: dict[int, KnownPoint]
    epoch: int
    newest: int

    def read_new(self) -> None:
        """Read the points that were added since; blocks."""
        ...


class Lane:
    """A consumer of blocks (``gongfu.bus.blockfeed.BlockConsumer``) for one version of an app.

    Attributes:
        progress: what is stored.
        counts: ``windows`` given, ``failed`` (the function raised), ``given_up`` (the process ended over it again and
            again), ``late`` and ``shed`` samples, ``damaged`` blocks.
        error: what the last failing window said.
    """

    def __init__(
        self,
        name: str,
        tenant: int,
        declared: Sequence[PointsDeclared],
        grants: Grants,
        directory: PointsKnown,
        progress: Progress,
        folder: Path,
        give: Give,
        refused: Callable[[str], None],
    ) -> None:
        self._name = name
        self._tenant = tenant
        self._grants = grants
        self._directory = directory
        self._folder = folder
        self._give = give
        self._refused = refused
        self.progress = progress
        self.counts = {"windows": 0, "failed": 0, "given_up": 0, "late": 0, "shed": 0, "damaged": 0}
        self.error = ""
        self._names = [one.name for one in declared]
        self._windowings: list[Windowing] = []
        waiting = Waiting()
        for one in declared:
            windowing = Windowing(
                OnPoints(one.points, one.asset, one.type, one.window, one.slide, one.lateness, one.by_arrival), waiting
            )
            windowing.restore(progress.windows.setdefault(one.name, {}))
            self._windowings.append(windowing)
        for kept in (progress.windows, progress.states):
            for name in set(kept) - set(self._names):
                del kept[name]
        self._states_bytes = sum(len(state) for states in progress.states.values() for state in states.values())
        self._lock = asyncio.Lock()
        self._wanted: NDArray[np.uint32] = np.empty(0, np.uint32)
        self._takers: dict[int, tuple[KnownPoint, list[int]]] = {}
        self._epoch = -1
        # Series up to this one have been looked at.
        self._looked_at = 0
        self._took_at = time.monotonic()
        # When all of the log was last found to be read.
        self._read_at = 0.0
        self._waiting = waiting
        self._stored_at = 0.0
        self._store_after = STORE_S
        self._dirty = False
        # A block or its windows are being worked on: what is in memory is between two states.
        self._midway = False

    @property
    def name(self) -> str:
        """Name in counters."""
        return self._name

    def position(self, partition: int) -> int:
        """Return the sequence of the last block it needs no more."""
        return self.progress.positions.get(partition, 0)

    async def take(self, partition: int, sequence: int, block: Block | None, data: bytes) -> None:
        """Take one block."""
        async with self._lock:
            if sequence <= self.position(partition):
                return
            self._midway = True
            if block is None:
                self.counts["damaged"] += 1
            elif block.tenant == self._tenant:
                await self._take(block)
            if block is not None:
                self.progress.log_time = max(self.progress.log_time, block.ingested)
            await self._close_windows(self.progress.log_time)
            # From here on: the time that the windows took is not time in which nothing came.
            self._took_at = time.monotonic()
            self.progress.positions[partition] = sequence
            self._midway = False
            self._dirty = True
            await self._store_soon()

    async def tick(self, all_read: AllRead) -> None:
        """Close the windows whose time has passed although nothing came; call it a few times a second.

        While the log holds blocks that the feed has not brought yet, the time of the log stands still: what belongs to
        open windows may be among them.
        """
        async with self._lock:
            if not self.progress.log_time:
                return
            elapsed = time.monotonic() - self._took_at
            if elapsed > _QUIET_S and self._waiting.samples and not await self._is_all_read(all_read):
                return
            self._midway = True
            await self._close_windows(self.progress.log_time + round(elapsed * 1e9))
            self._midway = False
            await self._store_soon()

    async def _is_all_read(self, all_read: AllRead) -> bool:
        if time.monotonic() - self._read_at > _QUIET_S:
            if not await all_read():
                return False
            self._read_at = time.monotonic()
        return True

    async def store(self) -> None:
        """Store what was done, now. What was broken off midway is not: it is done again from what is stored."""
        async with self._lock:
            if not self._midway:
                await self._store()

    def note_job(self, name: str, ran: int) -> None:
        """Note the time of a run of a job; it is stored soon."""
        self.progress.jobs[name] = ran
        self._dirty = True

    async def _take(self, block: Block) -> None:
        newest = max((int(one.series.max()) for one in block.columns.values() if len(one)), default=0)
        if newest > self._directory.newest:
            await asyncio.to_thread(self._directory.read_new)
        if self._directory.epoch != self._epoch or self._directory.newest > self._looked_at:
            self._find_wanted()
        if not len(self._wanted):
            return
        for value_type, one in block.columns.items():
            mine = np.flatnonzero(np.isin(one.series, self._wanted))
            if len(mine):
                self._add(value_type, one, mine, block.ingested)

    def _add(self, value_type: ValueType, columns: Columns, rows: NDArray[np.intp], ingested: int) -> None:
        series = columns.series[rows]
        order = np.argsort(series, kind="stable")
        rows, series = rows[order], series[order]
        starts = [0, *(np.flatnonzero(series[1:] != series[:-1]) + 1).tolist(), len(series)]
        values: Any = columns.values
        for start, end in itertools.pairwise(starts):
            known, takers = self._takers[int(series[start])]
            part = rows[start:end]
            own = [values[row] for row in part.tolist()] if value_type in TEXT else values[part]
            column = of_stored(own, value_type)
            samples = Samples(columns.times[part], column, columns.qualities[part], known.unit)
            for taker in takers:
                self._windowings[taker].add(known.place.asset, known.place.point, samples, ingested)

    def _find_wanted(self) -> None:
        """Find which series go to which functions; what a function asks for and the app may not read is refused."""
        if self._directory.epoch != self._epoch:
            self._epoch, self._looked_at, self._takers = self._directory.epoch, 0, {}
        after, self._looked_at = self._looked_at, self._directory.newest
        # A copy: another thread may add points.
        for known in list(self._directory.by_series.values()):
            if known.series <= after:
                continue
            takers: list[int] = []
            for index, windowing in enumerate(self._windowings):
                if not asks_for(windowing.handler, known.place):
                    continue
                if self._grants.gives(windowing.handler, known.place):
                    takers.append(index)
                elif not self._grants.allows(known.place, "write"):
                    self._refused(
                        f"{self._names[index]} asks for more than is given: {self._grants.why_not(known.place)}"
                    )
            if takers:
                self._takers[known.series] = (known, takers)
        self._wanted = np.array(sorted(self._takers), np.uint32)

    async def _close_windows(self, now: int) -> None:
        for index, windowing in enumerate(self._windowings):
            ready = windowing.ready(now)
            if ready:
                self._dirty = True
            for window in ready:
                await self._give_window(index, window)
        self.counts["late"] = sum(windowing.late for windowing in self._windowings)
        self.counts["shed"] = sum(windowing.shed for windowing in self._windowings)

    async def _give_window(self, index: int, window: Ready) -> None:
        states = self.progress.states.setdefault(self._names[index], {})
        before = states.get(window.asset, b"")
        call = CallWindow(
            handler=index,
            asset=window.asset,
            start=window.start,
            end=window.end,
            late=window.late,
            points={point: packed(samples) for point, samples in window.points.items()},
            state=before,
        )
        done: Done | None = None
        for _ in range(ATTEMPTS):
            done = await self._give(call)
            if done is not None:
                break
        self.counts["windows"] += 1
        if done is None:
            self.counts["given_up"] += 1
            self.error = f"{self._names[index]}: the process ended {ATTEMPTS} times over a window of {window.asset!r}"
            return
        if done.error:
            self.counts["failed"] += 1
            self.error = f"{self._names[index]}: {done.error}"
            return
        grown = len(done.state) - len(before)
        if grown > 0 and self._states_bytes + grown > MAX_STATES_BYTES:
            self.counts["failed"] += 1
            self.error = f"{self._names[index]}: the states of all assets have more than {MAX_STATES_BYTES >> 20} MiB"
            return
        self._states_bytes += grown
        if done.state:
            states[window.asset] = done.state
        else:
            states.pop(window.asset, None)

    async def _store_soon(self) -> None:
        if self._dirty and time.monotonic() - self._stored_at >= self._store_after:
            await self._store()

    async def _store(self) -> None:
        began = time.monotonic()
        data = msgspec.msgpack.encode(self.progress)
        self._dirty = False
        try:
            await asyncio.to_thread(write_progress, self._folder, data)
        except OSError as error:
            self._dirty = True
            self.error = f"progress cannot be stored: {error.strerror}"
            logger.error("%s: %s", self._name, self.error)
        self._stored_at = time.monotonic()
        # What takes long to store is stored less often: at most a twentieth of the time goes there.
        self._store_after = max(STORE_S, 20 * (self._stored_at - began))
