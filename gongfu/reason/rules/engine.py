"""Rule engine: all rules over all series of the worker. Pure: blocks and times in, transitions out.

What it gives is the same for the same blocks in the same order, so a restart from a checkpoint and a replay of the log
give the same transitions again; the alarms that follow are idempotent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import TEXT_TYPES, Block
from gongfu.kernel.quality import SEVERITY_MASK, Quality
from gongfu.kernel.times import SECOND
from gongfu.reason.rules.instances import Assignment, InstanceTable
from gongfu.reason.rules.state import NO_CHANGES, Changes, Samples
from gongfu.reason.rules.transitions import RuleStatus, Transition
from gongfu.reason.rules.types import Kind, Rule
from gongfu.store.twins.latest import NEVER, Twins

# A rule that raises more than this in a minute is a flood (EEMUA 191 speaks of one from 10 in ten minutes for one
# operator); the rest is withheld, counted, and raised later if it still stands.
MAX_RAISES_PER_MINUTE = 1000
_MINUTE = 60 * SECOND


@dataclass(slots=True)
class _Flood:
    """Raises of each rule in the minute (of ingest time) that runs."""

    minute: int = 0
    raises: dict[int, int] = field(default_factory=dict[int, int])


class RuleEngine:
    """Evaluates rules. One thread at a time."""

    def __init__(self, max_raises_per_minute: int = MAX_RAISES_PER_MINUTE) -> None:
        self._max_raises = max_raises_per_minute
        self._assignments: dict[int, Assignment] = {}
        self._tables = {kind: InstanceTable(kind, []) for kind in Kind}
        self._flood = _Flood()
        self._withheld: dict[int, int] = {}
        self._evaluated: dict[int, int] = {}
        self._bad = 0
        self._out_of_order = 0

    @property
    def rules(self) -> dict[int, Rule]:
        """The rules by id."""
        return {rule: assignment.rule for rule, assignment in self._assignments.items()}

    @property
    def instances(self) -> int:
        """Number of rules times series."""
        return sum(len(table) for table in self._tables.values())

    @property
    def samples_bad(self) -> int:
        """Samples left out because of their quality or because they are not finite numbers."""
        return self._bad

    @property
    def samples_out_of_order(self) -> int:
        """Samples left out because a newer one had been evaluated."""
        return self._out_of_order + sum(table.out_of_order for table in self._tables.values())

    @property
    def nbytes(self) -> int:
        """Bytes of the columns of state."""
        return sum(column.nbytes for table in self._tables.values() for column in table.carried().values())

    def series_of(self, rule: int) -> NDArray[np.uint32]:
        """Return the series a rule applies to, in the order of its instances."""
        table = self._tables[self._assignments[rule].rule.kind]
        return _series_in(table.carried(), rule)

    def assign(
        self,
        assignments: Sequence[Assignment],
        twins: Twins,
        now: int,
        restored: dict[Kind, dict[str, NDArray[Any]]] | None = None,
    ) -> list[Transition]:
        """Put other assignments in the place of all present ones. Instances that stay the same keep their state.

        A new threshold looks at the latest value at once; a new absence counts from the latest sample.

        Args:
            assignments: all rules that run, with their series.
            twins: the latest values.
            now: UTC ns.
            restored: state of a checkpoint in the place of the present one.

        Returns:
            returns of alarms whose instance is gone or now means something else, and raises of new instances.
        """
        wanted = {assignment.rule.id: assignment for assignment in assignments}
        transitions: list[Transition] = []
        for kind in Kind:
            of_kind = [item for item in wanted.values() if item.rule.kind is kind]
            carried = self._tables[kind].carried() if restored is None else restored[kind]
            transitions += self._rebuild(kind, of_kind, carried, twins, now)
        # The series are in the tables.
        nothing = np.zeros(0, dtype=np.uint32)
        self._assignments = {key: Assignment(item.rule, nothing) for key, item in wanted.items()}
        return transitions

    def _rebuild(
        self,
        kind: Kind,
        assignments: Sequence[Assignment],
        carried: dict[str, NDArray[Any]],
        twins: Twins,
        now: int,
    ) -> list[Transition]:
        if not len(carried["series"]) and not self._tables[kind].rules and not assignments:
            return []
        self._keep_counts(self._tables[kind])
        table = InstanceTable(kind, assignments, carried)
        known, taken = table.adopt(carried)
        self._tables[kind] = table
        gone = np.flatnonzero(carried["active"] & ~carried["withheld"] & ~taken)
        series, raised_at = (carried[name][gone].tolist() for name in ("series", "raised_at"))
        named = carried["rule"][gone]
        rules = (carried["rule_id"][named] if "rule_id" in carried else named).tolist()
        transitions = [
            Transition(rule, at, False, max(now, began), began, None, removed=True)
            for rule, at, began in zip(rules, series, raised_at, strict=True)
        ]
        return transitions + self._begin(table, np.flatnonzero(~known).astype(np.uint32), twins, now)

    def _begin(self, table: InstanceTable, new: NDArray[np.uint32], twins: Twins, now: int) -> list[Transition]:
        """Give new instances the latest values as their first sample."""
        if not len(new):
            return []
        if table.kind is Kind.ABSENCE:
            times, ingested = twins.times_of(table.series[new])
            table.state.last_time[new] = times
            table.state.seen[new] = np.where(times == NEVER, now, ingested)
            return []
        if table.kind is Kind.RATE:
            return []
        times, values, qualities, numeric = twins.numbers_of(table.series[new])
        usable = np.flatnonzero(numeric & np.isfinite(values) & (qualities & SEVERITY_MASK != Quality.BAD))
        if not len(usable):
            return []
        samples = Samples(new[usable], times[usable], values[usable], now)
        return self._report(table, table.evaluate(samples), now)

    def extend(self, added: Sequence[Assignment], twins: Twins, now: int) -> list[Transition]:
        """Let rules that run apply to further series; the others keep their state. See ``assign``."""
        transitions: list[Transition] = []
        for item in added:
            table = self._tables[item.rule.kind]
            new = table.extend(item.rule.id, item.series)
            transitions += self._begin(table, new, twins, now)
        return transitions

    def evaluate(self, block: Block) -> list[Transition]:
        """Evaluate every rule that the block concerns."""
        transitions: list[Transition] = []
        for value_type, columns in block.columns.items():
            if not len(columns):
                continue
            bad = columns.qualities & SEVERITY_MASK == Quality.BAD
            usable: NDArray[np.bool_] | None = ~bad if bool(bad.any()) else None
            values: NDArray[Any] = np.empty(0)
            if value_type not in TEXT_TYPES:
                values = np.asarray(columns.values)
                if values.dtype.kind == "f":
                    finite = np.isfinite(values)
                    if not bool(finite.all()):
                        usable = finite if usable is None else usable & finite
            if usable is not None:
                self._bad += len(columns) - int(np.count_nonzero(usable))
            for kind, table in self._tables.items():
                if not len(table) or (value_type in TEXT_TYPES and kind is not Kind.ABSENCE):
                    continue
                given = values if len(values) else np.zeros(len(columns))
                samples = table.samples(columns.series, columns.times, given, usable, block.ingested)
                if samples is not None:
                    transitions += self._report(table, table.evaluate(samples), block.ingested)
        return transitions

    def tick(self, now: int, floor: int) -> list[Transition]:
        """Let time pass: end delays, find absences, and raise what was withheld as far as the flood bound allows.

        Call it only when everything in the log has been evaluated.

        Args:
            now: UTC ns.
            floor: UTC ns at which the worker had read everything; silence before it does not count.
        """
        transitions: list[Transition] = []
        for table in self._tables.values():
            transitions += self._report(table, table.tick(now, floor), now)
            again = self._standing(table, now // _MINUTE)
            transitions += self._report(table, again, now)
        return transitions

    def _standing(self, table: InstanceTable, minute: int) -> Changes:
        """Return raises that were withheld and still stand, as many as the bound allows now."""
        state = table.state
        if not bool(state.withheld.any()):
            return NO_CHANGES
        standing = np.flatnonzero(state.withheld)
        chosen = [np.zeros(0, dtype=np.intp)]
        for rule in np.unique(table.rule[standing]).tolist():
            of_rule = standing[table.rule[standing] == rule]
            chosen.append(of_rule[: self._max_raises - self._raised(table.rules[rule].id, minute)])
        again = np.concatenate(chosen)
        state.withheld[again] = False
        return Changes(
            again.astype(np.uint32),
            np.ones(len(again), dtype=np.bool_),
            state.raised_at[again],
            state.raised_at[again],
            state.since_value[again],
        )

    def _report(self, table: InstanceTable, changes: Changes, now: int) -> list[Transition]:
        """Return transitions, without those of a flood."""
        if not len(changes):
            return []
        changes = self._admit(table, changes, now // _MINUTE)
        return [
            Transition(table.rules[rule].id, series, raised, time, raised_at, None if math.isnan(value) else value)
            for rule, series, raised, time, raised_at, value in zip(
                table.rule[changes.instances].tolist(),
                table.series[changes.instances].tolist(),
                changes.raised.tolist(),
                changes.times.tolist(),
                changes.raised_at.tolist(),
                changes.values.tolist(),
                strict=True,
            )
        ]

    def _raised(self, rule: int, minute: int) -> int:
        if minute != self._flood.minute:
            self._flood = _Flood(minute)
        return self._flood.raises.get(rule, 0)

    def _admit(self, table: InstanceTable, changes: Changes, minute: int) -> Changes:
        """Withhold raises beyond the bound, and the returns of withheld raises."""
        withheld = table.state.withheld
        raising = table.rule[changes.instances[changes.raised]]
        rules, numbers = np.unique(raising, return_counts=True)
        after = {
            table.rules[rule].id: self._raised(table.rules[rule].id, minute) + number
            for rule, number in zip(rules.tolist(), numbers.tolist(), strict=True)
        }
        if all(number <= self._max_raises for number in after.values()) and not withheld[changes.instances].any():
            self._flood.raises.update(after)
            return changes
        # One by one from here: a flood is bounded by the block and must come out exactly.
        keep = np.zeros(len(changes), dtype=np.bool_)
        for at, (instance, raised) in enumerate(zip(changes.instances.tolist(), changes.raised.tolist(), strict=True)):
            if not raised:
                keep[at] = not withheld[instance]
                withheld[instance] = False
                continue
            rule = table.rules[table.rule[instance]].id
            used = self._raised(rule, minute)
            keep[at] = used < self._max_raises
            withheld[instance] = not keep[at]
            if keep[at]:
                self._flood.raises[rule] = used + 1
            else:
                self._withheld[rule] = self._withheld.get(rule, 0) + 1
        return changes.where(keep)

    def _keep_counts(self, table: InstanceTable) -> None:
        """Keep the counts of a table that is replaced."""
        self._out_of_order += table.out_of_order
        for rule, number in zip(table.rules, table.evaluated.tolist(), strict=True):
            self._evaluated[rule.id] = self._evaluated.get(rule.id, 0) + number

    def status(self) -> dict[int, RuleStatus]:
        """Return what each rule does at present."""
        found: dict[int, RuleStatus] = {}
        for table in self._tables.values():
            active, standing = table.count(table.state.active), table.count(table.state.withheld)
            series = table.sizes
            for at, rule in enumerate(table.rules):
                withheld = self._withheld.get(rule.id, 0)
                evaluated = self._evaluated.get(rule.id, 0) + int(table.evaluated[at])
                status = RuleStatus(series[at], active[at], evaluated, withheld)
                if standing[at]:
                    status.error = (
                        f"flood: {standing[at]} alarms wait because the rule raised {self._max_raises} within a minute"
                    )
                found[rule.id] = status
        return found

    def standing(self) -> set[tuple[int, int]]:
        """Return ``(rule, series)`` of all instances whose alarm is raised and was not withheld."""
        found: set[tuple[int, int]] = set()
        for table in self._tables.values():
            active = np.flatnonzero(table.state.active & ~table.state.withheld)
            rules = [table.rules[at].id for at in table.rule[active].tolist()]
            found.update(zip(rules, table.series[active].tolist(), strict=True))
        return found

    def alarms_withheld(self) -> int:
        """Return how many raises were withheld since the worker started."""
        return sum(self._withheld.values())

    def snapshot(self, *, copy: bool = True) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all state, and a JSON document of the rest, for a checkpoint.

        Without ``copy`` the columns are those of the engine, which may not change while they are used.
        """
        arrays = {
            f"{kind}.{name}": column for kind, table in self._tables.items() for name, column in table.carried().items()
        }
        if copy:
            arrays = {name: column.copy() for name, column in arrays.items()}
        flood = {"minute": self._flood.minute, "raises": {str(k): v for k, v in self._flood.raises.items()}}
        return arrays, {"flood": flood}

    def restore(
        self,
        assignments: Sequence[Assignment],
        arrays: dict[str, NDArray[Any]],
        document: dict[str, Any],
        twins: Twins,
        now: int,
    ) -> list[Transition]:
        """Put assignments in place with the state of a checkpoint; see ``assign``.

        Raises:
            KeyError, ValueError: the checkpoint is not one of this engine.
        """
        flood = document["flood"]
        self._flood = _Flood(int(flood["minute"]), {int(k): int(v) for k, v in flood["raises"].items()})
        carried = {
            kind: {
                name.removeprefix(f"{kind}."): column for name, column in arrays.items() if name.startswith(f"{kind}.")
            }
            for kind in Kind
        }
        return self.assign(assignments, twins, now, carried)


def series_in(columns: dict[str, NDArray[Any]], rule: int) -> NDArray[np.uint32]:
    """Return the series a rule applies to in a snapshot of an engine, in the order of its instances."""
    for kind in Kind:
        part = {name: columns.get(f"{kind}.{name}") for name in ("rule", "rule_id", "series")}
        if all(column is not None for column in part.values()):
            series = _series_in(part, rule)
            if len(series):
                return series
    return np.zeros(0, dtype=np.uint32)


def _series_in(columns: dict[str, Any], rule: int) -> NDArray[np.uint32]:
    at = np.flatnonzero(columns["rule_id"] == rule)
    if not len(at):
        return np.zeros(0, dtype=np.uint32)
    mine = columns["rule"] == at[0]
    return columns["series"] if bool(mine.all()) else columns["series"][mine]
