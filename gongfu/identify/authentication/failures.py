"""Who has given wrong passwords too often from one address, and has to wait. The owner of a key, elsewhere, has not."""

from collections import OrderedDict
from collections.abc import Callable

MOST_FAILURES = 10
SECONDS = 60
_REMEMBERED = 10_000


class Failures:
    """Counts failures by what is asked for and from where; the oldest are forgotten when there are too many."""

    def __init__(self, clock: Callable[[], float], *, most: int = MOST_FAILURES) -> None:
        """Make it.

        Args:
            clock: seconds, never backwards.
            most: failures within ``SECONDS``.
        """
        self._clock = clock
        self._most = most
        self._seen: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def too_many(self, name: str, peer: str) -> bool:
        """Return whether nothing more is tried for now."""
        began, count = self._seen.get((name, peer), (0.0, 0))
        return count >= self._most and self._clock() < began + SECONDS

    def add(self, name: str, peer: str) -> None:
        """Count one more."""
        now = self._clock()
        began, count = self._seen.pop((name, peer), (now, 0))
        self._seen[name, peer] = (began, count + 1) if now < began + SECONDS else (now, 1)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def forget(self, name: str, peer: str) -> None:
        """Forget all, after a success."""
        self._seen.pop((name, peer), None)
