"""How far the other end's clock is from this one: the median of the exchanges with the shortest round trips.

Half the round trip is the most by which one exchange can be wrong, however unequal its two ways are; a queue on one
of them makes the round trip long, so the shortest ones are believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

NEAREST = 5


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One ping and its pong. UTC ns.

    Attributes:
        sent: own clock when the ping left.
        remote_received: the other end's clock when it had it.
        received: own clock when the pong was there.
    """

    sent: int
    remote_received: int
    received: int

    @property
    def round_trip(self) -> int:
        """How long it took, ns."""
        return self.received - self.sent

    @property
    def offset(self) -> int:
        """Other clock minus own clock, ns, if both ways took equally long."""
        return self.remote_received - (self.sent + self.received) // 2


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """An estimate.

    Attributes:
        offset: other clock minus own clock, ns; own clock + offset is the other end's time.
        uncertainty: the most by which it is wrong as long as neither clock was set meanwhile, ns.
        samples: number of exchanges it rests on.
    """

    offset: int
    uncertainty: int
    samples: int

    def skewed(self, limit: int) -> bool:
        """Return whether the clocks are surely more than ``limit`` ns apart, not only perhaps."""
        return abs(self.offset) - self.uncertainty > limit


def estimate_offset(samples: Sequence[ClockSample], nearest: int = NEAREST) -> ClockOffset | None:
    """Return the estimate from the latest exchanges, or None when there is no usable one.

    Args:
        samples: the latest ones, as many as the caller keeps; those during which the own clock was set back, so that
            the round trip is negative, are left out.
        nearest: how many with the shortest round trips count.
    """
    usable = sorted((sample for sample in samples if sample.round_trip >= 0), key=lambda sample: sample.round_trip)
    chosen = usable[:nearest]
    if not chosen:
        return None
    # Rounded up, and 1 ns for the halving of odd sums.
    uncertainty = chosen[-1].round_trip // 2 + 1
    return ClockOffset(median_low([sample.offset for sample in chosen]), uncertainty, len(chosen))
