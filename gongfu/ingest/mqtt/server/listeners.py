"""Listening sockets of a front door: TCP, TLS and WebSocket, shared by several processes (SO_REUSEPORT)."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from gongfu.ingest.mqtt.codec.reasons import Reason
from gongfu.ingest.mqtt.server.connection import Connection
from gongfu.ingest.mqtt.server.context import DoorContext
from gongfu.ingest.mqtt.server.websocket import WebSocketConnection

BACKLOG = 4096
TICK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where to listen; a port of None is off, 0 takes any free port."""

    host: str = "127.0.0.1"
    port: int | None = 1883
    websocket_port: int | None = None
    tls_port: int | None = None


def server_tls(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """Return the TLS context: TLS 1.2 or later; client certificates are asked for when there is a CA for them.

    Raises:
        OSError, ssl.SSLError: a file is missing or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


@dataclass(slots=True)
class MqttServer:
    """Front door on its sockets. ``ports`` tells the ports in use by kind: ``tcp``, ``tls``, ``websocket``."""

    context: DoorContext
    ports: dict[str, int] = field(default_factory=dict)
    _servers: list[asyncio.Server] = field(default_factory=list)
    _timer: asyncio.TimerHandle | None = None

    async def start(self, addresses: Addresses, tls: ssl.SSLContext | None = None) -> None:
        """Listen.

        Raises:
            OSError: a port is taken.
        """
        await self._listen("tcp", addresses.host, addresses.port, self._plain)
        await self._listen("websocket", addresses.host, addresses.websocket_port, self._websocket)
        if tls is not None:
            await self._listen("tls", addresses.host, addresses.tls_port, self._plain, tls)
        self._tick()

    def _plain(self) -> asyncio.Protocol:
        return Connection(self.context)

    def _websocket(self) -> asyncio.Protocol:
        return WebSocketConnection(self.context)

    async def _listen(
        self,
        kind: str,
        host: str,
        port: int | None,
        protocol: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if port is None:
            return
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted sockets inherit it: a peer that is gone is noticed even with keep alive 0.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setblocking(False)
        try:
            listener.bind((host, port))
        except OSError as error:
            listener.close()
            raise OSError(error.errno, f"{kind} port {port} on {host}: {error.strerror}") from None
        server = await self.context.loop.create_server(
            protocol, sock=listener, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=10.0 if tls else None
        )
        self._servers.append(server)
        self.ports[kind] = listener.getsockname()[1]

    def _tick(self) -> None:
        self._timer = self.context.loop.call_later(TICK_SECONDS, self._tick)
        self.context.tick()
        self.context.broker.tick()

    async def stop(self, patience: float = 3.0) -> None:
        """Stop listening and reading, acknowledge what was read, say goodbye to MQTT 5 clients (0x8B), close.

        Args:
            patience: seconds to wait for acknowledgements, and again for sockets to close.
        """
        self.context.stopping = True
        self.context.broker.stopping = True
        if self._timer is not None:
            self._timer.cancel()
        for server in self._servers:
            server.close()
        context = self.context
        await self._until(lambda: not any(connection.pending for connection in context.connections), patience)
        for connection in context.connections:
            connection.close(Reason.SERVER_SHUTTING_DOWN)
        await self._until(lambda: not context.sockets, patience)
        for task in list(self.context.tasks):
            task.cancel()

    async def _until(self, condition: Callable[[], bool], patience: float) -> None:
        deadline = self.context.loop.time() + patience
        while not condition() and self.context.loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
