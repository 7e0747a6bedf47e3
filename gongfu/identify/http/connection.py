"""One connection of an HTTP client: requests one after the other, answered in order, with limits on what it holds."""

import asyncio
import logging
from collections.abc import Awaitable
from inspect import isawaitable
from typing import TYPE_CHECKING, cast

from gongfu.identify.http.heads import END, MAX_HEAD_BYTES, simple_request
from gongfu.identify.http.requests import RequestReader
from gongfu.identify.http.responses import of_problem, rest_of, status_line
from gongfu.identify.http.types import Request, Response
from gongfu.kernel.errors import Problem

if TYPE_CHECKING:
    from gongfu.identify.http.server import HttpServer

# Seconds: between requests, for a head, for a body, for reading an answer.
_IDLE_S, _HEAD_S, _BODY_S, _UNREAD_S = 60.0, 15.0, 120.0, 60.0
_UNREAD_BYTES = 256 * 1024
_CREDENTIALS = frozenset({"authorization", "cookie"})

logger = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """See the module."""

    def __init__(self, server: "HttpServer") -> None:
        """Make it."""
        self._server = server
        self._get = server.kept.get
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._buffer = bytearray()
        self._counted = 0
        self._reader: RequestReader | None = None
        self._later: asyncio.Task[None] | None = None
        self._writable = True
        self._eof = False
        # Nothing is begun: what comes next is a request from its first byte.
        self._idle = True
        self._since = 0.0
        self._unread_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        # uvloop's are no subclass of it.
        self._transport = cast(asyncio.Transport, transport)
        self._since = self._server.tick
        if not self._server.admit(self):
            self._transport.abort()
            return
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._transport.set_write_buffer_limits(high=_UNREAD_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio. What a request has begun goes on; nobody hears of it."""
        self._buffer.clear()
        self._reader = None
        self._account()
        self._server.leave(self)

    def pause_writing(self) -> None:
        """See asyncio: nothing more is answered until the client reads."""
        self._writable = self._idle = False
        self._unread_since = self._server.tick
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio."""
        self._writable = True
        self._since = self._server.tick
        if self._transport is not None and self._later is None:
            self._transport.resume_reading()
        self._go_on()

    def check(self, now: float) -> None:
        """Cut the connection off where its client is too slow; called every second."""
        reason = ""
        if not self._writable:
            reason = "unread" if now - self._unread_since > _UNREAD_S else ""
        elif self._later is not None:
            return
        elif self._reader is not None:
            reason = "slow-body" if now - self._since > _BODY_S else ""
        elif self._buffer:
            reason = "slow-head" if now - self._since > _HEAD_S else ""
        elif now - self._since > _IDLE_S:
            self.close()
            return
        if reason:
            self._server.counters.add(f"http_connections_dropped.{reason}")
            self.close()

    def close(self) -> None:
        """Cut the connection off."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answer what has come."""
        if self._idle:
            kept = self._get(data)
            if kept is not None and self._transport is not None:
                server = self._server
                self._since = server.tick
                server.kept_answers += 1
                if server.noted is not None:
                    server.noted(self._peer, _target(data))
                self._transport.write(server.ok + kept)
                return
            self._since = self._server.tick
        self._buffer += data
        self._go_on()

    def eof_received(self) -> bool:
        """See asyncio: the client sends no more; what it has asked is answered before the end."""
        self._eof = self._later is not None or not self._writable
        return self._eof

    def _go_on(self) -> None:
        while self._buffer and self._later is None and self._writable and not self._ended():
            try:
                if not self._step():
                    break
            except Problem as problem:
                self._server.counters.add(f"http_requests_rejected.{problem.code}")
                self._buffer.clear()
                self._reader = None
                self._answer(of_problem(problem), is_head=False, keeps=False)
        self._account()
        self._idle = not self._buffer and self._reader is None and self._later is None and self._writable
        if self._eof and self._later is None and self._writable and self._transport is not None:
            self._transport.close()

    def _account(self) -> None:
        held = len(self._buffer) + (self._reader.size if self._reader is not None else 0)
        self._server.held += held - self._counted
        self._counted = held
        if held and self._server.is_full and not self._ended():
            self._server.counters.add("http_connections_dropped.memory")
            self.close()

    def _step(self) -> bool:
        """Take one request, or a part of one; returns False where more has to come first.

        Raises:
            Problem: it is none.
        """
        if self._reader is None:
            while self._buffer[:2] == b"\r\n":
                # As older clients send behind a body (RFC 9112 §2.2).
                del self._buffer[:2]
            end = self._buffer.find(END)
            if end < 0 or end > MAX_HEAD_BYTES:
                if len(self._buffer) > MAX_HEAD_BYTES:
                    raise Problem(431, "head-too-large", "The request's head is too large", f"{MAX_HEAD_BYTES:,} bytes")
                return False
            head = bytes(self._buffer[: end + len(END)])
            kept = self._get(head)
            if kept is not None and self._transport is not None:
                del self._buffer[: len(head)]
                self._server.kept_answers += 1
                if self._server.noted is not None:
                    self._server.noted(self._peer, _target(head))
                self._transport.write(self._server.ok + kept)
                return True
            simple = simple_request(head, self._peer)
            if simple is not None:
                del self._buffer[: len(head)]
                self._dispatch(*simple, keeps=True, head=head)
                return True
            self._reader = RequestReader(self._peer, self._server.most_of)
            self._since = self._server.tick
        data = bytes(self._buffer)
        self._buffer.clear()
        whole = self._reader.feed(data, self._write)
        if whole is None:
            return False
        self._reader = None
        self._buffer += whole.rest
        self._dispatch(whole.request, whole.is_head, keeps=whole.keeps)
        return True

    def _dispatch(self, request: Request, is_head: bool, *, keeps: bool, head: bytes = b"") -> None:
        """Answer a request; ``head`` is all of it where its answer may be kept."""
        self._since = self._server.tick
        try:
            answer = self._server.face_of(request.path)(request)
        except Exception as error:
            answer = _failed(request, error)
        if isawaitable(answer):
            self._wait(request, answer, is_head, keeps)
            return
        assert isinstance(answer, Response)
        self._note(request, answer)
        kept = head if answer.depends and not _CREDENTIALS & request.headers.keys() else b""
        self._answer(answer, is_head=is_head, keeps=keeps, kept=kept)

    def _note(self, request: Request, response: Response) -> None:
        if self._server.noted is not None and request.method == "GET" and 200 <= response.status < 400:
            self._server.noted(self._peer, request.target.encode())

    def _wait(self, request: Request, answer: Awaitable[Response], is_head: bool, keeps: bool) -> None:
        async def later() -> None:
            try:
                response = await answer
            except Exception as error:
                response = _failed(request, error)
            self._later = None
            self._note(request, response)
            self._answer(response, is_head=is_head, keeps=keeps)
            if self._transport is not None and not self._ended() and self._writable:
                self._transport.resume_reading()
            self._go_on()

        if self._transport is not None:
            self._transport.pause_reading()
        self._later = asyncio.get_running_loop().create_task(later())
        self._server.keep(self._later)

    def _answer(self, response: Response, *, is_head: bool, keeps: bool, kept: bytes = b"") -> None:
        self._since = self._server.tick
        try:
            rest = rest_of(response, without_body=is_head, closes=not keeps)
        except ValueError:
            logger.exception("a response could not be sent")
            response = of_problem(Problem(500, "internal", "Internal error"))
            rest, kept = rest_of(response, without_body=is_head, closes=not keeps), b""
        self._server.counters.add(f"http_answers.{response.status}")
        if response.status == 200:
            if kept:
                self._server.kept.put(kept, rest, response.depends)
            self._write(self._server.ok + rest)
        else:
            self._write(status_line(response.status) + self._server.date + rest)
        if not keeps and self._transport is not None:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if not self._ended() and self._transport is not None:
            self._transport.write(data)

    def _ended(self) -> bool:
        return self._transport is None or self._transport.is_closing()


def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return of_problem(error)
    logger.error("%s %s failed", request.method, request.path[:200], exc_info=error)
    return of_problem(Problem(500, "internal", "Internal error"))


def _target(head: bytes) -> bytes:
    """Return the target of a request, from the bytes of its head."""
    return head[: head.find(b"\r")].split(b" ", 2)[1]
