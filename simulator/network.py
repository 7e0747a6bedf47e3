"""The ways between nodes: latency, loss, repetition, reordering, bandwidth and partitions."""

from collections.abc import Callable
from dataclasses import dataclass

from simulator.simulation import MILLISECOND, SECOND, Simulation


@dataclass(frozen=True, slots=True)
class Way:
    """How frames travel in one direction. Times in nanoseconds, shares 0 … 1.

    Attributes:
        latency: at least.
        jitter: up to so much is added, evenly distributed; frames may overtake each other by it.
        loss: share of the frames that do not arrive.
        duplicate: share that arrives twice.
        reorder: share that is held back by up to ``reorder_delay`` more.
        reorder_delay: see there.
        bandwidth: bytes a second; None is unlimited.
    """

    latency: int = 5 * MILLISECOND
    jitter: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_delay: int = 0
    bandwidth: int | None = None


Receiver = Callable[[str, bytes], None]


class Network:
    """Carries frames between nodes that are named.

    Attributes:
        sent, lost, delivered: frames.
        bytes_sent: of them.
    """

    def __init__(self, simulation: Simulation, way: Way) -> None:
        self._simulation = simulation
        self._way = way
        self._ways: dict[tuple[str, str], Way] = {}
        self._receivers: dict[str, Receiver] = {}
        self._cut: dict[tuple[str, str], int] = {}
        self._free: dict[tuple[str, str], int] = {}
        self.sent = self.lost = self.delivered = self.bytes_sent = 0

    def attach(self, name: str, receiver: Receiver) -> None:
        """Give the frames for a node to ``receiver(sender, bytes)``."""
        self._receivers[name] = receiver

    def set_way(self, way: Way, sender: str | None = None, receiver: str | None = None) -> None:
        """Change one direction of a link, or without names everything that has no way of its own."""
        if sender is not None and receiver is not None:
            self._ways[sender, receiver] = way
        else:
            self._way = way

    def heal(self, way: Way) -> None:
        """Make the whole network like ``way`` and end all partitions. What is on its way arrives as before."""
        self._ways.clear()
        self._cut.clear()
        self._way = way

    def cut(self, sender: str, receiver: str, duration: int) -> None:
        """Let nothing through in one direction for so long from now."""
        self._cut[sender, receiver] = max(self._cut.get((sender, receiver), 0), self._simulation.now + duration)

    def send(self, sender: str, receiver: str, frame: bytes) -> None:
        """Send a frame; it arrives later, twice, or never."""
        simulation, key = self._simulation, (sender, receiver)
        way = self._ways.get(key, self._way) if self._ways else self._way
        self.sent += 1
        self.bytes_sent += len(frame)
        rng = simulation.rng.random
        if (self._cut and self._cut.get(key, 0) > simulation.now) or (way.loss and rng() < way.loss):
            self.lost += 1
            return
        copies = 2 if way.duplicate and rng() < way.duplicate else 1
        for _ in range(copies):
            delay = way.latency
            if way.jitter:
                delay += int(way.jitter * rng())
            if way.reorder and rng() < way.reorder:
                delay += int(way.reorder_delay * rng())
            if way.bandwidth:
                free = max(self._free.get(key, 0), simulation.now) + len(frame) * SECOND // way.bandwidth
                self._free[key] = free
                delay += free - simulation.now
            simulation.after(delay, self._arrive, sender, receiver, frame)

    def _arrive(self, sender: str, receiver: str, frame: bytes) -> None:
        self.delivered += 1
        self._receivers[receiver](sender, frame)
