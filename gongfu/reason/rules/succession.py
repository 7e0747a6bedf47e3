"""The tables that will take the place of those of an engine: made beside it, while it goes on evaluating.

All that depends on the rules alone is done here; what is left for the moment of the change is to copy the state of the
instances that stay, and to begin the new ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules.carried import Link, continues, linked, names_of, positions_of, strung
from gongfu.reason.rules.instances import Assignment, Columns, InstanceTable
from gongfu.reason.rules.tables import make_table, table_name
from gongfu.reason.rules.types import Rule

_TRAITS = ("labels", "members", "factor", "offset")


@dataclass(frozen=True, slots=True)
class Outline:
    """A table as it was when a succession was begun; it may have got more instances since.

    Attributes:
        rules: its rules.
        identity: what names its instances then.
    """

    rules: list[Rule]
    identity: Columns

    @property
    def size(self) -> int:
        """Number of instances."""
        return len(self.identity["series"])


@dataclass(frozen=True, slots=True)
class Heir:
    """What comes in the place of a table.

    Attributes:
        rules: the rules.
        table: the table that is made anew; None where the present one stays.
        link: which instances of it were there.
        size: instances of the present table that were looked at.
        same: by rule of the present table, the position of the same one of the same meaning here, or -1.
        counted: by rule of the present table, the position here of that with its id, or -1.
    """

    rules: list[Rule]
    table: InstanceTable | None = None
    link: Link | None = None
    size: int = 0
    same: NDArray[np.int64] | None = None
    counted: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Succession:
    """What an engine takes over at once.

    Attributes:
        rules: all rules, by id.
        heirs: by name of table; a table that has none goes.
        before: the tables it was made for, by name.
    """

    rules: dict[int, Rule]
    heirs: dict[str, Heir]
    before: dict[str, Outline]


def by_table(assignments: Sequence[Assignment]) -> dict[str, list[Assignment]]:
    """Return assignments by the name of their table, without rules for which nothing is there that fits."""
    found: dict[str, list[Assignment]] = {}
    for item in assignments:
        if not item.rule.whole or len(item.series):
            found.setdefault(table_name(item.rule), []).append(item)
    return found


def prepare(assignments: Sequence[Assignment], before: dict[str, Outline]) -> Succession:
    """Make what comes in the place of tables; may run in another thread than the engine.

    Args:
        assignments: all rules that will run, each once, with their series.
        before: ``RuleEngine.outlines`` when the series were read.
    """
    heirs = {name: _heir(name, items, before.get(name)) for name, items in by_table(assignments).items()}
    return Succession({item.rule.id: item.rule for item in assignments}, heirs, before)


def _heir(name: str, items: list[Assignment], before: Outline | None) -> Heir:
    rules = [item.rule for item in items]
    if before is None:
        return Heir(rules, make_table(name, items))
    if _stays(items, rules, before):
        return Heir(rules)
    table = make_table(name, items)
    names = table.identity()
    of_id = {rule.id: at for at, rule in enumerate(rules)}
    counted = np.array([of_id.get(rule.id, -1) for rule in before.rules], dtype=np.int64)
    return Heir(rules, table, table.link(before.identity), before.size, positions_of(before.identity, names), counted)


def _stays(items: list[Assignment], rules: list[Rule], before: Outline) -> bool:
    """Return whether a table has just these instances."""
    identity, names = before.identity, names_of(rules)
    if not all(np.array_equal(names[name], identity[name]) for name in names):
        return False
    counts = [len(item.series) for item in items]
    if sum(counts) != before.size:
        return False
    mine: Columns = {
        **names,
        "rule": np.repeat(np.arange(len(items), dtype=np.int32), counts),
        "series": strung([item.series for item in items]),
    }
    traits = [name for name in identity if name not in mine]
    if any((getattr(item, name) is not None) != (name in traits) for item in items for name in _TRAITS):
        return False
    for name in traits:
        shapes = {getattr(item, name).shape[1:] for item in items}
        if shapes != {identity[name].shape[1:]}:
            return False
        mine[name] = strung([getattr(item, name) for item in items])
    # In any order: instances that have come since stand behind those of all rules.
    return continues(mine, identity, traits) or len(linked(mine, identity, traits).rows) == before.size


def stays_true(before: Outline, heir: Heir, table: InstanceTable) -> bool:
    """Return whether what a table that stays has got since is what the new rules want: their patterns are the same."""
    since = np.unique(table.rule[before.size :]).tolist()
    return all(_place(table.rules[at]) == _place(heir.rules[at]) for at in since)


def _place(rule: Rule) -> tuple[int, str, str]:
    return rule.tenant, rule.asset, rule.point


def take_state(heir: Heir, present: InstanceTable) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Let a table that was made anew have the state of the present one; see ``InstanceTable.take``.

    What the present one got since the succession was begun is found here; it is few.
    """
    table, link = heir.table, heir.link
    assert table is not None
    assert link is not None
    assert heir.same is not None
    size = heir.size
    if len(present) > size:
        at = heir.same[present.rule[size:]]
        rows = table.find(at, present.series[size:])
        there = np.flatnonzero((at >= 0) & (rows >= 0))
        link = Link.of(
            np.concatenate([link.rows, rows[there]]), np.concatenate([link.source, (there + size).astype(np.intp)])
        )
    return table.take(link, present.carried(), present.group_numbers())
