"""Chunks of batches in the role that writes: read, written, answered, in the order in which they came."""

import asyncio
import logging
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from gongfu.bus.commands import subject_of
from gongfu.bus.connection import subscribe
from gongfu.identify.management.batch_form import (
    MAX_ITEMS,
    OPERATIONS,
    ChunkAnswer,
    ChunkHead,
    encode_outcomes,
    read_items,
    split_chunk,
)
from gongfu.identify.management.write_problems import batch_problem
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import BatchError, Outcome, Write
from gongfu.kernel.errors import Problem, forbidden, invalid, unavailable
from gongfu.kernel.permissions import Action, can
from gongfu.kernel.times import SECOND, Clock

AT_ONCE = 16
# Items that are read in one go: a question that comes meanwhile is answered before the next.
_SLICE = 250

logger = logging.getLogger(__name__)


class Batches:
    """Answers chunks on the bus."""

    def __init__(self, identifiers: Identifiers, clock: Clock) -> None:
        """Make it."""
        self._identifiers = identifiers
        self._clock = clock
        # Fair: chunks are handed to the writer in the order in which they came.
        self._reading = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self, bus: Client, address: str) -> None:
        """Answer on a subject until the bus is closed."""

        async def begin(message: Msg) -> None:
            if len(self._running) >= AT_ONCE:
                busy = unavailable(f"{AT_ONCE} chunks of batches are at work")
                await bus.publish(message.reply, msgspec.json.encode({"problem": busy.document()}))
                return
            task = asyncio.create_task(self._answer(bus, message))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        await subscribe(bus, address, begin)

    async def stop(self) -> None:
        """Wait until what was taken is answered."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _answer(self, bus: Client, message: Msg) -> None:
        try:
            reply: dict[str, Any] = {"result": await self.write(message.data)}
        except msgspec.MsgspecError as error:
            reply = {"problem": invalid(str(error)).document()}
        except Problem as problem:
            reply = {"problem": problem.document()}
        except Exception:
            logger.exception("a chunk of a batch failed")
            reply = {"problem": Problem(500, "internal", "Internal error").document()}
        await bus.publish(message.reply, msgspec.json.encode(reply))

    async def write(self, data: bytes) -> ChunkAnswer:
        """Write a chunk and return what became of its items; they are on the disk then.

        Raises:
            Problem: nothing was done: 403 who may not, 409 for another batch's key, 503 when busy.
            msgspec.MsgspecError: it has no head.
        """
        head, lines = split_chunk(data)
        if not can(subject_of(head.asked), Action.IDENTIFIER_WRITE):
            raise forbidden("identifiers are registered by engineers and administrators of the node")
        if head.operation not in OPERATIONS:
            raise invalid(f"operation must be one of {', '.join(OPERATIONS)}")
        if len(lines) > MAX_ITEMS:
            raise invalid(f"a chunk has at most {MAX_ITEMS} items")
        async with self._reading:
            items = await self._read(head, lines)
            writes = [item for item in items if isinstance(item, Write)]
            writing = asyncio.ensure_future(self._identifiers.write(writes, key=bytes.fromhex(head.key)))
            # It is in the writer's queue before the next chunk is read.
            await asyncio.sleep(0)
        try:
            outcomes = await writing
        except BatchError as error:
            raise batch_problem(error) from None
        if len(writes) == len(items):
            return encode_outcomes(outcomes)
        done = iter(outcomes)
        return encode_outcomes([item if isinstance(item, Outcome) else next(done) for item in items])

    async def _read(self, head: ChunkHead, lines: list[bytes]) -> list[Write | Outcome]:
        now, items = self._clock.now_ns() // SECOND, list[Write | Outcome]()
        for start in range(0, len(lines), _SLICE):
            items += read_items(head, lines[start : start + _SLICE], now)
            await asyncio.sleep(0)
        return items
