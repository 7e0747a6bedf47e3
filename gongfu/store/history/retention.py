"""Removes points and roll-ups that are older than they are to be kept.

Points go only when their roll-ups are final. Whole years are dropped as partitions; the rest is deleted by a mutation,
which rewrites the parts of its year, so the bound moves in steps of a fiftieth of the time that points are kept, at
least a day: a point is kept that much longer at most. A correction or a late point goes by its source time like any
other.
"""

# ruff: noqa: S608 -- every value that enters the text is an integer or a name from this package

import logging
from collections.abc import Callable
from dataclasses import dataclass

from gongfu.store.history.rollup_tables import ALL_SERIES, CHANGED, DAYS, ROLLUP_TABLES
from gongfu.store.history.rollups import DAY_SECONDS, Count, Run
from gongfu.store.history.schema import POINT_TABLES, versions_of
from gongfu.store.history.sql_tables import DATABASE

logger = logging.getLogger(__name__)

STEPS = 50


@dataclass(frozen=True, slots=True)
class Keep:
    """How long what is kept, in seconds by source time; 0 is for ever."""

    points: float = 0.0
    rollups: float = 0.0


class Retention:
    """Applies one ``Keep``. Blocks.

    Counters: ``points_expired``, ``rollups_expired``.
    """

    def __init__(self, run: Run, count: Count, keep: Keep, pending: Callable[[int], bool]) -> None:
        """Remember what to do.

        Args:
            run: runs a statement, returns tab-separated rows.
            count: counts.
            keep: how long.
            pending: tells whether a day before the given one (UTC, since 1970) has no final roll-up yet.
        """
        self._run = run
        self._count = count
        self._keep = keep
        self._pending = pending
        self._applied: dict[str, int] = {}

    def step(self) -> int:
        """Remove what is too old now; return how many rows of points and roll-ups that are."""
        removed = 0
        day = self._bound("points", self._keep.points)
        if day and not self._pending(day):
            # First: from here on roll-ups of these days are not built again.
            moment = "now64(3, 'UTC')"
            self._run(f"INSERT INTO {DATABASE}.{DAYS} VALUES ({ALL_SERIES}, {day}, 0, {moment})")
            points = sum(self._remove(table, "time", day) for table in POINT_TABLES)
            for table in POINT_TABLES:
                self._remove(versions_of(table), "time", day)
            removed += self._told("points", day, points)
        day = self._bound("rollups", self._keep.rollups)
        if day:
            rows = sum(self._remove(table, "bucket", day) for table in ROLLUP_TABLES)
            for table in (DAYS, CHANGED):
                self._run(
                    f"ALTER TABLE {DATABASE}.{table} DELETE WHERE day < {day} AND series > 0 AND series < {ALL_SERIES}"
                )
            removed += self._told("rollups", day, rows)
        return removed

    def _bound(self, what: str, seconds: float) -> int:
        """Return the day before which nothing is kept, or 0 when there is nothing new to do."""
        if not seconds:
            return 0
        step = max(1, int(seconds // DAY_SECONDS) // STEPS)
        day = int(self._run(f"SELECT intDiv(toInt64(toUnixTimestamp(now())) - {int(seconds)}, {DAY_SECONDS})"))
        day = day // step * step
        return day if day > self._applied.get(what, 0) else 0

    def _told(self, what: str, day: int, rows: int) -> int:
        self._applied[what] = day
        self._count(f"{what}_expired", rows)
        if rows:
            logger.info("retention: %d rows of %s from before day %d (since 1970) are removed", rows, what, day)
        return rows

    def _remove(self, table: str, column: str, day: int) -> int:
        """Remove the rows of a table before a day; return how many."""
        source = f"{DATABASE}.{table}"
        old = f"{column} < toDateTime({day * DAY_SECONDS}, 'UTC')"
        first = self._run(f"SELECT count(), toUnixTimestamp(min({column})) < {day * DAY_SECONDS} FROM {source}").split()
        if first[0] == "0" or first[1] == "0":
            return 0
        year = int(self._run(f"SELECT toYear(toDateTime({day * DAY_SECONDS}, 'UTC'))"))
        rows = int(self._run(f"SELECT count() FROM {source} FINAL WHERE {old}"))
        years = self._run(
            f"SELECT DISTINCT partition_id FROM system.parts WHERE database = '{DATABASE}' AND table = '{table}' "
            f"AND active AND toUInt32OrZero(partition_id) < {year} AND toUInt32OrZero(partition_id) > 0"
        ).split()
        for one in years:
            self._run(f"ALTER TABLE {source} DROP PARTITION {int(one)}")
        if int(self._run(f"SELECT count() FROM {source} WHERE {old}")):
            self._run(f"ALTER TABLE {source} DELETE WHERE {old}")
        return rows
