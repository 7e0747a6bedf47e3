"""A client's socket: state of the connection, life of the transport, bytes out. ``Connection`` is the other half."""

import asyncio
from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from gongfu.ingest.admission.account import Account
from gongfu.ingest.mqtt.broker.sessions import Session
from gongfu.ingest.mqtt.broker.subscriptions import SubscriptionTrie
from gongfu.ingest.mqtt.codec.encoding import encode
from gongfu.ingest.mqtt.codec.packets import MQTT_3_1_1, MQTT_5, Disconnect
from gongfu.ingest.mqtt.codec.reasons import Reason
from gongfu.ingest.mqtt.server.context import DoorContext
from gongfu.ingest.mqtt.server.dialogue import Dialogue
from gongfu.ingest.mqtt.server.publishing import Route
from gongfu.ingest.mqtt.server.unacknowledged import Unacknowledged
from gongfu.ingest.types import Writer

if TYPE_CHECKING:
    from gongfu.ingest.mqtt.server.connection import Connection

# A CONNECT holds at most five fields of 65,535 bytes and properties.
MAX_CONNECT = 400_000
CONNECT_SECONDS = 10.0
WRITE_HIGH = 256 * 1024
# Unacknowledged publishes of one MQTT 3.1.1 client, which knows no receive maximum.
MAX_PENDING = 8192
FLUSH_BYTES = 64 * 1024
# Empty ones shared by all, an own one when needed: most of a million connections are idle.
NO_ROUTES: dict[bytes, Route] = {}
NO_ORDER: deque[Unacknowledged] = deque(maxlen=0)
NO_TRIE: SubscriptionTrie[Session] = SubscriptionTrie()


