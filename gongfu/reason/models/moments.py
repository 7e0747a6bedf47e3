"""Points of inputs by asset and time: what each input has at the moments at which some input has a sample. Pure."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.models.types import Column

Integers = NDArray[np.int64]
Slots = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Points(NamedTuple):
    """Points of inputs in order of arrival: asset slot, number of the input port, source time, value, quality."""

    slots: Slots
    ports: Integers
    times: Integers
    values: Column
    qualities: NDArray[np.uint8]

    def of(self, rows: Any) -> "Points":
        """Return some rows."""
        slots, ports, times, values, qualities = self
        return Points(slots[rows], ports[rows], times[rows], values[rows], qualities[rows])

    def then(self, more: "Points") -> "Points":
        """Return these and others after them."""
        return Points(
            np.concatenate([self.slots, more.slots]),
            np.concatenate([self.ports, more.ports]),
            np.concatenate([self.times, more.times]),
            np.concatenate([self.values, more.values]),
            np.concatenate([self.qualities, more.qualities]),
        )


def no_points() -> Points:
    """Return no points."""
    none = np.zeros(0, dtype=np.int64)
    return Points(none, none, none, np.zeros(0), np.zeros(0, dtype=np.uint8))


class Held(NamedTuple):
    """What an input has at some moments."""

    known: Flags
    times: Integers
    values: Column
    qualities: NDArray[np.uint8]

    def of(self, rows: Any) -> "Held":
        """Return some moments."""
        return Held(self.known[rows], self.times[rows], self.values[rows], self.qualities[rows])


class Moments:
    """The different (slot, time) of ordered points.

    Attributes:
        points: the points.
        slots: int64[g].
        times: int64[g].
    """

    def __init__(self, points: Points) -> None:
        self.points = points
        slots, times = points.slots, points.times
        first = np.append(True, (slots[1:] != slots[:-1]) | (times[1:] != times[:-1]))
        self._moment = np.cumsum(first) - 1
        starts = np.flatnonzero(first)
        self.slots, self.times = slots[starts], times[starts]
        opens = np.append(True, self.slots[1:] != self.slots[:-1])
        # First row of the slot that a moment belongs to.
        self._floor = np.maximum.accumulate(np.where(opens, starts, 0))

    def latest(self, port: int) -> Integers:
        """Return, by moment, the row of the newest point of a port at or before it; -1 for none."""
        rows = np.flatnonzero(self.points.ports == port)
        found = np.full(len(self.slots), -1, dtype=np.int64)
        found[self._moment[rows]] = rows
        found = np.maximum.accumulate(found)
        return np.where(found >= self._floor, found, -1)


def ordered_points(points: Points) -> Points:
    """Return points by slot, time and port; of the same three the last to arrive."""
    slots, times, ports = points.slots, points.times, points.ports
    order = np.lexsort((ports, times, slots))
    slots, times, ports = slots[order], times[order], ports[order]
    same = (slots[1:] == slots[:-1]) & (times[1:] == times[:-1]) & (ports[1:] == ports[:-1])
    return points.of(order[np.append(~same, True)])


def newest_rows(slots: Slots, counts: Integers, most: int) -> Integers:
    """Return how many of the rows of each moment are among the newest ``most`` of their slot; slots are in order."""
    total = np.cumsum(counts)
    ends = np.append(slots[1:] != slots[:-1], True)
    last = np.flatnonzero(ends)
    # Rows of the same slot after a moment.
    after = np.repeat(total[last], np.diff(last, prepend=-1)) - total
    return np.clip(most - after, 0, counts)


def last_of_each(slots: Slots, chosen: Flags) -> Integers:
    """Return the last chosen position of each slot; slots are in order."""
    at = np.flatnonzero(chosen)
    return at[np.append(slots[at[1:]] != slots[at[:-1]], True)]
