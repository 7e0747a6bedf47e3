"""Stand-in for a ThingsBoard server: what thingsboard-gateway needs of MQTT and of the gateway API. Counts points."""

import asyncio
import json
import struct
import threading
from collections.abc import Iterator
from typing import Any

from benchmarks.ingest.payloads import varint

_RPC_REQUEST = "v1/devices/me/rpc/request/"
_TELEMETRY = "v1/gateway/telemetry"


class TbEndpoint:
    """A server on a free loopback port in a thread of its own.

    Attributes:
        port: where it listens.
        points: values received over the gateway API so far.
    """

    def __init__(self) -> None:
        self.port = 0
        self.points = 0
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self._serve, args=(ready,), daemon=True).start()
        if not ready.wait(10.0):
            raise RuntimeError("the ThingsBoard stand-in did not start")

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def count(self, payload: bytes) -> None:
        """Add the values of a gateway telemetry message."""
        document: dict[str, list[dict[str, Any]]] = json.loads(payload)
        self.points += sum(len(sample.get("values", sample)) for samples in document.values() for sample in samples)

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(self._loop.create_server(lambda: _Session(self), "127.0.0.1", 0))
        self.port = int(server.sockets[0].getsockname()[1])
        ready.set()
        self._loop.run_forever()


class _Session(asyncio.Protocol):
    """One connection, MQTT 3.1.1 or 5."""

    def __init__(self, endpoint: TbEndpoint) -> None:
        self._endpoint = endpoint
        self._buffer = bytearray()
        self._version = 4
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for first, body in self._packets():
            self._take(first, body)

    def _packets(self) -> Iterator[tuple[int, bytes]]:
        while len(self._buffer) >= 2:
            length = shift = 0
            at = 1
            while True:
                if at >= len(self._buffer):
                    return
                group = self._buffer[at]
                at += 1
                length |= (group & 0x7F) << shift
                shift += 7
                if not group & 0x80:
                    break
            if len(self._buffer) < at + length:
                return
            packet = self._buffer[0], bytes(self._buffer[at : at + length])
            del self._buffer[: at + length]
            yield packet

    def _take(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == 1:
            self._version = body[6]
            self._send(0x20, b"\x00\x00" + self._properties())
        elif kind == 3:
            self._take_publish(first, body)
        elif kind == 8:
            self._send(0x90, body[:2] + self._properties() + b"\x01" * self._filters(body))
        elif kind == 12:
            self._send(0xD0, b"")
        elif kind == 14:
            self._transport.close()

    def _take_publish(self, first: int, body: bytes) -> None:
        size = struct.unpack_from(">H", body)[0]
        topic = body[2 : 2 + size].decode()
        at = 2 + size
        if first & 0x06:
            self._send(0x40, body[at : at + 2])
            at += 2
        if self._version == 5:
            at += 1 + body[at]
        payload = body[at:]
        if topic == _TELEMETRY:
            self._endpoint.count(payload)
        elif topic.startswith(_RPC_REQUEST):
            limits = {"messages": "", "telemetryMessages": "", "telemetryDataPoints": ""}
            answer = {"maxPayloadSize": 1_000_000, "maxInflightMessages": 100, "rateLimits": limits}
            answer["gatewayRateLimits"] = limits
            name = topic.replace("/request/", "/response/").encode()
            content = struct.pack(">H", len(name)) + name + self._properties() + json.dumps(answer).encode()
            self._send(0x30, content)

    def _filters(self, body: bytes) -> int:
        at = 2 + (1 + body[2] if self._version == 5 else 0)
        count = 0
        while at < len(body):
            at += 3 + struct.unpack_from(">H", body, at)[0]
            count += 1
        return count

    def _properties(self) -> bytes:
        return b"\x00" if self._version == 5 else b""

    def _send(self, first: int, body: bytes) -> None:
        self._transport.write(bytes([first]) + varint(len(body)) + body)
