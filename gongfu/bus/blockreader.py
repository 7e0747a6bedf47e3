"""Block log, reading side: blocks of one partition in order, from any sequence, over restarts of the server."""

from collections.abc import AsyncIterator

from nats.aio.client import Client

from gongfu.bus.streamreader import StreamReader
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects

Batch = list[tuple[int, bytes]]


class BlockReader(StreamReader):
    """Yields batches ``[(sequence, block bytes)]`` in ascending order of sequence, without repeats.

    Counters as ``StreamReader``: ``blocks_missed``, ``blocks_log_reset``, ``blocks_redelivered``.
    """

    def __init__(
        self, bus: Client, subjects: Subjects, partition: int, start_sequence: int, counters: Counters
    ) -> None:
        """Read ``partition`` from ``start_sequence`` (1 is the first block ever)."""
        super().__init__(bus, subjects.blocks_stream(partition), start_sequence, counters, counted="blocks")

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """Yield batches for ever."""
        while True:
            batch = await self.next_batch()
            if batch:
                yield batch

    async def next_batch(self, timeout_s: float | None = None) -> Batch:
        """Return the blocks that are there, at least one; an empty list when none came within ``timeout_s``."""
        return [(sequence, message.data) for sequence, message in await self.next_messages(timeout_s)]
