"""Patterns: expressions over the latest values of several points of an asset, and sequences of them.

Patterns always wait for their watermark: all samples of an instant are evaluated together, in order of source time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules.conditions import PatternCondition
from gongfu.reason.rules.expressions import Program, compile_steps
from gongfu.reason.rules.instances import Assignment, Columns, InstanceTable
from gongfu.reason.rules.kernels import latch
from gongfu.reason.rules.state import Changes, Samples
from gongfu.reason.rules.types import Rule, nanoseconds
from gongfu.store.twins.grouping import Groups, group
from gongfu.store.twins.latest import NEVER


def program_of(rule: Rule) -> Program:
    """Return the compiled expressions of a pattern rule."""
    condition = rule.condition
    assert isinstance(condition, PatternCondition)
    return compile_steps(tuple(condition.steps), sequence=condition.sequence is not None)


class PatternTable(InstanceTable):
    """Rules whose expressions have one shape.

    Members are slots: member ``instance * slots + slot``. Further state: latest time and value of each slot; for
    sequences ``reached``, the newest time at which the first step was true such that each further step has followed,
    and ``holds``, whether the last step is true and has come in time.
    """

    TRAITS = ("members", "factor", "offset")

    def __init__(self, assignments: Sequence[Assignment], carried: Columns | None = None, *, late: bool = True) -> None:
        rules = [item.rule for item in assignments]
        programs = [program_of(rule) for rule in rules]
        self._steps = programs[0].steps
        self._slots = len(programs[0].slots)
        self._numbers = np.array([program.numbers for program in programs], dtype=np.float64).reshape(len(rules), -1)
        conditions = [rule.condition for rule in rules if isinstance(rule.condition, PatternCondition)]
        self._tolerance = np.array([nanoseconds(item.tolerance_s) for item in conditions], dtype=np.int64)
        self._within = np.array([nanoseconds(item.within_s or 0.0) for item in conditions], dtype=np.int64)
        super().__init__(assignments, carried, late=True)

    def _fresh(self, rule: NDArray[np.int32]) -> Columns:
        m, steps = len(rule), len(self._steps)
        return {
            "slot_time": np.full((m, self._slots), NEVER, dtype=np.int64),
            "slot_value": np.full((m, self._slots), np.nan),
            "reached": np.full((m, max(steps - 1, 0)), NEVER, dtype=np.int64),
            "holds": np.zeros(m, dtype=np.bool_),
        }

    def _new_members(self, before: int, after: int) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
        k = self._slots
        return np.arange(before * k, after * k, dtype=np.int32), self.extra["members"][before:].reshape(-1)

    def _instance_of(self, members: NDArray[Any]) -> NDArray[Any]:
        return members // self._slots

    def _group_of(self, members: NDArray[Any]) -> NDArray[Any]:
        # The latch asks with instances, samples come with members.
        return members // self._slots

    def _source_clock(self, now: int, floor: int) -> Any:
        held = self.held
        assert held is not None
        return lambda which: held.clock(which, now, floor)

    def _adopt_held(self, carried: Columns, moved: NDArray[np.intp], groups: NDArray[np.int64] | None = None) -> None:
        if self.held is None:
            return
        k = self._slots
        rows = np.repeat(moved * k, k) + np.tile(np.arange(k), len(moved))
        self.held.adopt(carried, np.where(np.repeat(moved, k) < 0, -1, rows), moved)

    def _evaluate(self, samples: Samples) -> tuple[Changes, int]:
        """Evaluate samples by instance, time and slot."""
        instance, slot = samples.instances // self._slots, samples.instances % self._slots
        turn = np.ones(len(samples), dtype=np.bool_)
        turn[1:] = (instance[1:] != instance[:-1]) | (samples.times[1:] != samples.times[:-1])
        # Rows of the evaluation: the instants of an instance. Of each, the last sample.
        last = np.append(np.flatnonzero(turn)[1:] - 1, len(turn) - 1)
        who, times = instance[last].astype(np.uint32), samples.times[last]
        groups = group(who)
        begin = np.flatnonzero(np.append(True, instance[1:] != instance[:-1]))
        number = np.cumsum(groups.first) - 1
        columns = [self._slot(at, slot, samples, begin[number], last, who, times) for at in range(self._slots)]
        touched = who[groups.starts]
        with np.errstate(all="ignore"):
            truth = self._truth(columns, who, times, groups)
        self._keep(samples, instance, slot)
        rows = Samples(who, times, truth, samples.ingested)
        # Truth is what crosses; the alarm shows no value.
        changes = latch(self.state, self.limits, rows, groups, truth)
        changes = Changes(
            changes.instances, changes.raised, changes.times, changes.raised_at, np.full(len(changes), np.nan)
        )
        self.state.since_value[touched] = np.nan
        return changes, 0

    def _slot(
        self,
        at: int,
        slot: NDArray[Any],
        samples: Samples,
        begin: NDArray[np.intp],
        last: NDArray[np.intp],
        who: NDArray[np.uint32],
        times: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return the value of a slot at each row: its newest sample up to then, NaN when it is older than allowed."""
        newest = np.maximum.accumulate(np.where(slot == at, np.arange(len(slot)), -1))[last]
        there = newest >= begin
        values = np.where(there, samples.values[newest], self.extra["slot_value"][who, at])
        since = np.where(there, samples.times[newest], self.extra["slot_time"][who, at])
        fresh = (since != NEVER) & (times - np.maximum(since, 0) <= self._tolerance[self.rule[who]])
        return np.where(fresh, values, np.nan)

    def _keep(self, samples: Samples, instance: NDArray[Any], slot: NDArray[Any]) -> None:
        # Rows are in order of time, and the last of several writes stays.
        self.extra["slot_time"][instance, slot] = samples.times
        self.extra["slot_value"][instance, slot] = samples.values

    def _truth(
        self, columns: list[NDArray[np.float64]], who: NDArray[np.uint32], times: NDArray[np.int64], groups: Groups
    ) -> NDArray[np.float64]:
        rule = self.rule[who]
        numbers = [self._numbers[rule, at] for at in range(self._numbers.shape[1])]
        truths = [step((columns, numbers)) for step in self._steps]
        return truths[0] if len(truths) == 1 else self._sequence(truths, who, rule, times, groups)

    def _sequence(
        self,
        truths: list[NDArray[np.float64]],
        who: NDArray[np.uint32],
        rule: NDArray[np.int32],
        times: NDArray[np.int64],
        groups: Groups,
    ) -> NDArray[np.float64]:
        """Return the truth of the sequence at each row.

        For each step, the newest time at which the first step was true so that all up to this one have followed; the
        newest is the best, for the time allowed counts from it.
        """
        touched = who[groups.starts]
        began = np.where(truths[0] == 1, times, NEVER)
        for step in range(1, len(truths)):
            reached = self.extra["reached"][touched, step - 1]
            until = _newest_so_far(began, groups, reached)
            before = np.empty_like(until)
            before[1:] = until[:-1]
            before[groups.starts] = reached
            self.extra["reached"][touched, step - 1] = until[groups.last]
            follows = (truths[step] == 1) & (before != NEVER)
            follows &= times - np.maximum(before, 0) <= self._within[rule]
            began = np.where(follows, before, NEVER)
        # A last step that came in time counts until it is false.
        ends = (truths[-1] == 0) & ~groups.first
        ends |= groups.first
        run = np.cumsum(ends) - 1
        starts = np.flatnonzero(ends)
        came = began != NEVER
        carried = np.zeros(len(starts), dtype=np.bool_)
        opening = groups.first[starts] & (truths[-1][starts] != 0)
        carried[opening] = self.extra["holds"][who[starts[opening]]]
        offset = run * 2
        holds = (np.maximum.accumulate(offset + (came | _at(starts, carried, len(who)))) - offset) > 0
        holds &= truths[-1] != 0
        self.extra["holds"][touched] = holds[groups.last]
        return np.where(np.isnan(truths[-1]) & ~holds, np.nan, holds.astype(np.float64))


def _at(rows: NDArray[np.intp], flags: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    whole = np.zeros(n, dtype=np.bool_)
    whole[rows] = flags
    return whole


def _newest_so_far(times: NDArray[np.int64], groups: Groups, initial: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the greatest time up to each row of its group, and of the group's initial one."""
    found = times.copy()
    found[groups.starts] = np.maximum(found[groups.starts], initial)
    ranked, rank = np.unique(found, return_inverse=True)
    offset = np.cumsum(groups.first).astype(np.int64) * len(ranked)
    return ranked[np.maximum.accumulate(rank.reshape(-1) + offset) - offset]
