"""Block log, writing side: append blocks to JetStream, many at a time, each stored once.

An append is acknowledged by JetStream after fsync (``sync_interval: always``). Every block carries a message id, so
that sending it again after a lost acknowledgement or a restart of the server does not store it twice
(JetStream drops ids it has seen within ``block_streams.DUPLICATE_WINDOW_S``; it rebuilds that list from the log when it
starts).
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

from gongfu.bus.block_streams import ensure_streams
from gongfu.bus.blockreader import BlockReader
from gongfu.bus.connection import subscribe
from gongfu.bus.jetstream import stream_state
from gongfu.bus.spares import Spares
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects

APPEND_DEADLINE_S = 30.0
ACK_TIMEOUT_S = 2.0
REFUSED_RETRY_S = 0.25
# A block that waits for so long while its stream has no leader goes to the spare stream.
DIVERT_AFTER_S = 0.5
_SPARE = "s"
_TICK_S = 0.1
_NO_RESPONDERS = "503"

__all__ = ["BlockLog", "BlockReader", "LogUnavailableError", "ensure_streams"]

logger = logging.getLogger(__name__)


class LogUnavailableError(Exception):
    """The block was not acknowledged before its deadline, or never can be.

    Attributes:
        reason: ``timeout``, ``disconnected``, ``no_responders``, ``refused``, ``too_large`` or ``closed``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class _PublishAck(msgspec.Struct):
    """Answer to a publish into a stream."""

    seq: int = 0
    duplicate: bool = False
    error: dict[str, object] | None = None


@dataclass(slots=True, eq=False)
class _Append:
    """One block on its way."""

    token: str
    partition: int
    subject: str
    payload: bytes
    future: "asyncio.Future[int]"
    began: float
    send_at: float
    sent_at: float = 0.0
    expires: float = 0.0
    trouble: str = "timeout"
    held: bool = False
    headers: dict[str, str] = field(default_factory=dict[str, str])


