"""Rule engine: all rules over all series of the worker. Pure: blocks and times in, transitions out.

What it gives is the same for the same blocks in the same order, so a restart from a checkpoint and a replay of the log
give the same transitions again; the alarms that follow are idempotent.
"""

import math
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import TEXT_TYPES, Block
from gongfu.kernel.quality import SEVERITY_MASK, Quality
from gongfu.reason.rules.carried import series_by_rule
from gongfu.reason.rules.flood import MAX_RAISES_PER_MINUTE, FloodBound
from gongfu.reason.rules.instances import Assignment, Columns, InstanceTable
from gongfu.reason.rules.latches import AbsenceTable, ThresholdTable
from gongfu.reason.rules.state import Changes, Samples
from gongfu.reason.rules.succession import Heir, Outline, Succession, by_table, prepare, stays_true, take_state
from gongfu.reason.rules.tables import make_table, table_name
from gongfu.reason.rules.transitions import RuleStatus, Transition
from gongfu.reason.rules.types import Rule
from gongfu.store.twins.latest import NEVER, Twins


class RuleEngine:
    """Evaluates rules. One thread at a time."""

    def __init__(self, max_raises_per_minute: int = MAX_RAISES_PER_MINUTE) -> None:
        self._rules: dict[int, Rule] = {}
        self._tables: dict[str, InstanceTable] = {}
        self._flood = FloodBound(max_raises_per_minute)
        self._counts: dict[int, tuple[int, int, int]] = {}
        self._bad = 0
        self._out_of_order = 0

    @property
    def rules(self) -> dict[int, Rule]:
        """The rules by id. Another one takes its place when rules change."""
        return self._rules

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

    def outlines(self) -> dict[str, Outline]:
        """Return the tables as they are now, in a time that does not depend on their size; see ``prepare``."""
        return {name: Outline(table.rules, table.identity()) for name, table in self._tables.items()}

    def assign(self, assignments: Sequence[Assignment], twins: Twins, now: int) -> list[Transition]:
        """Put other assignments in the place of all present ones. Instances that stay the same keep their state.

        A new threshold looks at the latest value at once; a new absence counts from the latest sample.

        Args:
            assignments: all rules that run, with their series.
            twins: the latest values.
            now: UTC ns.

        Returns:
            returns of alarms whose instance is gone or now means something else, and raises of new instances.
        """
        return self.take_over(prepare(assignments, self.outlines()), (), twins, now)

    def take_over(
        self, succession: Succession, added: Sequence[Assignment], twins: Twins, now: int
    ) -> list[Transition]:
        """Do what ``assign`` does with what was prepared beside the engine.

        Args:
            succession: made from ``outlines``; what came since must be allowed, see ``allows``.
            added: series that the new rules apply to since.
            twins: the latest values.
            now: UTC ns.
        """
        present = self._tables, self._rules
        try:
            return self._take_over(succession, added, twins, now)
        except Exception:
            # For want of memory, say: what ran before runs on as a whole.
            self._tables, self._rules = present
            raise

    def _take_over(
        self, succession: Succession, added: Sequence[Assignment], twins: Twins, now: int
    ) -> list[Transition]:
        present, self._tables, self._rules = self._tables, {}, succession.rules
        began: list[tuple[InstanceTable, NDArray[np.uint32]]] = []
        for item in added:
            name = table_name(item.rule)
            table = succession.heirs[name].table
            if table is None:
                began.append((present[name], present[name].extend(item.rule.id, item)))
            else:
                table.extend(item.rule.id, item)
        transitions: list[Transition] = []
        for name in dict.fromkeys((*present, *succession.heirs)):
            old, heir = present.get(name), succession.heirs.get(name)
            if heir is None:
                assert old is not None
                self._keep_counts(old)
                transitions += self._gone(old.carried(), old.state.active, now)
            elif heir.table is None:
                assert old is not None
                old.rules = heir.rules
                self._tables[name] = old
            else:
                self._tables[name] = heir.table
                known = np.zeros(len(heir.table), dtype=np.bool_)
                if old is not None:
                    known, taken = take_state(heir, old)
                    self._keep_counts(old, heir)
                    transitions += self._gone(old.carried(), old.state.active & ~taken, now)
                began.append((heir.table, np.flatnonzero(~known).astype(np.uint32)))
        for table, new in began:
            transitions += self._begin(table, new, twins, now)
        return transitions

    def allows(self, succession: Succession) -> bool:
        """Return whether instances that came since it was begun are those that its rules want, too."""
        return all(
            heir.table is not None or stays_true(succession.before[name], heir, self._tables[name])
            for name, heir in succession.heirs.items()
        )

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
            again = self._flood.again(table, now)
            transitions += self._report(table, again, now)
        return transitions

    def follow_sources(self, begin: int) -> None:
        """Take source times for the times at which samples came: for history, where our clock does not count.

        Args:
            begin: UTC ns that stands for the arrival where nothing has come.
        """
        for table in self._tables.values():
            table.follow_sources(begin)

    def _report(self, table: InstanceTable, changes: Changes, now: int) -> list[Transition]:
        """Return transitions, without those of a flood."""
        if not len(changes):
            return []
        changes = self._flood.admit(table, changes, now)
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

    def _keep_counts(self, table: InstanceTable, heir: Heir | None = None) -> None:
        """Keep the counts of a table that is replaced: in its heir, or here where that has not got the rule."""
        self._out_of_order += table.out_of_order
        left = np.ones(len(table.rules), dtype=np.bool_)
        if heir is not None and heir.table is not None and heir.counted is not None:
            left = heir.counted < 0
            for name in ("evaluated", "late", "bad"):
                getattr(heir.table, name)[heir.counted[~left]] += getattr(table, name)[~left]
        for at in np.flatnonzero(left & ((table.evaluated > 0) | (table.late > 0) | (table.bad > 0))).tolist():
            key = table.rules[at].id
            before = self._counts.get(key, (0, 0, 0))
            more = (int(table.evaluated[at]), int(table.late[at]), int(table.bad[at]))
            self._counts[key] = (before[0] + more[0], before[1] + more[1], before[2] + more[2])

    def status(self, wanted: Container[int] | None = None) -> dict[int, RuleStatus]:
        """Return what each rule does at present, default of all."""
        found: dict[int, RuleStatus] = {}
        for table in self._tables.values():
            active, standing = table.count(table.state.active), table.count(table.state.withheld)
            waiting, late, bad = table.waiting(), table.late.tolist(), table.bad.tolist()
            evaluated, sizes = table.evaluated.tolist(), table.sizes.tolist()
            for at, rule in enumerate(table.rules):
                if wanted is not None and rule.id not in wanted:
                    continue
                before = self._counts.get(rule.id, (0, 0, 0))
                status = found[rule.id] = RuleStatus(
                    sizes[at],
                    active[at],
                    before[0] + evaluated[at],
                    self._flood.withheld.get(rule.id, 0),
                    before[1] + late[at],
                    before[2] + bad[at],
                    waiting[at],
                )
                if standing[at]:
                    status.error = (
                        f"flood: {standing[at]} alarms wait because the rule raised {self._flood.most} within a minute"
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
        return sum(self._flood.withheld.values())

    def snapshot(self, *, copy: bool = True) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all state, and a JSON document of the rest, for a checkpoint.

        Without ``copy`` the columns are those of the engine, which may not change while they are used.
        """
        arrays = {
            f"{kind}.{name}": column for kind, table in self._tables.items() for name, column in table.carried().items()
        }
        if copy:
            arrays = {name: column.copy() for name, column in arrays.items()}
        return arrays, {"flood": self._flood.document()}

    def restore(
        self,
        assignments: Sequence[Assignment],
        arrays: dict[str, NDArray[Any]],
        document: dict[str, Any],
        twins: Twins,
        now: int,
    ) -> list[Transition]:
        """Put assignments in place with the state of a checkpoint, in an engine that is new; see ``assign``.

        Raises:
            KeyError, ValueError: the checkpoint is not one of this engine.
        """
        self._flood.resume(document["flood"])
        carried: dict[str, Columns] = {}
        for name, column in arrays.items():
            table, _, member = name.rpartition(".")
            carried.setdefault(table, {})[member] = column
        self._rules = {item.rule.id: item.rule for item in assignments}
        of_table, transitions = by_table(assignments), list[Transition]()
        for name in dict.fromkeys((*carried, *of_table)):
            items, before = of_table.get(name), carried.get(name)
            if items is None:
                transitions += self._gone(carried[name], carried[name]["active"], now)
                continue
            made = self._tables[name] = make_table(name, items, before)
            known = np.zeros(len(made), dtype=np.bool_)
            if before is not None:
                known, taken = made.adopt(before)
                transitions += self._gone(before, before["active"] & ~taken, now)
            transitions += self._begin(made, np.flatnonzero(~known).astype(np.uint32), twins, now)
        return transitions
