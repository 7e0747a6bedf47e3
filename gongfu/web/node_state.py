"""What the roles tell about themselves: counters and gauges, turned into rates, totals and the last two minutes."""

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from gongfu.bus.connection import subscribe
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SECOND, Clock

HISTORY_SECONDS = 120
# A role that was not heard for so long counts as gone: its rates are 0 and its gauges are left out.
_FRESH_SECONDS = 4

log = logging.getLogger(__name__)


class RoleProcessState(msgspec.Struct, frozen=True):
    """A process of the node as the supervisor sees it."""

    role: str
    pid: int
    state: str
    restarts: int
    cpu_percent: float
    rss_bytes: int
    started_at: str | None


@dataclass(slots=True)
class RoleMetrics:
    """The figures of one role over its restarts."""

    pid: int = 0
    time: int = 0
    counters: dict[str, int] = field(default_factory=dict[str, int])
    gauges: dict[str, float] = field(default_factory=dict[str, float])
    rates: dict[str, float] = field(default_factory=dict[str, float])
    # Counts of earlier processes of this role, as far as this process has seen them.
    before: dict[str, int] = field(default_factory=dict[str, int])

    def update(self, pid: int, time: int, counters: dict[str, int], gauges: dict[str, float]) -> None:
        """Take the next message; a new process starts its counters at zero."""
        restarted = pid != self.pid
        if restarted:
            for name, count in self.counters.items():
                self.before[name] = self.before.get(name, 0) + count
            self.rates = {}
        elif time > self.time:
            seconds = (time - self.time) / SECOND
            self.rates = {name: (count - self.counters.get(name, 0)) / seconds for name, count in counters.items()}
        self.pid, self.time, self.counters, self.gauges = pid, time, counters, gauges


@dataclass(frozen=True, slots=True)
class Sample:
    """Rates (per second) of one second; ``time`` is UTC ns."""

    time: int
    points: float
    messages: float
    shed: float
    rejected: float


class NodeState:
    """Follows ``met.*`` of all roles. Use from one event loop."""

    def __init__(self, subjects: Subjects, clock: Clock) -> None:
        self._subjects = subjects
        self._clock = clock
        self._roles: dict[str, RoleMetrics] = {}
        # By supervisor: one on each machine.
        self._processes: dict[str, list[dict[str, Any]]] = {}
        self.history: deque[Sample] = deque(maxlen=HISTORY_SECONDS)
        self._task: asyncio.Task[None] | None = None

    async def start(self, bus: Client) -> None:
        """Begin to follow."""
        self._subscription = await subscribe(bus, self._subjects.metrics("*"), self._receive)
        self._task = asyncio.create_task(self._run(), name="node state")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._subscription.unsubscribe()

    def take(self, document: dict[str, Any]) -> None:
        """Take the metrics document of a role (see ``MetricsPublisher``)."""
        role = str(document["role"])
        counters = {str(name): int(count) for name, count in document.get("counters", {}).items()}
        gauges = {str(name): float(value) for name, value in document.get("gauges", {}).items()}
        metrics = self._roles.setdefault(role, RoleMetrics())
        metrics.update(int(document["pid"]), int(document["time"]), counters, gauges)
        if "roles" in document:
            self._processes[role] = list(document["roles"])

    def sample(self) -> None:
        """Add the rates of now to the history; call once a second."""
        self.history.append(
            Sample(
                time=self._clock.now_ns() // SECOND * SECOND,
                points=self.rate("points_accepted"),
                messages=self.rate("messages_received"),
                shed=self.rate("points_shed."),
                rejected=self.rate("points_rejected."),
            )
        )

    def rate(self, name: str) -> float:
        """Return counts per second over all roles; a name that ends in ``.`` sums up all its reasons."""
        total = sum(
            value
            for metrics in self._fresh().values()
            for counter, value in metrics.rates.items()
            if counter == name or (name.endswith(".") and counter.startswith(name))
        )
        return round(max(total, 0.0), 3)

    def total(self, name: str) -> int:
        """Return a count over all roles and their restarts since this process started."""
        return sum(metrics.counters.get(name, 0) + metrics.before.get(name, 0) for metrics in self._roles.values())

    def gauge(self, name: str, default: float = 0.0, *, greatest: bool = False) -> float:
        """Return the sum of a gauge over all roles, or the greatest one."""
        values = [metrics.gauges[name] for metrics in self._fresh().values() if name in metrics.gauges]
        if not values:
            return default
        return max(values) if greatest else sum(values)

    def roles(self) -> dict[str, RoleMetrics]:
        """Return the figures of all roles that were heard of lately, by role."""
        return self._fresh()

    def doors(self) -> int:
        """Return how many front doors were heard of lately."""
        return self._count("door")

    def workers(self) -> int:
        """Return how many workers were heard of lately."""
        return self._count("worker")

    def _count(self, kind: str) -> int:
        return sum(role.partition("@")[0].partition("-")[0] == kind for role in self._fresh())

    def processes(self) -> list[dict[str, Any]]:
        """Return the supervisors' tables of processes; empty when roles were started by hand.

        A machine that was not heard of lately is there still, with every process in the state ``unknown``.
        """
        fresh = self._fresh()
        return [
            row if supervisor in fresh else {**row, "state": "unknown", "cpu_percent": 0.0}
            for supervisor, rows in sorted(self._processes.items())
            for row in rows
        ]

    def _fresh(self) -> dict[str, RoleMetrics]:
        since = self._clock.now_ns() - _FRESH_SECONDS * SECOND
        return {role: metrics for role, metrics in self._roles.items() if metrics.time >= since}

    async def _receive(self, message: Msg) -> None:
        try:
            self.take(msgspec.json.decode(message.data))
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError):
            log.warning("unreadable metrics on %s", message.subject)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(1 - self._clock.now_ns() % SECOND / SECOND)
            self.sample()
