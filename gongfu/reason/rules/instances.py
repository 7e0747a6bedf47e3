"""Instances of all rules of one kind, in columns sorted by series, with their parameters and state."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
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

_GROWTH = 1.25
_NONE = np.int32(-1)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A rule and the series it applies to (``uint32[k]``, each once)."""

    rule: Rule
    series: NDArray[np.uint32]


def _limits(rules: Sequence[Rule], of: NDArray[np.int32]) -> Limits:
    """Return the parameters of rules; ``of`` is the rule of each instance."""
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
    return Limits(sign, limit, limit - deadband, on, off, window, of)


class InstanceTable:
    """All instances of one kind. The position of an instance is valid until the next table is built.

    The instances of a series are a chain: ``_head`` has the first one, ``_next`` the one after each; the latter is made
    when a second rule applies to a series. 51 bytes an instance and 4 a series id.

    Attributes:
        rules: the rules of this kind.
        rule: ``int32[m]`` position in ``rules`` of each instance.
        series: ``uint32[m]``.
        state: see ``LatchState``.
        out_of_order: samples that were not newer than one already evaluated.
        evaluated: ``int64[len(rules)]`` samples evaluated by rule.
        sizes: number of instances by rule.
    """

    def __init__(
        self, kind: Kind, assignments: Sequence[Assignment], carried: dict[str, NDArray[Any]] | None = None
    ) -> None:
        """Make the instances of some rules.

        Args:
            kind: of all the rules.
            assignments: the rules, and the series of each.
            carried: state that will be adopted: where it is of the same instances, none is made only to be replaced.
        """
        self.kind = kind
        self.rules = [assignment.rule for assignment in assignments]
        self.rule: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self.series: NDArray[np.uint32] = np.zeros(0, dtype=np.uint32)
        self.state: LatchState = empty_state(0)
        self.windows: Windows = empty_windows(0)
        self.limits = _limits(self.rules, self.rule)
        self.out_of_order = 0
        self.evaluated = np.zeros(len(self.rules), dtype=np.int64)
        self.sizes = [0] * len(self.rules)
        self._room: dict[str, NDArray[Any]] = {}
        self._head: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._next: NDArray[np.int32] | None = None
        self._timeout: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        counts = [len(assignment.series) for assignment in assignments]
        rule = np.repeat(np.arange(len(self.rules), dtype=np.int32), counts)
        series = np.concatenate([np.zeros(0, dtype=np.uint32), *(item.series for item in assignments)])
        same = carried is not None and self._continues(carried, rule, series)
        self._append(rule, series, carried if same else None)

    def __len__(self) -> int:
        return len(self.series)

    def extend(self, rule: int, series: NDArray[np.uint32]) -> Instances:
        """Add instances of the rule with an id, which is one of this table; return their positions.

        Series that the rule applies to already are left out.
        """
        at = next(position for position, mine in enumerate(self.rules) if mine.id == rule)
        there = np.zeros(len(series), dtype=np.bool_)
        for rows, instances in self._instances_of(series):
            there[rows[self.rule[instances] == at]] = True
        new = np.unique(series[~there])
        before = len(self)
        self._append(np.full(len(new), at, dtype=np.int32), new)
        return np.arange(before, len(self), dtype=np.uint32)

    def _append(
        self, rule: NDArray[np.int32], series: NDArray[np.uint32], carried: dict[str, NDArray[Any]] | None = None
    ) -> None:
        before, after = len(self), len(self) + len(series)
        fresh: dict[str, NDArray[Any]] = {"rule": rule, "series": series.astype(np.uint32, copy=False)}
        fresh.update(self._empty(len(series)) if carried is None else self._taken(carried))
        if not before:
            self._room = fresh
        else:
            for name, column in fresh.items():
                room = self._room[name]
                if after > len(room):
                    room = np.empty((max(after, int(len(room) * _GROWTH)), *room.shape[1:]), dtype=room.dtype)
                    room[:before] = self._room[name][:before]
                    self._room[name] = room
                room[before:after] = column
        self._view(after)
        for at, more in enumerate(np.bincount(rule, minlength=len(self.rules)).tolist()):
            self.sizes[at] += more
        self._chain(np.arange(before, after, dtype=np.int32), self.series[before:])

    def _empty(self, size: int) -> dict[str, NDArray[Any]]:
        """Return the state of new instances."""
        new = empty_state(size)
        columns: dict[str, NDArray[Any]] = {name: getattr(new, name) for name in _STATE}
        if self.kind is Kind.RATE:
            windows = empty_windows(size)
            columns |= {"window_times": windows.times, "window_values": windows.values}
        return columns

    def _taken(self, carried: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return state columns as the table's own; copied only where they cannot be written to."""
        return {name: np.require(carried[name], requirements="W") for name in self._columns()}

    def _view(self, size: int) -> None:
        """Let the columns end at ``size``."""
        room = self._room
        self.rule, self.series = room["rule"][:size], room["series"][:size]
        self.state = LatchState(*(room[field.name][:size] for field in fields(LatchState)))
        if self.kind is Kind.RATE:
            self.windows = Windows(room["window_times"][:size], room["window_values"][:size])
        self.limits = replace(self.limits, rule=self.rule)
        if self.kind is Kind.ABSENCE:
            self._timeout = self.limits.window[self.rule]

    def _chain(self, instances: NDArray[np.int32], series: NDArray[np.uint32]) -> None:
        """Put instances in front of those of their series."""
        if not len(series):
            return
        top = int(series.max()) + 1
        if top > len(self._head):
            grown = np.full(max(top, int(len(self._head) * _GROWTH)), _NONE, dtype=np.int32)
            grown[: len(self._head)] = self._head
            self._head = grown
        if self._next is not None and len(self) > len(self._next):
            longer = np.full(max(len(self), int(len(self._next) * _GROWTH)), _NONE, dtype=np.int32)
            longer[: len(self._next)] = self._next
            self._next = longer
        if bool((series[1:] < series[:-1]).any()):
            order = np.argsort(series, kind="stable")
            instances, series = instances[order], series[order]
        # Within one call, each instance of a series points to the one before it.
        behind = self._head[series]
        repeated = np.flatnonzero(series[1:] == series[:-1]) + 1
        behind[repeated] = instances[repeated - 1]
        if self._next is None and bool((behind != _NONE).any()):
            self._next = np.full(len(self), _NONE, dtype=np.int32)
        if self._next is not None:
            self._next[instances] = behind
        last = np.ones(len(series), dtype=np.bool_)
        last[:-1] = series[1:] != series[:-1]
        self._head[series[last]] = instances[last]

    def _instances_of(self, series: NDArray[np.uint32]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int32]]]:
        """Yield rows of ``series`` and an instance of each until all instances of all of them were given."""
        rows = np.flatnonzero(series < len(self._head))
        instances = self._head[series[rows]]
        while True:
            some = instances != _NONE
            if not bool(some.all()):
                rows, instances = rows[some], instances[some]
            if not len(rows):
                return
            yield rows, instances
            if self._next is None:
                return
            instances = self._next[instances]

    def samples(
        self,
        series: NDArray[np.uint32],
        times: NDArray[np.int64],
        values: NDArray[Any],
        usable: NDArray[np.bool_] | None,
        ingested: int,
    ) -> Samples | None:
        """Return the rows of a column block that concern this table, one for each instance; None when none does."""
        chosen: NDArray[np.intp] | None = None
        if usable is not None and not bool(usable.all()):
            chosen = np.flatnonzero(usable)
            series = series[chosen]
        found = list(self._instances_of(series))
        if not found:
            return None
        if len(found) == 1 and len(found[0][0]) == len(series):
            instances, rows = found[0][1], chosen
        else:
            instances = np.concatenate([part for _, part in found])
            rows = np.concatenate([part for part, _ in found])
            if chosen is not None:
                rows = chosen[rows]
        if rows is not None:
            times, values = times[rows], values[rows]
        return Samples(instances.astype(np.uint32), times, values.astype(np.float64, copy=False), ingested)

    def evaluate(self, samples: Samples) -> Changes:
        """Evaluate samples; changes the state."""
        if len(self.rules) == 1:
            self.evaluated[0] += len(samples)
        else:
            self.evaluated += np.bincount(self.rule[samples.instances], minlength=len(self.rules))
        if self.kind is Kind.THRESHOLD:
            changes, ignored = evaluate_threshold(self.state, self.limits, samples)
        elif self.kind is Kind.RATE:
            changes, ignored = evaluate_rate(self.state, self.windows, self.limits, samples)
        else:
            changes, ignored = evaluate_absence(self.state, self._timeout, samples)
        self.out_of_order += ignored
        return changes

    def tick(self, now: int, floor: int) -> Changes:
        """Let time pass without samples; see ``kernels.tick``."""
        if not len(self):
            return NO_CHANGES
        if self.kind is Kind.ABSENCE:
            return tick_absence(self.state, self._timeout, now, floor)
        return tick(self.state, self.limits, now, floor)

    def count(self, which: NDArray[np.bool_]) -> list[int]:
        """Return the number of instances among ``bool[m]`` by rule."""
        if len(self.rules) == 1:
            return [int(np.count_nonzero(which))]
        return np.bincount(self.rule[which], minlength=len(self.rules)).tolist()

    def carried(self) -> dict[str, NDArray[Any]]:
        """Return what a checkpoint needs: state, and what names each instance. The columns are the table's own, not
        copies: whoever keeps them while the table lives must copy them."""
        columns: dict[str, NDArray[Any]] = {name: getattr(self.state, name) for name in _STATE}
        columns |= {"rule": self.rule, "series": self.series}
        columns["rule_id"] = np.array([rule.id for rule in self.rules], dtype=np.int64)
        columns["fingerprint"] = np.array([rule.fingerprint for rule in self.rules], dtype=np.int64)
        if self.kind is Kind.RATE:
            columns["window_times"] = self.windows.times
            columns["window_values"] = self.windows.values
        return columns

    def adopt(self, carried: dict[str, NDArray[Any]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Take over the state of instances that are the same: rule, fingerprint and series.

        Args:
            carried: what ``carried`` of another table gave, perhaps through a checkpoint; its columns may become those
                of this table.

        Returns:
            ``bool[m]`` which instances of this table have a state now, and ``bool[k]`` which rows of ``carried``
            were taken over.
        """
        known, taken = np.zeros(len(self), dtype=np.bool_), np.zeros(len(carried["series"]), dtype=np.bool_)
        if self._continues(carried, self.rule, self.series):
            self._room.update(self._taken(carried))
            self._view(len(self))
            return ~known, ~taken
        if not len(known) or not len(taken):
            return known, taken
        carried = _by_rule(carried)
        theirs = {
            (key, fingerprint): at
            for at, (key, fingerprint) in enumerate(
                zip(carried["rule_id"].tolist(), carried["fingerprint"].tolist(), strict=True)
            )
        }
        match = [(at, theirs.get((rule.id, rule.fingerprint), -1)) for at, rule in enumerate(self.rules)]
        mine_of, theirs_of = _rows_by(self.rule, len(self.rules)), _rows_by(carried["rule"], len(theirs))
        top = int(max(self.series.max(), carried["series"].max())) + 1
        place = np.full(top, -1, dtype=np.int32)
        for at, other in match:
            if other < 0:
                continue
            rows, offered = mine_of(at), theirs_of(other)
            place[carried["series"][offered]] = offered
            source = place[self.series[rows]]
            place[carried["series"][offered]] = -1
            rows, source = rows[source >= 0], source[source >= 0]
            known[rows], taken[source] = True, True
            for name in self._columns():
                self._room[name][rows] = carried[name][source]
        return known, taken

    def _columns(self) -> tuple[str, ...]:
        return (*_STATE, "window_times", "window_values") if self.kind is Kind.RATE else _STATE

    def _continues(self, carried: dict[str, NDArray[Any]], rule: NDArray[np.int32], series: NDArray[np.uint32]) -> bool:
        """Return whether the state is of just these instances: the same rules, of the same meaning, in this order."""
        if not np.array_equal(series, carried["series"]):
            return False
        carried = _by_rule(carried)
        mine = [(item.id, item.fingerprint) for item in self.rules]
        theirs = zip(carried["rule_id"].tolist(), carried["fingerprint"].tolist(), strict=True)
        return mine == list(theirs) and np.array_equal(rule, carried["rule"])


_STATE = tuple(field.name for field in fields(LatchState))


def _by_rule(carried: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the columns with rule ids and fingerprints by rule; checkpoints before 0.3 had them by instance."""
    if "rule_id" in carried:
        return carried
    pairs = np.stack([carried["rule"], carried["fingerprint"]], axis=1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    rule = inverse.reshape(-1).astype(np.int32)
    return {**carried, "rule": rule, "rule_id": unique[:, 0], "fingerprint": unique[:, 1]}


def _rows_by(rule: NDArray[np.int32], rules: int) -> Callable[[int], NDArray[np.intp]]:
    """Return a function that gives the rows of a rule."""
    if rules == 1:
        every = np.arange(len(rule))
        return lambda _: every
    order = np.argsort(rule, kind="stable")
    starts = np.searchsorted(rule, np.arange(rules + 1), sorter=order)
    return lambda at: order[starts[at] : starts[at + 1]]


def fits(rule: Rule, numeric: bool) -> bool:
    """Return whether a rule can apply to a point; only absence applies to texts."""
    return numeric or not isinstance(rule.condition, ThresholdCondition | RateCondition)
