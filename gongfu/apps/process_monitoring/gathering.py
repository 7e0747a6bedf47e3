"""Samples of many points, side by side on an even grid of times."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.contract import Context, Samples

from .normal_operation import Array

# A value is held for at most so many periods.
HELD_PERIODS = 20
SECOND = 10**9


def grid(start: int, end: int, period: int) -> NDArray[np.int64]:
    """Return the whole multiples of a period in ``[start, end)``; all UTC ns."""
    return np.arange(-(-start // period) * period, end, period, dtype=np.int64)


def usual_interval(samples: Samples, period: int) -> int:
    """Return the time that 99 % of the samples of a point come within, ns; at most ``HELD_PERIODS``."""
    most = HELD_PERIODS * period
    times = samples.good.times
    if len(times) < 2:
        return most
    return int(min(float(np.quantile(np.diff(times), 0.99)), most))


def on_grid(samples: Samples, times: NDArray[np.int64], period: int, interval: int) -> Array:
    """Return ``float64[n]``: the last good value at each time, NaN where there is none.

    A value is held for twice the usual interval, at least one and a half periods. The newest one is held only until the
    next is due: what comes after it may be on its way. Points of text give NaN.
    """
    good = samples.good
    values = np.full(len(times), np.nan)
    if not len(good) or good.values.dtype == object:
        return values
    place = np.searchsorted(good.times, times, side="right") - 1
    known = place >= 0
    age = times - good.times[place]
    known &= age <= min(max(2 * interval, 3 * period // 2), HELD_PERIODS * period)
    known &= (place < len(good) - 1) | (age * 100 < interval * 99)
    values[known] = good.values[place[known]]
    return values


def gather(
    context: Context,
    points: Sequence[tuple[str, str]],
    times: NDArray[np.int64],
    period: int,
    intervals: Sequence[int] | None = None,
) -> tuple[Array, list[int]]:
    """Return values of m points at n >= 1 times, and the usual interval of their samples.

    Args:
        context: of the app.
        points: asset path and name of each.
        times: ``int64[n]``, UTC ns, ascending.
        period: between them, ns.
        intervals: usual interval of each, ns; found from the samples when not given.

    Returns:
        ``float64[n, m]`` values, NaN where there is none, and m intervals.
    """
    start, end = int(times[0]) - HELD_PERIODS * period, int(times[-1]) + 1
    table = np.empty((len(times), len(points)))
    found: list[int] = []
    for place, (asset, point) in enumerate(points):
        samples = _all(context, asset, point, start, end)
        found.append(usual_interval(samples, period) if intervals is None else intervals[place])
        table[:, place] = on_grid(samples, times, period, found[-1])
    return table, found


def _all(context: Context, asset: str, point: str, start: int, end: int) -> Samples:
    """Return the samples of a point however many there are, in pieces of what one question answers."""
    limit = 100_000
    pieces = [context.history(asset, point, start, end, limit)]
    while len(pieces[-1]) == limit:
        pieces.append(context.history(asset, point, int(pieces[-1].times[-1]) + 1, end, limit))
    if len(pieces) == 1:
        return pieces[0]
    return Samples(
        np.concatenate([piece.times for piece in pieces]),
        np.concatenate([piece.values for piece in pieces]),
        np.concatenate([piece.qualities for piece in pieces]),
        pieces[0].unit,
    )


def usable(table: Array) -> list[str]:
    """Return for each of m variables why it cannot be learnt from, or an empty text.

    Args:
        table: ``float64[n, m]`` values of the period.
    """
    reasons: list[str] = []
    for column in table.T:
        known = column[np.isfinite(column)]
        if len(known) < 0.75 * len(column):
            reasons.append("no numbers for more than a quarter of the period")
        elif any(len(np.unique(part)) < 2 for part in _all_but_a_fifth(column)):
            reasons.append("does not move")
        elif len(np.unique(known)) > 10 and (np.all(np.diff(known) >= 0.0) or np.all(np.diff(known) <= 0.0)):
            # Hours run, totals: tomorrow's are never like today's.
            reasons.append("only goes one way, as a counter does")
        else:
            reasons.append("")
    return reasons


def _all_but_a_fifth(column: Array) -> list[Array]:
    edges = np.linspace(0, len(column), 6).astype(int).tolist()
    parts = [np.concatenate([column[: edges[i]], column[edges[i + 1] :]]) for i in range(5)]
    return [part[np.isfinite(part)] for part in parts]
