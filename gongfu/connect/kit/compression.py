"""Compression with a guaranteed largest error: deadband and swinging door.

Both look at one point after the other and tell which to keep. What was left out is reconstructed from what was kept:

- *Deadband* ``d``: hold the last value kept. Every value left out differs from it by at most ``d``.
- *Swinging door* ``e``: draw a straight line between the two values kept around it. Every value left out is at most
  ``e`` away from the line. The corridor starts at the last value kept; of the lines through it those are admissible
  which pass each value since then by at most ``e``. A value can end the segment when the line to it is admissible; when
  one cannot, the value before it is kept. (E. H. Bristol, Swinging door trending, 1990, in the form in which the line
  starts at the value itself, which makes ``e`` and not ``2 e`` the bound.)

"At most" holds up to the rounding of a few operations on doubles. Times are UTC ns and rise from call to call; values
are finite. Both keep a value at the latest ``hold`` ns after the one kept before, so that silence means silence.
"""

from typing import NamedTuple, Protocol


class Point(NamedTuple):
    """One value: time in UTC ns, value, quality byte."""

    time: int
    value: float
    quality: int


class Compression(Protocol):
    """Decides for one series which points are kept."""

    def feed(self, point: Point) -> tuple[Point, ...]:
        """Take the next point; return those, in order of time, that are to be kept now."""
        ...

    def flush(self) -> tuple[Point, ...]:
        """Return the point that is held back, if any, to be kept: the series is interrupted after it."""
        ...

    def due(self, now: int) -> tuple[Point, ...]:
        """Return the point that is held back when its time has come (UTC ns): nothing has come after it for long."""
        ...


class Deadband:
    """Keeps a point that differs by more than ``width`` from the one kept before, or in quality."""

    def __init__(self, width: float, hold: int) -> None:
        self._width = width
        self._hold = hold
        self._kept: Point | None = None

    def feed(self, point: Point) -> tuple[Point, ...]:
        """See ``Compression.feed``."""
        kept = self._kept
        if (
            kept is not None
            and abs(point.value - kept.value) <= self._width
            and point.quality == kept.quality
            and point.time - kept.time < self._hold
        ):
            return ()
        self._kept = point
        return (point,)

    def flush(self) -> tuple[Point, ...]:
        """Keep the next point, whatever it is."""
        self._kept = None
        return ()

    def due(self, now: int) -> tuple[Point, ...]:
        """Return nothing: what is left out is like what was kept."""
        return ()


class SwingingDoor:
    """Keeps the ends of straight lines that pass all points between them by at most ``error``."""

    def __init__(self, error: float, hold: int) -> None:
        self._error = error
        self._hold = hold
        self._pivot: Point | None = None
        self._held: Point | None = None
        self._low = 0.0
        self._high = 0.0

    def feed(self, point: Point) -> tuple[Point, ...]:
        """See ``Compression.feed``. The newest point is held back until the next one tells whether it is an end."""
        pivot = self._pivot
        if pivot is None:
            self._pivot = point
            return (point,)
        held = self._held
        if point.quality != pivot.quality:
            # No line is drawn between qualities.
            self._pivot, self._held = point, None
            return (point,) if held is None else (held, point)
        span = point.time - pivot.time
        slope = (point.value - pivot.value) / span
        if held is not None and (not self._low <= slope <= self._high or span >= self._hold):
            self._pivot, self._held = held, None
            return (held, *self.feed(point))
        if span >= self._hold:
            self._pivot = point
            return (point,)
        margin = self._error / span
        low, high = slope - margin, slope + margin
        self._low = low if held is None else max(self._low, low)
        self._high = high if held is None else min(self._high, high)
        self._held = point
        return ()

    def flush(self) -> tuple[Point, ...]:
        """See ``Compression.flush``."""
        held, self._pivot, self._held = self._held, None, None
        return () if held is None else (held,)

    def due(self, now: int) -> tuple[Point, ...]:
        """See ``Compression.due``: a point is held back for ``hold`` at most."""
        held = self._held
        if held is None or now - held.time < self._hold:
            return ()
        self._pivot, self._held = held, None
        return (held,)


def compression_of(deadband: float, swinging_door: float, hold: int) -> Compression | None:
    """Return what compresses a series, None when every value is kept.

    Args:
        deadband: width, 0 off.
        swinging_door: largest error, 0 off. Not both.
        hold: ns, see the module.
    """
    if swinging_door > 0:
        return SwingingDoor(swinging_door, hold)
    return Deadband(deadband, hold) if deadband > 0 else None
