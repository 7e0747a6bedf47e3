"""Token bucket with debt: what is taken is known only after it has been read, so the level may fall below zero."""


class TokenBucket:
    """Tokens that come at a rate up to a burst; ``take`` always succeeds, ``wait`` tells when there is something again.

    Over any time T at most ``rate * T + burst`` and one last portion are taken by a caller who takes only when
    ``wait`` is 0. Times are seconds of one monotonic clock.

    Attributes:
        rate: tokens per second, above 0.
        burst: most tokens that are kept, above 0.
    """

    __slots__ = ("_at", "_level", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """Begin full."""
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._at = now

    def level(self, now: float) -> float:
        """Return the tokens there are; below zero it is a debt."""
        if now > self._at:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
            self._at = now
        return self._level

    def take(self, amount: float, now: float) -> float:
        """Take tokens, into debt if need be; return the seconds until there is a whole token, as ``wait`` does."""
        self._level = self.level(now) - amount
        return self.wait(now)

    def wait(self, now: float) -> float:
        """Return the seconds until there is a whole token, 0 when there is."""
        level = self.level(now)
        if level >= 1.0:
            return 0.0
        missing = min(1.0, self.burst) - level
        # Rounding may leave it a hair short when the time has come.
        return missing / self.rate if missing > 1e-9 * (1.0 + self.rate) else 0.0

    def full(self, now: float) -> bool:
        """Return whether nothing has been taken for long enough that this bucket is as good as a new one."""
        return self.level(now) >= self.burst

    def change(self, rate: float, burst: float, now: float) -> None:
        """Set other figures; a debt stays a debt."""
        level = self.level(now)
        self.rate, self.burst = rate, burst
        self._level = min(level, burst)
