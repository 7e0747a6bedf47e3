"""A process that holds many MQTT connections with credentials, from a loopback address of its own.

Reads one JSON document (``Held``) from standard input and then commands, a line each: ``publish`` sends one QoS 1
message from every connection and waits for all acknowledgements. Answers a JSON line to each.
"""

import asyncio
import json
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, cast

import uvloop

from benchmarks.ingest.payloads import connect_packet, publish_head

TOPIC = "v1/devices/me/telemetry"
ANSWER_S = 600.0
# ip(7): IP_BIND_ADDRESS_NO_PORT, not in the module ``socket`` of Python 3.11.
_BIND_ADDRESS_NO_PORT = 24


@dataclass(frozen=True)
class Held:
    """What to hold.

    Attributes:
        host, port: the broker.
        source: loopback address to connect from; each has its own 28,000 ports.
        devices: (name, secret) by connection.
        at_once: connections being opened at a time.
    """

    host: str
    port: int
    source: str
    devices: list[tuple[str, str]]
    at_once: int = 100


class Connection(asyncio.Protocol):
    """One held connection."""

    __slots__ = ("_holder", "_name", "_secret", "connected", "transport")

    def __init__(self, holder: "Holder", name: str, secret: str) -> None:
        self._holder = holder
        self._name = name
        self._secret = secret
        self.transport: asyncio.Transport | None = None
        self.connected: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send CONNECT."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(connect_packet(self._name, self._name, self._secret))

    def data_received(self, data: bytes) -> None:
        """Take CONNACK, and later PUBACK."""
        if self.connected is not None:
            waiting, self.connected = self.connected, None
            if len(data) >= 4 and data[0] == 0x20 and data[3] == 0:
                waiting.set_result(None)
            else:
                waiting.set_exception(ConnectionError(f"CONNACK {data!r}"))
            return
        self._holder.acknowledged += len(data) // 4
        self._holder.check()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it."""
        self._holder.lost += 1
        if self.connected is not None and not self.connected.done():
            self.connected.set_exception(ConnectionError("closed before CONNACK"))
        self._holder.check()

    def publish(self, payload: bytes) -> None:
        """Send one message."""
        if self.transport is not None:
            self.transport.write(publish_head(TOPIC, len(payload)) + b"\x00\x01" + payload)


class Holder:
    """All connections of this process."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.connections: list[Connection] = []
        self.acknowledged = 0
        self.lost = 0
        self._all = asyncio.Event()

    def check(self) -> None:
        """Notice that every connection was answered or lost."""
        if self.acknowledged + self.lost >= len(self.connections):
            self._all.set()

    async def open(self) -> dict[str, float]:
        """Open all connections, ``at_once`` at a time; one that fails is tried again twice."""
        began = time.monotonic()
        queue = list(reversed(self._held.devices))
        failed = 0

        async def work() -> None:
            nonlocal failed
            while queue:
                name, secret = queue.pop()
                for attempt in range(3):
                    try:
                        async with asyncio.timeout(ANSWER_S):
                            self.connections.append(await self._connect(name, secret))
                        break
                    except (OSError, TimeoutError):
                        failed += attempt == 2

        await asyncio.gather(*(work() for _ in range(self._held.at_once)))
        self.lost = 0
        return {"connected": len(self.connections), "failed": failed, "seconds": time.monotonic() - began}

    async def _connect(self, name: str, secret: str) -> Connection:
        connection = Connection(self, name, secret)
        # The answer may be there before the event loop says that the connection is.
        answered = connection.connected
        assert answered is not None
        loop, outlet = asyncio.get_running_loop(), socket.socket()
        try:
            outlet.setblocking(False)
            # The port is chosen when the other end is known; else each bind walks through all that are in use.
            outlet.setsockopt(socket.SOL_IP, _BIND_ADDRESS_NO_PORT, 1)
            outlet.bind((self._held.source, 0))
            await loop.sock_connect(outlet, (self._held.host, self._held.port))
            await loop.create_connection(lambda: connection, sock=outlet)
        except BaseException:
            outlet.close()
            raise
        await answered
        return connection

    async def publish(self) -> dict[str, float]:
        """Send one message from every connection; wait until each is answered."""
        began = time.monotonic()
        self.acknowledged, self._all = 0, asyncio.Event()
        now_ms = time.time_ns() // 1_000_000
        for number, connection in enumerate(self.connections):
            connection.publish(b'{"ts":%d,"values":{"temperature":%d.5}}' % (now_ms, 20 + number % 50))
            if number % 500 == 499:
                await asyncio.sleep(0)
        async with asyncio.timeout(ANSWER_S):
            await self._all.wait()
        return {"acknowledged": self.acknowledged, "lost": self.lost, "seconds": time.monotonic() - began}


async def _main() -> None:
    loop = asyncio.get_running_loop()
    fields: dict[str, Any] = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    holder = Holder(Held(**fields))
    print(json.dumps(await holder.open()), flush=True)
    while command := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        if command == "publish":
            print(json.dumps(await holder.publish()), flush=True)
        else:
            print(json.dumps({"connected": len(holder.connections), "lost": holder.lost}), flush=True)


if __name__ == "__main__":
    uvloop.run(_main())
