"""The block feed on a real server: every consumer gets every block once and in order, however slow another one is."""

import asyncio
import contextlib

import pytest
from nats.aio.client import Client

from gongfu.bus import blockfeed
from gongfu.bus.blockfeed import BlockFeed
from gongfu.bus.blocklog import BlockLog
from gongfu.bus.blockreader import BlockReader
from gongfu.bus.ending import end_tasks
from gongfu.kernel.block import Block
from gongfu.kernel.counters import Counters
from tests.system.worker_bench import SUBJECTS, block_of, open_log


class Consumer:
    def __init__(self, name: str, position: int = 0) -> None:
        self.name = name
        self.begin = position
        self.got: list[int] = []
        self.damaged: list[int] = []
        self.may = asyncio.Event()
        self.may.set()

    def position(self, partition: int) -> int:
        return self.got[-1] if self.got else self.begin

    async def take(self, partition: int, sequence: int, block: Block | None, data: bytes) -> None:
        await self.may.wait()
        if block is None:
            self.damaged.append(sequence)
        self.got.append(sequence)


async def fill(log: BlockLog, n: int) -> None:
    await asyncio.gather(*(log.append(0, block_of([(1, number, 1.0)], 1)) for number in range(n)))


async def until_got(consumer: Consumer, last: int) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while not consumer.got or consumer.got[-1] < last:
        assert asyncio.get_running_loop().time() < deadline, f"{consumer.name} has {len(consumer.got)} blocks"
        await asyncio.sleep(0.01)


async def test_a_slow_consumer_holds_nobody_up_and_catches_up(bus: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockfeed, "QUEUE_BLOCKS", 8)
    log, counters = await open_log(bus), Counters()
    fast, slow, late = Consumer("fast", position=5), Consumer("slow", position=5), Consumer("late")
    await fill(log, 20)
    slow.may.clear()
    feed = asyncio.create_task(BlockFeed(bus, SUBJECTS, 0, counters, [fast, slow, late]).run())
    await fill(log, 100)
    await until_got(fast, 120)
    await until_got(late, 120)
    assert slow.got == []
    assert counters.snapshot()["feed_left_behind.slow"] == 1
    slow.may.set()
    await until_got(slow, 120)
    await log.append(0, b"damaged")
    await fill(log, 30)
    for consumer in (fast, slow, late):
        await until_got(consumer, 151)
        assert consumer.got == list(range(consumer.begin + 1, 152))
        assert consumer.damaged == [121]
    # All stall: the feed waits, memory stays bounded, and nothing is lost.
    for consumer in (fast, slow, late):
        consumer.may.clear()
    await fill(log, 60)
    for consumer in (fast, slow, late):
        consumer.may.set()
    for consumer in (fast, slow, late):
        await until_got(consumer, 211)
        assert consumer.got == list(range(consumer.begin + 1, 212))
    await end_tasks([feed])
    await log.close()


async def test_blocks_that_come_while_a_consumer_joins_again_are_not_passed_over(
    bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A takeover: the history is behind the checkpoint, catches up by itself, and a block comes as it joins."""
    log, front, behind = await open_log(bus), Consumer("front", position=20), Consumer("behind")
    await fill(log, 20)
    close = BlockReader.close

    async def slow_close(reader: BlockReader) -> None:
        # As long as it takes to remove the consumer of a busy server: meanwhile the shared reader goes on.
        if behind.got and len(front.got) < 3:
            await fill(log, 3)
            await until_got(front, 23)
        await close(reader)

    monkeypatch.setattr(BlockReader, "close", slow_close)
    feed = asyncio.create_task(BlockFeed(bus, SUBJECTS, 0, Counters(), [front, behind]).run())
    await until_got(behind, 20)
    await until_got(front, 23)
    await fill(log, 1)
    await until_got(behind, 24)
    assert behind.got == list(range(1, 25))
    await end_tasks([feed])
    await log.close()


@pytest.mark.parametrize("where", ["next_batch", "close"])
async def test_a_feed_ends_although_a_call_swallows_its_cancellation(
    bus: Client, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """As ``asyncio.wait_for`` of Python 3.11 and nats-py do now and then."""
    log, front, behind = await open_log(bus), Consumer("front", position=20), Consumer("behind")
    await fill(log, 20)
    real, inside = getattr(BlockReader, where), asyncio.Event()

    async def deaf(reader: BlockReader, *given: float) -> object:
        if not inside.is_set() and behind.got:
            inside.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        return await real(reader, *given)

    monkeypatch.setattr(BlockReader, where, deaf)
    feed = asyncio.create_task(BlockFeed(bus, SUBJECTS, 0, Counters(), [front, behind]).run())
    if where == "next_batch":
        await until_got(behind, 20)
        await fill(log, 1)
    await asyncio.wait_for(inside.wait(), 30)
    await asyncio.wait_for(end_tasks([feed]), 30)
    await log.close()


async def test_a_consumer_that_fails_ends_the_feed(bus: Client) -> None:
    class Broken(Consumer):
        async def take(self, partition: int, sequence: int, block: Block | None, data: bytes) -> None:
            raise RuntimeError("broken")

    log = await open_log(bus)
    await fill(log, 1)
    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(BlockFeed(bus, SUBJECTS, 0, Counters(), [Broken("broken")]).run(), 30)
    await log.close()


async def test_small_blocks_that_follow_each_other_closely_are_taken_some_at_a_time(
    bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, consumer = await open_log(bus), Consumer("one")
    turns: list[int] = []
    next_batch = BlockReader.next_batch

    async def counted(reader: BlockReader, timeout_s: float | None = None) -> list[tuple[int, bytes]]:
        batch = await next_batch(reader, timeout_s)
        turns.append(len(batch))
        return batch

    monkeypatch.setattr(BlockReader, "next_batch", counted)
    feed = asyncio.create_task(BlockFeed(bus, SUBJECTS, 0, Counters(), [consumer]).run())
    await fill(log, 1)
    await until_got(consumer, 1)
    began = asyncio.get_running_loop().time()
    for _ in range(60):
        await fill(log, 1)
        await asyncio.sleep(0.003)
    await until_got(consumer, 61)
    spent = asyncio.get_running_loop().time() - began
    assert consumer.got == list(range(1, 62))
    # A slow machine takes its time between blocks; then each is a turn of its own.
    assert len(turns) <= spent / blockfeed.GATHER_S + 5
    await end_tasks([feed])
    await log.close()
