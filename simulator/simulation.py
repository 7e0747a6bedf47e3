"""Virtual time: a heap of events and one source of randomness."""

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Simulation:
    """Runs events in the order of their virtual times; equal times in the order in which they were planned.

    Attributes:
        now: virtual time, nanoseconds since the beginning.
        rng: all randomness of the run.
        seed: that the run began with.
        events: run so far.
    """

    def __init__(self, seed: int) -> None:
        self.now = 0
        self.seed = seed
        self.rng = random.Random(seed)
        self.events = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._planned = 0

    def at(self, time: int, action: Callable[..., None], *arguments: Any) -> None:
        """Plan an action; a time that has passed is now."""
        self._planned += 1
        heappush(self._heap, (max(time, self.now), self._planned, action, arguments))

    def after(self, delay: int, action: Callable[..., None], *arguments: Any) -> None:
        """Plan an action ``delay`` nanoseconds from now."""
        self.at(self.now + delay, action, *arguments)

    def run(self, until: int, stop: Callable[[], bool] | None = None) -> None:
        """Run the events up to virtual time ``until``, or until ``stop()`` is true after one of them."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, action, arguments = heappop(heap)
            self.events += 1
            action(*arguments)
            if stop is not None and stop():
                return
        self.now = max(self.now, until)
