"""Metrics of a role: its counters and gauges, once a second on the bus."""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock, SystemClock

INTERVAL_S = 1.0


class MetricsPublisher:
    """Publishes ``{"role", "pid", "time" (UTC ns), "counters", "gauges"}`` on ``subjects.metrics(role)``."""

    def __init__(
        self,
        bus: Client,
        subjects: Subjects,
        role: str,
        counters: Counters,
        gauges: Callable[[], Mapping[str, float]],
        clock: Clock | None = None,
    ) -> None:
        self._bus = bus
        self._subject = subjects.metrics(role)
        self._role = role
        self._counters = counters
        self._gauges = gauges
        self._clock = clock or SystemClock()
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Begin to publish; call with a running loop."""
        self._task = asyncio.create_task(self._run(), name=f"metrics {self._role}")

    async def stop(self) -> None:
        """Publish a last time and end."""
        if self._task is None:
            return
        # Not by cancelling: nats-py swallows a cancellation that meets it while it flushes.
        self._stopping.set()
        await self._task
        self._task = None

    async def publish(self) -> None:
        """Publish now. A bus that is away is no error: the next second brings newer figures."""
        if not self._bus.is_connected:
            return
        body = {
            "role": self._role,
            "pid": os.getpid(),
            "time": self._clock.now_ns(),
            "counters": self._counters.snapshot(),
            "gauges": dict(self._gauges()),
        }
        with suppress(NatsError, OSError):
            await self._bus.publish(self._subject, msgspec.json.encode(body))

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self.publish()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), INTERVAL_S)
        await self.publish()
