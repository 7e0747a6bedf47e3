"""Instances of all rules of one kind, in columns sorted by series, with their parameters and state."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules.kernels import evaluate_absence, evaluate_threshold, tick, tick_absence
from gongfu.reason.rules.rate import Windows, empty_windows, evaluate_rate
from gongfu.reason.rules.state import (
    NO_CHANGES,
    Changes,
    Instances,
    LatchState,
    Limits,
    Samples,
    empty_state,
)
from gongfu.reason.rules.types import AbsenceCondition, Kind, RateCondition, Rule, ThresholdCondition, nanoseconds

_SERIES_BITS = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A rule and the series it applies to (``uint32[k]``, each once)."""

    rule: Rule
    series: NDArray[np.uint32]


def _limits(rules: Sequence[Rule], of: NDArray[np.intp]) -> Limits:
    """Return the parameters of instances; ``of`` is the rule of each."""
    sign, limit, deadband = np.ones(len(rules)), np.zeros(len(rules)), np.zeros(len(rules))
    on, off, window = (np.zeros(len(rules), dtype=np.int64) for _ in range(3))
    for at, rule in enumerate(rules):
        condition = rule.condition
        if isinstance(condition, AbsenceCondition):
            window[at] = nanoseconds(condition.timeout_s)
            continue
        sign[at] = 1.0 if condition.direction == "above" else -1.0
        if isinstance(condition, RateCondition):
            # A falling rate beyond -per_s is a signed rate above per_s.
            limit[at] = condition.per_s
            window[at] = nanoseconds(condition.window_s)
        else:
            limit[at] = sign[at] * condition.limit
        deadband[at] = condition.deadband
        on[at], off[at] = nanoseconds(condition.delay_s), nanoseconds(condition.off_delay_s)
    return Limits(sign[of], limit[of], (limit - deadband)[of], on[of], off[of], window[of])


