"""Handle requests over UDP and TCP, by custom on port 2641 (RFC 3652 §2.1).

A client gets an answer to whatever has an envelope; what has none is counted and, over TCP, ends the connection.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import cast

from gongfu.identify.handle.answering import Answering, envelope_of
from gongfu.identify.handle.codes import OpFlag, ResponseCode
from gongfu.identify.handle.datagrams import Assembly, packets
from gongfu.identify.handle.envelope import ENVELOPE_BYTES, Envelope, decode_envelope, encode_envelope
from gongfu.identify.handle.wire import MalformedError
from gongfu.kernel.counters import Counters

# Messages in several packets that are being put together; each at most this large. More than that comes over TCP.
_ASSEMBLIES = 1000
_ASSEMBLY_BYTES = 64 * 1024
_IDLE_S = 60.0
_CONNECTIONS = 10_000
# What a client does not read; more, and it is cut off.
_UNREAD_BYTES = 4 * 1024 * 1024
_FLAGS = slice(8, 12)

logger = logging.getLogger(__name__)

Address = tuple[str, int]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answering: Answering, counters: Counters) -> None:
        self._answering = answering
        self._counters = counters
        self._transport: asyncio.DatagramTransport | None = None
        self._assemblies: OrderedDict[tuple[Address, int, int], Assembly] = OrderedDict()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own is no subclass of it.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        try:
            envelope = decode_envelope(data)
            message = self._whole(envelope, data[ENVELOPE_BYTES:], addr)
        except MalformedError as error:
            # Without a sure envelope there is nobody to answer: who sends nonsense must not get more back.
            self._counters.add(f"handle_requests_dropped.{error.reason}")
            return
        if message is None or self._transport is None:
            return
        answer = _answer(self._answering, message)
        for packet in packets(envelope_of(envelope, len(answer)), answer) if answer else ():
            self._transport.sendto(packet, addr)

    def _whole(self, envelope: Envelope, data: bytes, addr: Address) -> bytes | None:
        if not envelope.truncated:
            if len(data) != envelope.length:
                raise MalformedError("length", f"{len(data)} of {envelope.length} bytes")
            return data
        if envelope.length > _ASSEMBLY_BYTES:
            raise MalformedError("length", "so long a message comes over TCP")
        key = addr, envelope.session, envelope.request
        assembly = self._assemblies.get(key)
        if assembly is None:
            while len(self._assemblies) >= _ASSEMBLIES:
                self._assemblies.popitem(last=False)
                self._counters.add("handle_requests_dropped.incomplete")
            assembly = self._assemblies[key] = Assembly(envelope.length)
        message = assembly.add(envelope, data)
        if message is not None:
            del self._assemblies[key]
        return message

    def error_received(self, exc: Exception) -> None:
        self._counters.add("handle_datagrams_unreachable")


class _Connection(asyncio.Protocol):
    def __init__(self, answering: Answering, counters: Counters, open_connections: "set[_Connection]") -> None:
        self._answering = answering
        self._counters = counters
        self._all = open_connections
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._all.add(self)
        if len(self._all) > _CONNECTIONS:
            self._counters.add("handle_connections_refused")
            transport.abort()
            return
        transport.set_write_buffer_limits(high=_UNREAD_BYTES)
        self._heard = asyncio.get_running_loop().time()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._counters.add("handle_connections_dropped.slow")
        self.close()

    def close(self) -> None:
        """Cut the connection off."""
        if self._transport is not None:
            self._transport.abort()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._heard >= _IDLE_S:
            self.close()
        else:
            self._timer = loop.call_at(self._heard + _IDLE_S, self._watch)

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._buffer += data
        try:
            self._take()
        except MalformedError as error:
            self._counters.add(f"handle_requests_dropped.{error.reason}")
            self._end()

    def _take(self) -> None:
        """Answer all messages that are whole.

        Raises:
            MalformedError: what comes next has no envelope.
        """
        while len(self._buffer) >= ENVELOPE_BYTES and self._transport is not None and not self._transport.is_closing():
            envelope = decode_envelope(bytes(self._buffer[:ENVELOPE_BYTES]))
            end = ENVELOPE_BYTES + envelope.length
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[ENVELOPE_BYTES:end])
            del self._buffer[:end]
            answer = _answer(self._answering, message)
            if answer is None:
                continue
            self._transport.write(encode_envelope(envelope_of(envelope, len(answer))) + answer)
            if not int.from_bytes(message[_FLAGS], "big") & OpFlag.KEEP_CONNECTION:
                self._end()

    def _end(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _answer(answering: Answering, message: bytes) -> bytes | None:
    try:
        return answering.answer(message)
    except Exception:
        logger.exception("a Handle request failed")
        return answering.refuse(ResponseCode.ERROR, "internal error")


class HandleServer:
    """Listens on one address, UDP and TCP, on the same port."""

    def __init__(self, answering: Answering, counters: Counters) -> None:
        """Make it; see ``start``."""
        self._answering = answering
        self._counters = counters
        self._datagrams: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 2641) -> int:
        """Listen; port 0 takes a free one. Returns the port.

        Raises:
            OSError: the address is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._answering, self._counters, self._connections), host, port
        )
        port = self._server.sockets[0].getsockname()[1]
        try:
            self._datagrams, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self._answering, self._counters), local_addr=(host, port)
            )
        except OSError:
            await self.stop()
            raise
        return port

    async def stop(self) -> None:
        """End; connections are cut off."""
        if self._datagrams is not None:
            self._datagrams.close()
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()
        if self._server is not None:
            await self._server.wait_closed()
