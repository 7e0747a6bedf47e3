"""Deviations: a point against the same points of other assets, at steps of source time.

All samples of a group wait for the end of their step; then everybody is compared with the others. Steps in which no
sample of the group came are not evaluated: nothing has changed but that values may have become too old to count.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules.conditions import DeviationCondition
from gongfu.reason.rules.instances import Assignment, Columns, InstanceTable, joined
from gongfu.reason.rules.kernels import latch
from gongfu.reason.rules.state import NO_CHANGES, Changes, Samples
from gongfu.reason.rules.types import nanoseconds
from gongfu.store.twins.grouping import group
from gongfu.store.twins.latest import NEVER


class DeviationTable(InstanceTable):
    """All deviation rules. An instance's group is its rule and label; further state: time and value of the latest
    sample."""

    TRAITS = ("labels",)
    _shifted = 0.0

    def __init__(self, assignments: Sequence[Assignment], carried: Columns | None = None, *, late: bool = True) -> None:
        conditions = [item.rule.condition for item in assignments]
        of = [item for item in conditions if isinstance(item, DeviationCondition)]
        self._every = np.array([nanoseconds(item.every_s) for item in of], dtype=np.int64)
        self._tolerance = np.array([nanoseconds(item.tolerance_s) for item in of], dtype=np.int64)
        self._least = np.array([item.at_least for item in of], dtype=np.int64)
        self._relative = np.array([item.relative for item in of], dtype=np.bool_)
        self._either = np.array([item.direction == "either" for item in of], dtype=np.bool_)
        self._median = np.array([item.against == "median" for item in of], dtype=np.bool_)
        self._group: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._by_group: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._starts: NDArray[np.intp] = np.zeros(1, dtype=np.intp)
        super().__init__(assignments, carried, late=True)

    def _fresh(self, rule: NDArray[np.int32]) -> Columns:
        return {
            "slot_time": np.full(len(rule), NEVER, dtype=np.int64),
            "slot_value": np.full(len(rule), np.nan),
        }

    def _view(self, size: int) -> None:
        super()._view(size)
        pairs = np.stack([self.rule.astype(np.int64), self.extra["labels"]], axis=1)
        unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
        self._group = inverse.reshape(-1).astype(np.int64)
        self._by_group = np.argsort(self._group, kind="stable")
        self._starts = np.searchsorted(self._group[self._by_group], np.arange(len(unique) + 1))

    def _rule_of_group(self, groups: NDArray[Any]) -> NDArray[np.int32]:
        return self.rule[self._by_group[self._starts[groups]]]

    def _groups(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rule = self._rule_of_group(np.arange(len(self._starts) - 1))
        return self._lateness[rule], self._every[rule]

    def _group_of(self, members: NDArray[Any]) -> NDArray[Any]:
        return self._group[members]

    def group_numbers(self) -> NDArray[np.int64] | None:
        """See ``InstanceTable``: instances are compared within their groups."""
        return self._group

    def _adopt_held(self, carried: Columns, moved: NDArray[np.intp], groups: NDArray[np.int64] | None = None) -> None:
        if self.held is None or "labels" not in carried or "held_newest" not in carried:
            return
        # Groups go with their members.
        if groups is None:
            pairs = np.stack([carried["rule"].astype(np.int64), carried["labels"]], axis=1)
            _, inverse = np.unique(pairs, axis=0, return_inverse=True)
            groups = inverse.reshape(-1).astype(np.int64)
        moved_groups = np.full(len(carried["held_newest"]), -1, dtype=np.intp)
        there = np.flatnonzero(moved >= 0)
        moved_groups[groups[there]] = self._group[moved[there]]
        self.held.adopt(carried, moved, moved_groups)

    def _evaluate(self, samples: Samples) -> tuple[Changes, int]:
        """Evaluate the steps that have ended, one after the other, each for all groups that it concerns."""
        step = samples.times // self._every[self.rule[samples.instances]]
        end = (step + 1) * self._every[self.rule[samples.instances]]
        order = np.lexsort((samples.times, end))
        instances, times, values, end = (
            samples.instances[order],
            samples.times[order],
            samples.values[order],
            end[order],
        )
        cuts = np.flatnonzero(np.append(True, end[1:] != end[:-1])).tolist()
        changes = [NO_CHANGES]
        for begin, stop in zip(cuts, [*cuts[1:], len(end)], strict=True):
            who = instances[begin:stop]
            # Rows are in order of time, and the last of several writes stays.
            self.extra["slot_time"][who], self.extra["slot_value"][who] = times[begin:stop], values[begin:stop]
            changes.append(self._compare(np.unique(self._group[who]), int(end[begin]), samples.ingested))
        found = changes[0]
        for more in changes[1:]:
            found = joined(found, more)
        return found, 0

    def _compare(self, groups: NDArray[np.int64], moment: int, ingested: int) -> Changes:
        sizes = self._starts[groups + 1] - self._starts[groups]
        first = np.cumsum(sizes) - sizes
        place = np.repeat(self._starts[groups] - first, sizes) + np.arange(int(sizes.sum()))
        who = self._by_group[place]
        of = np.repeat(np.arange(len(groups)), sizes)
        since = self.extra["slot_time"][who]
        fresh = (since != NEVER) & (moment - np.maximum(since, 0) <= self._tolerance[self.rule[who]])
        who, of = who[fresh], of[fresh]
        if not len(who):
            return NO_CHANGES
        values, rule = self.extra["slot_value"][who], self.rule[who]
        reference = _of_others(values, of, len(groups), self._median[rule])
        deviation = values - reference
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            percent = np.where(reference == 0, np.nan, deviation / np.abs(reference) * 100)
        deviation = np.where(self._relative[rule], percent, deviation)
        deviation = np.where(self._either[rule], np.abs(deviation), deviation)
        number = np.bincount(of, minlength=len(groups))
        deviation[number[of] < self._least[rule]] = np.nan
        order = np.argsort(who)
        rows = Samples(who[order].astype(np.uint32), np.full(len(who), moment), deviation[order], ingested)
        return latch(self.state, self.limits, rows, group(rows.instances), rows.values)

    def in_unit_of_point(self, instances: NDArray[np.uint32], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See ``InstanceTable``: a deviation in percent stays as it is."""
        return np.where(self._relative[self.rule[instances]], values, super().in_unit_of_point(instances, values))


def _of_others(
    values: NDArray[np.float64], of: NDArray[np.intp], groups: int, median: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return for each value the median or mean of the others of its group, NaN where there is none.

    Args:
        values: ``float64[n]`` finite.
        of: ``intp[n]`` group of each, ascending.
        groups: number of groups.
        median: ``bool[n]`` which of the two.
    """
    number = np.bincount(of, minlength=groups)
    others = number[of] - 1
    order = np.lexsort((values, of))
    ordered = values[order]
    start = (np.cumsum(number) - number)[of]
    rank = np.empty(len(values), dtype=np.intp)
    rank[order] = np.arange(len(values)) - start[order]
    # Added up in order of value, so that the order of the members does not matter.
    total = np.bincount(of[order], ordered, groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (total[of] - values) / others

    def nth(place: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the value at a place among the others."""
        at = start + np.clip(place + (place >= rank), 0, np.maximum(others, 0))
        return ordered[at]

    middle = (nth((others - 1) // 2) + nth(others // 2)) / 2
    return np.where(others > 0, np.where(median, middle, mean), np.nan)
