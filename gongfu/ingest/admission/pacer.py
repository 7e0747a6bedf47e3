"""Pacing: how much of a front door's time may go to devices that send more than their turn (docs/overload.md).

What a greedy device sends is served with what the others leave. The measure is what the others feel: the time a block
takes to become durable, compared with that time while nobody was greedy, and how late the event loop runs. Above the
target the share falls by a fifth, below it rises slowly, like the delay-based congestion control of LEDBAT (RFC 6817).
"""

from collections import deque

MIN_SHARE = 0.02
# To begin with, until it is known what the node can take.
FIRST_SHARE = 0.25
_FALL, _RISE, _RISE_STEP = 0.8, 1.05, 0.005
_CALM_COMMITS, _RECENT_COMMITS = 128, 24
# Before anything has been measured in calm, seconds.
_DEFAULT_BASE = 0.004
# How far the slow commits may rise above the calm ones: factor and seconds.
_FACTOR, _MARGIN = 1.3, 0.0005
# The loop may be this late, in seconds.
_LAG = 0.004
# After so long at the least share and still too slow, it is not the greedy devices that make it slow.
_BLAMELESS_S = 5.0


class Pacer:
    """The share of time for greedy devices: 1 while nobody else sends, else what keeps delays near those in calm.

    Attributes:
        share: between ``MIN_SHARE`` and 1.
    """

    def __init__(self) -> None:
        self.share = FIRST_SHARE
        self._calm: deque[float] = deque(maxlen=_CALM_COMMITS)
        self._recent: deque[float] = deque(maxlen=_RECENT_COMMITS)
        self._lowest_since: float | None = None

    @property
    def base(self) -> float:
        """The slow commits (90th percentile) in calm, seconds."""
        return _high(self._calm) if len(self._calm) >= 8 else _DEFAULT_BASE

    @property
    def target(self) -> float:
        """The slow commits that are accepted while somebody is greedy, seconds."""
        return self.base * _FACTOR + _MARGIN

    def committed(self, seconds: float, calm: bool) -> None:
        """A block has become durable ``seconds`` after it was closed; ``calm`` when nobody was greedy meanwhile."""
        if calm:
            self._calm.append(seconds)
        else:
            self._recent.append(seconds)

    def adjust(self, now: float, lag: float, others: bool) -> float:
        """Return the share for the next moment; call some 20 times a second while somebody is greedy.

        Args:
            now: monotonic seconds.
            lag: how late this call comes, seconds.
            others: whether anybody but greedy devices sends.
        """
        if not others:
            self.share = 1.0
            self._lowest_since = None
            return self.share
        if lag > _LAG or (self._recent and _high(self._recent) > self.target):
            self.share = max(MIN_SHARE, self.share * _FALL)
        else:
            self.share = min(1.0, self.share * _RISE + _RISE_STEP)
        if self.share > MIN_SHARE:
            self._lowest_since = None
        elif self._lowest_since is None:
            self._lowest_since = now
        elif now - self._lowest_since > _BLAMELESS_S:
            self._calm.extend(self._recent)
            self._lowest_since = None
        return self.share


def _high(values: deque[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) * 9 // 10]
