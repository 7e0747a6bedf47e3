"""Handle requests over TCP (RFC 3652 §2.1): one after the other, each answered before the next is read."""

import asyncio
import ipaddress
from typing import cast

from gongfu.identify.handle.answering import Answering, Later, Reply, envelope_of
from gongfu.identify.handle.codes import OpFlag
from gongfu.identify.handle.envelope import ENVELOPE_BYTES, Envelope, decode_envelope, encode_envelope
from gongfu.identify.handle.kept import answer_packet, kept_key, kept_value
from gongfu.identify.handle.wire import MalformedError

_IDLE_S = 60.0
# From the first byte of a message to its last.
_WHOLE_S = 30.0
_CONNECTIONS = 10_000
# What a client does not read; more, and it is cut off.
_UNREAD_BYTES = 4 * 1024 * 1024
# Of messages that are not whole, of all connections together.
_UNFINISHED_BYTES = 256 * 1024 * 1024
_WATCH_S = 15.0
# The first byte of the flags of a request's header, in its packet.
_FLAGS = ENVELOPE_BYTES + 8
_KEEPS = OpFlag.KEEP_CONNECTION >> 24


def client_of(peer: tuple[str, int] | None) -> bytes:
    """Return the address of a peer as bytes, as datagrams have it."""
    try:
        return ipaddress.ip_address(peer[0].partition("%")[0]).packed if peer else b""
    except ValueError:
        return b""


class Connections:
    """The connections that are open, and what they hold of unfinished messages."""

    def __init__(self, answering: Answering) -> None:
        """Make it."""
        self.answering = answering
        self.open: set[Connection] = set()
        self.unfinished = 0

    def make(self) -> "Connection":
        """Return the protocol of a new connection."""
        return Connection(self)

    def close(self) -> None:
        """Cut all off, and give up what is to be answered later."""
        for connection in list(self.open):
            connection.close()
            connection.cancel()


class Connection(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, connections: Connections) -> None:
        """Make it."""
        self._all = connections
        self._answering = connections.answering
        self._kept = connections.answering.kept
        self._counters = connections.answering.counters
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._counted = 0
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        # When the message began of which a part is in the buffer.
        self._began = 0.0
        self._later: asyncio.Task[None] | None = None
        self._client = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        # uvloop's are no subclass of it.
        self._transport = cast(asyncio.Transport, transport)
        self._all.open.add(self)
        self._client = client_of(transport.get_extra_info("peername"))
        if len(self._all.open) > _CONNECTIONS:
            self._counters.add("handle_connections_refused")
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=_UNREAD_BYTES)
        self._heard = asyncio.get_running_loop().time()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio. What the client has begun goes on; nobody hears of it."""
        self._all.open.discard(self)
        self._buffer.clear()
        self._account()
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        """See asyncio: the client does not read."""
        self._counters.add("handle_connections_dropped.slow")
        self.close()

    def close(self) -> None:
        """Cut the connection off."""
        if self._transport is not None:
            self._transport.abort()

    def cancel(self) -> None:
        """Give up what is to be answered later; a write that was begun is done none the less."""
        if self._later is not None:
            self._later.cancel()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._later is None and now >= self._ends():
            if self._buffer:
                self._counters.add("handle_connections_dropped.unfinished")
            self.close()
        else:
            self._timer = loop.call_later(_WATCH_S, self._watch)

    def _ends(self) -> float:
        idle = self._heard + _IDLE_S
        return min(idle, self._began + _WHOLE_S) if self._buffer else idle

    def data_received(self, data: bytes) -> None:
        """Answer what has come."""
        self._heard = asyncio.get_running_loop().time()
        if not self._buffer and self._later is None and self._transport is not None:
            kept = self._kept.get(kept_key(data))
            if kept is not None:
                self._counters.add("handle_answers.success")
                if self._answering.noted is not None:
                    self._answering.noted(self._client, data)
                self._transport.write(answer_packet(data, kept))
                if not data[_FLAGS] & _KEEPS:
                    self._end()
                return
            self._began = self._heard
        self._buffer += data
        self._go_on()

    def _go_on(self) -> None:
        try:
            self._take()
        except MalformedError as error:
            self._counters.add(f"handle_requests_dropped.{error.reason}")
            self._buffer.clear()
            self._end()
        self._account()

    def _account(self) -> None:
        self._all.unfinished += len(self._buffer) - self._counted
        self._counted = len(self._buffer)
        if self._counted and self._all.unfinished > _UNFINISHED_BYTES:
            self._counters.add("handle_connections_dropped.memory")
            self.close()

    def _take(self) -> None:
        """Answer all messages that are whole, up to one that is answered later.

        Raises:
            MalformedError: what comes next has no envelope.
        """
        while self._later is None and len(self._buffer) >= ENVELOPE_BYTES and not self._ended():
            envelope = decode_envelope(bytes(self._buffer[:ENVELOPE_BYTES]))
            end = ENVELOPE_BYTES + envelope.length
            if len(self._buffer) < end:
                return
            packet = bytes(self._buffer[:end])
            if self._answering.noted is not None:
                self._answering.noted(self._client, packet)
            del self._buffer[:end]
            self._began = self._heard
            reply = self._answering.answer(envelope, packet[ENVELOPE_BYTES:])
            if isinstance(reply, Reply):
                if reply.depends:
                    self._kept.put(kept_key(packet), kept_value(reply), (reply.depends,))
                self._send(envelope, reply, packet)
            elif reply is not None:
                self._wait(envelope, reply, packet)

    def _wait(self, envelope: Envelope, later: Later, packet: bytes) -> None:
        async def answer() -> None:
            reply = await later
            self._later = None
            self._send(envelope, reply, packet)
            if self._transport is not None and not self._ended():
                self._transport.resume_reading()
            self._go_on()

        if self._transport is not None:
            self._transport.pause_reading()
        self._later = asyncio.get_running_loop().create_task(answer())

    def _send(self, envelope: Envelope, reply: Reply, packet: bytes) -> None:
        if self._ended() or self._transport is None:
            return
        self._transport.write(encode_envelope(envelope_of(envelope, reply)) + reply.data)
        if not packet[_FLAGS] & _KEEPS:
            self._end()

    def _ended(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _end(self) -> None:
        if self._transport is not None:
            self._transport.close()