class InstanceTable:
    """All instances of one kind. The position of an instance is valid until the next table is built.

    Attributes:
        rules: the rules of this kind.
        rule: ``intp[m]`` position in ``rules`` of each instance.
        series: ``uint32[m]`` ascending.
        state: see ``LatchState``.
        out_of_order: samples that were not newer than one already evaluated.
        evaluated: ``int64[len(rules)]`` samples evaluated by rule.
    """

    def __init__(self, kind: Kind, assignments: Sequence[Assignment]) -> None:
        self.kind = kind
        self.rules = [assignment.rule for assignment in assignments]
        counts = [len(assignment.series) for assignment in assignments]
        rule = np.repeat(np.arange(len(self.rules), dtype=np.intp), counts)
        series = np.concatenate([np.zeros(0, dtype=np.uint32), *(item.series for item in assignments)])
        order = np.argsort(series, kind="stable")
        self.rule: NDArray[np.intp] = rule[order]
        self.series: NDArray[np.uint32] = series[order].astype(np.uint32)
        self.limits = _limits(self.rules, self.rule)
        self.state: LatchState = empty_state(len(self.series))
        self.windows: Windows = empty_windows(len(self.series) if kind is Kind.RATE else 0)
        self.out_of_order = 0
        self.evaluated = np.zeros(len(self.rules), dtype=np.int64)
        top = int(self.series[-1]) + 1 if len(self.series) else 0
        # Instances of series s are starts[s] to starts[s + 1]; series beyond the table have none.
        self._starts = np.searchsorted(self.series, np.arange(top + 1)).astype(np.int32)

    def __len__(self) -> int:
        return len(self.series)

    def samples(
        self,
        series: NDArray[np.uint32],
        times: NDArray[np.int64],
        values: NDArray[Any],
        usable: NDArray[np.bool_] | None,
        ingested: int,
    ) -> Samples | None:
        """Return the rows of a column block that concern this table, one for each instance; None when none does."""
        top = len(self._starts) - 1
        if top <= 0:
            return None
        if int(series.max()) >= top:
            within = series < top
            usable = within if usable is None else usable & within
        rows: NDArray[np.intp] | None = None
        if usable is not None and not bool(usable.all()):
            rows = np.flatnonzero(usable)
            series = series[rows]
        begin = self._starts[series]
        count = self._starts[series + 1] - begin
        most = int(count.max(initial=0))
        if most == 0:
            return None
        if most > 1 or not bool(count.all()):
            hit = np.repeat(np.arange(len(series), dtype=np.intp), count)
            nth = np.arange(len(hit)) - np.repeat(np.cumsum(count) - count, count)
            instances = (begin[hit] + nth).astype(np.uint32)
            rows = hit if rows is None else rows[hit]
        else:
            instances = begin.astype(np.uint32)
        if rows is not None:
            times, values = times[rows], values[rows]
        return Samples(instances, times, values.astype(np.float64, copy=False), ingested)

    def evaluate(self, samples: Samples) -> Changes:
        """Evaluate samples; changes the state."""
        self.evaluated += np.bincount(self.rule[samples.instances], minlength=len(self.rules))
        if self.kind is Kind.THRESHOLD:
            changes, ignored = evaluate_threshold(self.state, self.limits, samples)
        elif self.kind is Kind.RATE:
            changes, ignored = evaluate_rate(self.state, self.windows, self.limits, samples)
        else:
            changes, ignored = evaluate_absence(self.state, self.limits.window, samples)
        self.out_of_order += ignored
        return changes

    def tick(self, now: int, floor: int) -> Changes:
        """Let time pass without samples; see ``kernels.tick``."""
        if not len(self):
            return NO_CHANGES
        if self.kind is Kind.ABSENCE:
            return tick_absence(self.state, self.limits.window, now, floor)
        return tick(self.state, self.limits, now, floor)

    def where_active(self) -> Instances:
        """Return the instances whose alarm is raised."""
        return np.flatnonzero(self.state.active).astype(np.uint32)

    def carried(self) -> dict[str, NDArray[Any]]:
        """Return copies of what a checkpoint needs: state, and what names each instance."""
        columns = {field.name: getattr(self.state, field.name).copy() for field in fields(LatchState)}
        fingerprints = np.array([rule.fingerprint for rule in self.rules], dtype=np.int64)
        columns["rule"] = np.array([rule.id for rule in self.rules], dtype=np.int64)[self.rule]
        columns["fingerprint"] = fingerprints[self.rule]
        columns["series"] = self.series.copy()
        if self.kind is Kind.RATE:
            columns["window_times"] = self.windows.times.copy()
            columns["window_values"] = self.windows.values.copy()
        return columns

    def adopt(self, carried: dict[str, NDArray[Any]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Take over the state of instances that are the same: rule, fingerprint and series.

        Args:
            carried: what ``carried`` of another table gave, perhaps through a checkpoint.

        Returns:
            ``bool[m]`` which instances of this table have a state now, and ``bool[k]`` which rows of ``carried``
            were taken over.
        """
        mine = self.carried()
        keys, theirs = _key(mine), _key(carried)
        taken = np.zeros(len(theirs), dtype=np.bool_)
        if not len(theirs) or not len(keys):
            return np.zeros(len(keys), dtype=np.bool_), taken
        order = np.argsort(theirs)
        found = order[np.minimum(np.searchsorted(theirs, keys, sorter=order), len(theirs) - 1)]
        same = (theirs[found] == keys) & (carried["fingerprint"][found] == mine["fingerprint"])
        source = found[same]
        taken[source] = True
        for field in fields(LatchState):
            getattr(self.state, field.name)[same] = carried[field.name][source]
        if self.kind is Kind.RATE:
            self.windows.times[same] = carried["window_times"][source]
            self.windows.values[same] = carried["window_values"][source]
        return same, taken


def _key(columns: dict[str, NDArray[Any]]) -> NDArray[np.uint64]:
    return (columns["rule"].astype(np.uint64) << _SERIES_BITS) | columns["series"].astype(np.uint64)


def fits(rule: Rule, numeric: bool) -> bool:
    """Return whether a rule can apply to a point; only absence applies to texts."""
    return numeric or not isinstance(rule.condition, ThresholdCondition | RateCondition)
