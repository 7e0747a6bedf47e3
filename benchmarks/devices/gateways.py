"""Gateways: MQTT 3.1.1 connections that report for many devices each (JSON gateway form), in this process."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from benchmarks.ingest.payloads import connect_packet, publish_head

CHILDREN = 100
WINDOW = 4


@dataclass(frozen=True)
class Plan:
    """Who reports for whom: device ``n`` is below gateway ``n % len(gateways)``."""

    host: str
    port: int
    gateways: list[tuple[str, str]]
    devices: int
    points: int


@dataclass
class Outcome:
    """Messages and points of one load."""

    sent: int = 0
    acknowledged: int = 0
    acknowledged_points: int = 0


class Gateways:
    """Connections of all gateways; use as a context."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._sockets: list[socket.socket] = []
        self._waiting: list[list[int]] = []
        for name, secret in plan.gateways:
            made = socket.create_connection((plan.host, plan.port), timeout=30.0)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.sendall(connect_packet(name, name, secret))
            if made.recv(4)[3:4] != b"\0":
                raise RuntimeError(f"{name} was refused")
            self._sockets.append(made)
            self._waiting.append([])

    def __enter__(self) -> "Gateways":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for made in self._sockets:
            with contextlib.suppress(OSError):
                made.close()

    def send(self, *, points: int, period: float, seconds: float = 0.0, rounds: int = 0) -> Outcome:
        """Let every device report ``points`` values every ``period`` seconds, for a time or a number of rounds."""
        outcome, began, number = Outcome(), time.monotonic(), 0
        while (not rounds or number < rounds) and (rounds or time.monotonic() - began < seconds):
            messages = list(self._messages())
            for at, (gateway, numbers) in enumerate(messages):
                if period:
                    due = began + (number + at / len(messages)) * period
                    if not rounds and due - began > seconds:
                        break
                    time.sleep(max(0.0, due - time.monotonic()))
                while len(self._waiting[gateway]) >= WINDOW:
                    self._acknowledge(gateway, outcome)
                stamp = time.time_ns() // 1_000_000
                values = {f"p{point}": stamp % 1000 / 10 + point for point in range(points)}
                body = {f"m{device:07d}": [{"ts": stamp, "values": values}] for device in numbers}
                payload = json.dumps(body, separators=(",", ":")).encode()
                identifier = 1 + outcome.sent % 60_000
                packet = publish_head("v1/gateway/telemetry", len(payload)) + identifier.to_bytes(2, "big") + payload
                self._sockets[gateway].sendall(packet)
                self._waiting[gateway].append(points * len(numbers))
                outcome.sent += 1
            number += 1
        for gateway in range(len(self._sockets)):
            while self._waiting[gateway]:
                self._acknowledge(gateway, outcome)
        return outcome

    def _messages(self) -> Iterator[tuple[int, range]]:
        """Yield (gateway, devices) of one round, one message of each gateway after the other."""
        plan, step = self._plan, len(self._plan.gateways)
        for start in range(0, (plan.devices + step - 1) // step, CHILDREN):
            for gateway in range(step):
                numbers = range(gateway + start * step, min(gateway + (start + CHILDREN) * step, plan.devices), step)
                if numbers:
                    yield gateway, numbers

    def _acknowledge(self, gateway: int, outcome: Outcome) -> None:
        packet = b""
        while len(packet) < 4:
            part = self._sockets[gateway].recv(4 - len(packet))
            if not part:
                raise RuntimeError("the node closed a connection")
            packet += part
        outcome.acknowledged += 1
        outcome.acknowledged_points += self._waiting[gateway].pop(0)
