"""Rule engine: all rules over all series of the worker. Pure: blocks and times in, transitions out.

What it gives is the same for the same blocks in the same order, so a restart from a checkpoint and a replay of the log
give the same transitions again; the alarms that follow are idempotent.
"""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import TEXT_TYPES, Block
from gongfu.kernel.quality import SEVERITY_MASK, Quality
from gongfu.kernel.times import SECOND
from gongfu.reason.rules.carried import series_by_rule
from gongfu.reason.rules.instances import Assignment, Columns, InstanceTable
from gongfu.reason.rules.latches import AbsenceTable, ThresholdTable
from gongfu.reason.rules.state import NO_CHANGES, Changes, Samples
from gongfu.reason.rules.tables import make_table, table_name
from gongfu.reason.rules.transitions import RuleStatus, Transition
from gongfu.reason.rules.types import Rule
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
        self._tables: dict[str, InstanceTable] = {}
        self._flood = _Flood()
        self._withheld: dict[int, int] = {}
        self._counts: dict[int, tuple[int, int, int]] = {}
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
        return self.every_series().get(rule, np.zeros(0, dtype=np.uint32))

    def every_series(self) -> dict[int, NDArray[np.uint32]]:
        """Return the series each rule applies to, in the order of its instances."""
        return {
            key: series for table in self._tables.values() for key, series in series_by_rule(table.carried()).items()
        }

    def assign(
        self,
        assignments: Sequence[Assignment],
        twins: Twins,
        now: int,
        restored: dict[str, Columns] | None = None,
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
        of_table: dict[str, list[Assignment]] = {}
        for item in wanted.values():
            if item.rule.whole and not len(item.series):
                continue  # nothing that fits it is there
            of_table.setdefault(table_name(item.rule), []).append(item)
        before = {name: table.carried() for name, table in self._tables.items()} if restored is None else restored
        for name in dict.fromkeys((*before, *self._tables, *of_table)):
            transitions += self._rebuild(name, of_table.get(name, []), before.get(name), twins, now)
        # The series are in the tables.
        nothing = np.zeros(0, dtype=np.uint32)
        self._assignments = {key: Assignment(item.rule, nothing) for key, item in wanted.items()}
        return transitions

    def _rebuild(
        self, name: str, assignments: Sequence[Assignment], carried: Columns | None, twins: Twins, now: int
    ) -> list[Transition]:
        if name in self._tables:
            self._keep_counts(self._tables.pop(name))
        if not assignments:
            return [] if carried is None else self._gone(carried, carried["active"], now)
        table = self._tables[name] = make_table(name, assignments, carried)
        if carried is None:
            return self._begin(table, np.arange(len(table), dtype=np.uint32), twins, now)
        known, taken = table.adopt(carried)
        transitions = self._gone(carried, carried["active"] & ~taken, now)
        return transitions + self._begin(table, np.flatnonzero(~known).astype(np.uint32), twins, now)

    def _gone(self, carried: Columns, which: NDArray[np.bool_], now: int) -> list[Transition]:
        """Return the returns of alarms whose instance has gone."""
        gone = np.flatnonzero(which & ~carried["withheld"])
        series, raised_at = (carried[name][gone].tolist() for name in ("series", "raised_at"))
        named = carried["rule"][gone]
        rules = (carried["rule_id"][named] if "rule_id" in carried else named).tolist()
        return [
            Transition(rule, at, False, max(now, began), began, None, removed=True)
            for rule, at, began in zip(rules, series, raised_at, strict=True)
        ]

    def _begin(self, table: InstanceTable, new: NDArray[np.uint32], twins: Twins, now: int) -> list[Transition]:
        """Give new instances the latest values as their first sample."""
        if not len(new):
            return []
        if isinstance(table, AbsenceTable):
            times, ingested = twins.times_of(table.series[new])
            table.state.last_time[new] = times
            table.state.seen[new] = np.where(times == NEVER, now, ingested)
            return []
        if not isinstance(table, ThresholdTable):
            return []
        times, values, qualities, numeric = twins.numbers_of(table.series[new])
        usable = np.flatnonzero(numeric & np.isfinite(values) & (qualities & SEVERITY_MASK != Quality.BAD))
        if not len(usable):
            return []
        samples = Samples(new[usable], times[usable], table.in_unit_of_rule(new[usable], values[usable]), now)
        return self._report(table, table.evaluate(samples), now)

    def extend(self, added: Sequence[Assignment], twins: Twins, now: int) -> list[Transition]:
        """Let rules that run apply to further series; the others keep their state. See ``assign``."""
        transitions: list[Transition] = []
        for item in added:
            table = self._tables[table_name(item.rule)]
            new = table.extend(item.rule.id, item)
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
            for table in self._tables.values():
                if not len(table) or (value_type in TEXT_TYPES and not isinstance(table, AbsenceTable)):
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

    def follow_sources(self, begin: int) -> None:
        """Take source times for the times at which samples came: for history, where our clock does not count.

        Args:
            begin: UTC ns that stands for the arrival where nothing has come.
        """
        for table in self._tables.values():
            table.follow_sources(begin)

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
        values = table.in_unit_of_point(changes.instances, changes.values)
        return [
            Transition(table.rules[rule].id, series, raised, time, raised_at, None if math.isnan(value) else value)
            for rule, series, raised, time, raised_at, value in zip(
                table.rule[changes.instances].tolist(),
                table.series[changes.instances].tolist(),
                changes.raised.tolist(),
                changes.times.tolist(),
                changes.raised_at.tolist(),
                values.tolist(),
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
        numbers = zip(table.rules, table.evaluated.tolist(), table.late.tolist(), table.bad.tolist(), strict=True)
        for rule, evaluated, late, bad in numbers:
            if evaluated or late or bad:
                before = self._counts.get(rule.id, (0, 0, 0))
                self._counts[rule.id] = (before[0] + evaluated, before[1] + late, before[2] + bad)

    def status(self, wanted: Container[int] | None = None) -> dict[int, RuleStatus]:
        """Return what each rule does at present, default of all."""
        found: dict[int, RuleStatus] = {}
        for table in self._tables.values():
            active, standing = table.count(table.state.active), table.count(table.state.withheld)
            waiting, late, bad = table.waiting(), table.late.tolist(), table.bad.tolist()
            evaluated = table.evaluated.tolist()
            for at, rule in enumerate(table.rules):
                if wanted is not None and rule.id not in wanted:
                    continue
                before = self._counts.get(rule.id, (0, 0, 0))
                status = found[rule.id] = RuleStatus(
                    table.sizes[at],
                    active[at],
                    before[0] + evaluated[at],
                    self._withheld.get(rule.id, 0),
                    before[1] + late[at],
                    before[2] + bad[at],
                    waiting[at],
                )
                if standing[at]:
                    status.error = (
                        f"flood: {standing[at]} alarms wait because the rule raised {self._max_raises} within a minute"
                    )
                elif table.held is not None and table.held.early:
                    status.error = (
                        f"{table.held.early} samples were evaluated before their time, perhaps out of order: too many "
                        "waited; take a shorter lateness_s"
                    )
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
        carried: dict[str, Columns] = {}
        for name, column in arrays.items():
            table, _, member = name.rpartition(".")
            carried.setdefault(table, {})[member] = column
        return self.assign(assignments, twins, now, carried)
