"""One partition in a worker: its pipeline, its feed from the block log, and its clock."""

import asyncio
import logging
from dataclasses import dataclass

from nats.aio.client import Client

from gongfu.bus.blockfeed import BlockFeed
from gongfu.bus.ending import end_tasks
from gongfu.bus.jetstream import stream_state
from gongfu.bus.ownership import OwnershipLostError
from gongfu.bus.streamreader import REPLACED_S
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.reason.pipeline import ReasonPipeline
from gongfu.reason.watch import Watch
from gongfu.store.history.writer import HistoryWriter

logger = logging.getLogger(__name__)

CLOSE_S = 10.0
# What is not in the history by then is in the block log, and the next owner takes it from there.
HISTORY_S = 5.0
SETTLE_S = 2.0
_AGAIN_S = 0.25


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the partitions of a worker share."""

    bus: Client
    subjects: Subjects
    counters: Counters
    clock: Clock
    writer: HistoryWriter


class PartitionRun:
    """Works on one partition from ``start`` until ``close`` (graceful) or ``abandon`` (the partition is lost)."""

    def __init__(self, partition: int, pipeline: ReasonPipeline, around: Surroundings) -> None:
        self.partition = partition
        self.pipeline = pipeline
        self._around = around
        self.watch = Watch(pipeline, around.bus, around.subjects, partition, around.clock, around.writer.position)
        self._feed: asyncio.Task[None] | None = None
        # Last block that was taken before the start.
        self.position = 0

    async def start(self) -> "asyncio.Task[None]":
        """Load the state and begin; return the task that ends only when the feed fails or the partition is lost.

        Raises:
            SQLAlchemyError: the records do not answer.
            JetStreamError: the block log does not answer.
            OwnershipLostError: another worker has the partition.
        """
        around = self._around
        await self.pipeline.start()
        await self._forget_replaced_log()
        self.position = self.pipeline.position(self.partition)
        feed = BlockFeed(around.bus, around.subjects, self.partition, around.counters, [self.pipeline, around.writer])
        self._feed = asyncio.create_task(self._run(feed), name=f"partition {self.partition}")
        try:
            await self.watch.start()
        except BaseException:
            await self.abandon()
            raise
        return self._feed

    async def close(self) -> None:
        """Stop, let the history have what was taken, and write a last checkpoint."""
        await self.watch.stop()
        try:
            await asyncio.wait_for(self.pipeline.close(), CLOSE_S)
        except TimeoutError:
            logger.warning("no last checkpoint in %g s; what came since the one before will be taken again", CLOSE_S)
        except OwnershipLostError:
            logger.warning("no last checkpoint of partition %d: another worker has it", self.partition)
        await self._end_feed()
        await self._around.writer.settle(self.partition, SETTLE_S)

    async def abandon(self) -> None:
        """Stop and write nothing."""
        await self.watch.stop()
        await self._end_feed()

    async def _end_feed(self) -> None:
        if self._feed is not None:
            await end_tasks([self._feed])

    async def _run(self, feed: BlockFeed) -> None:
        try:
            await feed.run()
        except ExceptionGroup as group:
            lost, rest = group.split(OwnershipLostError)
            if rest is not None:
                raise rest from None
            if lost is not None:
                raise OwnershipLostError(f"partition {self.partition} is another worker's") from None

    async def _forget_replaced_log(self) -> None:
        """Begin anew when the log ends before our positions, and goes on to: it was replaced."""
        around, loop = self._around, asyncio.get_running_loop()
        deadline = loop.time() + REPLACED_S
        newest = max(consumer.position(self.partition) for consumer in (self.pipeline, around.writer))
        while True:
            last = int((await stream_state(around.bus, around.subjects.blocks_stream(self.partition)))["last_seq"])
            if newest <= last or loop.time() >= deadline:
                break
            await asyncio.sleep(_AGAIN_S)
        for consumer in (self.pipeline, around.writer):
            position = consumer.position(self.partition)
            if position > last:
                logger.error(
                    "%s is at block %d of partition %d, but the log, replaced, ends at %d: reading from its start",
                    consumer.name, position, self.partition, last,
                )  # fmt: skip
                consumer.forget(self.partition)
