"""Builds roll-ups of whole UTC days out of what the table of points finally holds; see ``rollup_tables``.

Nothing is counted while points arrive, so late points, resends and corrections cannot be counted twice: a closed day is
read once, a day whose points have changed is read again. A crash leaves days that are not done or still marked as
changed; readers take the points themselves for those, and the next pass builds them. What is built twice replaces
itself.

A pass is bounded: so many rows of closed days, so many changed days, one after the other.
"""

# ruff: noqa: S608 -- every value that enters the text is an integer or a name from this package

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gongfu.store.history.insertion import unfinished
from gongfu.store.history.rollup_tables import (
    ALL_SERIES,
    BUCKET_COLUMNS,
    CHANGED,
    DAYS,
    DONE_SERIES,
    HOUR_POINTS,
    HOURS,
    MINUTE_POINTS,
    MINUTES,
)
from gongfu.store.history.schema import POINT_TABLES
from gongfu.store.history.sql_tables import DATABASE

logger = logging.getLogger(__name__)

Run = Callable[[str], str]
Count = Callable[[str, int], None]
DAY_SECONDS = 86_400
# A day is closed so long after its end. Later points of it are marked; see ``insertion.LATE_NS``, which is less.
CLOSED_AFTER_SECONDS = 7_200
# An insert may be under way so long after its mark: younger marks are not settled by a build.
UNDER_WAY_SECONDS = 180
# Rows and days of one step over closed days, and pairs of one step over changed ones.
STEP_ROWS = 20_000_000
STEP_DAYS = 366
STEP_CHANGED = 500
# Series of one statement: bounds its memory.
STEP_SERIES = 5_000


@dataclass(frozen=True, slots=True)
class RollupTimes:
    """Waiting times in seconds; shorter ones are for tests."""

    closed_after: int = CLOSED_AFTER_SECONDS
    under_way: int = UNDER_WAY_SECONDS


