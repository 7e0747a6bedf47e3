"""Session windows: samples that follow each other with less than a gap between them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules import panes
from gongfu.reason.rules.conditions import WindowCondition
from gongfu.reason.rules.instances import Assignment, Columns, joined
from gongfu.reason.rules.kernels import in_order, latch
from gongfu.reason.rules.state import NO_CHANGES, Changes, Samples
from gongfu.reason.rules.types import nanoseconds
from gongfu.reason.rules.window import WindowTable
from gongfu.store.twins.grouping import group
from gongfu.store.twins.latest import NEVER


class SessionTable(WindowTable):
    """Rules with session windows. ``fields`` has the session that is open, with COUNT 0 when none is; ``closed`` is the
    end of the last one (UTC ns), before which nothing counts any more."""

    def __init__(
        self, assignments: Sequence[Assignment], carried: Columns | None = None, *, late: bool = False
    ) -> None:
        conditions = [item.rule.condition for item in assignments]
        gaps = [item.gap_s or 1.0 for item in conditions if isinstance(item, WindowCondition)]
        self._gap = np.array([nanoseconds(gap) for gap in gaps], dtype=np.int64)
        super().__init__(assignments, carried, late=late)

    def _evaluate(self, samples: Samples) -> tuple[Changes, int]:
        state = self.extra
        # What came before the end of a session that our clock has closed is late.
        passed = np.maximum(state["newest"], np.maximum(state["closed"], NEVER + 1) - 1)
        rows, groups, ignored = in_order(samples, passed)
        if not len(rows):
            return NO_CHANGES, ignored
        instances, times = rows.instances, rows.times
        who = instances[groups.starts]
        before = np.empty_like(times)
        before[1:] = times[:-1]
        before[groups.starts] = state["newest"][who]
        gap = self._gap[self.rule[instances]]
        open_ = state["fields"][:, 0, panes.COUNT] > 0
        goes_on = groups.first & open_[instances] & (times - before < gap)
        turn = groups.first | (times - before >= gap)
        starts = np.flatnonzero(turn)
        of = instances[starts]
        carry = np.where(goes_on[starts, None], state["fields"][of, 0], 0.0)
        made = panes.fold(rows.values, starts, carry)
        # Sessions that ended: those in the state that do not go on, and all made but the last of an instance.
        last = np.ones(len(starts), dtype=np.bool_)
        last[:-1] = of[1:] != of[:-1]
        ended = np.flatnonzero(~last)
        stale = groups.starts[open_[who] & ~goes_on[groups.starts]]
        changes = NO_CHANGES
        if len(ended) or len(stale):
            end_row = np.append(starts[1:], len(times)) - 1
            at = np.concatenate([2 * stale, 2 * end_row[ended] + 1])
            order = np.argsort(at)
            fields = np.concatenate([state["fields"][instances[stale], 0], made[ended]])[order]
            ends = np.concatenate([before[stale], times[end_row[ended]]])[order]
            owners = np.concatenate([instances[stale], of[ended]])[order]
            changes = self._end(owners, ends, fields, rows.ingested)
        state["fields"][of[last], 0] = made[last]
        state["newest"][who] = times[groups.last]
        state["arrived"][who] = rows.ingested
        return changes, ignored

    def _end(self, who: NDArray[Any], last: NDArray[np.int64], fields: panes.Fields, ingested: int) -> Changes:
        """Evaluate sessions that ended; ``last`` has the times of their last samples."""
        rule = self.rule[who]
        values = self._aggregates.of(rule, [(fields, np.ones(len(who), dtype=np.bool_))])
        events = Samples(who.astype(np.uint32), last + self._gap[rule], values, ingested)
        return latch(self.state, self.limits, events, group(events.instances), events.values)

    def _elapse(self, now: int, floor: int) -> Changes:
        state = self.extra
        open_ = np.flatnonzero((state["fields"][:, 0, panes.COUNT] > 0) & (state["newest"] != NEVER))
        changes = NO_CHANGES
        if len(open_):
            end = state["newest"][open_] + self._gap[self.rule[open_]]
            over = self._clock(open_, now, floor) >= end
            who = open_[over]
            if len(who):
                changes = self._end(who, state["newest"][who], state["fields"][who, 0], now)
                state["fields"][who, 0] = 0.0
                state["closed"][who] = end[over]
        return joined(changes, super(WindowTable, self)._elapse(now, floor))
