"""The identifier service's HTTP, on raw sockets: resolving is most of what it does, and a web framework costs more than
an answer. Faces are mounted below paths; which of them answers a request is decided by its path alone."""

import asyncio
from collections.abc import Callable, Mapping
from email.utils import formatdate
from types import MappingProxyType

from gongfu.identify.handle.answer_cache import AnswerCache
from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.http.connection import Connection
from gongfu.identify.http.responses import status_line
from gongfu.identify.http.types import Face, Request, Response
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import not_found

BODY_BYTES = 1024 * 1024
_CONNECTIONS = 10_000
# Of requests that are not whole, of all connections together.
_HELD_BYTES = 256 * 1024 * 1024
_BACKLOG = 1024


def _nothing(request: Request) -> Response:
    problem = not_found(request.path[:200])
    # Clients of the Handle System's HTTP interface read nothing else of any answer.
    problem.extra["responseCode"] = int(ResponseCode.SERVER_NOT_RESPONDING)
    raise problem


class HttpServer:
    """Listens on one address.

    Attributes:
        counters: ``http_answers.<status>``, ``http_answers_kept``, ``http_requests_rejected.<code>``,
            ``http_connections_dropped.<reason>``.
        kept: answers that are given again.
        tick: seconds of the loop's clock, to the second.
        ok: first lines of a response with status 200.
        date: the date line.
        held: bytes of requests that are not whole.
        kept_answers: how often a kept answer was given, until it is counted.
    """

    def __init__(self, counters: Counters, *, kept: AnswerCache | None = None) -> None:
        """Make it; see ``mount`` and ``start``."""
        self.counters = counters
        self.kept = kept if kept is not None else AnswerCache()
        self.tick = 0.0
        self.ok = self.date = b""
        self.held = 0
        self.kept_answers = 0
        # Is told of each GET that was answered with 200 or a redirection: who sent it, and the target.
        self.noted: Callable[[str, bytes], None] | None = None
        self._faces: dict[str, tuple[Face, int]] = {}
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def faces(self) -> Mapping[str, tuple[Face, int]]:
        """What is mounted: face and greatest body, by path."""
        return MappingProxyType(self._faces)

    def mount(self, path: str, face: Face, *, body_bytes: int = BODY_BYTES) -> None:
        """Let a face answer the requests at and below a path; the longest that fits counts.

        Args:
            path: such as ``/api/handles``; "" is all that is nobody else's.
            face: what answers.
            body_bytes: the most that the body of a request may have.
        """
        self._faces[path.rstrip("/")] = face, body_bytes

    def face_of(self, path: str) -> Face:
        """Return what answers the requests for a path."""
        return self._mounted(path)[0]

    def most_of(self, path: str) -> int:
        """Return the most bytes that the body of a request for a path may have."""
        return self._mounted(path)[1]

    def _mounted(self, path: str) -> tuple[Face, int]:
        at = path.rstrip("/")
        while at:
            found = self._faces.get(at)
            if found is not None:
                return found
            at = at.rpartition("/")[0]
        return self._faces.get("", (_nothing, 0))

    async def start(self, host: str = "127.0.0.1", port: int = 2642) -> int:
        """Listen; port 0 takes a free one. Returns the port.

        Raises:
            OSError: the address is taken.
        """
        self._every_second()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=_BACKLOG)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End; connections are cut off."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for connection in list(self._connections):
            connection.close()
        if self._server is not None:
            await self._server.wait_closed()
        self._count_kept()

    def changed(self, handles: frozenset[str], prefixes: frozenset[str]) -> None:
        """Forget answers that may be wrong now: for ``Identifiers.watch``."""
        if prefixes:
            self.kept.clear()
        else:
            self.kept.forget(handles)

    @property
    def is_full(self) -> bool:
        """Whether requests that are not whole hold as many bytes as they may."""
        return self.held > _HELD_BYTES

    def admit(self, connection: Connection) -> bool:
        """Return whether there is room for a connection that was made."""
        if len(self._connections) >= _CONNECTIONS:
            self.counters.add("http_connections_refused")
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._connections.discard(connection)

    def keep(self, task: asyncio.Task[None]) -> None:
        """Keep what answers later from being collected before it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _count_kept(self) -> None:
        if self.kept_answers:
            self.counters.add("http_answers.200", self.kept_answers)
            self.counters.add("http_answers_kept", self.kept_answers)
            self.kept_answers = 0

    def _every_second(self) -> None:
        loop = asyncio.get_running_loop()
        self.tick = loop.time()
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        self.ok = status_line(200) + self.date
        self._count_kept()
        for connection in list(self._connections):
            connection.check(self.tick)
        self._timer = loop.call_later(1.0, self._every_second)
