"""Windows on a grid of source time: tumbling ones, and sliding ones made of several panes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.times import SECOND
from gongfu.reason.rules import panes
from gongfu.reason.rules.conditions import Aggregate, WindowCondition
from gongfu.reason.rules.instances import Assignment, Columns, InstanceTable, joined
from gongfu.reason.rules.kernels import in_order, latch
from gongfu.reason.rules.state import NO_CHANGES, Changes, Samples
from gongfu.reason.rules.types import Rule, nanoseconds
from gongfu.store.twins.grouping import Groups, group
from gongfu.store.twins.latest import NEVER

# With no lateness of its own, a window is closed by our clock only this much after its end.
GRACE = 2 * SECOND
Numbers = NDArray[np.int64]


def panes_of(rule: Rule) -> int:
    """Return how many panes the window of a rule is made of."""
    condition = rule.condition
    assert isinstance(condition, WindowCondition)
    if condition.window != "sliding":
        return 1
    assert condition.size_s is not None
    assert condition.every_s is not None
    return round(condition.size_s / condition.every_s)


class Aggregates:
    """Aggregates of the rules of a table."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        wanted = [rule.condition.aggregate for rule in rules if isinstance(rule.condition, WindowCondition)]
        self._kinds = list(dict.fromkeys(wanted))
        self._of = np.array([self._kinds.index(kind) for kind in wanted], dtype=np.int8)

    def kinds_of(self, rule: NDArray[np.int32]) -> list[Aggregate]:
        """Return the aggregate of each of some rules."""
        return [self._kinds[at] for at in self._of[rule].tolist()]

    def of(self, rule: NDArray[np.int32], parts: list[tuple[panes.Fields, NDArray[np.bool_]]]) -> NDArray[np.float64]:
        """Return the value of each window; ``rule`` is the rule of each."""
        with np.errstate(over="ignore", invalid="ignore"):
            if len(self._kinds) == 1:
                return panes.merged(parts, self._kinds[0])
            values, which = np.empty(len(rule)), self._of[rule]
            for at, kind in enumerate(self._kinds):
                mine = which == at
                if bool(mine.any()):
                    values[mine] = panes.merged([(fields[mine], there[mine]) for fields, there in parts], kind)
        return values


