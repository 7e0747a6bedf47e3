"""What the alarms of a back-test come to. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np

from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.reason.backtest.types import Comparison, Day, Durations, Offender, WouldBe

# (series, raised, returned or -1, value)
Alarm = tuple[int, int, int, float | None]
Place = tuple[str, str]

LISTED = 2000
_OFFENDERS = 10
_CHATTER = 60 * SECOND
_FLOOD = 600 * SECOND
MAX_DAYS = 4000


def days(alarms: Sequence[Alarm], time_from: int, time_to: int) -> list[Day]:
    """Return the alarms raised on each day (UTC) of the range."""
    counted = Counter(_day(alarm[1]) for alarm in alarms)
    day, last = _day(time_from), _day(max(time_from, time_to - 1))
    found: list[Day] = []
    while day <= last and len(found) < MAX_DAYS:
        found.append(Day(day.isoformat(), counted.get(day, 0)))
        day += timedelta(days=1)
    return found


def _day(time: int) -> date:
    return datetime.fromtimestamp(time // SECOND, UTC).date()


def durations(alarms: Sequence[Alarm], time_to: int) -> Durations | None:
    """Return how long alarms stood."""
    if not alarms:
        return None
    lasted = np.array([_lasted(alarm, time_to) for alarm in alarms])
    return Durations(
        median=float(np.median(lasted)),
        p95=float(np.percentile(lasted, 95)),
        longest=float(lasted.max()),
        total=float(lasted.sum()),
    )


def _lasted(alarm: Alarm, time_to: int) -> float:
    return ((alarm[2] if alarm[2] >= 0 else time_to) - alarm[1]) / SECOND


def chattering(raised: Sequence[int]) -> int:
    """Return how many of the raises of one series, ascending, are among three within a minute (ISA-18.2: a chattering
    alarm is raised three times a minute or more)."""
    part = [False] * len(raised)
    for at in range(2, len(raised)):
        if raised[at] - raised[at - 2] <= _CHATTER:
            part[at - 2 : at + 1] = [True, True, True]
    return sum(part)


def peak(raised: Sequence[int]) -> int:
    """Return the most raises, ascending, in any ten minutes."""
    times = np.asarray(raised, dtype=np.int64)
    if not len(times):
        return 0
    begin = np.searchsorted(times, times - _FLOOD, side="right")
    return int((np.arange(len(times)) - begin + 1).max())


def offenders(alarms: Sequence[Alarm], time_to: int, places: Mapping[int, Place]) -> tuple[list[Offender], int]:
    """Return the series with most alarms, and how many alarms chatter in all."""
    by_series: dict[int, list[Alarm]] = defaultdict(list)
    for alarm in alarms:
        by_series[alarm[0]].append(alarm)
    chatter = {series: chattering(sorted(one[1] for one in own)) for series, own in by_series.items()}
    worst = sorted(by_series, key=lambda series: (-len(by_series[series]), series))[:_OFFENDERS]
    found = [
        Offender(
            series=series,
            asset_path=places.get(series, ("", ""))[0],
            point=places.get(series, ("", ""))[1],
            raised=len(by_series[series]),
            chattering=chatter[series],
            active_s=sum(_lasted(alarm, time_to) for alarm in by_series[series]),
        )
        for series in worst
    ]
    return found, sum(chatter.values())


def listed(alarms: Sequence[Alarm], places: Mapping[int, Place]) -> list[WouldBe]:
    """Return the first alarms for the API."""
    return [
        WouldBe(
            series=series,
            asset_path=places.get(series, ("", ""))[0],
            point=places.get(series, ("", ""))[1],
            raised_at=format_rfc3339(raised),
            returned_at=None if returned < 0 else format_rfc3339(returned),
            value=value,
        )
        for series, raised, returned, value in alarms[:LISTED]
    ]


def compare(alarms: Sequence[Alarm], real: Sequence[tuple[int, int, int]], time_to: int) -> Comparison:
    """Return how would-be alarms and those that were overlap; ``real`` are (series, raised, returned or -1)."""
    ours, theirs = defaultdict[int, list[tuple[int, int]]](list), defaultdict[int, list[tuple[int, int]]](list)
    for series, raised, returned, _ in alarms:
        ours[series].append((raised, returned if returned >= 0 else time_to))
    for series, raised, returned in real:
        theirs[series].append((raised, returned if returned >= 0 else time_to))
    both = sum(_overlapping(own, theirs.get(series, [])) for series, own in ours.items())
    met = sum(_overlapping(own, ours.get(series, [])) for series, own in theirs.items())
    return Comparison(real=len(real), both=both, new=len(alarms) - both, missed=len(real) - met)


def _overlapping(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> int:
    """Return how many of some spans overlap with one of others."""
    if not others:
        return 0
    ordered = sorted(others)
    starts = np.array([begin for begin, _ in ordered], dtype=np.int64)
    ends = np.maximum.accumulate(np.array([end for _, end in ordered], dtype=np.int64))
    number = 0
    for begin, end in some:
        at = int(np.searchsorted(starts, end, side="right")) - 1
        number += at >= 0 and int(ends[at]) >= begin
    return number
