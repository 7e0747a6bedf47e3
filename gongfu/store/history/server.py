"""The history's HTTP server: ClickHouse's protocol on loopback, one thread a connection, bounded statements."""

import contextlib
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gongfu.kernel.counters import Counters
from gongfu.store.history import bodies
from gongfu.store.history import clickhouse_http as protocol
from gongfu.store.history.deployment import PART_OF_INSERT
from gongfu.store.history.engine import Engine, EngineError
from gongfu.store.history.external import ExternalError, ExternalTable, is_external, read_external

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 200
QUERY_SLOTS = 4
INSERT_SLOTS = 2
SLOT_WAIT_SECONDS = 20.0
IDLE_SECONDS = 300.0
DEFAULT_QUERY_SECONDS = 60
_HEAD_BYTES = 65536
# Rows of other tables (versions, marks of changed days, records) are not points.
_INTO_POINTS = re.compile(r"\bpoint_(?:double|int64|boolean|text)`?\s*(?:\(|\Z)")


class _Refused(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class HistoryServer(ThreadingHTTPServer):
    """Serves one engine to one user. Inserts have their own slots, so slow queries do not hold them up."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], engine: Engine, user: str, password: str, counters: Counters) -> None:
        self.engine = engine
        self.user = user
        self.password = password
        self.counters = counters
        self.draining = False
        self._queries = threading.BoundedSemaphore(QUERY_SLOTS)
        self._inserts = threading.BoundedSemaphore(INSERT_SLOTS)
        self._connections = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._counting = threading.Lock()
        self._running = 0
        self._idle = threading.Condition()
        super().__init__(address, _Handler)

    def count(self, name: str, n: int = 1) -> None:
        """Count from any thread."""
        with self._counting:
            self.counters.add(name, n)

    @contextlib.contextmanager
    def slot(self, *, insert: bool) -> Iterator[None]:
        """Hold one of the slots for statements of a kind."""
        slots = self._inserts if insert else self._queries
        if self.draining or not slots.acquire(timeout=SLOT_WAIT_SECONDS):
            raise _Refused(503, protocol.TOO_MANY_QUERIES, "Code: 202. Too many simultaneous queries")
        with self._idle:
            self._running += 1
        try:
            yield
        finally:
            slots.release()
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def drain(self, seconds: float) -> None:
        """Take no new statements and wait for running ones."""
        self.draining = True
        with self._idle:
            self._idle.wait_for(lambda: self._running == 0, timeout=seconds)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, or close it when there are too many."""
        if not self._connections.acquire(blocking=False):
            self.count("connections_refused")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a connection, without its data."""
        logger.debug("connection ended", exc_info=True)

    def server_bind(self) -> None:
        """Bind without a reverse name lookup."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    # Head and body of an answer leave in one write where they fit.
    wbufsize = 1 << 16
    server: HistoryServer  # pyright: ignore[reportIncompatibleVariableOverride]: narrower than the base class says

    def do_GET(self) -> None:
        """Answer ``/ping`` and read-only statements."""
        self._serve(read_only=True)

    def do_POST(self) -> None:
        """Answer statements and inserts."""
        self._serve(read_only=False)

    def do_HEAD(self) -> None:
        """Answer ``/ping`` without a body."""
        self._answer(200, {}, b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing per request: URLs may hold values."""

    def _serve(self, *, read_only: bool) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/ping":
            self._answer(200, {"Content-Type": "text/plain"}, b"Ok.\n")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        url = dict(parse_qsl(parts.query, keep_blank_values=True))
        descriptor = -1
        try:
            if not protocol.authenticated(headers, url, self.server.user, self.server.password):
                self.close_connection = True
                bodies.discard(self.rfile, headers)
                self.server.count("requests_rejected.authentication")
                raise _Refused(401, protocol.AUTHENTICATION_FAILED, "Code: 516. Authentication failed")
            descriptor, size = bodies.receive(self.rfile, headers)
            self._run(descriptor, size, url, headers, read_only=read_only)
        except _Refused as refused:
            self._fail(refused.status, refused.code, str(refused))
        except bodies.BodyError as error:
            self.close_connection = True
            self._fail(error.status, protocol.BAD_REQUEST, f"Code: {protocol.BAD_REQUEST}. {error}")
        except (protocol.ProtocolError, ExternalError) as error:
            self._fail(400, protocol.BAD_REQUEST, f"Code: {protocol.BAD_REQUEST}. {error}")
        except EngineError as error:
            self.server.count("statements_failed")
            self._fail(protocol.status_of(error.code), error.code, str(error))
        except OSError as error:
            self.close_connection = True
            logger.info("connection lost: %s", error)
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _run(
        self, descriptor: int, size: int, url: dict[str, str], headers: dict[str, str], *, read_only: bool
    ) -> None:
        external: list[ExternalTable] = []
        if is_external(headers):
            external, url = read_external(url, headers, os.pread(descriptor, size, 0))
            size = 0
        head = os.pread(descriptor, min(size, _HEAD_BYTES), 0)
        statement = protocol.read_statement(url, headers, head)
        if statement.insert_form and not read_only:
            with self.server.slot(insert=True):
                # The engine reads on from where the data starts: its own descriptor begins at offset 0.
                data = _tail(descriptor, statement.data_start, size)
                try:
                    answer = self.server.engine.insert(
                        statement.sql,
                        statement.insert_form,
                        data,
                        settings=statement.settings,
                        database=statement.database,
                    )
                finally:
                    if data != descriptor:
                        os.close(data)
            self.server.count("inserts")
            if _INTO_POINTS.search(statement.sql):
                self.server.count("points_inserted", answer.rows)
        else:
            if size > len(head):
                statement = protocol.read_statement(url, headers, os.pread(descriptor, size, 0))
            settings = {"max_execution_time": str(DEFAULT_QUERY_SECONDS), **statement.settings}
            # readonly=2 of a client means: settings may change; the strict kind refuses file() and url() as well.
            strict = read_only or settings.pop("readonly", "0") != "0"
            comment = settings.pop("log_comment", "")
            with self.server.slot(insert=comment == PART_OF_INSERT["log_comment"]):
                answer = self.server.engine.run(
                    statement.sql,
                    statement.form,
                    parameters=statement.parameters,
                    settings=settings,
                    database=statement.database,
                    read_only=strict,
                    external=external,
                )
            self.server.count("queries")
        self._answer(200, protocol.answer_headers(statement, answer.rows, answer.bytes_read), answer.data)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _fail(self, status: int, code: int, message: str) -> None:
        headers = {"Content-Type": "text/plain; charset=UTF-8", "X-ClickHouse-Exception-Code": str(code)}
        if status == 503:
            headers["Retry-After"] = "1"
        with contextlib.suppress(OSError):
            self._answer(status, headers, message.encode())

    def version_string(self) -> str:
        """Name of the server in the answer's head."""
        return "gongfu-history"


def _tail(descriptor: int, start: int, size: int) -> int:
    """Return a descriptor of a memory file with the bytes from ``start`` on; the same one when that is all."""
    if start == 0:
        return descriptor
    tail = bodies.memory_file("gongfu-history-data")
    position = start
    while position < size:
        position += os.sendfile(tail, descriptor, position, size - position)
    return tail
