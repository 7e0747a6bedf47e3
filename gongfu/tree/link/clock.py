"""How far the other end's clock is from one's own.

The round trips that took least are the most symmetric ones; the median of their offsets is not moved by a few bad ones
(the clock filter of NTP, RFC 5905 §10, uses the same observation).
"""

from array import array
from statistics import median_low

_KEPT = 16
_BEST = 5
# What two good clocks drift apart while samples are kept.
_DRIFT = 50_000_000
SKEW_BOUND = 5_000_000_000


class ClockOffset:
    """Estimate of the other end's clock minus own, from pings. All times in nanoseconds."""

    __slots__ = ("_samples", "offset")

    def __init__(self, offset: int | None = None) -> None:
        """Begin with the offset that was kept, or None."""
        self.offset = offset
        self._samples = array("q")

    @property
    def skewed(self) -> bool:
        """Whether the clocks differ by more than ``SKEW_BOUND``."""
        return self.offset is not None and abs(self.offset) > SKEW_BOUND

    def sample(self, sent: int, clock: int, received: int) -> None:
        """Take a ping: own clock when sent, the other's when answered, own when the answer came.

        A sample is wrong by half its round trip at most: those that differ by more are of before the other clock was
        set, and are dropped. One whose answer came before it was sent (the own clock was set back meanwhile) says
        nothing and is left out.
        """
        if received < sent:
            return
        trip, offset = received - sent, clock - (sent + received) // 2
        kept = self._samples[-2 * (_KEPT - 1) :]
        self._samples = array("q")
        for before, sample in zip(kept[::2], kept[1::2], strict=True):
            if abs(sample - offset) <= (before + trip) // 2 + _DRIFT:
                self._samples.extend((before, sample))
        self._samples.extend((trip, offset))
        pairs = sorted(zip(self._samples[::2], self._samples[1::2], strict=True))
        self.offset = median_low(offset for _, offset in pairs[:_BEST])

    def stepped(self, step: int) -> None:
        """The own clock was set forward by ``step`` (backward if negative): the offset is that much smaller."""
        for i in range(1, len(self._samples), 2):
            self._samples[i] -= step
        if self.offset is not None:
            self.offset -= step