class ClientSocket(asyncio.Protocol):
    """State of a connection, the life of its transport, and all that is written; ``Connection`` reads.

    Attributes:
        context: of the front door.
        dialogue: what has been agreed with the client.
        out: packets to write at the end of this turn, which has then been arranged; None while there is nothing.
        routes: topic bytes to what they mean for this client, filled by the dialogue.
        behind: acknowledgements in ``order`` that wait for one before them, and one more while the socket is not read
            until some are out.
        order: pending acknowledgements in the order of their PUBLISH packets, as ``Unacknowledged``.
        account: what the device may send and has sent, from CONNECT on.
        queued: waits in line (``FairReader``) and is not read.
        delayed: why it waits and since when (loop time).
        cost: what the last slice has cost (bytes and ``PACKET_BYTES`` a packet) if it waited in line.
        slot: its slot of the keep-alive wheel.
    """

    dialogue: Dialogue

    __slots__ = (
        "_buffer",
        "_closed",
        "_connect_timer",
        "_held",
        "_need",
        "_out_bytes",
        "_packets",
        "_part",
        "_paused",
        "_position",
        "_stalled",
        "_transport",
        "account",
        "active",
        "aliases",
        "behind",
        "congested",
        "context",
        "cost",
        "delayed",
        "dialogue",
        "limit",
        "maximum_packet",
        "order",
        "out",
        "queued",
        "receive_maximum",
        "routes",
        "send_maximum",
        "slot",
        "trie",
        "version",
        "waiting",
        "writer",
    )

    def __init__(self, context: DoorContext) -> None:
        self.context = context
        self._transport: asyncio.Transport | None = None
        self._buffer = b""  # bytes held back while reading is paused, from _position on
        self._position = 0
        self._part: bytearray | None = None  # an incomplete packet of _need bytes
        self._need = 0
        self.out: list[bytes] | None = None
        self._out_bytes = 0
        self._paused = False
        self._stalled = False  # until acknowledgements have gone out
        self.behind = 0
        self._closed = False
        self._connect_timer: asyncio.TimerHandle | None = None
        self.waiting = False  # for the authenticator
        self.active = context.time()
        self.slot: set[Connection] | None = None
        self.version = MQTT_3_1_1
        self.limit = MAX_CONNECT
        self.receive_maximum = MAX_PENDING
        self.send_maximum = 1
        self.maximum_packet = 268_435_460
        self.congested = False
        self.aliases = False
        self.writer: Writer | None = None
        self.routes = NO_ROUTES
        self.trie: SubscriptionTrie[Session] = NO_TRIE
        self.order = NO_ORDER
        self.account: Account | None = None
        self.queued = False
        self.delayed: tuple[str, float] = ("", 0.0)
        self.cost = 0
        self._packets = 0  # of the last slice
        self._held = 0  # bytes held back, as the account has them

    # --- transport -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket is open; the client has ten seconds to send CONNECT."""
        self._transport = cast(asyncio.Transport, transport)
        context = self.context
        if context.stopping or context.sockets >= context.max_connections:
            context.counters.add("connections_refused.limit")
            self._closed = True
            self._transport.abort()
            return
        context.others.add(cast("Connection", self))
        context.counters.add("connections_accepted")
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        self._connect_timer = context.loop.call_later(CONNECT_SECONDS, self._no_connect)

    def _no_connect(self) -> None:
        self.drop("connect_timeout")

    def connected(self) -> None:
        """CONNECT has been accepted: the time-out is off, what comes is charged to the device."""
        self._end_time_out()
        if self.writer is not None and not self._closed:
            self.account = self.context.admission.join(self.writer)

    def _end_time_out(self) -> None:
        if self._connect_timer is not None:
            self._connect_timer.cancel()
            self._connect_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._closed = True
        self.context.others.discard(cast("Connection", self))
        self.context.unwatch(cast("Connection", self))
        self._end_time_out()
        self.out = None
        self._buffer = b""
        self._part = None
        account = self.account
        if account is not None:
            account.held_bytes -= self._held
            self._held = 0
            self.context.admission.leave(account)
        self.dialogue.lost()

    def pause_writing(self) -> None:
        """The client does not read fast enough: deliveries wait in its queue."""
        self.congested = True

    def resume_writing(self) -> None:
        """The client has read."""
        self.congested = False
        session = self.dialogue.session
        if session is not None and session.waiting is not None:
            session.waiting.drain()
        if self._stalled and self.pending < MAX_PENDING:
            self._stalled = False
            self.behind -= 1
            self.context.loop.call_soon(self.go_on)

    def transport_info(self, name: str) -> Any:
        """Return what the transport knows, such as ``peername`` or ``ssl_object``."""
        return None if self._transport is None else self._transport.get_extra_info(name)

    @property
    def paused(self) -> bool:
        """True while the socket is not read."""
        return self._paused

    @property
    def ordered(self) -> deque[Unacknowledged]:
        """``order`` to append to."""
        if self.order is NO_ORDER:
            self.order = deque()
        return self.order

    def forget_order(self) -> None:
        """Give back the memory of an empty ``order``: it is more than half of what an idle connection takes."""
        self.order = NO_ORDER

    @property
    def pending(self) -> int:
        """Number of PUBLISH packets that are not acknowledged."""
        return len(self.order)

    @property
    def closed(self) -> bool:
        """True once nothing more will be sent."""
        return self._closed

    # --- out -----------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send bytes at the end of this turn of the event loop."""
        if self._closed:
            return
        out = self.out
        if out is None:
            self.out = [data]
            self.context.mark(cast("Connection", self))
        else:
            out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what has been sent so far."""
        out, self.out = self.out, None
        if out and not self._closed and self._transport is not None:
            self._transport.write(b"".join(out) if len(out) > 1 else out[0])
        self._out_bytes = 0

    def alias(self, topic: str) -> tuple[str, int]:
        """Return (topic to send, topic alias or 0) and remember a new alias."""
        return self.dialogue.alias(topic)

    def close(self, reason: Reason, detail: str = "") -> None:
        """Send a DISCONNECT where the protocol has one, and close."""
        if self._closed:
            return
        if self.version == MQTT_5 and self.dialogue.greeted:
            properties = {"reason_string": detail} if detail and self.dialogue.explains else {}
            self.send(encode(Disconnect(reason, properties), MQTT_5))
        self.drop(reason.name.lower())

    def drop(self, why: str) -> None:
        """Close after what has been sent so far, and count why."""
        if self._closed:
            return
        self.context.counters.add(f"connections_closed.{why}")
        self.flush()
        self._closed = True
        self.context.others.add(cast("Connection", self))  # until the socket is gone
        transport = self._transport
        if transport is not None:
            transport.close()
            if transport.get_write_buffer_size():
                # A peer that does not read would keep the socket for ever.
                self.context.loop.call_later(5, transport.abort)
        self.dialogue.lost()

    @abstractmethod
    def go_on(self) -> None:
        """Continue with what has been held back."""
