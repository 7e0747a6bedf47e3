"""When edge nodes are asked to be born again: seldom each, and not all at once. Pure: time and chance are given.

Thousands of nodes may need a rebirth in the same second, after a restart or behind a bridge. A request that is answered
costs a birth of hundreds of metrics, so requests wait a random time (their birth may be on its way), leave at a bounded
rate (token bucket), and are repeated to one node at intervals that double.
"""

import heapq
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gongfu.kernel.times import SECOND

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Throttle:
    """How often rebirths are asked for.

    Attributes:
        rate: requests a second, of all nodes together.
        burst: requests at once after a quiet time.
        jitter: a request waits up to so many seconds, evenly distributed.
        first, longest: seconds between two requests to one node: the first interval, and the longest after doubling.
        pending: nodes that wait at most; further requests are left out, and asked for again by further data.
    """

    rate: float = 200.0
    burst: float = 50.0
    jitter: float = 1.0
    first: float = 5.0
    longest: float = 300.0
    pending: int = 100_000


class Rebirths(Generic[K]):
    """Requests that wait, by node.

    Args:
        throttle: how often.
        chance: returns a number in [0, 1).
    """

    def __init__(self, throttle: Throttle, chance: Callable[[], float]) -> None:
        self._throttle = throttle
        self._chance = chance
        self._tokens = throttle.burst
        self._filled = 0
        self._pending: dict[K, int] = {}
        self._order: list[tuple[int, int, K]] = []
        self._ticket = 0
        # UTC ns before which the node is not asked again, and the interval after that in ns.
        self._asked: dict[K, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def ask(self, key: K, now: int) -> bool:
        """Ask a node soon; return False when it waits already or there is no room."""
        if key in self._pending or len(self._pending) >= self._throttle.pending:
            return False
        earliest = now + int(self._throttle.jitter * self._chance() * SECOND)
        asked = self._asked.get(key)
        if asked is not None:
            earliest = max(earliest, asked[0])
        self._pending[key] = earliest
        self._ticket += 1
        if len(self._order) > 2 * len(self._pending) + 1000:
            # Mostly of nodes that were born in the meantime.
            self._order = [entry for entry in self._order if self._pending.get(entry[2]) == entry[0]]
            heapq.heapify(self._order)
        heapq.heappush(self._order, (earliest, self._ticket, key))
        return True

    def born(self, key: K) -> None:
        """The node has been born: a request that waits is void, and the interval begins anew after a calm time."""
        self._pending.pop(key, None)

    def forget(self, key: K) -> None:
        """Forget a node."""
        self._pending.pop(key, None)
        self._asked.pop(key, None)

    def due(self, now: int) -> list[K]:
        """Return the nodes to ask now."""
        throttle = self._throttle
        self._tokens = min(throttle.burst, self._tokens + throttle.rate * max(0, now - self._filled) / SECOND)
        self._filled = now
        found: list[K] = []
        while self._order and self._order[0][0] <= now and self._tokens >= 1:
            earliest, _, key = heapq.heappop(self._order)
            if self._pending.get(key) != earliest:
                continue  # born in the meantime
            del self._pending[key]
            self._tokens -= 1
            found.append(key)
            self._note(key, now)
        return found

    def _note(self, key: K, now: int) -> None:
        first, longest = int(self._throttle.first * SECOND), int(self._throttle.longest * SECOND)
        until, interval = self._asked.pop(key, (0, 0))
        # A node that has been calm for as long as it was last made to wait begins anew.
        calm = not interval or now > until + interval
        interval = first if calm else min(2 * interval, longest)
        if len(self._asked) >= throttle_room(self._throttle):
            del self._asked[next(iter(self._asked))]
        self._asked[key] = (now + interval, interval)

    def next_at(self, now: int) -> int:
        """Return the UTC ns at which ``due`` may have something, 0 when nothing waits."""
        while self._order and self._pending.get(self._order[0][2]) != self._order[0][0]:
            heapq.heappop(self._order)
        if not self._order:
            return 0
        token = 0 if self._tokens >= 1 else now + int((1 - self._tokens) / self._throttle.rate * SECOND) + 1000
        return max(self._order[0][0], token, now + 1)


def throttle_room(throttle: Throttle) -> int:
    """Return of how many nodes it is remembered when they were last asked."""
    return 2 * throttle.pending
