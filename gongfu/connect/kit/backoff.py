"""How long a connection waits before it is tried again."""


class Backoff:
    """Exponential delays with full jitter on their upper half.

    Machines that lost one switch come back at different times, and a machine that is away for a week is not called
    more often than every ``longest`` seconds. After ``steady`` seconds of connection it starts again.
    """

    def __init__(self, first: float = 0.5, longest: float = 60.0, steady: float = 30.0) -> None:
        """All in seconds."""
        self._first = first
        self._longest = longest
        self._steady = steady
        self.failures = 0

    def next_delay(self, connected: float, random: float) -> float:
        """Return the seconds to wait after a failure.

        Args:
            connected: how long the connection stood before, seconds.
            random: a number in 0 to 1.
        """
        if connected >= self._steady:
            self.failures = 0
        delay = min(self._first * 2.0 ** min(self.failures, 32), self._longest)
        self.failures += 1
        return delay * (0.5 + 0.5 * random)
