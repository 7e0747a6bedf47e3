"""A leaf connection that says whatever a test wants, as a child's server that was tampered with would."""

import asyncio
import json

from tests.contract.tree.host.servers import ServedNode
from tests.fixtures.tree import until


class RawLeaf:
    """Speaks the leaf protocol of nats-server over TLS, with a child's certificate."""

    def __init__(self, node: ServedNode) -> None:
        self._node = node
        self.received: list[bytes] = []
        self.said: list[str] = []
        self._pongs = 0
        self.closed = asyncio.Event()

    async def connect(self) -> None:
        assert self._node.parent is not None
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._node.parent.port.leaves)
        assert (await self._reader.readline()).startswith(b"INFO ")
        await self._writer.start_tls(self._node.secure_context(), server_hostname="127.0.0.1")
        self.say("CONNECT " + json.dumps({"tls_required": True, "server_id": "RAW", "name": "raw", "headers": True}))
        self._task = asyncio.create_task(self._read())
        await self.ping()

    def say(self, line: str, payload: bytes | None = None) -> None:
        self._writer.write(line.encode() + b"\r\n" + (b"" if payload is None else payload + b"\r\n"))

    def publish(self, subject: str, payload: bytes) -> None:
        self.say(f"LMSG {subject} {len(payload)}", payload)

    async def ping(self) -> None:
        """Wait until the server has read what was said, or has ended the connection."""
        before = self._pongs
        self.say("PING")
        await until(lambda: self._pongs > before or self.closed.is_set(), "the server has read it")

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                if line.startswith(b"PING"):
                    self.say("PONG")
                elif line.startswith(b"PONG"):
                    self._pongs += 1
                elif line.startswith(b"LMSG"):
                    size = int(line.split()[-1])
                    self.received.append(line.split()[1] + b" " + (await self._reader.readexactly(size + 2))[:-2])
                else:
                    self.said.append(line.decode().strip())
        except OSError:
            pass
        self.closed.set()

    async def close(self) -> None:
        self._task.cancel()
        self._writer.transport.abort()
