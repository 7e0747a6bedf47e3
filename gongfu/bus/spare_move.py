"""Move blocks from the spare stream of a partition into its log, in bulk: each once, in the spare's order.

Blocks go in batches that the log takes whole or not at all (JetStream's atomic batch publish, NATS ADR-50), and a batch
is sent when the log has all before it. So nothing overtakes anything, whatever is lost on the way or changes leader;
and every writer may move at any time, several at once as well, and may end at any moment.

A batch that has a message id which the log knows is refused; then the log is asked which, and they are left out. It
knows the ids of the last 120 s. For blocks that are in the spare for longer, ids are read from the log itself, and a
batch is taken only when the log has not grown since (``Nats-Expected-Last-Sequence``).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from gongfu.bus.connection import subscribe
from gongfu.bus.jetstream import JetStreamError, call_api, stream_state
from gongfu.bus.streamreader import StreamReader
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects

MESSAGE_ID = "Nats-Msg-Id"
EXPECTED_LAST = "Nats-Expected-Last-Sequence"
# A batch has at most so many blocks (JetStream's bound is 1000) and bytes, unless one block has more. Writers may wait
# for the one that is on the way, so it is not larger than bulk needs.
BATCH_BLOCKS = 128
BATCH_BYTES = 8 * 1024 * 1024
# Blocks leave the spare so many at a time.
_PURGE_BLOCKS = 2048
_ANSWER_S = 2.0
# The log remembers ids for 120 s. A block was sent to it 30 s before it was sent to the spare at the earliest, and is
# sent again for 30 s at the longest; 20 s are for the servers' clocks.
FRESH_S = 40.0
_SENDING_S = 30.0
_BEFORE_NS = 60_000_000_000
# No stream ends there: what follows it is never stored.
_NOWHERE = str(2**62)
_NO_MESSAGE = 10037
_WRONG_LAST_SEQUENCE = 10071
_HAS_DUPLICATES = 10201


class MoveStalledError(Exception):
    """The log or the spare did not take part; nothing is lost, try again."""


class _Ack(msgspec.Struct):
    """Answer to a publish; ``count`` is the size of a batch that was taken."""

    seq: int = 0
    duplicate: bool = False
    count: int = 0
    error: dict[str, Any] | None = None

    @property
    def error_code(self) -> int:
        """JetStream's ``err_code``, 0 when there is no error."""
        return int(self.error.get("err_code", -1)) if self.error is not None else 0


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of the spare; ``stored_ns`` is when it came there, in UTC nanoseconds of the server."""

    sequence: int
    name: str
    payload: bytes
    stored_ns: int


@dataclass(slots=True)
class _ServerClock:
    """The clock of the spare's leader, between its answers."""

    read_ns: int
    at: float

    def now_ns(self) -> int:
        """Return the server's time, in UTC nanoseconds."""
        return self.read_ns + int((asyncio.get_running_loop().time() - self.at) * 1e9)


