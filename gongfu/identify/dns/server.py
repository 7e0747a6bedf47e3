"""DNS over UDP and TCP on one address (RFC 1035 §4.2, RFC 7766)."""

import asyncio
import logging
import socket
from collections.abc import Awaitable

from gongfu.identify.dns.answering import DnsAnswering
from gongfu.identify.dns.message import HEADER_BYTES, Answer, Query, Rcode, write_answer
from gongfu.kernel.counters import Counters

# Queries read before others on the loop have their turn.
_AT_ONCE = 64
_QUERY_BYTES = 4096
_RECEIVE_BYTES = 4 * 1024 * 1024
# Questions that wait for other nodes; more are answered with SERVFAIL.
_WAITING = 1000
_CONNECTIONS = 1000
_IDLE_S = 10.0
_UNREAD_BYTES = 1024 * 1024
_LENGTH_BYTES = 2

logger = logging.getLogger(__name__)

Address = tuple[str, int] | tuple[str, int, int, int]


class _Answers:
    """Answers of both transports."""

    def __init__(self, answering: DnsAnswering, counters: Counters) -> None:
        self._answering = answering
        self.counters = counters
        self.waiting: set[asyncio.Task[None]] = set()

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

    async def later(self, data: bytes, answer: Awaitable[bytes]) -> bytes:
        try:
            return await answer
        except Exception:
            logger.exception("a DNS query failed")
            return self.failed(data)


class _Datagrams:
    """Reads the socket itself: many queries a wake-up, and no protocol object between them and the answer."""

    def __init__(self, opened: socket.socket, answers: _Answers) -> None:
        self._socket = opened
        self._answers = answers

    def ready(self) -> None:
        """Answer what has come."""
        receive, send, answer_of = self._socket.recvfrom, self._socket.sendto, self._answers.of
        for _ in range(_AT_ONCE):
            try:
                data, address = receive(_QUERY_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # What a client's host says of an answer that it did not want.
                self._answers.counters.add("dns_datagrams_unreachable")
                continue
            answer = answer_of(data)
            if type(answer) is bytes:
                try:
                    send(answer, address)
                except OSError:
                    self._answers.counters.add("dns_answers_dropped.not-sent")
            elif answer is not None:
                self._later(data, answer, address)

    def _later(self, data: bytes, answer: Awaitable[bytes] | bytes, address: Address) -> None:
        assert not isinstance(answer, bytes)

        async def send() -> None:
            self._send(await self._answers.later(data, answer), address)

        waiting = self._answers.waiting
        if len(waiting) >= _WAITING:
            _close(answer)
            self._answers.counters.add("dns_answers_shed.waiting")
            self._send(self._answers.failed(data), address)
            return
        task = asyncio.get_running_loop().create_task(send())
        waiting.add(task)
        task.add_done_callback(waiting.discard)

    def _send(self, answer: bytes, address: Address) -> None:
        try:
            self._socket.sendto(answer, address)
        except OSError:
            self._answers.counters.add("dns_answers_dropped.not-sent")


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
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
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
        elif len(self._answers.waiting) >= _WAITING:
            _close(answer)
            self._answers.counters.add("dns_answers_shed.waiting")
            self._write(self._answers.failed(query))
        else:
            # Answers may overtake one another (RFC 7766 §7): the client knows them by their number.
            task = asyncio.get_running_loop().create_task(self._write_later(query, answer))
            self._answers.waiting.add(task)
            task.add_done_callback(self._answers.waiting.discard)

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
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._answers, self._connections), host, port)
        port = self._server.sockets[0].getsockname()[1]
        opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            opened.bind((host, port))
        except OSError:
            opened.close()
            await self.stop()
            raise
        self._socket = opened
        loop.add_reader(opened, _Datagrams(opened, self._answers).ready)
        return port

    async def stop(self) -> None:
        """End; connections are cut off, questions that wait for other nodes are given up."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()
        for task in list(self._answers.waiting):
            task.cancel()
        await asyncio.gather(*self._answers.waiting, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
