"""Gaps of a series: silences that are longer than they should be. Each ends and begins at a stored value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.times import SECOND
from gongfu.store.history.budget import PIECE, Budget
from gongfu.store.history.requests import GapRule
from gongfu.store.history.surroundings import SeriesReader

MAX_GAPS = 1000


@dataclass(frozen=True, slots=True)
class Silence:
    """A gap from one value to the next (UTC ns); ``until`` is None while no value has followed."""

    since: int
    until: int | None
    length: int


@dataclass(frozen=True, slots=True)
class Gaps:
    """Gaps of one series and the interval its values usually have, in ns."""

    usual: int | None
    silences: list[Silence]


def usual_interval(times: NDArray[np.int64]) -> int | None:
    """Return the median between neighbours, which a few gaps do not move; None for fewer than three values."""
    if len(times) < 3:
        return None
    return int(np.median(np.diff(times)))


def bound_of(rule: GapRule, usual: int | None) -> int | None:
    """Return how long a silence may be; None when the rule cannot tell without a usual interval."""
    bounds = [] if rule.longer_than is None else [rule.longer_than]
    if rule.times_usual is not None and usual is not None:
        bounds.append(round(usual * rule.times_usual))
    return max(bounds) if bounds else None


def silences(times: NDArray[np.int64], bound: int) -> list[Silence]:
    """Return where neighbours are farther apart than ``bound`` ns."""
    lengths = np.diff(times)
    return [
        Silence(int(times[i]), int(times[i + 1]), int(lengths[i])) for i in np.flatnonzero(lengths > bound).tolist()
    ]


async def find_gaps(
    reader: SeriesReader, time_from: int, time_to: int, now: int, rule: GapRule, budget: Budget, *, good_only: bool
) -> Gaps:
    """Return the gaps that touch ``[time_from, time_to)``, at most ``MAX_GAPS``.

    The first may begin before the range, at the last value there, and the last may end behind it. Silence after the
    newest value counts until ``now``. The usual interval is that of the first ``PIECE`` values of the range.

    Raises:
        Problem: 422 when the range has more values than a request may read.
    """
    end = min(time_to, now)
    known = [(await reader.before(time_from, uncertain=True)).times[-1:]]
    usual: int | None = None
    bound: int | None = None
    found: list[Silence] = []
    start, more, first = time_from, True, True
    while more and len(found) < MAX_GAPS:
        run, more = await reader.read(start, time_to, PIECE)
        budget.take(len(run))
        times = run.times[run.usable(uncertain=False)] if good_only else run.times
        if first:
            usual = usual_interval(times)
            bound = bound_of(rule, usual)
            first = False
        if bound is None:
            return Gaps(usual, [])
        times = np.concatenate([*known, times])
        found.extend(silences(times, bound))
        known = [times[-1:]]
        start = int(run.times[-1]) + 1 if len(run) else time_to
    if bound is not None and len(known[0]) and len(found) < MAX_GAPS:
        found.extend(await _last(reader, int(known[0][0]), time_to, end, now, bound))
    return Gaps(usual, found[:MAX_GAPS])


async def _last(reader: SeriesReader, last: int, time_to: int, end: int, now: int, bound: int) -> Sequence[Silence]:
    if end - last <= 0:
        return []
    after = (await reader.after(time_to, uncertain=True)).times[:1]
    if len(after):
        return silences(np.array([last, int(after[0])], np.int64), bound)
    length = now - last if now - last < 10**6 * 86_400 * SECOND else end - last
    return [Silence(last, None, length)] if length > bound else []
