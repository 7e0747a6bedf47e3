"""Merges what a load has left: the parts of partitions into which nothing is inserted any more become one.

The engine's own merges wait for eight parts of a size, so up to seven small ones stay behind a load, with 3 B a point
instead of 2, and FINAL compares the rows of a part that was never merged one by one. A partition in which nothing has
changed for a while is merged here, as long as that takes no more than a small share of the time: a node whose devices
report once a minute does not rewrite its year every minute. Partitions larger than ``MOST_BYTES`` are left to
``min_age_to_force_merge_seconds`` (``schema.py``).
"""

# ruff: noqa: S608 -- every value that enters the text is an integer or a name from this package

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from gongfu.store.history.rollups import Count, Run
from gongfu.store.history.schema import POINT_TABLES
from gongfu.store.history.sql_tables import DATABASE

MOST_BYTES = 1_000_000_000
# Of CPU, for a merge: measured 0.05 to 0.08 on the TEP signals.
SECONDS_PER_MEGABYTE = 0.1
# Of what a partition has outside of its largest part; less saves nothing that shows.
LEAST_SHARE = 1 / 64
_PARTITION = re.compile(r"\d{1,8}\Z")


@dataclass(frozen=True, slots=True)
class Pace:
    """When a partition is merged.

    Attributes:
        quiet_seconds: nothing has changed in it for so long.
        share: most of one core that merging a partition may take over time.
    """

    quiet_seconds: int = 15
    share: float = 0.005


class Compaction:
    """Merges quiet partitions of points. Blocks.

    Counters: ``partitions_merged``.
    """

    def __init__(
        self, run: Run, count: Count, pace: Pace | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Remember how to run a statement (``run`` returns tab-separated rows), how to count, and the clock (s)."""
        self._run = run
        self._count = count
        self._pace = pace or Pace()
        self._clock = clock
        # When the next merge of a partition may begin.
        self._next: dict[tuple[str, str], float] = {}

    def step(self) -> bool:
        """Merge one partition; return whether there was one."""
        names = ", ".join(f"'{table}'" for table in POINT_TABLES)
        found = self._run(
            "SELECT table, partition_id, sum(bytes_on_disk) AS bytes FROM system.parts "
            f"WHERE active AND database = '{DATABASE}' AND table IN ({names}) GROUP BY table, partition_id "
            f"HAVING max(modification_time) <= now() - {int(self._pace.quiet_seconds)} AND bytes <= {MOST_BYTES} "
            f"AND (bytes - max(bytes_on_disk) > bytes * {LEAST_SHARE} OR (count() = 1 AND max(level) = 0)) "
            "ORDER BY bytes"
        ).splitlines()
        for line in found:
            table, partition, size = line.split("\t")
            now, key = self._clock(), (table, partition)
            if now < self._next.get(key, now) or not _PARTITION.match(partition):
                continue
            # Also when it fails: a full disk is not asked every few seconds.
            self._next[key] = now + int(size) / 1e6 * SECONDS_PER_MEGABYTE / self._pace.share
            self._run(f"OPTIMIZE TABLE {DATABASE}.{table} PARTITION ID '{partition}' FINAL")
            self._count("partitions_merged", 1)
            return True
        return False
