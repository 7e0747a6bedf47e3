"""What is to be done at a time: one heap, in whatever time its owner goes by."""

import heapq
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

# Cancelled entries are swept out when there are more of them than of others.
_SWEEP = 1000


class Agenda:
    """Actions by time, each once."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._actions: dict[int, Callable[[], None]] = {}
        self._key = 0

    def __len__(self) -> int:
        return len(self._actions)

    def add(self, when: int, action: Callable[[], None]) -> Callable[[], None]:
        """Do this at ``when``; returns what cancels it."""
        self._key += 1
        key = self._key
        self._actions[key] = action
        heapq.heappush(self._heap, (when, key))
        return lambda: self._cancel(key)

    def _cancel(self, key: int) -> None:
        self._actions.pop(key, None)
        if len(self._heap) > 2 * len(self._actions) + _SWEEP:
            self._heap = [entry for entry in self._heap if entry[1] in self._actions]
            heapq.heapify(self._heap)

    @property
    def next(self) -> int | None:
        """When the first is due."""
        while self._heap and self._heap[0][1] not in self._actions:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, now: int) -> None:
        """Do what is due; one that fails does not stop the others."""
        while (when := self.next) is not None and when <= now:
            action = self._actions.pop(heapq.heappop(self._heap)[1])
            try:
                action()
            except Exception:
                logger.exception("what was due at a time failed")