class SpareMove:
    """Moves blocks of one partition. Counters: ``blocks_from_spare``, and those of a reader, ``spare_…``."""

    def __init__(self, bus: Client, subjects: Subjects, partition: int, counters: Counters) -> None:
        """Move through ``bus``; begin with ``move``, end with ``close``."""
        self._bus = bus
        self._spare = subjects.spare_stream(partition)
        self._log = subjects.blocks_stream(partition)
        self._subject = subjects.blocks(partition)
        self._counters = counters
        self._inbox = bus.new_inbox()
        self._subscription: Subscription | None = None
        self._round = 0
        self._answers: dict[int, _Ack] = {}
        self._answered = asyncio.Event()
        # Ids in the log up to a sequence, from before the blocks of the spare; None while JetStream knows them all.
        self._names: set[str] | None = None
        self._named = 0
        self._decode = msgspec.json.Decoder(_Ack).decode

    async def close(self) -> None:
        """End the subscription to answers."""
        if self._subscription is not None:
            with suppress(NatsError, OSError):
                await self._subscription.unsubscribe()

    async def move(self, limit_s: float) -> int:
        """Move what is in the spare now, or as much as can be moved in ``limit_s``; return how many blocks left it.

        Raises:
            MoveStalledError: the log took nothing for a while, or JetStream does not answer.
        """
        try:
            return await self._move(asyncio.get_running_loop().time() + limit_s)
        except (JetStreamError, NatsError, OSError) as error:
            raise MoveStalledError(str(error)) from error

    async def _move(self, until: float) -> int:
        loop = asyncio.get_running_loop()
        info = await call_api(self._bus, f"STREAM.INFO.{self._spare}", timeout_s=_ANSWER_S)
        first, last = int(info["state"]["first_seq"]), int(info["state"]["last_seq"])
        if not info["state"]["messages"]:
            self._names = None
            return 0
        clock = _ServerClock(_nanoseconds(info["ts"]), loop.time())
        if self._subscription is None:
            self._subscription = await subscribe(self._bus, f"{self._inbox}.*", self._hear)
        reader = StreamReader(
            self._bus, self._spare, first, self._counters,
            counted="spare", batch_bytes=BATCH_BYTES, others_remove=True,
        )  # fmt: skip
        purged = done = first
        try:
            while reader.position <= last and loop.time() < until:
                messages = await reader.next_messages(_ANSWER_S)
                if not messages:
                    raise MoveStalledError("the spare cannot be read")
                for batch in _batches([_block(*message) for message in messages]):
                    if loop.time() >= until:
                        break
                    if self._names is None and clock.now_ns() - batch[0].stored_ns > FRESH_S * 1e9:
                        self._named = await self._first_since(batch[0].stored_ns - _BEFORE_NS) - 1
                        self._names = set()
                    await self._move_batch(batch)
                    done = batch[-1].sequence + 1
                if done - purged >= _PURGE_BLOCKS:
                    purged = await self._purge(done)
            if done > purged:
                purged = await self._purge(done)
        finally:
            await reader.close()
        return purged - first

    async def _purge(self, sequence: int) -> int:
        """Remove what is before a sequence: the log has it."""
        await call_api(self._bus, f"STREAM.PURGE.{self._spare}", {"seq": sequence})
        return sequence

    async def _move_batch(self, blocks: list[_Block]) -> None:
        """Return when the log has all of them."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while blocks and loop.time() - began < _SENDING_S:
            end = None
            if self._names is not None:
                end = await self._read_names(self._names)
                blocks = [block for block in blocks if block.name not in self._names]
            if not blocks:
                return
            ack = await self._send(blocks, end)
            if ack.count == len(blocks):
                self._counters.add("blocks_from_spare", len(blocks))
                if self._names is not None:
                    self._names.update(block.name for block in blocks)
                    self._named = ack.seq
                return
            if ack.error_code == _HAS_DUPLICATES:
                known = await self._which_are_known(blocks)
                blocks = [block for block in blocks if block.name not in known]
            elif ack.error_code != _WRONG_LAST_SEQUENCE:
                raise MoveStalledError("the log takes nothing")
        if blocks:
            raise MoveStalledError("others write to the log")

    async def _send(self, blocks: Sequence[_Block], end: int | None) -> _Ack:
        """Send a batch, to follow the end of the log if that is given; return the answer, an empty one if none came."""
        batch = self._begin_round()
        for number, block in enumerate(blocks, 1):
            headers = {MESSAGE_ID: block.name, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            if number == 1 and end is not None:
                headers[EXPECTED_LAST] = str(end)
            reply = ""
            if number == len(blocks):
                headers["Nats-Batch-Commit"] = "1"
                reply = f"{self._inbox}.{self._round}-0"
            await self._publish(block.payload, reply, headers)
        await self._wait_for(1)
        return self._answers.get(0, _Ack())

    async def _which_are_known(self, blocks: Sequence[_Block]) -> set[str]:
        """Ask the log which message ids it knows: it looks at the id first, then at a place that never comes.

        Raises:
            MoveStalledError: some answers did not come.
        """
        self._begin_round()
        for number, block in enumerate(blocks):
            reply = f"{self._inbox}.{self._round}-{number}"
            await self._publish(b"", reply, {MESSAGE_ID: block.name, EXPECTED_LAST: _NOWHERE})
        await self._wait_for(len(blocks))
        known: set[str] = set()
        for number, block in enumerate(blocks):
            ack = self._answers.get(number, _Ack())
            if ack.duplicate and ack.seq:
                known.add(block.name)
            elif ack.error_code != _WRONG_LAST_SEQUENCE:
                raise MoveStalledError("the log does not tell what it has")
        return known

    def _begin_round(self) -> str:
        """Answers to what was sent before do not count any more; return a name for this round."""
        self._round += 1
        self._answers.clear()
        return f"{self._inbox[-22:]}-{self._round}"

    async def _publish(self, payload: bytes, reply: str, headers: dict[str, str]) -> None:
        if not self._bus.is_connected:
            raise MoveStalledError("disconnected")
        await self._bus.publish(self._subject, payload, reply=reply, headers=headers)

    async def _wait_for(self, answers: int) -> None:
        """Wait until so many answers are there, or none comes any more."""
        while (known := len(self._answers)) < answers:
            self._answered.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_ANSWER_S):
                    await self._answered.wait()
            if len(self._answers) == known:
                return

    async def _hear(self, message: Msg) -> None:
        number, _, index = message.subject.rpartition(".")[2].partition("-")
        if number != str(self._round):
            return
        try:
            ack = self._decode(message.data) if message.data else _Ack()
        except msgspec.MsgspecError:
            ack = _Ack()
        self._answers[int(index)] = ack
        self._answered.set()

    async def _read_names(self, names: set[str]) -> int:
        """Add the ids of blocks that came to the log since; return its last sequence."""
        end = int((await stream_state(self._bus, self._log))["last_seq"])
        if self._named >= end:
            return end
        reader = StreamReader(
            self._bus, self._log, self._named + 1, self._counters, counted="spare_scan", headers_only=True
        )
        try:
            while reader.position <= end:
                batch = await reader.next_messages(_ANSWER_S)
                if not batch:
                    raise MoveStalledError("the end of the log cannot be read")
                names.update(_name(message) for _, message in batch)
        finally:
            await reader.close()
        self._named = reader.position - 1
        # What is behind the end that was told is known as well, and may be followed.
        return self._named

    async def _first_since(self, time_ns: int) -> int:
        """Return the sequence of the first block of the log that is not older; times ascend."""
        state = await stream_state(self._bus, self._log)
        first, last = int(state["first_seq"]), int(state["last_seq"])
        while first < last:
            middle = (first + last) // 2
            older = await self._time_in_log(middle) < time_ns
            first, last = (middle + 1, last) if older else (first, middle)
        return first

    async def _time_in_log(self, sequence: int) -> int:
        """Return when the log took a block; the beginning of time when it is not there (it was erased)."""
        try:
            answer = await call_api(self._bus, f"STREAM.MSG.GET.{self._log}", {"seq": sequence})
        except JetStreamError as error:
            if error.code == _NO_MESSAGE:
                return 0
            raise
        return _nanoseconds(answer["message"]["time"])


def _batches(blocks: Sequence[_Block]) -> list[list[_Block]]:
    """Divide blocks into batches within the bounds, in order."""
    batches, size = list[list[_Block]](), 0
    for block in blocks:
        size += len(block.payload)
        if not batches or len(batches[-1]) >= BATCH_BLOCKS or size > BATCH_BYTES:
            batches.append([])
            size = len(block.payload)
        batches[-1].append(block)
    return batches


def _nanoseconds(time: str) -> int:
    """Parse a time of the server (RFC 3339, UTC)."""
    whole, _, fraction = time.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(f"{whole}+00:00").timestamp()
    return int(seconds) * 1_000_000_000 + int(f"{fraction[:9]:0<9}")


def _name(message: Msg) -> str:
    return (message.headers or {}).get(MESSAGE_ID, "")


def _block(sequence: int, message: Msg) -> _Block:
    # $JS.ACK.[domain.account.]stream.consumer.deliveries.stream sequence.consumer sequence.time.pending[.token]
    tokens = message.reply.split(".")
    return _Block(sequence, _name(message), message.data, int(tokens[7] if len(tokens) == 9 else tokens[9]))
