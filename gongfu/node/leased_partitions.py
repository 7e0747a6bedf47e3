"""The partitions of a worker that shares them with others: begun when a lease is gained, ended when it goes."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable

from sqlalchemy import Engine

from gongfu.bus.ownership import OwnershipLostError
from gongfu.bus.partition_leases import Lease, PartitionLeases
from gongfu.bus.registers import Registers
from gongfu.reason.partition import PartitionRun
from gongfu.reason.shares import Shares
from gongfu.store.history.writer import HistoryWriter
from gongfu.store.records.engine import writing
from gongfu.store.records.fences import raise_fence

logger = logging.getLogger("gongfu.worker")


class LeasePositions:
    """Keeps the history's positions in the leases; the next renewal makes them durable."""

    def __init__(self) -> None:
        self.held: dict[int, Lease] = {}

    def load(self) -> dict[int, int]:
        """See ``PositionStore``: partitions come one by one."""
        return {}

    async def keep(self, positions: dict[int, int]) -> None:
        """See ``PositionStore``."""
        for partition, sequence in positions.items():
            if (lease := self.held.get(partition)) is not None and sequence > lease.history:
                lease.history = sequence


class LeasedPartitions:
    """Runs partitions as leases come and go."""

    def __init__(
        self,
        registers: Registers,
        name: str,
        partitions: int,
        engine: Engine,
        writer: HistoryWriter,
        positions: LeasePositions,
        shares: Shares,
        make: Callable[[Lease], PartitionRun],
    ) -> None:
        """Compose.

        Args:
            registers: where the leases are.
            name: name of this worker in the cluster.
            partitions: number of partitions.
            engine: the records.
            writer: the history writer of this worker.
            positions: what the writer keeps its positions in.
            shares: where running partitions are put.
            make: makes the run of a partition.
        """
        self._engine = engine
        self._writer = writer
        self._positions = positions
        self._shares = shares
        self._make = make
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._leases = PartitionLeases(registers, name, partitions, self._gained, self._leaving)
        # The first fault of a partition's feed that is no loss of the lease.
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Join the other workers.

        Raises:
            JetStreamError: JetStream does not answer.
        """
        await self._leases.start()

    async def stop(self) -> None:
        """End all partitions in order and give them back."""
        await self._leases.stop()
        if not self.broken.done():
            self.broken.cancel()

    async def _gained(self, lease: Lease) -> None:
        async with self._locks[lease.partition]:
            await lease.valid()
            await asyncio.to_thread(self._fence, lease)
            self._positions.held[lease.partition] = lease
            self._writer.adopt(lease.partition, lease.history)
            run = self._make(lease)
            try:
                feed = await run.start()
            except BaseException:
                self._forget(lease.partition)
                raise
            feed.add_done_callback(self._feed_ended)
            self._shares.runs[lease.partition] = run
            logger.info("worker reads partition %d from block %d", lease.partition, run.position)

    def _fence(self, lease: Lease) -> None:
        with writing(self._engine) as connection:
            raise_fence(connection, lease.partition, lease.epoch)

    async def _leaving(self, lease: Lease, in_order: bool) -> None:
        async with self._locks[lease.partition]:
            run = self._shares.runs.pop(lease.partition, None)
            if run is None:
                return
            if in_order:
                await run.close()
                # What the history has by now; the release keeps it.
                lease.history = max(lease.history, self._writer.position(lease.partition))
            else:
                await run.abandon()
            self._forget(lease.partition)

    def _forget(self, partition: int) -> None:
        self._positions.held.pop(partition, None)
        self._writer.leave(partition)

    def _feed_ended(self, feed: "asyncio.Task[None]") -> None:
        if feed.cancelled() or (error := feed.exception()) is None:
            return
        if isinstance(error, OwnershipLostError):
            return  # the lease says so, too, within a second
        if not self.broken.done():
            self.broken.set_exception(error)
