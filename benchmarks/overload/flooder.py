"""The flooding device: a process with several connections of one device that wants to send many times what the node
can take, and writes whatever the sockets accept. It is as cheap as it can be: messages are made once and sent again and
again (they carry no time of their own, so each is stored with its time of arrival).

Reads one JSON document (``Flood``) from standard input, writes ``connected``, floods when a line arrives, and writes
one JSON document (``Flooded``) when all is answered.
"""

import json
import os
import selectors
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.ingest.payloads import json_payloads, varint

PACKETS = 4096
DRAIN_S = 90.0
CHUNK = 256 * 1024
QUOTA_EXCEEDED = 0x97


@dataclass(frozen=True)
class Flood:
    """What to send.

    Attributes:
        host, port, name, secret: the front door and the device.
        connections: number of connections.
        seconds: how long.
        points_per_s: what the device wants to send, over all connections.
        qos: 0 or 1.
        version: 4 (MQTT 3.1.1) or 5.
        points: values a message.
    """

    host: str
    port: int
    name: str
    secret: str
    connections: int
    seconds: float
    points_per_s: float
    qos: int = 1
    version: int = 4
    points: int = 20


@dataclass
class Flooded:
    """What happened, in messages; ``wanted`` is what the rate asked for, ``sent`` what the sockets took."""

    wanted: int = 0
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    closed: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Connection:
    """One connection: a ring of ready packets, a place in it, and the acknowledgements that came."""

    def __init__(self, flood: Flood, number: int, outcome: Flooded) -> None:
        self._outcome = outcome
        self._flood = flood
        self.window = PACKETS - 1 if flood.version == 4 else 1000
        make = json_payloads(flood.points)
        topic = b"v1/devices/me/telemetry"
        ring, ends = bytearray(), []
        for identifier in range(1, PACKETS + 1):
            body = make(identifier * 7 + number, 0).partition(b'"values":')[2][:-1]
            ring += _publish(topic, body, identifier, flood.qos, flood.version)
            ends.append(len(ring))
        self._ring, self._ends = memoryview(bytes(ring)), ends
        self._at = self._packet = 0
        self.sent = self.answered = 0
        self.open = True
        self._in = b""
        self.socket = socket.create_connection((flood.host, flood.port))
        self.socket.sendall(_connect(f"{flood.name}-{number}", flood.name, flood.secret, flood.version))
        answer = self.socket.recv(4096)
        if len(answer) < 4 or answer[0] != 0x20 or answer[3]:
            raise ConnectionError(f"CONNACK {answer!r}")
        self.socket.setblocking(False)

    def write(self, allowed: int) -> int:
        """Write up to ``allowed`` messages as far as the socket takes them; return how many became whole."""
        if self._flood.qos:
            allowed = min(allowed, self.window - (self.sent - self.answered))
        if allowed <= 0 and self._at == (self._ends[self._packet - 1] if self._packet else 0):
            return 0
        last = min(PACKETS, self._packet + max(allowed, 1)) - 1
        stop = min(self._ends[last], self._at + CHUNK)
        try:
            self._at += self.socket.send(self._ring[self._at : stop])
        except BlockingIOError:
            return 0
        except OSError:
            self.close()
            return 0
        whole = 0
        while self._packet < PACKETS and self._ends[self._packet] <= self._at:
            self._packet += 1
            whole += 1
        if self._packet == PACKETS:
            self._packet = self._at = 0
        self.sent += whole
        return whole

    @property
    def midway(self) -> bool:
        """Whether a message has been written in part."""
        return self._at != (self._ends[self._packet - 1] if self._packet else 0)

    def read(self) -> None:
        """Count acknowledgements."""
        try:
            data = self.socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        data = self._in + data
        at = 0
        while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
            length = data[at + 1]  # acknowledgements are shorter than 128 bytes
            if data[at] == 0x40:
                refused = length > 2 and data[at + 4] >= 0x80
                self._outcome.refused += refused
                self._outcome.acknowledged += not refused
                self.answered += 1
            at += 2 + length
        self._in = data[at:]

    def close(self) -> None:
        """The connection is gone."""
        if self.open:
            self.open = False
            self._outcome.closed += 1
            self.socket.close()

    def finish(self) -> None:
        """Say goodbye and wait until the server has read everything and closes."""
        if self.open:
            self.socket.setblocking(True)
            self.socket.settimeout(DRAIN_S)
            try:
                self.socket.sendall(b"\xe0\0")
                while self.socket.recv(CHUNK):
                    pass
            except OSError:
                pass
            self.socket.close()


def _connect(client: str, name: str, secret: str, version: int) -> bytes:
    head = b"\x00\x04MQTT" + bytes([version, 0xC2]) + b"\x00\x00"
    if version == 5:
        head += b"\x02\x17\x00"  # no reason strings
    body = head + b"".join(struct.pack(">H", len(t)) + t for t in (client.encode(), name.encode(), secret.encode()))
    return b"\x10" + varint(len(body)) + body


def _publish(topic: bytes, payload: bytes, identifier: int, qos: int, version: int) -> bytes:
    body = struct.pack(">H", len(topic)) + topic
    if qos:
        body += identifier.to_bytes(2, "big")
    if version == 5:
        body += b"\0"
    body += payload
    return bytes([0x30 | qos << 1]) + varint(len(body)) + body


def _main() -> None:
    fields: dict[str, Any] = json.loads(sys.stdin.readline())
    flood, outcome = Flood(**fields), Flooded()
    connections = [Connection(flood, number, outcome) for number in range(flood.connections)]
    print("connected", flush=True)
    sys.stdin.readline()
    cpu, began = time.process_time(), time.monotonic()
    chooser = selectors.DefaultSelector()
    for connection in connections:
        chooser.register(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
    rate = flood.points_per_s / flood.points
    while True:
        elapsed = time.monotonic() - began
        flooding = elapsed < flood.seconds
        if flooding:
            outcome.wanted = int(elapsed * rate)
        alive = [c for c in connections if c.open]
        owed = any(c.midway or (flood.qos and c.answered < c.sent) for c in alive)
        if not flooding and (not owed or elapsed > flood.seconds + DRAIN_S):
            break
        wrote = False
        for key, events in chooser.select(0.005):
            connection: Connection = key.data
            if events & selectors.EVENT_READ:
                connection.read()
            if connection.open and events & selectors.EVENT_WRITE:
                share = (outcome.wanted - outcome.sent) if flooding else 0
                whole = connection.write(share)
                outcome.sent += whole
                wrote = wrote or whole > 0
            if not connection.open:
                chooser.unregister(key.fileobj)
        if not wrote:
            time.sleep(0.001)
    outcome.seconds = time.monotonic() - began
    for connection in connections:
        connection.finish()
    outcome.cpu_seconds = time.process_time() - cpu
    print(json.dumps(asdict(outcome)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    _main()