class WindowTable(InstanceTable):
    """Rules whose windows have one number of panes.

    Further state of an instance: ``newest`` and ``arrived``, source and ingest time of the newest sample; ``began``,
    the first pane that it had from its start; ``closed``, the boundary up to which windows were evaluated; the last
    panes that have samples, the newest at the end: ``pane`` (number, or NEVER) and ``fields``.
    """

    def __init__(
        self, assignments: Sequence[Assignment], carried: Columns | None = None, *, late: bool = False
    ) -> None:
        rules = [item.rule for item in assignments]
        self._panes = panes_of(rules[0])
        self._aggregates = Aggregates(rules)
        conditions = [rule.condition for rule in rules]
        lengths = [item.every_s or item.size_s or 1.0 for item in conditions if isinstance(item, WindowCondition)]
        self._every = np.array([nanoseconds(length) for length in lengths], dtype=np.int64)
        super().__init__(assignments, carried, late=late)

    def _fresh(self, rule: NDArray[np.int32]) -> Columns:
        m, n = len(rule), self._panes
        never = np.full(m, NEVER, dtype=np.int64)
        return {
            "newest": never,
            "arrived": np.zeros(m, dtype=np.int64),
            "began": never.copy(),
            "closed": never.copy(),
            "pane": np.full((m, n), NEVER, dtype=np.int64),
            "fields": np.zeros((m, n, panes.FIELDS)),
        }

    def _evaluate(self, samples: Samples) -> tuple[Changes, int]:
        state = self.extra
        rows, groups, ignored = in_order(samples, state["newest"])
        pane = rows.times // self._every[self.rule[rows.instances]]
        over = pane < state["closed"][rows.instances]
        if bool(over.any()):
            # The window was closed by our clock before its samples came.
            kept = ~over
            ignored += len(over) - int(np.count_nonzero(kept))
            groups = group(rows.instances[kept])
            rows, pane = Samples(rows.instances[kept], rows.times[kept], rows.values[kept], rows.ingested), pane[kept]
        if not len(rows):
            return NO_CHANGES, ignored
        changes = self._take(rows, groups, pane)
        who = groups.keys[groups.starts]
        state["newest"][who] = rows.times[groups.last]
        state["arrived"][who] = rows.ingested
        return changes, ignored

    def _take(self, rows: Samples, groups: Groups, pane: Numbers) -> Changes:
        state, who = self.extra, groups.keys[groups.starts]
        fresh = who[state["newest"][who] == NEVER]
        if len(fresh):
            first = rows.times[groups.starts][state["newest"][who] == NEVER]
            every = self._every[self.rule[fresh]]
            state["began"][fresh] = -(-first // every)
            state["closed"][fresh] = first // every
        turn = groups.first.copy()
        turn[1:] |= pane[1:] != pane[:-1]
        starts = np.flatnonzero(turn)
        of, number = rows.instances[starts], pane[starts]
        goes_on = groups.first[starts] & (state["pane"][of, -1] == number)
        carry = np.where(goes_on[:, None], state["fields"][of, -1], 0.0)
        made = panes.fold(rows.values, starts, carry)
        # Most samples fall into the pane that is open.
        opening = np.flatnonzero(~goes_on)
        if not len(opening):
            state["fields"][of, -1] = made
            return NO_CHANGES
        crossing = np.zeros(len(who), dtype=np.bool_)
        place = np.cumsum(groups.first[starts]) - 1
        crossing[place[opening]] = True
        simple = goes_on & ~crossing[place]
        state["fields"][of[simple], -1] = made[simple]
        rest = crossing[place]
        return self._cross(who[crossing], of[rest], number[rest], made[rest], goes_on[rest], rows.ingested)

    def _cross(
        self,
        who: NDArray[Any],
        of: NDArray[Any],
        number: Numbers,
        made: panes.Fields,
        goes_on: NDArray[np.bool_],
        ingested: int,
    ) -> Changes:
        """Put new panes behind those that are kept, evaluate windows, and keep the last ones."""
        state, n = self.extra, self._panes
        kept = state["pane"][who] != NEVER
        # A pane that goes on takes the place of what was kept of it.
        kept[np.searchsorted(who, of[goes_on]), -1] = False
        position = np.concatenate([np.repeat(np.arange(len(who)), kept.sum(1)), np.searchsorted(who, of)])
        order = np.argsort(position, kind="stable")
        position = position[order]
        instances = who[position]
        pane = np.concatenate([state["pane"][who][kept], number])[order]
        fields = np.concatenate([state["fields"][who][kept], made])[order]
        end = np.ones(len(pane), dtype=np.bool_)
        end[:-1] = position[1:] != position[:-1]
        # Windows up to the next pane; behind the last one, they are open.
        until = np.empty_like(pane)
        until[:-1] = pane[1:]
        until[end] = pane[end]
        changes = self._windows(instances, position, pane, fields, until, ingested)
        state["closed"][who] = np.maximum(state["closed"][who], pane[end])
        behind = np.flatnonzero(end)[position] - np.arange(len(pane))
        chosen = behind < n
        numbers, values = np.full((len(who), n), NEVER, dtype=np.int64), np.zeros((len(who), n, panes.FIELDS))
        numbers[position[chosen], n - 1 - behind[chosen]] = pane[chosen]
        values[position[chosen], n - 1 - behind[chosen]] = fields[chosen]
        state["pane"][who], state["fields"][who] = numbers, values
        return changes

    def _windows(
        self,
        instances: NDArray[Any],
        position: NDArray[np.intp],
        pane: Numbers,
        fields: panes.Fields,
        until: Numbers,
        ingested: int,
    ) -> Changes:
        """Evaluate the windows that end after each pane, up to ``until``, and let the latch take them.

        Args:
            instances: of each pane; sorted.
            position: a number that tells instances apart, ascending.
            pane: numbers of the panes, ascending for an instance.
            fields: what is in them.
            until: last boundary to evaluate after each pane.
            ingested: UTC ns.
        """
        state, n = self.extra, self._panes
        begin = np.maximum(pane, np.maximum(state["closed"][instances], state["began"][instances] + n - 1))
        # One empty window follows; the ones after it are the same.
        number = np.maximum(np.minimum(until, pane + n + 1) - begin, 0)
        total = int(number.sum())
        if not total:
            return NO_CHANGES
        source = np.repeat(np.arange(len(pane)), number)
        first = np.cumsum(number) - number
        boundary = begin[source] + 1 + np.arange(total) - first[source]
        parts: list[tuple[panes.Fields, NDArray[np.bool_]]] = []
        for back in range(n):
            at = np.maximum(source - back, 0)
            there = (source >= back) & (position[at] == position[source]) & (pane[at] >= boundary - n)
            if back and not bool(there.any()):
                break
            parts.append((fields[at], there))
        who = instances[source]
        rule = self.rule[who]
        events = Samples(
            who.astype(np.uint32), boundary * self._every[rule], self._aggregates.of(rule, parts), ingested
        )
        return latch(self.state, self.limits, events, group(events.instances), events.values)

    def _elapse(self, now: int, floor: int) -> Changes:
        state, n = self.extra, self._panes
        last = state["pane"][:, -1]
        open_ = np.flatnonzero((last != NEVER) & (state["closed"] <= last + n))
        changes = NO_CHANGES
        if len(open_):
            clock = self._clock(open_, now, floor) // self._every[self.rule[open_]]
            due = np.minimum(clock, last[open_] + n + 1)
            ended = due > state["closed"][open_]
            if bool(ended.any()):
                changes = self._close(open_[ended], due[ended], now)
        return joined(changes, super()._elapse(now, floor))

    def _close(self, who: NDArray[np.intp], due: Numbers, now: int) -> Changes:
        state = self.extra
        kept = state["pane"][who] != NEVER
        position = np.repeat(np.arange(len(who)), kept.sum(1))
        pane = state["pane"][who][kept]
        until = np.empty_like(pane)
        until[:-1] = pane[1:]
        end = np.ones(len(pane), dtype=np.bool_)
        end[:-1] = position[1:] != position[:-1]
        until[end] = due
        changes = self._windows(who[position], position, pane, state["fields"][who][kept], until, now)
        state["closed"][who] = due
        return changes

    def follow_sources(self, begin: int) -> None:
        """See ``RuleEngine.follow_sources``."""
        super().follow_sources(begin)
        self.extra["arrived"][:] = self.extra["newest"]

    def _clock(self, which: NDArray[Any], now: int, floor: int) -> Numbers:
        if self.held is not None:
            return self.held.clock(which, now, floor)
        silence = np.maximum(now - np.maximum(self.extra["arrived"][which], floor) - GRACE, 0)
        return self.extra["newest"][which] + silence

    def _source_clock(self, now: int, floor: int) -> Any:
        return lambda which: self._clock(which, now, floor)

    # What a transition bears is a value of the point for these only.
    def in_unit_of_point(self, instances: NDArray[np.uint32], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ``InstanceTable``: counts have no unit, differences no offset."""
        if "factor" not in self.extra:
            return values
        factor, offset = self.extra["factor"][instances], self.extra["offset"][instances]
        aggregate = self._aggregates.kinds_of(self.rule[instances])
        plain = np.array([kind in _DIFFERENCES for kind in aggregate], dtype=np.bool_)
        counts = np.array([kind is Aggregate.COUNT for kind in aggregate], dtype=np.bool_)
        return np.where(counts, values, (values - np.where(plain, 0.0, offset)) / factor)


_DIFFERENCES = frozenset({Aggregate.STDDEV, Aggregate.RANGE, Aggregate.DELTA, Aggregate.SUM})
