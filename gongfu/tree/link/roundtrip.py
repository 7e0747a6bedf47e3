"""Retransmission time-out from measured round trips (RFC 6298), in nanoseconds."""

FLOOR = 200_000_000
CEILING = 5_000_000_000
_UNKNOWN = 1_000_000_000


class RoundTrip:
    """Smoothed round trip and the time-out that follows from it."""

    __slots__ = ("_doublings", "_timeout", "smoothed", "variation")

    def __init__(self) -> None:
        self.smoothed = 0
        self.variation = 0
        self._timeout = _UNKNOWN
        self._doublings = 0

    @property
    def timeout(self) -> int:
        """Wait so long for an acknowledgement."""
        return min(self._timeout << self._doublings, CEILING)

    def sample(self, trip: int) -> None:
        """Take a round trip of a frame that was sent once only (Karn's rule)."""
        trip = max(trip, 0)
        if self.smoothed:
            self.variation += (abs(self.smoothed - trip) - self.variation) // 4
            self.smoothed += (trip - self.smoothed) // 8
        else:
            self.smoothed = max(trip, 1)
            self.variation = trip // 2
        self._timeout = min(max(self.smoothed + 4 * self.variation, FLOOR), CEILING)

    def expired(self) -> None:
        """A time-out passed in vain: the next is twice as long, up to ``CEILING``."""
        if self.timeout < CEILING:
            self._doublings += 1

    def progress(self) -> None:
        """Something new was acknowledged: no longer doubled."""
        self._doublings = 0
