"""DNS over UDP and TCP on one address (RFC 1035 §4.2, RFC 7766)."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Coroutine
from typing import Any, cast

from gongfu.identify.datagram_socket import Address, DatagramSocket, open_datagram_socket
from gongfu.identify.dns.answering import DnsAnswering
from gongfu.identify.dns.message import HEADER_BYTES, Answer, Query, Rcode, write_answer
from gongfu.kernel.counters import Counters

_QUERY_BYTES = 4096
# Questions that wait for other nodes; more are answered with SERVFAIL.
_WAITING = 1000
_CONNECTIONS = 1000
_IDLE_S = 10.0
_UNREAD_BYTES = 1024 * 1024
_LENGTH_BYTES = 2
_ATTEMPTS = 10

logger = logging.getLogger(__name__)


class _Answers:
    """Answers of both transports."""

    def __init__(self, answering: DnsAnswering, counters: Counters) -> None:
        self._answering = answering
        self.counters = counters
        self.waiting: set[asyncio.Task[None]] = set()
        self.at_once = answering.kept
        self.answering = answering

    def of(self, data: bytes, *, stream: bool = False) -> bytes | Awaitable[bytes] | None:
        """Return the answer; SERVFAIL where it has failed."""
        try:
            return self._answering.answer(data, stream=stream)
        except Exception:
            logger.exception("a DNS query failed")
            return self.failed(data)

    def failed(self, data: bytes) -> bytes:
        self.counters.add("dns_answers.servfail")
        number, flags = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
        return write_answer(Query(number, flags), Answer(Rcode.SERVFAIL, authoritative=False), 512)

    def full(self) -> bool:
        """Return whether too many questions wait for other nodes already; one more is then shed."""
        if len(self.waiting) < _WAITING:
            return False
        self.counters.add("dns_answers_shed.waiting")
        return True

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a question wait for other nodes."""
        task = asyncio.get_running_loop().create_task(work)
        self.waiting.add(task)
        task.add_done_callback(self.waiting.discard)

    async def later(self, data: bytes, answer: Awaitable[bytes]) -> bytes:
        try:
            return await answer
        except Exception:
            logger.exception("a DNS query failed")
            return self.failed(data)


class _Datagrams:
    """Questions that came over UDP."""

    def __init__(self, opened: socket.socket, answers: _Answers) -> None:
        self._answers = answers
        made = answers.answering.made
        self._socket = DatagramSocket(opened, answers.at_once, self._slow, answers.counters, "dns", made=made)
        self._socket.noted = answers.answering.noted
        self.ready = self._socket.ready

    def _slow(self, data: bytes, address: Address) -> None:
        """Answer what is not in memory."""
        answer = self._answers.of(data)
        if isinstance(answer, bytes):
            self._socket.send(answer, address)
        elif answer is not None and self._answers.full():
            _close(answer)
            self._socket.send(self._answers.failed(data), address)
        elif answer is not None:
            self._answers.keep(self._later(data, answer, address))

    async def _later(self, data: bytes, answer: Awaitable[bytes], address: Address) -> None:
        self._socket.send(await self._answers.later(data, answer), address)


def _close(answer: Awaitable[bytes]) -> None:
    if asyncio.iscoroutine(answer):
        answer.close()


class _Connection(asyncio.Protocol):
    def __init__(self, answers: _Answers, connections: "set[_Connection]") -> None:
        self._answers = answers
        self._all = connections
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's own is no subclass of it.
        transport = self._transport = cast(asyncio.Transport, transport)
        self._all.add(self)
        if len(self._all) > _CONNECTIONS:
            self._answers.counters.add("dns_connections_refused")
            transport.abort()
            return
        transport.set_write_buffer_limits(high=_UNREAD_BYTES)
        self._heard = asyncio.get_running_loop().time()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._answers.counters.add("dns_connections_dropped.slow")
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
        while len(self._buffer) >= _LENGTH_BYTES:
            size = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if not HEADER_BYTES <= size <= _QUERY_BYTES:
                self._answers.counters.add("dns_queries_dropped.length")
                self.close()
                return
            if len(self._buffer) < _LENGTH_BYTES + size:
                return
            query = bytes(self._buffer[_LENGTH_BYTES : _LENGTH_BYTES + size])
            del self._buffer[: _LENGTH_BYTES + size]
            self._take(query)

    def _take(self, query: bytes) -> None:
        answer = self._answers.of(query, stream=True)
        if answer is None:
            self.close()
        elif isinstance(answer, bytes):
            self._write(answer)
        elif self._answers.full():
            _close(answer)
            self._write(self._answers.failed(query))
        else:
            # Answers may overtake one another (RFC 7766 §7): the client knows them by their number.
            self._answers.keep(self._write_later(query, answer))

    async def _write_later(self, query: bytes, answer: Awaitable[bytes]) -> None:
        self._write(await self._answers.later(query, answer))

    def _write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(len(answer).to_bytes(_LENGTH_BYTES, "big") + answer)


class DnsServer:
    """Listens on one address, UDP and TCP, on the same port."""

    def __init__(self, answering: DnsAnswering, counters: Counters) -> None:
        """Make it; see ``start``."""
        self._answers = _Answers(answering, counters)
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 2653) -> int:
        """Listen; port 0 takes a free one. Returns the port.

        Raises:
            OSError: the address is taken.
        """
        # A port that is free for TCP may be somebody's for UDP.
        attempts = 1 if port else _ATTEMPTS
        while True:
            attempts -= 1
            try:
                return await self._listen(host, port)
            except OSError:
                await self.stop()
                if not attempts:
                    raise

    async def _listen(self, host: str, port: int) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._answers, self._connections), host, port)
        port = self._server.sockets[0].getsockname()[1]
        self._socket = open_datagram_socket(host, port)
        loop.add_reader(self._socket, _Datagrams(self._socket, self._answers).ready)
        return port

    async def stop(self) -> None:
        """End; connections are cut off, questions that wait for other nodes are given up."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()
        for task in list(self._answers.waiting):
            task.cancel()
        await asyncio.gather(*self._answers.waiting, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
