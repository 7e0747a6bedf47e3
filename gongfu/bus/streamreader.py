"""Reading a JetStream stream: its messages in order, from any sequence, over restarts of the server.

Each reader has a consumer that lives in the server's memory and needs no acknowledgement; the position belongs to the
reader's owner, which keeps it with its own state. One pull request of ``_WAIT_S`` is open at a time, so an idle reader
costs one small message per heartbeat.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from gongfu.bus.connection import subscribe
from gongfu.bus.ending import stop_if_cancelled
from gongfu.bus.jetstream import JetStreamError, call_api, stream_state
from gongfu.kernel.counters import Counters

BATCH_BLOCKS = 256
# One pull request asks for no more than this; it must exceed the largest message.
BATCH_BYTES = 32 * 1024 * 1024
_WAIT_S = 30.0
_HEARTBEAT_S = 5.0
# A request is silent when two heartbeats are missing; a lost connection is looked for every ``_WATCH_S``.
_SILENT_S = 2 * _HEARTBEAT_S + 1
_WATCH_S = 0.5
_RETRY_S = 0.1
_INACTIVE_S = 60.0
# A stream that ends before our position for so long was replaced. For a moment it may just look so: a follower has
# given us a message that the leader, which tells where the stream ends, has committed but not yet applied.
REPLACED_S = 5.0

logger = logging.getLogger(__name__)

_ACK_TOKENS = 9

Messages = list[tuple[int, Msg]]


class StreamReader:
    """Yields batches ``[(sequence, message)]`` in ascending order of sequence, without repeats.

    Messages that have left the stream before they were read are counted as ``<counted>_missed`` and logged; a position
    that stays beyond the end of the stream (it was replaced) is counted as ``<counted>_log_reset``, and reading begins
    at its start.
    """

    def __init__(
        self,
        bus: Client,
        stream: str,
        start_sequence: int,
        counters: Counters,
        *,
        counted: str = "messages",
        batch_bytes: int = BATCH_BYTES,
        headers_only: bool = False,
        others_remove: bool = False,
    ) -> None:
        """Read ``stream`` from ``start_sequence`` (1 is the first message ever), ``batch_bytes`` at a time at most.

        With ``headers_only`` messages come without their payload; with ``others_remove`` it is no fault, and is not
        counted, that messages have left the stream before they were read.
        """
        self._bus = bus
        self._stream = stream
        self._counters = counters
        self._counted = counted
        self._batch_bytes = batch_bytes
        self._headers_only = headers_only
        self._others_remove = others_remove
        self._next = max(1, start_sequence)
        self._inbox = bus.new_inbox()
        self._arrived: deque[tuple[int, Msg]] = deque()
        self._wake = asyncio.Event()
        self._consumer = ""
        self._delivered = 0
        self._open = 0
        self._heard = 0.0
        self._connection = -1
        self._beyond_since: float | None = None
        self._started = False

    @property
    def position(self) -> int:
        """Sequence of the next message to be given."""
        return self._next

    async def close(self) -> None:
        """End the subscription and remove the consumer."""
        if self._started:
            with suppress(NatsError, OSError):
                await self._subscription.unsubscribe()
        await self._drop_consumer()

    async def next_messages(self, timeout_s: float | None = None) -> Messages:
        """Return the messages that are there, at least one; an empty list when none came within ``timeout_s``."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while not self._arrived:
            stop_if_cancelled()
            self._wake.clear()
            await self._ensure_request()
            if self._arrived:
                break
            wait = _WATCH_S if self._open else _RETRY_S
            if deadline is not None:
                wait = min(wait, deadline - loop.time())
                if wait <= 0:
                    return []
            # Not wait_for: it makes a task each time, and this is done for every block that comes alone.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
        batch = list(self._arrived)
        self._arrived.clear()
        self._next = batch[-1][0] + 1
        if not self._open:
            # Ask for more before the caller works on this batch.
            await self._ensure_request()
        return batch

    async def _ensure_request(self) -> None:
        """Make sure that a consumer exists and that one pull request is open at it."""
        if not self._bus.is_connected:
            self._open = 0
            return
        try:
            if not self._started:
                self._subscription = await subscribe(self._bus, f"{self._inbox}.*", self._receive)
                self._started = True
            silent = self._open > 0 and asyncio.get_running_loop().time() - self._heard > _SILENT_S
            if silent or self._connection != self._bus.stats["reconnects"]:
                self._connection = self._bus.stats["reconnects"]
                await self._drop_consumer()
            if not self._consumer:
                await self._create_consumer()
            if not self._open:
                await self._request()
        except JetStreamError as error:
            logger.debug("reader of %s waits: %s", self._stream, error)
            self._consumer, self._open = "", 0
        except (NatsError, OSError):
            self._open = 0

    async def _create_consumer(self) -> None:
        state = await stream_state(self._bus, self._stream)
        begin = self._arrived[-1][0] + 1 if self._arrived else self._next
        if begin <= int(state["last_seq"]) + 1:
            self._beyond_since = None
        else:
            now = asyncio.get_running_loop().time()
            self._beyond_since = now if self._beyond_since is None else self._beyond_since
            if now - self._beyond_since < REPLACED_S:
                raise JetStreamError(0, f"{self._stream} ends before position {begin}")
            self._counters.add(f"{self._counted}_log_reset")
            logger.error(
                "position %d is beyond the end %d of %s: the log was replaced; reading from its start",
                begin, state["last_seq"], self._stream,
            )  # fmt: skip
            begin = self._next = max(1, int(state["first_seq"]))
        answer = await call_api(
            self._bus,
            f"CONSUMER.CREATE.{self._stream}",
            {
                "stream_name": self._stream,
                "config": {
                    "deliver_policy": "by_start_sequence",
                    "opt_start_seq": begin,
                    "ack_policy": "none",
                    "replay_policy": "instant",
                    "mem_storage": True,
                    "num_replicas": 1,
                    "inactive_threshold": int(_INACTIVE_S * 1e9),
                    "headers_only": self._headers_only,
                },
            },
        )
        self._consumer = answer["name"]
        self._delivered = 0
        self._open = 0

    async def _drop_consumer(self) -> None:
        consumer, self._consumer = self._consumer, ""
        self._open = 0
        if consumer and self._bus.is_connected:
            with suppress(JetStreamError):
                await call_api(self._bus, f"CONSUMER.DELETE.{self._stream}.{consumer}", timeout_s=1.0)

    async def _request(self) -> None:
        body = (
            f'{{"batch":{BATCH_BLOCKS},"max_bytes":{self._batch_bytes},"expires":{int(_WAIT_S * 1e9)},'
            f'"idle_heartbeat":{int(_HEARTBEAT_S * 1e9)}}}'
        )
        await self._bus.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}",
            body.encode(),
            reply=f"{self._inbox}.{self._consumer}",
        )
        self._open = BATCH_BLOCKS
        self._heard = asyncio.get_running_loop().time()

    async def _receive(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        tokens = message.reply.split(".")
        if len(tokens) < _ACK_TOKENS:
            self._receive_status(message)
            return
        # $JS.ACK.[domain.account.]stream.consumer.deliveries.stream sequence.consumer sequence.time.pending[.token]
        first = 2 if len(tokens) == _ACK_TOKENS else 4
        consumer, sequence, delivered = tokens[first + 1], int(tokens[first + 3]), int(tokens[first + 4])
        if consumer != self._consumer:
            return
        self._open -= 1
        self._delivered += 1
        if delivered != self._delivered:
            # A delivery was lost on the way to us: begin again behind the last message that came.
            self._counters.add(f"{self._counted}_redelivered")
            self._consumer, self._open = "", 0
            self._wake.set()
            return
        expected = self._arrived[-1][0] + 1 if self._arrived else self._next
        if sequence > expected and not self._others_remove:
            self._counters.add(f"{self._counted}_missed", sequence - expected)
            logger.error(
                "%s %d to %d left %s before they were read", self._counted, expected, sequence - 1, self._stream
            )
        self._arrived.append((sequence, message))
        self._wake.set()

    def _receive_status(self, message: Msg) -> None:
        """Handle what is no message of the stream: a heartbeat (100), the end of the request (404, 408, 409), or no
        server behind the consumer (503)."""
        status = (message.headers or {}).get("Status", "")
        if status == "100" or message.subject.rpartition(".")[2] != self._consumer:
            return
        self._open = 0
        if status not in ("404", "408") and "MaxBytes" not in (message.headers or {}).get("Description", ""):
            self._consumer = ""
        self._wake.set()
