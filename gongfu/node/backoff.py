"""How long to wait before a role is started again."""

FIRST_S = 0.25
LONGEST_S = 30.0
STEADY_S = 60.0
JITTER = 0.2


class Backoff:
    """Exponential delays with jitter: 0.25 s doubling up to 30 s, from the start again after a minute without a fall.

    It never gives up; ``failures`` tells how many falls in a row there were.
    """

    def __init__(self) -> None:
        self.failures = 0

    def next_delay(self, ran_s: float, random: float) -> float:
        """Return the seconds to wait.

        Args:
            ran_s: how long the process ran.
            random: a number in 0 to 1 that spreads the delay by ± 20 %.
        """
        if ran_s >= STEADY_S:
            self.failures = 0
        delay = min(FIRST_S * 2.0 ** min(self.failures, 32), LONGEST_S)
        self.failures += 1
        return delay * (1.0 + JITTER * (2.0 * random - 1.0))
