"""Instances of rules that are evaluated together, in columns, with their parameters and state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules.carried import Link, continues, linked, names_of, strung
from gongfu.reason.rules.held import Held
from gongfu.reason.rules.kernels import tick
from gongfu.reason.rules.limits import limits_of
from gongfu.reason.rules.members import MembersBySeries
from gongfu.reason.rules.state import NO_CHANGES, Changes, Instances, LatchState, Samples, empty_state
from gongfu.reason.rules.types import Rule
from gongfu.store.twins.latest import NEVER

_GROWTH = 1.25
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Assignment:
    """A rule and the series it applies to (``uint32[k]``, each once).

    Attributes:
        rule: the rule.
        series: those whose alarms they are.
        labels: ``int64[k]`` which of them are compared with each other; only for deviations.
        members: ``uint32[k, slots]`` the series that are read; only for patterns.
        factor: ``float64[k]``, or ``[k, slots]``; None where values are taken as they are. With ``offset`` it gives
            the rule's unit from the point's.
        offset: the same shape.
    """

    rule: Rule
    series: NDArray[np.uint32]
    labels: NDArray[np.int64] | None = None
    members: NDArray[np.uint32] | None = None
    factor: NDArray[np.float64] | None = None
    offset: NDArray[np.float64] | None = None


class InstanceTable:
    """Instances of rules of one form. The position of an instance is valid until the next table is built.

    What is read for an instance are its members: its series, for patterns several ones. 51 bytes an instance.

    Attributes:
        rules: the rules.
        rule: ``int32[m]`` position in ``rules`` of each instance.
        series: ``uint32[m]``.
        state: see ``LatchState``.
        held: samples that wait for their watermark; None where samples are evaluated as they come.
        out_of_order: samples that were not newer than one already evaluated.
        evaluated: ``int64[len(rules)]`` samples evaluated by rule.
        late: ``int64[len(rules)]`` samples left out because they came after their watermark.
        bad: ``int64[len(rules)]`` samples left out because of their quality or because they are no finite numbers.
        sizes: ``int64[len(rules)]`` number of instances by rule.
    """

    # Of ``Assignment``: what an instance has besides rule and series, and what an adopted state must agree in.
    TRAITS: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, assignments: Sequence[Assignment], carried: Columns | None = None, *, late: bool = False
    ) -> None:
        """Make the instances of some rules.

        Args:
            assignments: the rules, and the series of each.
            carried: state that will be adopted: where it is of the same instances, none is made only to be replaced.
            late: the rules wait for samples.
        """
        self.rules = [assignment.rule for assignment in assignments]
        self.rule: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self.series: NDArray[np.uint32] = np.zeros(0, dtype=np.uint32)
        self.state: LatchState = empty_state(0)
        self.extra: Columns = {}
        self.limits = limits_of(self.rules, self.rule)
        self.held: Held | None = None
        self.out_of_order = 0
        self.evaluated = np.zeros(len(self.rules), dtype=np.int64)
        self.late = np.zeros(len(self.rules), dtype=np.int64)
        self.bad = np.zeros(len(self.rules), dtype=np.int64)
        self.sizes = np.zeros(len(self.rules), dtype=np.int64)
        self._names = names_of(self.rules)
        self._late = late
        self._lateness = np.array([rule.lateness for rule in self.rules], dtype=np.int64)
        self._traits = self.TRAITS
        if any(item.factor is not None for item in assignments):
            self._traits = (*self.TRAITS, "factor", "offset")
        self._room: Columns = {}
        self._members = MembersBySeries()
        counts = [len(assignment.series) for assignment in assignments]
        rule = np.repeat(np.arange(len(self.rules), dtype=np.int32), counts)
        series = strung([np.zeros(0, dtype=np.uint32), *(item.series for item in assignments)])
        traits = {name: strung([getattr(item, name) for item in assignments]) for name in self._traits}
        mine = {"rule": rule, "series": series, **self._names, **traits}
        same = carried is not None and continues(mine, carried, self._traits)
        self._append(rule, series, traits, carried if same else None)

    def __len__(self) -> int:
        return len(self.series)

    def extend(self, rule: int, added: Assignment) -> Instances:
        """Add instances of the rule with an id, which is one of this table; return their positions.

        Series that the rule applies to already are left out. Only for rules without further traits.
        """
        at = int(np.flatnonzero(self._names["rule_id"] == rule)[0])
        series = added.series
        there = self.find(np.full(len(series), at), series) >= 0
        new = np.unique(series[~there])
        before = len(self)
        self._append(np.full(len(new), at, dtype=np.int32), new, {})
        return np.arange(before, len(self), dtype=np.uint32)

    def find(self, rules: NDArray[Any], series: NDArray[np.uint32]) -> NDArray[np.intp]:
        """Return for each position of a rule and series the instance, -1 where there is none. Not for patterns."""
        found = np.full(len(series), -1, dtype=np.intp)
        for rows, members in self._members.find(series):
            mine = self.rule[members] == rules[rows]
            found[rows[mine]] = members[mine]
        return found

    def _append(
        self, rule: NDArray[np.int32], series: NDArray[np.uint32], traits: Columns, carried: Columns | None = None
    ) -> None:
        before, after = len(self), len(self) + len(series)
        fresh: Columns = {"rule": rule, "series": series.astype(np.uint32, copy=False), **traits}
        fresh.update(self._empty(rule) if carried is None else self._taken(carried))
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
        self.sizes += np.bincount(rule, minlength=len(self.rules))
        members, of = self._new_members(before, after)
        self._members.add(members, of)
        if self._late:
            self._wait()
            if carried is not None and self.held is not None:
                self._adopt_held(carried, np.arange(after))

    def _empty(self, rule: NDArray[np.int32]) -> Columns:
        """Return the state of new instances of rules."""
        new = empty_state(len(rule))
        return {name: getattr(new, name) for name in _STATE} | self._fresh(rule)

    def _fresh(self, rule: NDArray[np.int32]) -> Columns:
        """Return what a kind keeps of new instances besides the latch; further dimensions are allowed."""
        return {}

    def _new_members(self, before: int, after: int) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
        """Return members of the instances from ``before`` on, and their series."""
        return np.arange(before, after, dtype=np.int32), self.series[before:]

    def _groups(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return lateness and step of the groups of ``held``; see there."""
        return self._lateness[self.rule], np.ones(len(self), dtype=np.int64)

    def _group_of(self, members: NDArray[Any]) -> NDArray[Any]:
        """Return the groups of members."""
        return members

    def _instance_of(self, members: NDArray[Any]) -> NDArray[Any]:
        """Return the instances of members."""
        return members

    def _wait(self) -> None:
        """Make ``held`` as long as the table."""
        before, made = self.held, Held(*self._groups())
        if before is not None:
            g = len(before.newest)
            made.adopt(before.carried(), np.arange(len(self)), np.arange(g))
            made.early = before.early
        self.held = made

    def _taken(self, carried: Columns) -> Columns:
        """Return state columns as the table's own; copied only where they cannot be written to."""
        return {name: np.require(carried[name], requirements="W") for name in self._columns()}

    def _view(self, size: int) -> None:
        """Let the columns end at ``size``."""
        room = self._room
        self.rule, self.series = room["rule"][:size], room["series"][:size]
        self.state = LatchState(*(room[field.name][:size] for field in fields(LatchState)))
        self.extra = {name: column[:size] for name, column in room.items() if name not in _PLAIN}
        self.limits = replace(self.limits, rule=self.rule)

    def samples(
        self,
        series: NDArray[np.uint32],
        times: NDArray[np.int64],
        values: NDArray[Any],
        usable: NDArray[np.bool_] | None,
        ingested: int,
    ) -> Samples | None:
        """Return the rows of a column block that concern this table, one for each member; None when none does."""
        chosen: NDArray[np.intp] | None = None
        if usable is not None and not bool(usable.all()):
            chosen = np.flatnonzero(usable)
            for _, members in self._members.find(series[~usable]):
                self.bad += np.bincount(self.rule[self._instance_of(members)], minlength=len(self.rules))
            series = series[chosen]
        found = list(self._members.find(series))
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
        values = values.astype(np.float64, copy=False)
        if "factor" in self.extra:
            values = self._scaled(instances, values)
        return Samples(instances.astype(np.uint32), times, values, ingested)

    def _scaled(self, members: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values in the unit of the rule."""
        return values * self.extra["factor"].reshape(-1)[members] + self.extra["offset"].reshape(-1)[members]

    def in_unit_of_rule(self, instances: Instances, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of instances in the unit of their rule."""
        return self._scaled(instances, values) if "factor" in self.extra else values

    def in_unit_of_point(self, instances: Instances, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of transitions in the units of their points."""
        if "factor" not in self.extra or self.extra["factor"].ndim > 1:
            return values
        return (values - self.extra["offset"][instances] * self._shifted) / self.extra["factor"][instances]

    # Whether what a transition bears is a value of the point, and not a difference of values.
    _shifted: ClassVar[float] = 1.0

    def evaluate(self, samples: Samples) -> Changes:
        """Take samples: evaluate them, or what is due; changes the state."""
        instances = self._instance_of(samples.instances)
        if len(self.rules) == 1:
            self.evaluated[0] += len(samples)
        else:
            self.evaluated += np.bincount(self.rule[instances], minlength=len(self.rules))
        if self.held is None:
            return self._counted(self._evaluate(samples))
        groups = self._group_of(samples.instances)
        late = self.held.push(samples.instances, groups, samples.times, samples.values, samples.ingested)
        if len(late):
            self.late += np.bincount(self._rule_of_group(late), minlength=len(self.rules))
        return self._released(samples.ingested)

    def _rule_of_group(self, groups: NDArray[Any]) -> NDArray[np.int32]:
        return self.rule[groups]

    def _released(self, ingested: int) -> Changes:
        assert self.held is not None
        rows, _, times, values = self.held.release()
        if not len(rows):
            return NO_CHANGES
        return self._counted(self._evaluate(Samples(rows, times, values, ingested)))

    def _counted(self, result: tuple[Changes, int]) -> Changes:
        changes, ignored = result
        self.out_of_order += ignored
        return changes

    def _evaluate(self, samples: Samples) -> tuple[Changes, int]:
        """Evaluate samples; return what follows, and how many were out of order."""
        raise NotImplementedError

    def tick(self, now: int, floor: int) -> Changes:
        """Let time pass without samples; see ``kernels.tick``. What is told by itself comes in order of time."""
        if not len(self):
            return NO_CHANGES
        if self.held is None:
            return self._elapse(now, floor)
        self.held.elapse(now, floor)
        return joined(self._released(now), self._elapse(now, floor))

    def _elapse(self, now: int, floor: int) -> Changes:
        """Let time pass for what was evaluated."""
        return tick(self.state, self.limits, now, floor, self._source_clock(now, floor))

    def _source_clock(self, now: int, floor: int) -> Callable[[NDArray[Any]], NDArray[np.int64]] | None:
        """Return the time that has passed for instances, None for what follows from their last samples."""
        held = self.held
        if held is None:
            return None
        return lambda which: held.clock(self._group_of(which), now, floor)

    def follow_sources(self, begin: int) -> None:
        """See ``RuleEngine.follow_sources``."""
        state = self.state
        state.seen[:] = np.where(state.last_time == NEVER, begin, state.last_time)
        if self.held is not None:
            self.held.seen[:] = self.held.newest

    def count(self, which: NDArray[np.bool_]) -> list[int]:
        """Return the number of instances among ``bool[m]`` by rule."""
        if len(self.rules) == 1:
            return [int(np.count_nonzero(which))]
        return np.bincount(self.rule[which], minlength=len(self.rules)).tolist()

    def waiting(self) -> list[int]:
        """Return the number of samples that wait, by rule."""
        if self.held is None or not len(self.held):
            return [0] * len(self.rules)
        return np.bincount(self._rule_of_group(self.held.groups), minlength=len(self.rules)).tolist()

    def carried(self) -> Columns:
        """Return what a checkpoint needs: state, and what names each instance. The columns are the table's own, not
        copies: whoever keeps them while the table lives must copy them."""
        columns: Columns = {name: getattr(self.state, name) for name in _STATE} | self.extra | self.identity()
        return columns if self.held is None else columns | self.held.carried()

    def identity(self) -> Columns:
        """Return what names the instances: rules, series and traits. Its rows never change; more may follow later."""
        traits = {name: self.extra[name] for name in self._traits}
        return {"rule": self.rule, "series": self.series, **self._names, **traits}

    def link(self, carried: Columns) -> Link:
        """Return which instances are those of another table, by what ``identity`` or ``carried`` of it gave."""
        return linked(self.identity(), carried, self._traits)

    def adopt(self, carried: Columns) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Take over the state of instances that are the same: rule, fingerprint, series and traits.

        Args:
            carried: what ``carried`` of another table gave, perhaps through a checkpoint; its columns may become those
                of this table.

        Returns:
            ``bool[m]`` which instances of this table have a state now, and ``bool[k]`` which rows of ``carried``
            were taken over.
        """
        if continues(self.identity(), carried, self._traits):
            self._room.update(self._taken(carried))
            self._view(len(self))
            self._adopt_held(carried, np.arange(len(self)))
            return np.ones(len(self), dtype=np.bool_), np.ones(len(carried["series"]), dtype=np.bool_)
        return self.take(self.link(carried), carried)

    def take(
        self, link: Link, carried: Columns, groups: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Take over the state of the instances that are linked; see ``adopt``.

        Args:
            link: instances here and rows of ``carried``.
            carried: as in ``adopt``; copied.
            groups: ``group_numbers`` of the other table, where it is known.
        """
        known, taken = np.zeros(len(self), dtype=np.bool_), np.zeros(len(carried["series"]), dtype=np.bool_)
        if not len(link.rows):
            return known, taken
        known[link.rows], taken[link.source] = True, True
        for name in self._columns():
            link.copy(self._room[name], carried[name])
        moved = np.full(len(taken), -1, dtype=np.intp)
        moved[link.source] = link.rows
        self._adopt_held(carried, moved, groups)
        return known, taken

    def group_numbers(self) -> NDArray[np.int64] | None:
        """Return the group of each instance, where groups are not the instances themselves."""
        return None

    def _adopt_held(self, carried: Columns, moved: NDArray[np.intp], groups: NDArray[np.int64] | None = None) -> None:
        """Take over samples that wait; ``moved`` has the instance here of each instance there, or -1."""
        if self.held is not None:
            self.held.adopt(carried, moved, moved)

    def _columns(self) -> tuple[str, ...]:
        return (*_STATE, *self._fresh(np.zeros(0, dtype=np.int32)))


_STATE = tuple(field.name for field in fields(LatchState))
_PLAIN = frozenset({"rule", "series", *_STATE})


def joined(one: Changes, other: Changes) -> Changes:
    """Return changes after each other."""
    if not len(one) or not len(other):
        return one if len(one) else other
    return Changes(*(np.concatenate([getattr(one, f.name), getattr(other, f.name)]) for f in fields(Changes)))
