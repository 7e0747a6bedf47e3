"""Counters: all that a process does or drops, by name: ``noun_verb`` with an optional ``.reason``."""


class Counters:
    """Monotonic counts of one process since its start.

    ``points_rejected.<reason>`` and ``points_shed.<reason>`` are the two kinds of drop: *rejected* is bad input,
    *shed* is deliberately dropped under load.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, name: str, n: int = 1) -> None:
        """Count ``n`` more of ``name``."""
        self._counts[name] = self._counts.get(name, 0) + n

    def snapshot(self) -> dict[str, int]:
        """Return all counts by name."""
        return dict(self._counts)
