"""How many assets and points each device has below its own, remembered: counting them walks them all."""

from collections.abc import Callable

# A count is taken again after this; another front door may have added to it.
_FRESH_NS = 60_000_000_000
_ENTRIES = 100_000


class QuotaCounts:
    """Numbers by (kind, own asset of a device). One thread at a time; ``forget`` from any.

    A refusal always rests on a fresh count; a grant on one that is up to a minute old plus what was granted since.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], tuple[int, int]] = {}

    def room(self, kind: str, own: int, limit: int, wanted: int, count: Callable[[], int], now: int) -> int:
        """Return how many more a device may have.

        Args:
            kind: ``assets`` or ``points``.
            own: own asset of the device.
            limit: most it may have.
            wanted: how many it wants now.
            count: counts them in the records.
            now: UTC ns.
        """
        known = self._counts.get((kind, own))
        if known is None or now - known[1] > _FRESH_NS or limit - known[0] < wanted:
            if len(self._counts) >= _ENTRIES:
                self._counts.clear()
            known = self._counts[kind, own] = (count(), now)
        return limit - known[0]

    def granted(self, kind: str, own: int, number: int) -> None:
        """Add what was granted after ``room``."""
        known = self._counts.get((kind, own))
        if known is not None:  # it may have been forgotten in between
            self._counts[kind, own] = (known[0] + number, known[1])

    def forget(self) -> None:
        """Count anew: a transaction was rolled back, or something was deleted."""
        self._counts.clear()
