"""The HTTP server: granian inside this process, on its event loop.

Granian's usual form is a parent process with a worker (two Python processes, about 25 MB more, and signal handlers of
its own); its embedded server runs in the role's own loop, so the role keeps its bus connection and its shutdown order.
"""

import asyncio
import contextlib
import logging
import socket
from pathlib import Path

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from starlette.types import ASGIApp

_START_S = 10.0


class HttpServer:
    """Serves one application on one address."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, certificate: str = "", key: str = "") -> None:
        # Its "embedded server is experimental" and its start lines are no news to an operator.
        logging.getLogger("_granian").setLevel(logging.ERROR)
        self._host = host
        self._port = port
        self._server = Server(
            app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.auto if certificate else HTTPModes.http1,
            websockets=False,
            backlog=1024,
            log_enabled=False,
            ssl_cert=Path(certificate) if certificate else None,
            ssl_key=Path(key) if key else None,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve; returns when connections are accepted.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._check_free()
        self._task = asyncio.create_task(self._server.serve(), name="http")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 (only compared)
        async with asyncio.timeout(_START_S):
            while True:
                if self._task.done():
                    # The first line: granian adds a stack of its own.
                    reason = str(self._task.exception() or "it ended").partition("\n")[0]
                    raise OSError(f"{self._host}:{self._port}: {reason}")
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(host, self._port)
                    writer.close()
                    return
                await asyncio.sleep(0.01)

    def _check_free(self) -> None:
        """Bind once without sharing: granian's own socket would share the port with another process's granian.

        Raises:
            OSError: the address is taken or cannot be listened on.
        """
        family, kind, protocol, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)

    async def wait(self) -> None:
        """Return when the server has ended."""
        if self._task is not None:
            await self._task

    async def stop(self) -> None:
        """Accept no more, let requests end, and end."""
        self._server.stop()
        await self.wait()
