"""Statements that read, over kept HTTP connections: what a small read needs, for a sixth of the driver's CPU time.

clickhouse-connect takes 1.2 ms of CPU for a request, as much as reading an hour of a series in the engine. Inserts,
statements of users and everything that is not read as it is stay with it.
"""

import base64
import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from urllib.parse import SplitResult, urlencode

# As many as threads that read; more are closed after use.
KEPT_CONNECTIONS = 8
# A host that is off drops what is sent to it: that is known sooner than a slow answer.
CONNECT_SECONDS = 5.0


class StatementRefused(Exception):
    """The server refused or failed a statement.

    Attributes:
        code: ClickHouse error code, 0 when the server gave none.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class ServerAway(Exception):
    """The server does not answer, or its answer breaks off; ``code`` is 0 as that of a failed connection."""

    code = 0


class _Unanswered(Exception):
    """A connection ended before an answer began."""


class StatementConnections:
    """Connections to one server, kept between statements. Safe to use from several threads; blocks."""

    def __init__(self, url: SplitResult, user: str, password: str, seconds: float) -> None:
        """Remember where the server is; nothing is opened yet. ``seconds`` is the longest wait for an answer."""
        self._secure = url.scheme == "https"
        self._host = url.hostname or "127.0.0.1"
        self._port = url.port or (8443 if self._secure else 8123)
        self._seconds = seconds
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._head = f"HTTP/1.1\r\nHost: {host}:{self._port}\r\nAuthorization: Basic {credentials}\r\nContent-Length: "
        self._kept: list[socket.socket] = []
        self._lock = threading.Lock()

    def read(self, statement: str, settings: Mapping[str, object], form: str) -> bytes:
        """Return the result of a statement that changes nothing, in an output format.

        Raises:
            StatementRefused: the server's own message and code.
            ServerAway: no answer, or not the whole of it.
        """
        parameters = {"default_format": form, "cancel_http_readonly_queries_on_client_close": 1, **settings}
        body = statement.encode()
        # In one piece, and so one packet where it fits.
        request = f"POST /?{urlencode(parameters)} {self._head}{len(body)}\r\n\r\n".encode() + body
        try:
            # A kept connection may have been closed by the server since; a statement that reads may be sent again. Not
            # one whose answer broke off: it has been carried out, and would be once for each connection.
            while (connection := self._taken()) is not None:
                with contextlib.suppress(_Unanswered):
                    return self._answer(connection, request)
            return self._answer(self._opened(), request)
        except (OSError, http.client.HTTPException, _Unanswered) as error:
            raise ServerAway(f"no answer: {type(error).__name__} {error}"[:300]) from None

    def close(self) -> None:
        """Close the connections that are kept; a later statement opens one."""
        with self._lock:
            kept, self._kept = self._kept, []
        for connection in kept:
            connection.close()

    def _opened(self) -> socket.socket:
        opened = socket.create_connection((self._host, self._port), min(CONNECT_SECONDS, self._seconds))
        opened.settimeout(self._seconds)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if not self._secure:
            return opened
        return ssl.create_default_context().wrap_socket(opened, server_hostname=self._host)

    def _taken(self) -> socket.socket | None:
        with self._lock:
            return self._kept.pop() if self._kept else None

    def _answer(self, connection: socket.socket, request: bytes) -> bytes:
        whole = False
        try:
            answer = http.client.HTTPResponse(connection, method="POST")
            try:
                connection.sendall(request)
                answer.begin()
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException) as error:
                raise _Unanswered(f"{type(error).__name__} {error}") from None
            if not answer.chunked and answer.length is None:
                # http.client takes the end of the connection for the end of the head, and of the answer.
                raise http.client.IncompleteRead(b"")
            content = answer.read()
            whole = not answer.will_close
        finally:
            if whole:
                with self._lock:
                    if whole := len(self._kept) < KEPT_CONNECTIONS:
                        self._kept.append(connection)
            if not whole:
                connection.close()
        code = answer.getheader("X-ClickHouse-Exception-Code", "")
        if answer.status != 200 or code:
            message = content[:4000].decode(errors="replace") or f"HTTP status {answer.status}"
            raise StatementRefused(message, int(code) if code.isdigit() else 0)
        return content