class BlockLog:
    """Appends blocks; any number may be outstanding. Use from one event loop; ``start`` before, ``close`` after.

    Counters: ``blocks_appended``, ``blocks_duplicate`` (a repeat the log recognised), ``blocks_retried.<reason>``,
    ``blocks_failed.<reason>``.
    """

    def __init__(
        self,
        bus: Client,
        subjects: Subjects,
        counters: Counters,
        *,
        deadline_s: float = APPEND_DEADLINE_S,
        ack_timeout_s: float = ACK_TIMEOUT_S,
        spares: Spares | None = None,
    ) -> None:
        """Append through ``bus``; with spare streams for partitions without a leader, in a cluster."""
        self._bus = bus
        self._subjects = subjects
        self._counters = counters
        self._deadline_s = deadline_s
        self._ack_timeout_s = ack_timeout_s
        self._pending: dict[str, _Append] = {}
        self._outbox: deque[_Append] = deque()
        self._wake = asyncio.Event()
        self._inbox = bus.new_inbox()
        self._count = 0
        self._reconnects = 0
        self._latencies: deque[float] = deque(maxlen=512)
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._failing = False
        # Subjects whose stream did not take a block: perhaps its leader is gone, and with it what was on the way.
        self._stalled: set[str] = set()
        self._spares = spares
        # Partitions whose blocks go to the spare, and those whose new blocks wait until that ends.
        self._diverted: set[int] = set()
        self._holding: set[int] = set()
        self._decode = msgspec.json.Decoder(_PublishAck).decode

    async def start(self) -> None:
        """Subscribe to the acknowledgements and begin to send."""
        self._subscription = await subscribe(self._bus, f"{self._inbox}.*", self._acknowledged)
        self._reconnects = self._bus.stats["reconnects"]
        if self._spares is not None:
            await self._spares.start(self)
        self._task = asyncio.create_task(self._send_loop(), name="block-log")

    async def close(self, timeout_s: float = 5.0) -> None:
        """Wait until outstanding blocks are acknowledged, at most ``timeout_s``, then fail the rest."""
        if self._pending:
            await asyncio.wait([append.future for append in self._pending.values()], timeout=timeout_s)
        if self._spares is not None:
            await self._spares.close()
        self._closed = True
        if self._task is not None:
            # Not by cancelling: nats-py swallows a cancellation that meets it while it flushes.
            self._wake.set()
            await self._task
            with suppress(NatsError):
                await self._subscription.unsubscribe()
        for append in list(self._pending.values()):
            self._fail(append, "closed", "the block log is closing")

    @property
    def outstanding(self) -> int:
        """Number of blocks not yet acknowledged."""
        return len(self._pending)

    @property
    def available(self) -> bool:
        """False from the first refusal or time-out until the next acknowledgement."""
        return not self._failing

    def commit_ms(self) -> tuple[float, float]:
        """Return the median and the 99th percentile of the time from append to acknowledgement of the last 512
        blocks, in milliseconds; zeros when there are none."""
        ordered = sorted(self._latencies)
        if not ordered:
            return 0.0, 0.0
        return ordered[len(ordered) // 2] * 1e3, ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3

    async def last_sequence(self, partition: int) -> int:
        """Return the sequence of the last block of a partition, 0 when it is empty.

        Raises:
            JetStreamError: JetStream does not answer.
        """
        return int((await stream_state(self._bus, self._subjects.blocks_stream(partition)))["last_seq"])

    def append(
        self, partition: int, payload: bytes, since: float | None = None, message_id: str = ""
    ) -> "asyncio.Future[int]":
        """Send a block; the future gives its sequence once it is durable, 0 when the spare stream has it.

        The future fails with ``LogUnavailableError`` at the deadline; whether the log has the block is then unknown.

        Args:
            partition: partition of the log.
            payload: the block.
            since: loop time from which the deadline counts, default now.
            message_id: names a block that a restarted process may send again; default one of this instance.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._count += 1
        token = str(self._count)
        append = _Append(token, partition, self._subject(partition), payload, loop.create_future(), now, now)
        append.expires = (now if since is None else since) + self._deadline_s
        # The inbox is random and the count never repeats in it, so the pair names this block for ever.
        append.headers["Nats-Msg-Id"] = message_id or f"{self._inbox}.{token}"
        self._pending[token] = append
        if self._closed:
            self._fail(append, "closed", "the block log is closed")
        elif partition in self._holding:
            append.held = True
        else:
            self._outbox.append(append)
            self._wake.set()
        return append.future

    def route(self, partition: int, *, to_spare: bool) -> None:
        """Send the unacknowledged blocks of a partition again, in order, to its spare or to the log; later ones too."""
        self._holding.discard(partition)
        (self._diverted.add if to_spare else self._diverted.discard)(partition)
        others = [append for append in self._outbox if append.partition != partition]
        ours = [append for append in self._pending.values() if append.partition == partition]
        for append in ours:
            append.subject, append.held = self._subject(partition), False
        self._outbox = deque([*others, *ours])
        self._wake.set()

    def hold(self, partition: int) -> None:
        """Keep the blocks of a partition that come until ``route``."""
        self._holding.add(partition)

    def under_way(self, partition: int) -> list["asyncio.Future[int]"]:
        """Return the futures of the blocks of a partition that are sent and not acknowledged."""
        return [append.future for append in self._pending.values() if append.partition == partition and not append.held]

    def _subject(self, partition: int) -> str:
        return self._subjects.spare(partition) if partition in self._diverted else self._subjects.blocks(partition)

    async def _send_loop(self) -> None:
        while not self._closed:
            while self._outbox:
                await self._send(self._outbox.popleft())
            self._wake.clear()
            if self._closed:
                return
            if self._pending:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_S):
                        await self._wake.wait()
                self._schedule_repeats()
            else:
                await self._wake.wait()

    async def _send(self, append: _Append) -> None:
        if append.future.done():
            self._pending.pop(append.token, None)
            return
        now = asyncio.get_running_loop().time()
        append.sent_at, append.send_at = now, now + self._ack_timeout_s
        if not self._bus.is_connected:
            # Not into nats-py's own buffer: that would send stale copies of everything on reconnect.
            append.trouble = "disconnected"
            append.send_at = now + _TICK_S
            return
        reply = f"{self._inbox}.{_SPARE if append.partition in self._diverted else ''}{append.token}"
        try:
            await self._bus.publish(append.subject, append.payload, reply=reply, headers=append.headers)
        except MaxPayloadError:
            self._fail(append, "too_large", f"{len(append.payload)} bytes")
        except Exception as error:
            # Whatever it is, the block is sent again; the loop must outlive faults inside nats-py.
            if not isinstance(error, (NatsError, OSError)):
                logger.exception("publish failed")
            append.trouble = "disconnected"
            append.send_at = now + _TICK_S

    def _schedule_repeats(self) -> None:
        """Put every block whose time has come into the outbox again; fail those past the deadline."""
        now = asyncio.get_running_loop().time()
        reconnects = self._bus.stats["reconnects"]
        reconnected = reconnects != self._reconnects
        self._reconnects = reconnects
        queued = {append.token for append in self._outbox}
        for append in list(self._pending.values()):
            if append.token in queued:
                continue
            if append.future.cancelled():
                del self._pending[append.token]
            elif now >= append.expires:
                self._fail(append, append.trouble, f"not acknowledged in {self._deadline_s:g} s")
            elif append.held:
                continue
            elif reconnected or now >= append.send_at:
                if self._spares is not None and append.trouble == "timeout" and now >= append.send_at:
                    self._spares.suspect(append.partition)
                self._counters.add(f"blocks_retried.{append.trouble}")
                self._note_failing(append.trouble)
                self._stalled.add(append.subject)
                append.trouble = "timeout"
                self._outbox.append(append)
            elif self._spares is not None and append.sent_at and now >= append.sent_at + DIVERT_AFTER_S:
                self._stalled.add(append.subject)  # the answer to a probe tells whether there is a leader
        if self._stalled:
            self._probe(now)

    def _probe(self, now: float) -> None:
        """Send one block of each stalled stream again, the smallest: its acknowledgement tells that there is a leader.

        A block that was on its way when the leader died is answered by nobody; waiting for its time-out would make the
        pause longer than the election.
        """
        smallest: dict[str, _Append] = {}
        for append in self._pending.values():
            if append.subject in self._stalled and not append.held:
                known = smallest.get(append.subject)
                if known is None or len(append.payload) < len(known.payload):
                    smallest[append.subject] = append
        self._stalled &= smallest.keys()
        for append in smallest.values():
            if append.sent_at <= now - REFUSED_RETRY_S and append not in self._outbox:
                self._outbox.append(append)

    def _resume(self, subject: str, now: float) -> None:
        """The stream takes blocks again: send all others of it that may have been lost with the former leader."""
        self._stalled.discard(subject)
        for append in self._pending.values():
            if append.subject == subject and append.sent_at <= now - REFUSED_RETRY_S:
                append.send_at = now
        self._wake.set()

    async def _acknowledged(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        from_spare = token.startswith(_SPARE)
        append = self._pending.get(token[1:] if from_spare else token)
        if append is None:
            return
        try:
            ack = self._decode(message.data) if message.data else None
        except msgspec.MsgspecError:
            ack = None
        now = asyncio.get_running_loop().time()
        if ack is None or ack.error is not None or ack.seq == 0:
            if from_spare != (append.partition in self._diverted):
                return  # it has been sent elsewhere since
            no_responders = message.headers is not None and message.headers.get("Status") == _NO_RESPONDERS
            append.trouble = "no_responders" if no_responders else "refused"
            append.send_at = min(append.send_at, now + REFUSED_RETRY_S)
            self._stalled.add(append.subject)
            if ack is not None and ack.error is not None:
                self._note_failing(f"refused: {ack.error.get('description', 'error')}")
            if no_responders and self._spares is not None:
                if from_spare:
                    self._spares.refused(append.partition)
                elif now - append.began >= DIVERT_AFTER_S:
                    self._spares.use(append.partition)
            return
        if from_spare and self._spares is not None:
            self._spares.acknowledged(append.partition)
        del self._pending[append.token]
        self._counters.add("blocks_duplicate" if ack.duplicate else "blocks_appended")
        self._latencies.append(now - append.began)
        if append.subject in self._stalled:
            self._resume(append.subject, now)
        if self._failing:
            self._failing = False
            logger.info("block log takes blocks again")
        if not append.future.done():
            append.future.set_result(0 if from_spare else ack.seq)

    def _note_failing(self, why: str) -> None:
        if not self._failing:
            self._failing = True
            logger.warning("block log does not take blocks: %s", why)

    def _fail(self, append: _Append, reason: str, detail: str) -> None:
        self._pending.pop(append.token, None)
        self._counters.add(f"blocks_failed.{reason}")
        if not append.future.done():
            append.future.set_exception(LogUnavailableError(reason, detail))
