"""A block log in memory: acknowledges when told to."""

import asyncio

from gongfu.bus.blocklog import LogUnavailableError
from gongfu.kernel.block import Block, decode_block


class MemoryLog:
    """Stands where ``BlockLog`` does."""

    available = True

    def __init__(self, *, hold: bool = False) -> None:
        self.hold = hold
        self.blocks: list[Block] = []
        self.waiting: list[tuple[Block, asyncio.Future[int]]] = []

    @property
    def outstanding(self) -> int:
        return len(self.waiting)

    def commit_ms(self) -> tuple[float, float]:
        return 0.0, 0.0

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def append(self, _partition: int, payload: bytes, _since: float | None = None) -> "asyncio.Future[int]":
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.waiting.append((decode_block(payload), future))
        if not self.hold:
            self.release()
        return future

    def release(self, *, fail: bool = False) -> None:
        """Acknowledge, or refuse, all that waits."""
        waiting, self.waiting = self.waiting, []
        for block, future in waiting:
            if fail:
                future.set_exception(LogUnavailableError("timeout", "test"))
            else:
                self.blocks.append(block)
                future.set_result(len(self.blocks))
