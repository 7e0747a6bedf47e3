"""Load generator: a process of its own with many MQTT 3.1.1 connections, QoS 1, a window of unacknowledged messages
each.

Reads one JSON document (``Load``) from standard input; writes ``connected`` and then one JSON document (``Outcome``)
to standard output. It starts to publish when a line arrives after the document, so that the clock of the benchmark
starts there.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import uvloop

from benchmarks.ingest.payloads import FORMS, POINTS_PER_MESSAGE, connect_packet, publish_head

CONNECT_AT_ONCE = 50
CONNECT_S = 60.0
DRAIN_S = 60.0
SAMPLED_DEVICES = 50
# Latencies kept a run, about; of more, every so many reads one is taken.
LATENCY_SAMPLES = 2_000_000
PUBACK = 0x40
CONNACK = 0x20


@dataclass(frozen=True)
class Load:
    """What to send.

    Attributes:
        host, port: the broker.
        devices: (name, secret) by connection; an empty secret connects without credentials.
        seconds: how long to publish.
        window: unacknowledged messages a connection.
        form: one of ``payloads.FORMS``.
        messages_per_s: total rate to keep to; 0 is as fast as it is acknowledged.
        topic: of the messages; ``{device}`` is replaced.
        points: values a message.
    """

    host: str
    port: int
    devices: list[tuple[str, str]]
    seconds: float
    window: int = 8
    form: str = "json"
    messages_per_s: float = 0.0
    topic: str = "v1/devices/me/telemetry"
    points: int = POINTS_PER_MESSAGE


@dataclass
class Outcome:
    """What happened. Times are UTC ns; latencies in ms from write to PUBACK; ``last_ms`` is the source time of the last
    message of some devices, by name."""

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    lost_connections: int = 0
    first_at: int = 0
    last_ack_at: int = 0
    latency_ms: dict[str, float] = field(default_factory=dict[str, float])
    last_ms: dict[str, int] = field(default_factory=dict[str, int])
    cpu_seconds: float = 0.0


class Connection(asyncio.Protocol):
    """One device: keeps ``window`` messages unacknowledged until told to stop."""

    def __init__(self, run: "Run", name: str, secret: str, number: int) -> None:
        self._run = run
        self.name = name
        self.last_ms = 0
        self._secret = secret
        self._topic = run.load.topic.format(device=name)
        self._head = b""
        self._head_length = -1
        self._variant = number * 37
        self._next_id = 1
        self._buffer = b""
        self._sent_at: deque[int] = deque()
        self._transport: asyncio.Transport | None = None
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.unacknowledged = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send CONNECT."""
        # A transport of uvloop, which is no subclass of asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(connect_packet(self.name, self.name if self._secret else "", self._secret))

    def data_received(self, data: bytes) -> None:
        """Count acknowledgements and refill the window. All packets of interest are four bytes long."""
        if self._buffer:
            data = self._buffer + data
        whole = len(data) & ~3
        self._buffer = data[whole:]
        acknowledged = 0
        for at in range(0, whole, 4):
            kind = data[at]
            if kind == PUBACK:
                acknowledged += 1
            elif kind == CONNACK:
                self._take_connack(data[at + 3])
            else:
                raise ValueError(f"unexpected packet {data[at:whole]!r}")
        if acknowledged:
            self.unacknowledged -= acknowledged
            run = self._run
            now = time.perf_counter_ns()
            for _ in range(acknowledged):
                sent_at = self._sent_at.popleft()
                run.turn += 1
                if run.turn % run.every == 0:
                    run.latencies.append(now - sent_at)
            if len(run.latencies) > LATENCY_SAMPLES:
                run.latencies = run.latencies[::2]
                run.every *= 2
            run.outcome.acknowledged += acknowledged
            if run.publishing and not run.paced:
                self.publish(acknowledged)
            elif not run.publishing:
                run.check_drained()

    def publish(self, count: int) -> None:
        """Write ``count`` messages in one go."""
        run, topic_head = self._run, self._head
        assert self._transport is not None
        parts: list[bytes] = []
        now_ms = time.time_ns() // 1_000_000
        written = time.perf_counter_ns()
        for _ in range(count):
            self.last_ms = max(now_ms, self.last_ms + 1)
            self._variant += 1
            payload = run.make(self._variant, self.last_ms)
            if len(payload) != self._head_length:
                self._head_length = len(payload)
                self._head = topic_head = publish_head(self._topic, len(payload))
            self._next_id = self._next_id + 1 if self._next_id < 65_535 else 1
            parts += (topic_head, self._next_id.to_bytes(2, "big"), payload)
            self._sent_at.append(written)
        self._transport.write(b"".join(parts))
        self.unacknowledged += count
        run.outcome.sent += count

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it; the benchmark fails on it."""
        if not self._run.over:
            self._run.outcome.lost_connections += 1
            self._run.check_drained()
        if not self.connected.done():
            self.connected.set_exception(ConnectionError(f"{self.name}: closed before CONNACK"))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _take_connack(self, code: int) -> None:
        if code:
            self._run.outcome.refused += 1
            self.connected.set_exception(ConnectionError(f"{self.name}: CONNACK {code}"))
        else:
            self.connected.set_result(None)


class Run:
    """All connections of this process."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.make: Callable[[int, int], bytes] = FORMS[load.form](load.points)
        self.paced = load.messages_per_s > 0.0
        self.outcome = Outcome()
        self.latencies: list[int] = []
        self.every, self.turn = 1, 0
        self.publishing = False
        self.over = False
        self._connections: list[Connection] = []
        self._drained = asyncio.Event()

    async def connect(self) -> None:
        """Open all connections, some at a time. Raises ``ConnectionError`` when one is refused."""
        loop = asyncio.get_running_loop()
        for start in range(0, len(self.load.devices), CONNECT_AT_ONCE):
            part = self.load.devices[start : start + CONNECT_AT_ONCE]
            made = await asyncio.gather(
                *(
                    loop.create_connection(
                        lambda name=name, secret=secret, number=start + i: Connection(self, name, secret, number),
                        self.load.host,
                        self.load.port,
                    )
                    for i, (name, secret) in enumerate(part)
                )
            )
            self._connections += [protocol for _, protocol in made]
            await asyncio.gather(*(protocol.connected for _, protocol in made))

    async def publish(self) -> None:
        """Publish for the time asked for, then wait until all is acknowledged."""
        self.outcome.first_at = time.time_ns()
        cpu = time.process_time()
        self.publishing = True
        if self.paced:
            await self._publish_paced()
        else:
            for connection in self._connections:
                connection.publish(self.load.window)
            await asyncio.sleep(self.load.seconds)
        self.publishing = False
        self.check_drained()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), DRAIN_S)
        self.outcome.last_ack_at = time.time_ns()
        self.outcome.cpu_seconds = time.process_time() - cpu
        self.over = True
        ordered = sorted(self.latencies)
        self.outcome.latency_ms = {
            f"p{p:g}": round(ordered[min(len(ordered) - 1, int(len(ordered) * p / 100.0))] / 1e6, 3) if ordered else 0.0
            for p in (50, 99, 99.9)
        }
        every = max(1, len(self._connections) // SAMPLED_DEVICES)
        self.outcome.last_ms = {one.name: one.last_ms for one in self._connections[::every]}
        for connection in self._connections:
            connection.close()

    def check_drained(self) -> None:
        """Notice that nothing is unacknowledged any more."""
        if not self.publishing and all(connection.unacknowledged == 0 for connection in self._connections):
            self._drained.set()

    async def _publish_paced(self) -> None:
        tick = 0.05
        began = time.monotonic()
        sent = turn = 0
        while (elapsed := time.monotonic() - began) < self.load.seconds:
            due = int(elapsed * self.load.messages_per_s)
            for _ in range(due - sent):
                connection = self._connections[turn % len(self._connections)]
                turn += 1
                if connection.unacknowledged < self.load.window:
                    connection.publish(1)
            sent = due
            await asyncio.sleep(tick)


async def _main() -> None:
    loop = asyncio.get_running_loop()
    fields: dict[str, Any] = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    run = Run(Load(**fields))
    await asyncio.wait_for(run.connect(), CONNECT_S)
    print("connected", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    await run.publish()
    print(json.dumps(asdict(run.outcome)), flush=True)
    # Thousands of sockets are closed by the end of the process; the loop need not do it one by one.
    os._exit(0)


if __name__ == "__main__":
    uvloop.run(_main())
