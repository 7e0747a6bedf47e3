"""A device that survives everything: numbers its messages and sends again what is not acknowledged."""

import asyncio
import contextlib
import struct
import time
from collections import OrderedDict

from benchmarks.ingest.payloads import connect_packet, publish_head

TOPIC = "v1/devices/me/telemetry"
POINT = "n"
RECONNECT_S = 0.2
ANSWER_S = 10.0


class NumberedDevice:
    """One device. Message ``i`` has the source time ``base_ms + i`` and the value ``i`` of one point.

    Args:
        port: front door on loopback.
        name: device name.
        secret: device secret.
        base_ms: time of message 0, ms since the epoch.
        rate: messages a second at most.
        window: unacknowledged messages at most.
    """

    def __init__(self, port: int, name: str, secret: str, base_ms: int, rate: float, window: int) -> None:
        self.name = name
        self.base_ms = base_ms
        self.acknowledged: set[int] = set()
        self.sent = 0
        self.connects = 0
        self._port = port
        self._secret = secret
        self._rate = rate
        self._window = window
        self._next_id = 0
        # Packet identifier -> number, in order of sending; and what waits to be sent again.
        self._open: OrderedDict[int, int] = OrderedDict()
        self._again: list[int] = []
        self._room = asyncio.Event()

    @property
    def unacknowledged(self) -> int:
        """Messages that were sent and never acknowledged."""
        return len(self._open) + len(self._again)

    async def run(self, stop: asyncio.Event, done: asyncio.Event) -> None:
        """Publish until ``stop``, then only wait for acknowledgements until ``done`` or nothing is open."""
        while not done.is_set() and not (stop.is_set() and not self.unacknowledged):
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                await self._session(stop, done)
            self._again = sorted({*self._again, *self._open.values()})
            self._open.clear()
            await asyncio.sleep(RECONNECT_S)

    async def _session(self, stop: asyncio.Event, done: asyncio.Event) -> None:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self._port), ANSWER_S)
        sending: asyncio.Task[None] | None = None
        try:
            writer.write(connect_packet(self.name, self.name, self._secret))
            answer = await asyncio.wait_for(reader.readexactly(4), ANSWER_S)
            if answer[3]:
                raise OSError(f"CONNACK {answer[3]}")
            self.connects += 1
            sending = asyncio.create_task(self._send(writer, stop))
            while not done.is_set() and not (stop.is_set() and not self.unacknowledged):
                packet = await asyncio.wait_for(reader.readexactly(4), ANSWER_S)
                if packet[0] != 0x40:
                    raise OSError(f"unexpected packet {packet!r}")
                number = self._open.pop(struct.unpack_from(">H", packet, 2)[0])
                self.acknowledged.add(number)
                self._room.set()
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, stop: asyncio.Event) -> None:
        while self._again:
            self._write(writer, self._again[0])
            self._again.pop(0)
        due = time.monotonic()
        while not stop.is_set():
            while len(self._open) >= self._window:
                self._room.clear()
                await self._room.wait()
            self._write(writer, self.sent)
            self.sent += 1
            await writer.drain()
            due = max(due + 1.0 / self._rate, time.monotonic() - 0.1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _write(self, writer: asyncio.StreamWriter, number: int) -> None:
        self._next_id = self._next_id % 65_535 + 1
        payload = b'{"ts":%d,"values":{"%b":%d}}' % (self.base_ms + number, POINT.encode(), number)
        self._open[self._next_id] = number
        writer.write(publish_head(TOPIC, len(payload)) + struct.pack(">H", self._next_id) + payload)
