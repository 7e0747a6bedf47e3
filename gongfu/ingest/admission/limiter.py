"""The token buckets of one device or one tenant."""

import math

from gongfu.ingest.admission.bucket import TokenBucket
from gongfu.ingest.admission.quota import Policy, Quota


class Limiter:
    """Points, messages and bytes of one device or tenant.

    Attributes:
        quota: the figures in force.
        limited: there is any limit.
        shut: time (monotonic seconds) before which nothing more is to be read; 0 without a limit.
    """

    __slots__ = ("_active", "_bytes", "_messages", "_points", "limited", "quota", "shut")

    def __init__(self, quota: Quota, now: float) -> None:
        self._points: TokenBucket | None = None
        self._messages: TokenBucket | None = None
        self._bytes: TokenBucket | None = None
        self.change(quota, now)

    @property
    def sheds(self) -> bool:
        """Whether what is over quota is refused rather than delayed."""
        return self.quota.policy is Policy.SHED

    def change(self, quota: Quota, now: float) -> None:
        """Set other figures; debts of rates that stay limited are kept."""
        self.quota = quota
        self._points = _changed(self._points, quota.points, quota.burst_s, now)
        self._messages = _changed(self._messages, quota.messages, quota.burst_s, now)
        self._bytes = _changed(self._bytes, quota.bytes, quota.burst_s, now)
        self._active = [bucket for bucket in (self._points, self._messages, self._bytes) if bucket is not None]
        self.limited = bool(self._active)
        wait = self.wait(now)
        self.shut = now + wait if wait > 0 else 0.0

    def take(self, points: float, messages: float, size: float, now: float) -> None:
        """Charge what was read."""
        wait = 0.0
        if self._points is not None:
            wait = self._points.take(points, now)
        if self._messages is not None:
            wait = max(wait, self._messages.take(messages, now))
        if self._bytes is not None:
            wait = max(wait, self._bytes.take(size, now))
        self.shut = now + wait if wait > 0.0 else 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until something may be read again, 0 when it may now."""
        return max((bucket.wait(now) for bucket in self._active), default=0.0)

    def messages_left(self, now: float, points_a_message: float, bytes_a_message: float) -> float:
        """Return how many messages of the given size fit into the tokens there are; infinite without a limit."""
        left = math.inf
        if self._points is not None:
            left = self._points.level(now) / max(points_a_message, 1.0)
        if self._messages is not None:
            left = min(left, self._messages.level(now))
        if self._bytes is not None:
            left = min(left, self._bytes.level(now) / max(bytes_a_message, 1.0))
        return left

    def rested(self, now: float) -> bool:
        """Return whether at least half of each burst is there."""
        return all(bucket.level(now) >= bucket.burst / 2 for bucket in self._active)

    def full(self, now: float) -> bool:
        """Return whether a new limiter would be the same."""
        return all(bucket.full(now) for bucket in self._active)


def _changed(bucket: TokenBucket | None, rate: float, burst_s: float, now: float) -> TokenBucket | None:
    if rate <= 0:
        return None
    # A burst below one message would never let anything through on time.
    burst = max(1.0, rate * burst_s)
    if bucket is None:
        return TokenBucket(rate, burst, now)
    bucket.change(rate, burst, now)
    return bucket
