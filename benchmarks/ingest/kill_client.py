"""Devices that survive everything: they number their messages and send again what is not acknowledged.

A process of its own, so that a hundred thousand messages a second leave the killer its time: reads one JSON document
(``FleetPlan``) from standard input, publishes until the next line, then waits until all is acknowledged (at most
``DRAIN_S``) and writes one JSON list of ``DeviceReport``.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import uvloop

from benchmarks.ingest.payloads import connect_packet, publish_head

TOPIC = "v1/devices/me/telemetry"
POINT = "n"
RECONNECT_S = 0.2
ANSWER_S = 10.0
DRAIN_S = 120.0
TICK_S = 0.01
PUBACK = 0x40


@dataclass(frozen=True)
class FleetPlan:
    """What the fleet does.

    Attributes:
        port: front door on loopback.
        devices: (name, secret).
        base_ms: time of message 0 of every device, ms since the epoch.
        rate: messages a second and device at most.
        window: unacknowledged messages a device at most.
    """

    port: int
    devices: list[tuple[str, str]]
    base_ms: int
    rate: float
    window: int


@dataclass(frozen=True)
class DeviceReport:
    """What a device did: ``sent`` numbers from 0, of which all but ``open`` were acknowledged."""

    name: str
    sent: int
    connects: int
    repeats: int
    open: list[int] = field(default_factory=list[int])

    @property
    def acknowledged(self) -> int:
        """Numbers that were acknowledged."""
        return self.sent - len(self.open)


class NumberedDevice(asyncio.Protocol):
    """One device. Message ``i`` has the source time ``base_ms + i`` and the value ``i`` of one point."""

    def __init__(self, plan: FleetPlan, name: str, secret: str) -> None:
        self.name = name
        self.sent = 0
        self.connects = 0
        self.repeats = 0
        self._plan = plan
        self._secret = secret
        self._transport: asyncio.Transport | None = None
        self._ready = False
        self._buffer = b""
        self._next_id = 0
        self._heard = 0.0
        # Packet identifier -> number, and numbers that wait to be sent again, lowest last.
        self._open: dict[int, int] = {}
        self._again: list[int] = []
        self._allowed = 0.0
        self._heads: dict[int, bytes] = {}

    @property
    def unacknowledged(self) -> list[int]:
        """Numbers that were sent and not acknowledged so far."""
        return sorted([*self._open.values(), *self._again])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send CONNECT."""
        self._transport = cast(asyncio.Transport, transport)
        self._heard = time.monotonic()
        self._transport.write(connect_packet(self.name, self.name, self._secret))

    def data_received(self, data: bytes) -> None:
        """Take CONNACK and PUBACKs; all packets of interest are four bytes long."""
        self._heard = time.monotonic()
        if self._buffer:
            data = self._buffer + data
        whole = len(data) & ~3
        self._buffer = data[whole:]
        for at in range(0, whole, 4):
            if data[at] == PUBACK:
                self._open.pop((data[at + 2] << 8) | data[at + 3], None)
            elif data[at] == 0x20 and data[at + 3] == 0:
                self._ready = True
                self.connects += 1
            else:
                self._abort()
                return

    def connection_lost(self, exc: Exception | None) -> None:
        """What is open goes again, in order, on the next connection."""
        self._ready = False
        self._transport = None
        self._buffer = b""
        self._again = sorted([*self._open.values(), *self._again], reverse=True)
        self._open.clear()

    async def keep_connected(self, over: asyncio.Event) -> None:
        """Connect again and again, and give up a connection on which nothing is heard."""
        loop = asyncio.get_running_loop()
        while not over.is_set():
            if self._transport is None:
                try:
                    async with asyncio.timeout(ANSWER_S):
                        await loop.create_connection(lambda: self, "127.0.0.1", self._plan.port)
                except (OSError, TimeoutError):
                    pass
            elif (self._open or not self._ready) and time.monotonic() - self._heard > ANSWER_S:
                self._abort()
            await asyncio.sleep(RECONNECT_S)

    def turn(self, seconds: float, fresh: bool) -> None:
        """Send what the window and the rate allow; ``fresh``: new numbers too."""
        self._allowed = min(self._allowed + seconds * self._plan.rate, max(1.0, self._plan.rate))
        if not self._ready or self._transport is None:
            return
        room = self._plan.window - len(self._open)
        parts: list[bytes] = []
        while room > 0 and self._again:
            self._message(self._again.pop(), parts)
            self.repeats += 1
            room -= 1
        if fresh:
            count = min(room, int(self._allowed))
            for number in range(self.sent, self.sent + max(count, 0)):
                self._message(number, parts)
            self.sent += max(count, 0)
            self._allowed -= max(count, 0)
        if parts:
            if not self._open:
                self._heard = time.monotonic()
            self._transport.write(b"".join(parts))

    def _message(self, number: int, parts: list[bytes]) -> None:
        payload = b'{"ts":%d,"values":{"n":%d}}' % (self._plan.base_ms + number, number)
        head = self._heads.get(len(payload))
        if head is None:
            head = self._heads[len(payload)] = publish_head(TOPIC, len(payload))
        self._next_id = self._next_id % 65_535 + 1
        self._open[self._next_id] = number
        parts += (head, self._next_id.to_bytes(2, "big"), payload)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def run_fleet(plan: FleetPlan, stop: asyncio.Event) -> list[DeviceReport]:
    """Publish until ``stop``, wait for acknowledgements, and report."""
    devices = [NumberedDevice(plan, name, secret) for name, secret in plan.devices]
    over = asyncio.Event()
    keepers = [asyncio.create_task(device.keep_connected(over)) for device in devices]
    before, deadline = time.monotonic(), 0.0
    while True:
        now = time.monotonic()
        for device in devices:
            device.turn(now - before, not stop.is_set())
        before = now
        if stop.is_set():
            deadline = deadline or now + DRAIN_S
            if now > deadline or not any(device.unacknowledged for device in devices):
                break
        await asyncio.sleep(TICK_S)
    over.set()
    await asyncio.gather(*keepers)
    return [
        DeviceReport(device.name, device.sent, device.connects, device.repeats, device.unacknowledged)
        for device in devices
    ]


async def _main() -> None:
    loop = asyncio.get_running_loop()
    fields: dict[str, Any] = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    stop = asyncio.Event()
    running = asyncio.create_task(run_fleet(FleetPlan(**fields), stop))
    await loop.run_in_executor(None, sys.stdin.readline)
    stop.set()
    print(json.dumps([asdict(report) for report in await running]), flush=True)


if __name__ == "__main__":
    uvloop.run(_main())
