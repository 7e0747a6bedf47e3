"""Samples that wait for their watermark, so that they are evaluated in order of source time.

Samples belong to *groups*: a series, or all series that a rule looks at together. The watermark of a group is its
newest source time minus the lateness of its rule; when nothing comes, it goes on with our clock, but never beyond what
waits. A sample is *due* when the watermark has reached the end of its instant (or of its step, where a rule works in
steps), and *late* when that was so before it came: then it is left out and counted. Which samples are late depends on
their order of arrival alone, not on how they are cut into blocks; which are evaluated, and in which order, does not
depend on the order of arrival at all as long as none is late.

Of several samples of a series with one source time the greatest value counts.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.store.twins.grouping import group, newest_before
from gongfu.store.twins.latest import NEVER

# Waiting samples of one table, 36 bytes each; beyond it the first half is evaluated before its time, and counted.
MAX_HELD = 1_000_000

Numbers = NDArray[np.int64]
_COLUMNS = {"held_row": np.uint32, "held_group": np.uint32, "held_time": np.int64, "held_value": np.float64}
_GROUPS = ("held_newest", "held_seen", "held_passed")


class Held:
    """The waiting samples of one table.

    Attributes:
        newest: ``int64[g]`` newest source time of each group, ``NEVER`` before the first.
        seen: ``int64[g]`` ingest time of that sample.
        passed: ``int64[g]`` the watermark that was in force last.
        lateness: ``int64[g]`` ns.
        step: ``int64[g]`` ns; 1 where samples are due one by one.
        early: samples that were evaluated before their time, because too many waited.
    """

    def __init__(self, lateness: Numbers, step: Numbers, bound: int | None = None) -> None:
        g = len(lateness)
        self.newest = np.full(g, NEVER, dtype=np.int64)
        self.seen = np.zeros(g, dtype=np.int64)
        self.passed = np.full(g, NEVER, dtype=np.int64)
        self.lateness, self.step = lateness, step
        self.early = 0
        self._bound = MAX_HELD if bound is None else bound
        self._rows: dict[str, NDArray[Any]] = {name: np.zeros(0, dtype=dtype) for name, dtype in _COLUMNS.items()}

    def __len__(self) -> int:
        """Number of samples that wait."""
        return len(self._rows["held_row"])

    @property
    def groups(self) -> NDArray[np.uint32]:
        """``uint32[h]`` group of each sample that waits."""
        return self._rows["held_group"]

    def _due(self, times: Numbers, groups: NDArray[Any]) -> Numbers:
        step = self.step[groups]
        return (times // step + 1) * step

    def _mark(self, newest: Numbers, groups: NDArray[Any]) -> Numbers:
        reached = np.where(newest == NEVER, NEVER, newest - self.lateness[groups])
        return np.maximum(reached, self.passed[groups])

    def push(
        self,
        rows: NDArray[Any],
        groups: NDArray[Any],
        times: Numbers,
        values: NDArray[np.float64],
        ingested: int,
    ) -> NDArray[np.uint32]:
        """Take samples in their order of arrival; return the groups of those that are late, which are left out."""
        order = group(groups.astype(np.uint32, copy=False))
        if order.order is not None:
            rows, times, values = rows[order.order], times[order.order], values[order.order]
        keys = order.keys
        touched = keys[order.starts]
        before = newest_before(times, order, self.newest[touched])
        late = self._due(times, keys) <= self._mark(before, keys)
        newest = np.maximum(np.maximum.reduceat(times, order.starts), self.newest[touched])
        self.seen[touched] = np.where(newest > self.newest[touched], ingested, self.seen[touched])
        self.newest[touched] = newest
        self.passed[touched] = self._mark(newest, touched)
        kept = ~late
        new = {"held_row": rows[kept], "held_group": keys[kept], "held_time": times[kept], "held_value": values[kept]}
        for name, column in new.items():
            more = column.astype(_COLUMNS[name], copy=False)
            self._rows[name] = np.concatenate([self._rows[name], more]) if len(self) else more
        return keys[late]

    def release(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], Numbers, NDArray[np.float64]]:
        """Take out what is due.

        Returns:
            rows, groups, times and values by group, time, row; each row and time once.
        """
        if not len(self):
            return self._take(np.zeros(0, dtype=np.bool_))
        groups, times = self._rows["held_group"], self._rows["held_time"]
        due_at = self._due(times, groups)
        due = due_at <= self.passed[groups]
        if len(self) - int(np.count_nonzero(due)) > self._bound:
            order = np.argsort(np.where(due, NEVER, due_at), kind="stable")
            forced = order[: int(np.count_nonzero(due)) + self._bound // 2]
            self.early += len(forced) - int(np.count_nonzero(due))
            np.maximum.at(self.passed, groups[forced], due_at[forced])
            due = due_at <= self.passed[groups]
        return self._take(due)

    def elapse(self, now: int, floor: int) -> None:
        """Let our clock move the watermarks of groups for which nothing came, as far as samples wait.

        Args:
            now: UTC ns of our clock.
            floor: UTC ns before which silence does not count.
        """
        if not len(self):
            return
        groups = self._rows["held_group"]
        last = np.full(len(self.newest), NEVER, dtype=np.int64)
        np.maximum.at(last, groups, self._due(self._rows["held_time"], groups))
        self.passed = np.maximum(self.passed, np.minimum(self.clock(slice(None), now, floor), last))

    def clock(self, which: Any, now: int, floor: int) -> Numbers:
        """Return the watermark of groups as our clock has it."""
        silence = np.maximum(now - np.maximum(self.seen[which], floor), 0)
        newest = self.newest[which]
        return np.where(newest == NEVER, NEVER, newest + silence - self.lateness[which])

    def _take(self, due: NDArray[np.bool_]) -> Any:
        taken = [self._rows[name][due] for name in _COLUMNS]
        if len(due) and bool(due.any()):
            self._rows = {name: column[~due] for name, column in self._rows.items()}
        rows, groups, times, values = taken
        order = np.lexsort((values, rows, times, groups))
        rows, groups, times, values = (column[order] for column in (rows, groups, times, values))
        last = np.ones(len(rows), dtype=np.bool_)
        last[:-1] = (rows[1:] != rows[:-1]) | (times[1:] != times[:-1])
        return rows[last], groups[last], times[last], values[last]

    def carried(self) -> dict[str, NDArray[Any]]:
        """Return the state for a checkpoint."""
        return {**self._rows, "held_newest": self.newest, "held_seen": self.seen, "held_passed": self.passed}

    def adopt(self, carried: dict[str, NDArray[Any]], rows: NDArray[np.intp], groups: NDArray[np.intp]) -> None:
        """Take over what another gave.

        Args:
            carried: what ``carried`` gave.
            rows: by row of the other, the row here, -1 where it has gone.
            groups: the same of groups.
        """
        if not all(name in carried for name in (*_COLUMNS, *_GROUPS)):
            return
        there = np.flatnonzero(groups >= 0)
        for name, mine in zip(_GROUPS, (self.newest, self.seen, self.passed), strict=True):
            mine[groups[there]] = carried[name][there]
        row = rows[carried["held_row"]] if len(carried["held_row"]) else np.zeros(0, dtype=np.intp)
        kept = row >= 0
        self._rows = {
            "held_row": row[kept].astype(np.uint32),
            "held_group": groups[carried["held_group"]][kept].astype(np.uint32),
            "held_time": carried["held_time"][kept],
            "held_value": carried["held_value"][kept],
        }
