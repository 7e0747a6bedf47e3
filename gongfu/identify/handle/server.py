"""Handle requests over UDP and TCP, by custom on port 2641 (RFC 3652 §2.1).

A client gets an answer to whatever has an envelope; what has none is counted and, over TCP, ends the connection.
"""

import asyncio
import socket

from gongfu.identify.datagram_socket import open_datagram_socket
from gongfu.identify.handle.answering import Answering
from gongfu.identify.handle.tcp import Connections
from gongfu.identify.handle.udp import Datagrams

_BACKLOG = 1024


class HandleServer:
    """Listens on one address, UDP and TCP, on the same port."""

    def __init__(self, answering: Answering) -> None:
        """Make it; see ``start``."""
        self._connections = Connections(answering)
        self._answering = answering
        self._opened: socket.socket | None = None
        self._datagrams: Datagrams | None = None
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 2641) -> int:
        """Listen; port 0 takes a free one. Returns the port.

        Raises:
            OSError: the address is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connections.make, host, port, backlog=_BACKLOG)
        port = self._server.sockets[0].getsockname()[1]
        try:
            self._opened = open_datagram_socket(host, port)
        except OSError:
            await self.stop()
            raise
        self._datagrams = Datagrams(self._answering, self._opened)
        loop.add_reader(self._opened.fileno(), self._datagrams.ready)
        return port

    async def stop(self) -> None:
        """End; connections are cut off."""
        if self._datagrams is not None and self._opened is not None:
            self._datagrams.cancel()
            asyncio.get_running_loop().remove_reader(self._opened.fileno())
            self._opened.close()
            self._datagrams = None
        if self._server is not None:
            self._server.close()
        self._connections.close()
        if self._server is not None:
            await self._server.wait_closed()
