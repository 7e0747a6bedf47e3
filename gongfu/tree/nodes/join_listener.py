"""The port at which children ask to join: HTTPS with the node's own authority.

``GET /v1/tree/authority`` is the certificate of that authority, ``POST /v1/tree/join`` takes a request and returns the
answer; refusals are problem+json with the reason as code. Whoever can reach the port may talk to it, so everything is
bounded: connections, their time, the bytes of a body, requests in a second.
"""

import asyncio
import contextlib
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable

import h11

from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.tree.membership.join_documents import MESSAGE_LIMIT
from gongfu.tree.nodes.join_client import AUTHORITY_PATH, JOIN_PATH, MEDIA_TYPE
from gongfu.tree.nodes.key_files import KeyFiles

CONNECTIONS = 32
CONNECTION_S = 15.0
HANDSHAKE_S = 5.0
REQUESTS_PER_SECOND = 20.0
BURST = 50.0
_READ_BYTES = 65_536
_HEAD_BYTES = 16_384

logger = logging.getLogger(__name__)

Admit = Callable[[bytes, str], Awaitable[bytes]]


class JoinListener:
    """Serves the port.

    Args:
        files: certificates and key of the port.
        admit: takes the bytes of a request and the caller's address; returns those of the answer or raises ``Problem``.
        counters: counts connections and requests that are turned away.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        files: KeyFiles,
        admit: Admit,
        counters: Counters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files
        self._admit = admit
        self._counters = counters
        self._clock = clock
        self._open = 0
        self._allowance = BURST
        self._allowed_at = clock()
        self._server: asyncio.Server | None = None
        self._context: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; 0 before the start."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server is not None else 0

    async def start(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be listened on, or the certificate cannot be read.
        """
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.renew()
        self._server = await asyncio.start_server(
            self._serve,
            host,
            port,
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=HANDSHAKE_S,
            backlog=CONNECTIONS,
        )

    def renew(self) -> None:
        """Read the certificate again, for connections from now on."""
        if self._context is not None:
            self._context.load_cert_chain(self._files.server_certificate, self._files.server_key)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= CONNECTIONS:
            self._counters.add("join_connections_refused")
            writer.close()
            return
        self._open += 1
        try:
            async with asyncio.timeout(CONNECTION_S):
                await self._converse(reader, writer)
        except (TimeoutError, OSError, h11.RemoteProtocolError):
            self._counters.add("join_connections_broken")
        except Exception:
            logger.exception("a request to join")
        finally:
            self._open -= 1
            with contextlib.suppress(OSError):
                writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        peer = writer.get_extra_info("peername")
        try:
            status, media_type, content = await self._answer(connection, reader, str(peer[0]) if peer else "")
        except Problem as problem:
            status, media_type = problem.status, "application/problem+json"
            content = json.dumps(problem.document()).encode()
        headers = [
            ("Content-Type", media_type),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=content), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()

    async def _answer(
        self, connection: h11.Connection, reader: asyncio.StreamReader, address: str
    ) -> tuple[int, str, bytes]:
        request, body = await _read(connection, reader)
        method, path = request.method.decode("ascii"), request.target.decode("ascii").partition("?")[0]
        if path not in (AUTHORITY_PATH, JOIN_PATH):
            raise Problem(404, "not-found", "Not found", "there is nothing here")
        if method != ("GET" if path == AUTHORITY_PATH else "POST"):
            raise Problem(405, "method-not-allowed", "Method not allowed here")
        if not self._allow():
            self._counters.add("join_requests_limited")
            raise Problem(429, "too-many-requests", "Too many requests", "try again in a second", {"retry_after": 1})
        if path == AUTHORITY_PATH:
            return 200, "application/x-pem-file", self._files.authority_certificate.read_bytes()
        return 200, MEDIA_TYPE, await self._admit(body, address)

    def _allow(self) -> bool:
        now = self._clock()
        self._allowance = min(BURST, self._allowance + (now - self._allowed_at) * REQUESTS_PER_SECOND)
        self._allowed_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes]:
    request: h11.Request | None = None
    pieces: list[bytes] = []
    size = 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            size += len(event.data)
            if size > MESSAGE_LIMIT:
                raise Problem(413, "body-too-large", "The body is too large", f"at most {MESSAGE_LIMIT} bytes")
            pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, b"".join(pieces)
        else:
            raise ConnectionResetError("the caller went away")
