"""Open blocks: columns that grow until they are closed and appended to the block log."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from gongfu.bus.blocklog import BlockLog, LogUnavailableError
from gongfu.ingest.columnise.limits import (
    BLOCK_BYTES,
    BLOCK_INTERVAL_S,
    BLOCK_POINTS,
    BLOCKS_IN_LOG,
    PENDING_BYTES,
    PENDING_POINTS,
)
from gongfu.kernel.block import TEXT_TYPES, Block, Columns, encode_block, type_of_values
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import Clock

# Called once per payload part in a block: the number of its points in the block, and whether they are durable.
Settled = Callable[[int, bool], None]

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
    """Points of one tenant and partition that are not yet in the log."""

    __slots__ = ("_sections", "opened_at", "partition", "parts", "points", "size", "tenant")

    def __init__(self, tenant: int, partition: int) -> None:
        self.tenant = tenant
        self.partition = partition
        self.points = 0
        self.size = 0
        self.opened_at = 0.0
        self.parts: list[tuple[Settled, int]] = []
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


class _Lane:
    """Blocks of one tenant and partition: the open one, and when the last was closed."""

    __slots__ = ("block", "closed_at", "scheduled")

    def __init__(self, block: OpenBlock) -> None:
        self.block = block
        self.closed_at = 0.0
        self.scheduled = False


class Accumulator:
    """Keeps one open block per tenant and partition and appends it to the log.

    A block is closed at ``BLOCK_POINTS`` or ``BLOCK_BYTES``, else as soon as the loop has taken what the sockets had,
    but no sooner than ``BLOCK_INTERVAL_S`` after the one before: a single message goes at once, a stream in batches.
    While the log is slow (``BLOCKS_IN_LOG`` blocks wait for it) blocks grow to their bounds instead.
    """

    def __init__(self, log: BlockLog, clock: Clock, counters: Counters) -> None:
        self._log = log
        self._counters = counters
        self._clock = clock
        self._lanes: dict[tuple[int, int], _Lane] = {}
        self._loop = asyncio.get_running_loop()
        self._in_log: set[asyncio.Future[int]] = set()
        self.pending_points = 0
        self.pending_bytes = 0

    @property
    def saturated(self) -> bool:
        """True while more points wait for durability than the bound."""
        return self.pending_points > PENDING_POINTS or self.pending_bytes > PENDING_BYTES

    @property
    def overfull(self) -> bool:
        """True beyond twice the bound: further points are shed."""
        return self.pending_points > 2 * PENDING_POINTS or self.pending_bytes > 2 * PENDING_BYTES

    def open_block(self, tenant: int, partition: int) -> OpenBlock:
        """Return the open block; write to it and call ``written`` before anything else runs."""
        lane = self._lanes.get((tenant, partition))
        if lane is None:
            lane = self._lanes[tenant, partition] = _Lane(OpenBlock(tenant, partition))
        return lane.block

    def written(self, block: OpenBlock, n: int, size: int, settled: Settled) -> None:
        """Take note of ``n`` points and ``size`` bytes just written; ``settled`` hears what becomes of them."""
        if not block.parts:
            block.opened_at = self._loop.time()
        block.parts.append((settled, n))
        self.pending_points += n
        self.pending_bytes += size
        lane = self._lanes[block.tenant, block.partition]
        if block.points >= BLOCK_POINTS or block.size >= BLOCK_BYTES:
            self._close(lane)
        elif not lane.scheduled:
            lane.scheduled = True
            due = lane.closed_at + BLOCK_INTERVAL_S
            if self._loop.time() >= due:
                self._loop.call_soon(self._close_due, lane)
            else:
                self._loop.call_at(due, self._close_due, lane)

    async def drain(self) -> None:
        """Close all open blocks and wait until the log has taken or refused them."""
        for lane in self._lanes.values():
            self._close(lane)
        while self._in_log:
            await asyncio.wait(set(self._in_log))

    def _close_due(self, lane: _Lane) -> None:
        if len(self._in_log) >= BLOCKS_IN_LOG:
            self._loop.call_later(BLOCK_INTERVAL_S, self._close_due, lane)
            return
        lane.scheduled = False
        self._close(lane)

    def _close(self, lane: _Lane) -> None:
        block = lane.block
        if not block.parts:
            return
        lane.block = OpenBlock(block.tenant, block.partition)
        lane.closed_at = self._loop.time()
        future = self._log.append(block.partition, block.close(self._clock.now_ns()), block.opened_at)
        self._in_log.add(future)
        future.add_done_callback(partial(self._settle, block))

    def _settle(self, block: OpenBlock, future: "asyncio.Future[int]") -> None:
        self._in_log.discard(future)
        self.pending_points -= block.points
        self.pending_bytes -= block.size
        error = None if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, LogUnavailableError):
            raise error
        durable = error is None and not future.cancelled()
        if durable:
            self._counters.add("points_accepted", block.points)
        for settled, n in block.parts:
            settled(n, durable)
