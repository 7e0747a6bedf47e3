"""Open blocks: columns that grow until they are closed and appended to the block log."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.bus.blocklog import BlockLog, LogUnavailableError
from gongfu.ingest.columnise.limits import (
    BLOCK_BYTES,
    BLOCK_INTERVAL_S,
    BLOCK_POINTS,
    BLOCKS_IN_LOG,
    PENDING_BYTES,
    PENDING_POINTS,
)
from gongfu.ingest.columnise.pacing import SMALL_BLOCK, BlockPace
from gongfu.ingest.types import Done, Writer
from gongfu.kernel.block import TEXT_TYPES, Block, Columns, encode_block, type_of_values
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import Clock

# Called once for the points of a payload in a block: their number, and whether they are durable.
Settled = Callable[[int, bool], None]
SettleBlock = Callable[["OpenBlock", bool], None]

_FIXED_BYTES = {ValueType.DOUBLE: 21, ValueType.INT64: 21, ValueType.BOOLEAN: 14}
# Series, time, quality and offset of a text; its length is added.
_TEXT_BYTES = 17


class _Section:
    """Columns of one value type as little-endian bytes; texts as a list."""

    __slots__ = ("qualities", "series", "texts", "times", "values")

    def __init__(self) -> None:
        self.series = bytearray()
        self.times = bytearray()
        self.qualities = bytearray()
        self.values = bytearray()
        self.texts: list[str] = []


class OpenBlock:
    """Points of one tenant and partition that are not yet in the log.

    Attributes:
        known: payloads that are in this block as a whole: who sent it, who hears of it, number of points.
        batches: the same for many payloads of one number of points: who sent them, who hears of them, that number.
        others: parts of all other payloads: who hears of them, number of points, device.
        senders: devices that have something in it, set when it is closed; None when it is no small block.
        opened_at: loop time of the first point.
    """

    __slots__ = (
        "_sections", "batches", "known", "opened_at", "others", "partition", "points", "senders", "size",
        "tenant",
    )  # fmt: skip

    def __init__(self, tenant: int, partition: int) -> None:
        self.tenant = tenant
        self.partition = partition
        self.points = 0
        self.size = 0
        self.opened_at = 0.0
        self.known: list[tuple[Writer, Done | None, int]] = []
        self.batches: list[tuple[list[Writer], list[Done | None], int]] = []
        self.others: list[tuple[Settled, int, int]] = []
        self.senders: frozenset[int] | None = None
        self._sections: dict[ValueType, _Section] = {}

    def add(self, value_type: ValueType, n: int, series: bytes, times: bytes, qualities: bytes, values: bytes) -> None:
        """Append n points: ``uint32[n]``, ``int64[n]`` UTC ns, ``uint8[n]``, and ``float64[n]``, ``int64[n]`` or
        ``uint8[n]`` (booleans), all little-endian."""
        section = self._sections.get(value_type)
        if section is None:
            section = self._sections[value_type] = _Section()
        section.series += series
        section.times += times
        section.qualities += qualities
        section.values += values
        self.points += n
        self.size += _FIXED_BYTES[value_type] * n

    def add_texts(
        self, value_type: ValueType, series: bytes, times: bytes, qualities: bytes, texts: Sequence[str]
    ) -> None:
        """Append points of type string or json."""
        section = self._sections.get(value_type)
        if section is None:
            section = self._sections[value_type] = _Section()
        section.series += series
        section.times += times
        section.qualities += qualities
        section.texts += texts
        self.points += len(texts)
        # UTF-8 may take up to three times this; the server's bound on a message has the room.
        self.size += _TEXT_BYTES * len(texts) + sum(map(len, texts))

    def sections(self) -> Iterator[tuple[ValueType, bytes, bytes, NDArray[np.uint8], NDArray[Any] | list[str]]]:
        """Yield the points by type: series and times as bytes, and copies of qualities and values."""
        for value_type, section in self._sections.items():
            values: NDArray[Any] | list[str] = section.texts
            if value_type not in TEXT_TYPES:
                values = np.frombuffer(bytes(section.values), dtype=type_of_values[value_type])
            qualities = np.frombuffer(bytearray(section.qualities), dtype="u1")
            yield value_type, bytes(section.series), bytes(section.times), qualities, values

    def payloads(self) -> int:
        """Return the number of payloads that have something in it."""
        return len(self.known) + len(self.others) + sum([len(writers) for writers, _, _ in self.batches])

    def name_senders(self) -> None:
        """Fill ``senders``."""
        self.senders = frozenset(
            [
                *(writer.device for writer, _, _ in self.known),
                *(device for _, _, device in self.others),
                *(writer.device for writers, _, _ in self.batches for writer in writers),
            ]
        )

    def close(self, ingested: int) -> bytes:
        """Return the bytes of the block (gongfu.kernel.block)."""
        columns: dict[ValueType, Columns] = {}
        for value_type, section in sorted(self._sections.items()):
            columns[value_type] = Columns(
                np.frombuffer(section.series, dtype="<u4"),
                np.frombuffer(section.times, dtype="<i8"),
                np.frombuffer(section.qualities, dtype="u1"),
                section.texts
                if value_type in TEXT_TYPES
                else np.frombuffer(section.values, dtype=type_of_values[value_type]),
            )
        return encode_block(Block(self.tenant, ingested, columns))


class Lane:
    """Blocks of one tenant and partition: the open one, and when the last was closed (loop time)."""

    __slots__ = ("block", "closed_at", "scheduled")

    def __init__(self, block: OpenBlock) -> None:
        self.block = block
        self.closed_at = 0.0
        self.scheduled = False


class Accumulator:
    """Keeps one open block per tenant and partition and appends it to the log.

    A block is closed at ``BLOCK_POINTS`` or ``BLOCK_BYTES``, else as soon as the loop has taken what the sockets had,
    but no sooner than ``pace.interval_s`` after the one before: a single message goes at once, a stream in batches.
    While the log is slow (``BLOCKS_IN_LOG`` blocks wait for it) blocks grow to their bounds instead.

    Attributes:
        pending_points, pending_bytes: what waits for durability.
        saturated: more waits than the bound; no more should be read.
        overfull: more than twice the bound waits; further points are to be shed.
        pace: least time between two blocks of a lane.
        before_close: called before a block is closed whose time has come, to write to it what is still gathered.
        on_commit: called with the seconds from the end of a block to its durability.
    """

    def __init__(self, log: BlockLog, clock: Clock, counters: Counters, settle: SettleBlock) -> None:
        """``settle`` hears of every block: whether it is durable."""
        self._log = log
        self._counters = counters
        self._clock = clock
        self._give = settle
        self._lanes: dict[tuple[int, int], Lane] = {}
        self._loop = asyncio.get_running_loop()
        self._in_log: set[asyncio.Future[int]] = set()
        self.pace = BlockPace()
        self.pending_points = 0
        self.pending_bytes = 0
        self.saturated = False
        self.overfull = False
        self.before_close: Callable[[], None] | None = None
        self.on_commit: Callable[[float], None] | None = None

    def lane(self, tenant: int, partition: int) -> Lane:
        """Return the lane; write to its open block and call ``written`` before anything else runs."""
        lane = self._lanes.get((tenant, partition))
        if lane is None:
            lane = self._lanes[tenant, partition] = Lane(OpenBlock(tenant, partition))
        return lane

    def written(self, lane: Lane) -> None:
        """Take note that something was written to the open block of a lane."""
        block = lane.block
        if block.points >= BLOCK_POINTS or block.size >= BLOCK_BYTES:
            self._close(lane)
        elif not lane.scheduled:
            lane.scheduled = True
            now = self._loop.time()
            block.opened_at = now
            due = lane.closed_at + self.pace.interval_s
            if now >= due:
                self._loop.call_soon(self._close_due, lane)
            else:
                self._loop.call_at(due, self._close_due, lane)

    async def drain(self) -> None:
        """Close all open blocks and wait until the log has taken or refused them."""
        for lane in self._lanes.values():
            self._close(lane)
        while self._in_log:
            await asyncio.wait(set(self._in_log))

    def _close_due(self, lane: Lane) -> None:
        if len(self._in_log) >= BLOCKS_IN_LOG:
            self._loop.call_later(BLOCK_INTERVAL_S, self._close_due, lane)
            return
        if self.before_close is not None:
            self.before_close()
        lane.scheduled = False
        self._close(lane)

    def _close(self, lane: Lane) -> None:
        block = lane.block
        if not block.points:
            return
        now = self._loop.time()
        lane.block = OpenBlock(block.tenant, block.partition)
        lane.closed_at = lane.block.opened_at = now
        payloads = block.payloads()
        if payloads <= SMALL_BLOCK:
            block.name_senders()
        self.pace.closed(now, block.senders, payloads)
        self._note(block.points, block.size)
        future = self._log.append(block.partition, block.close(self._clock.now_ns()), block.opened_at or now)
        self._in_log.add(future)
        future.add_done_callback(partial(self._settle, block, perf_counter()))

    def _note(self, points: int, size: int) -> None:
        self.pending_points += points
        self.pending_bytes += size
        self.saturated = self.pending_points > PENDING_POINTS or self.pending_bytes > PENDING_BYTES
        self.overfull = self.pending_points > 2 * PENDING_POINTS or self.pending_bytes > 2 * PENDING_BYTES

    def _settle(self, block: OpenBlock, closed_at: float, future: "asyncio.Future[int]") -> None:
        self._in_log.discard(future)
        self._note(-block.points, -block.size)
        error = None if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, LogUnavailableError):
            raise error
        durable = error is None and not future.cancelled()
        self.pace.settled(self._loop.time(), block.senders, perf_counter() - closed_at)
        if durable:
            self._counters.add("points_accepted", block.points)
            if self.on_commit is not None:
                self.on_commit(perf_counter() - closed_at)
        self._give(block, durable)