class Rollups:
    """Keeps roll-ups up to date. One process a history; blocks.

    Counters: ``rollup_days`` (days of all series done), ``rollup_days_changed`` (days of a series built again).
    """

    def __init__(self, run: Run, count: Count, times: RollupTimes | None = None) -> None:
        """Remember how to run a statement (``run`` returns tab-separated rows) and how to count."""
        self._run = run
        self._count = count
        self._times = times or RollupTimes()
        self._days = 1

    def finish_corrections(self) -> None:
        """Make corrections by hand that a crash left recorded and not made."""
        for table in POINT_TABLES:
            self._run(unfinished(table))

    def step(self) -> bool:
        """Build some closed days and some changed ones; return whether there may be more to do now."""
        more = self._closed()
        return self._changed() or more

    def pending(self, before: int) -> bool:
        """Return whether a day before ``before`` (UTC, since 1970) is not done, or changed since it was built."""
        first = self._first_undone()
        if first is not None and first < before:
            return True
        return bool(self._pairs(f"AND day < {int(before)}", "1", 1))

    def _closed(self) -> bool:
        first = self._first_undone()
        end = self._number(f"SELECT intDiv(toUnixTimestamp(now()) - {self._times.closed_after}, {DAY_SECONDS})")
        if first is None or first >= end:
            return False
        until = min(end, first + self._days)
        built = self._moment()
        rows = self._build(first, until, built, None)
        days = ", ".join(f"({DONE_SERIES}, {day}, 0, {built})" for day in range(first, until))
        self._run(f"INSERT INTO {DATABASE}.{DAYS} VALUES {days}")
        self._count("rollup_days", until - first)
        self._days = max(1, min(STEP_DAYS, (until - first) * STEP_ROWS // max(1, rows)))
        return until < end

    def _first_undone(self) -> int | None:
        """Return the first day that is not done, or None when there are no points."""
        done = self._number(f"SELECT max(day) + 1 FROM {DATABASE}.{DAYS} WHERE series = {DONE_SERIES}")
        oldest = self._run(f"SELECT count(), toUInt32(toDate(min(time), 'UTC')) FROM {DATABASE}.point_double").split()
        if oldest[0] == "0":
            return None
        return max(done, int(oldest[1])) if done > 1 else int(oldest[1])

    def _changed(self) -> bool:
        """Build days again whose points have changed; those of days that are not done at all are not asked for."""
        settled = f"marked < now64(3) - toIntervalSecond({self._times.under_way})"
        pairs = self._pairs("", settled, STEP_CHANGED)
        by_day: dict[int, list[int]] = {}
        for line in pairs:
            day, series = line.split("\t")
            by_day.setdefault(int(day), []).append(int(series))
        for day, series in by_day.items():
            self._build(day, day + 1, self._moment(), series)
        self._count("rollup_days_changed", len(pairs))
        return len(pairs) == STEP_CHANGED

    def _pairs(self, days: str, settled: str, limit: int) -> list[str]:
        """Return (day, series) that changed after they were built, of the days that are done and still have points."""
        done = f"(SELECT max(day) FROM {DATABASE}.{DAYS} WHERE series = {DONE_SERIES})"
        floor = f"(SELECT max(day) FROM {DATABASE}.{DAYS} WHERE series = {ALL_SERIES})"
        return self._run(
            "SELECT changed.day, changed.series FROM ("
            f"SELECT series, day, max(marked) AS marked FROM {DATABASE}.{CHANGED} "
            f"WHERE day <= {done} AND day >= {floor} {days} GROUP BY series, day) AS changed "
            f"LEFT JOIN (SELECT series, day, max(built) AS built FROM {DATABASE}.{DAYS} GROUP BY series, day) AS done "
            f"ON changed.series = done.series AND changed.day = done.day WHERE marked >= built AND {settled} "
            f"ORDER BY changed.day, changed.series LIMIT {limit}"
        ).splitlines()

    def _moment(self) -> str:
        """Return the time of a build that begins now: marks before it are settled by it."""
        milliseconds = self._number("SELECT toUnixTimestamp64Milli(now64(3))") - self._times.under_way * 1000
        return f"fromUnixTimestamp64Milli({milliseconds}, 'UTC')"

    def _build(self, first: int, until: int, built: str, series: Sequence[int] | None) -> int:
        """Build days ``[first, until)`` of some series or of all that have enough points; return the rows looked at."""
        span = f"time >= toDateTime({first * DAY_SECONDS}, 'UTC') AND time < toDateTime({until * DAY_SECONDS}, 'UTC')"
        chosen = f" AND series IN ({', '.join(map(str, series))})" if series is not None else ""
        counted = self._run(
            f"SELECT series, max(n), sum(n) FROM (SELECT series, toDate(time, 'UTC') AS day, count() AS n "
            f"FROM {DATABASE}.point_double WHERE {span}{chosen} GROUP BY series, day) GROUP BY series ORDER BY series"
        ).splitlines()
        found = [(int(one), int(most), int(n)) for one, most, n in (line.split("\t") for line in counted)]
        hours = [one for one, most, _ in found if most >= HOUR_POINTS]
        minutes = [one for one, most, _ in found if most >= MINUTE_POINTS]
        for table, function, members in ((HOURS, "toStartOfHour", hours), (MINUTES, "toStartOfMinute", minutes)):
            for start in range(0, len(members), STEP_SERIES):
                self._run(_buckets(table, function, span, members[start : start + STEP_SERIES], built))
        # Last: only now are the roll-ups there.
        levels = {**dict.fromkeys(hours, 1), **dict.fromkeys(minutes, 2)}
        members = [one for one, _, _ in found] if series is not None else hours
        for start in range(0, len(members), STEP_SERIES):
            part = members[start : start + STEP_SERIES]
            values = ", ".join(str(levels.get(one, 0)) for one in part)
            ids = ", ".join(map(str, part))
            self._run(
                f"INSERT INTO {DATABASE}.{DAYS} SELECT series, toUInt16(toDate(time, 'UTC')) AS day, "
                f"any(transform(series, [{ids}]::Array(UInt32), [{values}]::Array(UInt8), 0::UInt8)), {built} "
                f"FROM {DATABASE}.point_double WHERE {span} AND series IN ({ids}) GROUP BY series, day"
            )
        return sum(n for _, _, n in found)

    def _number(self, statement: str) -> int:
        return int(self._run(statement).strip() or 0)


def _buckets(table: str, function: str, span: str, series: Sequence[int], built: str) -> str:
    names = ", ".join(f"`{name}`" for name, _, _ in BUCKET_COLUMNS)
    return (
        f"INSERT INTO {DATABASE}.{table} (series, bucket, {names}) SELECT series, {function}(time) AS bucket, "
        "count(), countIf(g), sumIf(value, g), minIf(value, g), maxIf(value, g), "
        "argMinIf(value, time, g), argMaxIf(value, time, g), minIf(time, g), maxIf(time, g), "
        f"argMinIf(time, value, g), argMaxIf(time, value, g), maxIf(quality, g), {built} "
        "FROM (SELECT series, time, value, quality, quality < 64 AND isFinite(value) AS g "
        f"FROM {DATABASE}.point_double FINAL WHERE {span} AND series IN ({', '.join(map(str, series))})) "
        "GROUP BY series, bucket"
    )
