"""Chunks of batches in the role that writes: read, written, answered, in the order in which they came."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from gongfu.bus.commands import subject_of
from gongfu.bus.connection import subscribe
from gongfu.identify.bulk.batch_form import (
    DIGEST_BYTES,
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

if TYPE_CHECKING:
    from gongfu.identify.bulk.batch_chunks import ColumnChunk, ColumnChunks

AT_ONCE = 8
# Chunks of so many items are written in columns.
COLUMNS_FROM = 500
# Items that are read in one go: a question that comes meanwhile is answered before the next.
_SLICE = 250

logger = logging.getLogger(__name__)


class Batches:
    """Answers chunks on the bus."""

    def __init__(self, identifiers: Identifiers, clock: Clock, *, columns_from: int = COLUMNS_FROM) -> None:
        """Make it.

        Args:
            identifiers: of the node.
            clock: present time.
            columns_from: so many items of a chunk are written in columns; what becomes of them is the same.
        """
        self._identifiers = identifiers
        self._clock = clock
        # Fair: chunks are handed to the writer in the order in which they came.
        self._reading = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._columns: ColumnChunks | None = None
        self._columns_from = columns_from

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
        head, items = split_chunk(data)
        if not can(subject_of(head.asked), Action.IDENTIFIER_WRITE):
            raise forbidden("identifiers are registered by engineers and administrators of the node")
        if head.operation not in OPERATIONS:
            raise invalid(f"operation must be one of {', '.join(OPERATIONS)}")
        async with self._reading:
            writing = await self._begin(head, items)
            # It is in the writer's queue before the next chunk is read.
            await asyncio.sleep(0)
        try:
            return await writing
        except BatchError as error:
            raise batch_problem(error) from None

    async def _begin(self, head: ChunkHead, items: bytes) -> "asyncio.Task[ChunkAnswer]":
        """Return a task that writes a chunk, in columns where that is possible."""
        count = -1 if head.columns else items.count(b"\n") + 1
        if count > MAX_ITEMS:
            raise invalid(f"a chunk has at most {MAX_ITEMS} items")
        now = self._clock.now_ns() // SECOND
        if head.columns or (count >= self._columns_from and head.template and head.operation != "delete"):
            chunk = await asyncio.to_thread(self._prepared, head, items, now)
            if chunk is not None:
                return asyncio.create_task(self._take(chunk, head, items, now))
        read = await self._read(head, items, now)
        return asyncio.create_task(self._write(head, read))

    def _prepared(self, head: ChunkHead, items: bytes, now: int) -> "ColumnChunk | None":
        # Late: many nodes never get a large batch, and the library of columns is large.
        from gongfu.identify.bulk.batch_chunks import ColumnChunks

        if self._columns is None:
            self._columns = ColumnChunks()
        return self._columns.prepare(head, items, self._identifiers, now)

    async def _take(self, chunk: "ColumnChunk", head: ChunkHead, items: bytes, now: int) -> ChunkAnswer:
        answer = await chunk.take(self._identifiers)
        return answer if answer is not None else await self._write(head, await self._read(head, items, now))

    async def _write(self, head: ChunkHead, items: list[Write | Outcome]) -> ChunkAnswer:
        writes = [item for item in items if isinstance(item, Write)]
        # The key is of the content.
        key = bytes.fromhex(head.key)
        outcomes = await self._identifiers.write(writes, key=key, digest=key[:DIGEST_BYTES])
        if len(writes) == len(items):
            return encode_outcomes(outcomes)
        done = iter(outcomes)
        return encode_outcomes([item if isinstance(item, Outcome) else next(done) for item in items])

    async def _read(self, head: ChunkHead, items: bytes, now: int) -> list[Write | Outcome]:
        """Return the items as single writes; other questions are answered in between."""
        if head.columns:
            from gongfu.identify.bulk.batch_chunks import writes_of_columns

            return await asyncio.to_thread(writes_of_columns, head, items)
        lines, read = items.split(b"\n"), list[Write | Outcome]()
        for start in range(0, len(lines), _SLICE):
            read += read_items(head, lines[start : start + _SLICE], now)
            await asyncio.sleep(0)
        return read
