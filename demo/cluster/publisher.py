"""Devices that publish numbered points at QoS 1 and note which were acknowledged. MQTT 3.1.1, standard library only.

Number ``i`` of a device has source time ``base + i`` ms and value ``i``. A device whose front door goes away connects
to the next one and sends again what was not acknowledged.
"""

import asyncio
import contextlib
import json
import struct
import threading
import time
from dataclasses import dataclass, field

POINT = "n"
_CONNECT_S, _KEEPALIVE_S = 5.0, 10
# A front door that takes nothing for so long is left.
_SILENT_S = 6.0


@dataclass
class Tally:
    """What became of the numbers of one device; ``acknowledged`` are those at or above ``low`` too."""

    name: str
    sent: int = 0
    acknowledged: set[int] = field(default_factory=set[int])
    connects: int = 0


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _packet(kind: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes([kind]) + bytes(length) + body


@dataclass
class _Device:
    secret: str
    tally: Tally
    open: dict[int, float] = field(default_factory=dict[int, float])


class Publisher:
    """Publishes on a thread of its own from ``start`` to ``stop``.

    Attributes:
        gap: longest time between two acknowledgements over all devices since ``begin_gap``, in seconds.
    """

    def __init__(self, ports: list[int], devices: list[tuple[str, str]], rate: float, window: int = 50) -> None:
        """Publish ``rate`` messages a second and device to front doors on loopback ``ports``."""
        self._ports = ports
        self._devices = [_Device(secret, Tally(name)) for name, secret in devices]
        self._rate = rate
        self._window = window
        self.base_ms = time.time_ns() // 1_000_000 - 86_400_000
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True, name="publisher")
        self._last = time.monotonic()
        self.gap = 0.0

    @property
    def tallies(self) -> list[Tally]:
        """What became of the numbers, by device."""
        return [device.tally for device in self._devices]

    @property
    def acknowledged(self) -> int:
        """Numbers acknowledged so far."""
        return sum(len(tally.acknowledged) for tally in self.tallies)

    def begin_gap(self) -> None:
        """Measure the longest time without any acknowledgement from now on."""
        self._last, self.gap = time.monotonic(), 0.0

    def quiet(self) -> float:
        """Return seconds since the last acknowledgement."""
        return time.monotonic() - self._last

    def start(self) -> "Publisher":
        """Begin."""
        self._thread.start()
        return self

    def stop(self, seconds: float = 30.0) -> None:
        """Send nothing new, and wait until everything sent is acknowledged, at most so long."""
        self._stopping.set()
        self._thread.join(seconds)

    async def _run(self) -> None:
        await asyncio.gather(*(self._keep(number, device) for number, device in enumerate(self._devices)))

    async def _keep(self, number: int, device: _Device) -> None:
        turn = number
        while not (self._stopping.is_set() and not device.open):
            port = self._ports[turn % len(self._ports)]
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                await self._talk(port, device)
            turn += 1
            await asyncio.sleep(0.2)

    async def _talk(self, port: int, device: _Device) -> None:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            name = device.tally.name
            body = _text("MQTT") + bytes([4, 0xC2]) + struct.pack(">H", _KEEPALIVE_S)
            writer.write(_packet(0x10, body + _text(name) + _text(name) + _text(device.secret)))
            async with asyncio.timeout(_CONNECT_S):
                answer = await reader.readexactly(4)
            if answer[3]:
                raise ConnectionRefusedError(f"CONNACK {answer[3]}")
            device.tally.connects += 1
            for number in sorted(device.open):
                self._send(writer, device, number)
            reading = asyncio.create_task(self._read(reader, device))
            try:
                await self._write(writer, device, reading)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        finally:
            writer.close()

    async def _write(self, writer: asyncio.StreamWriter, device: _Device, reading: "asyncio.Task[None]") -> None:
        pause, beat = 1.0 / self._rate, time.monotonic()
        while not reading.done():
            now = time.monotonic()
            if self._stopping.is_set():
                if not device.open:
                    return
            elif len(device.open) < self._window:
                self._send(writer, device, device.tally.sent)
                device.tally.sent += 1
            if now - beat > _KEEPALIVE_S / 2:
                writer.write(b"\xc0\x00")
                beat = now
            if device.open and now - min(device.open.values()) > _SILENT_S:
                return
            await writer.drain()
            await asyncio.sleep(pause)

    def _send(self, writer: asyncio.StreamWriter, device: _Device, number: int) -> None:
        device.open[number] = time.monotonic()
        payload = json.dumps({"ts": self.base_ms + number, "values": {POINT: float(number)}}).encode()
        head = _text("v1/devices/me/telemetry") + struct.pack(">H", number % 65535 + 1)
        writer.write(_packet(0x32, head + payload))

    async def _read(self, reader: asyncio.StreamReader, device: _Device) -> None:
        while True:
            kind, size = await reader.readexactly(2)
            body = await reader.readexactly(size)
            if kind >> 4 != 4:
                continue
            packet = struct.unpack(">H", body[:2])[0]
            for number in [number for number in device.open if number % 65535 + 1 == packet]:
                del device.open[number]
                device.tally.acknowledged.add(number)
                now = time.monotonic()
                self.gap, self._last = max(self.gap, now - self._last), now
