"""Outputs of models on their way to the block log."""

import asyncio
import logging
import zlib
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from gongfu.bus.blocklog import LogUnavailableError
from gongfu.bus.ownership import Ownership, OwnershipLostError
from gongfu.kernel.block import Block, Columns, encode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType

logger = logging.getLogger(__name__)

OUTSTANDING_BLOCKS = 64
# A block of outputs has at most so many points: 1 MB.
BLOCK_POINTS = 50_000
_RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Log(Protocol):
    """Where model outputs go: the block log."""

    def append(
        self, partition: int, payload: bytes, since: float | None = None, message_id: str = ""
    ) -> "asyncio.Future[int]":
        """Append a block; the future ends when it is durable."""
        ...


class ModelOutputs:
    """Appends outputs until the log takes them. Counters: ``model_blocks``, ``model_retries``."""

    def __init__(self, log: Log, counters: Counters, ownership: Ownership) -> None:
        self._log = log
        self._counters = counters
        self._ownership = ownership
        self._under_way: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._under_way)

    async def publish(
        self,
        cause: Block,
        partition: int,
        sequence: int,
        outputs: Columns,
        elsewhere: Mapping[int, int],
        name: str = "model",
    ) -> None:
        """Append the outputs that follow from a block; waits while too many are under way.

        Args:
            cause: the block; its ingest time is the outputs', so that a replay makes the same bytes.
            partition: its partition.
            sequence: its sequence.
            outputs: the columns.
            elsewhere: by output series, the partition it belongs to when it is another.
            name: begins the message ids; of what computed them.
        """
        for target, columns in _pieces(_by_partition(outputs, partition, elsewhere)):
            payload = encode_block(Block(cause.tenant, cause.ingested, {ValueType.DOUBLE: columns}))
            while len(self._under_way) >= OUTSTANDING_BLOCKS:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            message_id = f"{name}.{partition}.{sequence}.{zlib.crc32(payload)}"
            task = asyncio.create_task(self._append(target, payload, message_id))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def settle(self) -> None:
        """Wait until all are durable."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _append(self, partition: int, payload: bytes, message_id: str) -> None:
        attempt = 0
        while True:
            try:
                await self._ownership.valid()
                await self._log.append(partition, payload, message_id=message_id)
            except OwnershipLostError:
                return  # the new owner makes the same block
            except LogUnavailableError as error:
                self._counters.add("model_retries")
                if error.reason == "too_large":
                    logger.error("a model's output block is too large (%d bytes) and is lost", len(payload))
                    return
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            else:
                self._counters.add("model_blocks")
                return


def _by_partition(outputs: Columns, partition: int, elsewhere: Mapping[int, int]) -> list[tuple[int, Columns]]:
    """Cut outputs by the partition their series belong to."""
    if not elsewhere:
        return [(partition, outputs)]
    targets = np.array([elsewhere.get(series, partition) for series in outputs.series.tolist()])
    values = np.asarray(outputs.values)
    found: list[tuple[int, Columns]] = []
    for target in np.unique(targets).tolist():
        rows = np.flatnonzero(targets == target)
        columns = Columns(outputs.series[rows], outputs.times[rows], outputs.qualities[rows], values[rows])
        found.append((target, columns))
    return found


def _pieces(parts: list[tuple[int, Columns]]) -> Iterator[tuple[int, Columns]]:
    """Cut what is too large for a block."""
    for target, columns in parts:
        values = np.asarray(columns.values)
        for start in range(0, len(columns), BLOCK_POINTS):
            rows = slice(start, start + BLOCK_POINTS)
            yield target, Columns(columns.series[rows], columns.times[rows], columns.qualities[rows], values[rows])
