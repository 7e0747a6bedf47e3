"""The token buckets of one device or one tenant."""

import math

from gongfu.ingest.admission.bucket import TokenBucket
from gongfu.ingest.admission.quota import Policy, Quota


class Limiter:
    """Points, messages and bytes of one device or tenant.

    Attributes:
        quota: the figures in force.
        shut: time (monotonic seconds) before which nothing more is to be read; 0 without a limit.
    """

    __slots__ = ("_buckets", "quota", "shut")

    def __init__(self, quota: Quota, now: float) -> None:
        self.quota = quota
        self.shut = 0.0
        self._buckets: tuple[TokenBucket | None, TokenBucket | None, TokenBucket | None] = (None, None, None)
        self.change(quota, now)

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self._buckets != (None, None, None)

    @property
    def sheds(self) -> bool:
        """Whether what is over quota is refused rather than delayed."""
        return self.quota.policy is Policy.SHED

    def change(self, quota: Quota, now: float) -> None:
        """Set other figures; debts of rates that stay limited are kept."""
        self.quota = quota
        rates = (quota.points, quota.messages, quota.bytes)
        points, messages, size = (
            _changed(bucket, rate, quota.burst_s, now) for bucket, rate in zip(self._buckets, rates, strict=True)
        )
        self._buckets = (points, messages, size)
        self._shut(now)

    def take(self, points: float, messages: float, size: float, now: float) -> None:
        """Charge what was read."""
        for bucket, amount in zip(self._buckets, (points, messages, size), strict=True):
            if bucket is not None:
                bucket.take(amount, now)
        self._shut(now)

    def wait(self, now: float) -> float:
        """Return the seconds until something may be read again, 0 when it may now."""
        return max((bucket.wait(now) for bucket in self._buckets if bucket is not None), default=0.0)

    def messages_left(self, now: float, points_a_message: float, bytes_a_message: float) -> float:
        """Return how many messages of the given size fit into the tokens there are; infinite without a limit."""
        left = math.inf
        for bucket, size in zip(self._buckets, (points_a_message, 1.0, bytes_a_message), strict=True):
            if bucket is not None:
                left = min(left, bucket.level(now) / max(size, 1.0))
        return left

    def rested(self, now: float) -> bool:
        """Return whether at least half of each burst is there."""
        return all(bucket is None or bucket.level(now) >= bucket.burst / 2 for bucket in self._buckets)

    def full(self, now: float) -> bool:
        """Return whether a new limiter would be the same."""
        return all(bucket is None or bucket.full(now) for bucket in self._buckets)

    def _shut(self, now: float) -> None:
        wait = self.wait(now)
        self.shut = now + wait if wait > 0 else 0.0


def _changed(bucket: TokenBucket | None, rate: float, burst_s: float, now: float) -> TokenBucket | None:
    if rate <= 0:
        return None
    # A burst below one message would never let anything through on time.
    burst = max(1.0, rate * burst_s)
    if bucket is None:
        return TokenBucket(rate, burst, now)
    bucket.change(rate, burst, now)
    return bucket
