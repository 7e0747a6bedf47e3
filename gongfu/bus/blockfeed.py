"""Block feed: one reader of a partition for several consumers, none of which can hold up the others.

Each block is read and decoded once and queued for every consumer. A consumer whose queue is full falls behind: it works
its queue off, then reads the log by itself until it has caught up, and joins again. What it needs is in the log, so
nothing is lost and memory stays bounded.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nats.aio.client import Client

from gongfu.bus.blockreader import BlockReader
from gongfu.bus.ending import stop_if_cancelled
from gongfu.kernel.block import Block, BlockError, decode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects

QUEUE_BLOCKS = 256
QUEUE_BYTES = 16 * 1024 * 1024
_CATCH_UP_S = 1.0
# Small blocks that follow each other closely are taken some at a time: each turn of its own costs more than the block.
GATHER_S = 0.03
GATHER_BYTES = 64 * 1024


class BlockConsumer(Protocol):
    """Takes the blocks of all partitions, each partition in ascending order of sequence."""

    @property
    def name(self) -> str:
        """Name in counters."""
        ...

    def position(self, partition: int) -> int:
        """Return the sequence of the last block it needs no more; 0 is none."""
        ...

    async def take(self, partition: int, sequence: int, block: Block | None, data: bytes) -> None:
        """Take one block; ``block`` is None when ``data`` is damaged. May wait as long as it must."""
        ...


@dataclass(slots=True)
class _Tap:
    """A consumer of one partition.

    Attributes:
        next: sequence of the next block the consumer must take.
        expected: sequence of the next block to be queued.
        joined: fed by the shared reader.
    """

    consumer: BlockConsumer
    next: int
    expected: int
    joined: bool = False
    queue: deque[tuple[int, Block | None, bytes]] = field(default_factory=deque[tuple[int, Block | None, bytes]])
    size: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)


def _decode(data: bytes) -> Block | None:
    try:
        return decode_block(data)
    except BlockError:
        return None


class BlockFeed:
    """Feeds one partition. Counter: ``feed_left_behind.<consumer>``."""

    def __init__(
        self, bus: Client, subjects: Subjects, partition: int, counters: Counters, consumers: Sequence[BlockConsumer]
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._partition = partition
        self._counters = counters
        positions = [consumer.position(partition) + 1 for consumer in consumers]
        self._next = max(positions)
        self._taps = [
            _Tap(consumer, start, start, joined=start == self._next)
            for consumer, start in zip(consumers, positions, strict=True)
        ]
        self._joined = asyncio.Event()
        self._joined.set()

    async def run(self) -> None:
        """Feed until cancelled.

        Raises:
            ExceptionGroup: a consumer raised.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(), name=f"feed {self._partition}")
            for tap in self._taps:
                group.create_task(self._serve(tap), name=f"feed {self._partition} {tap.consumer.name}")

    def _reader(self, start: int) -> BlockReader:
        return BlockReader(self._bus, self._subjects, self._partition, start, self._counters)

    async def _read(self) -> None:
        reader = self._reader(self._next)
        loop = asyncio.get_running_loop()
        came = 0.0
        try:
            while True:
                stop_if_cancelled()
                await self._joined.wait()
                batch = await reader.next_batch()
                before, came = came, loop.time()
                for sequence, data in batch:
                    block = _decode(data)
                    self._next = sequence + 1
                    for tap in self._taps:
                        if tap.joined:
                            self._queue(tap, sequence, block, data)
                if not any(tap.joined for tap in self._taps):
                    self._joined.clear()
                if came - before < 2 * GATHER_S and sum([len(data) for _, data in batch]) < GATHER_BYTES:
                    await asyncio.sleep(GATHER_S)
        finally:
            await reader.close()

    def _queue(self, tap: _Tap, sequence: int, block: Block | None, data: bytes) -> None:
        if sequence < tap.expected:
            return  # it had read ahead by itself
        if len(tap.queue) >= QUEUE_BLOCKS or (tap.size and tap.size + len(data) > QUEUE_BYTES):
            tap.joined = False
            self._counters.add(f"feed_left_behind.{tap.consumer.name}")
        else:
            tap.queue.append((sequence, block, data))
            tap.size += len(data)
            tap.expected = sequence + 1
        tap.wake.set()

    async def _serve(self, tap: _Tap) -> None:
        while True:
            stop_if_cancelled()
            while tap.queue:
                sequence, block, data = tap.queue.popleft()
                tap.size -= len(data)
                await tap.consumer.take(self._partition, sequence, block, data)
                tap.next = sequence + 1
            if tap.joined:
                tap.wake.clear()
                await tap.wake.wait()
            else:
                await self._catch_up(tap)

    async def _catch_up(self, tap: _Tap) -> None:
        reader = self._reader(tap.next)
        try:
            while tap.next < self._next:
                for sequence, data in await reader.next_batch(_CATCH_UP_S):
                    await tap.consumer.take(self._partition, sequence, _decode(data), data)
                    tap.next = sequence + 1
            # In the same step as the comparison: what the shared reader gives while this one closes must be queued.
            tap.expected = tap.next
            tap.joined = True
            self._joined.set()
        finally:
            await reader.close()
