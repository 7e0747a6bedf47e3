"""How far an order has come: counts of targets by state, for every tier and child.

Counts follow the registers one change at a time, so a target costs two additions whenever it moves. Progresses of
disjoint sets of targets add up; a child's is replaced, never added twice (``without`` it first).
"""

from collections.abc import Iterable, Mapping

import msgspec

from gongfu.tree.orders.combined import TERMINAL, Shown
from gongfu.tree.orders.kinds import Step
from gongfu.tree.orders.timers import late

STATES = tuple(Shown)
"""Order of the counts of a ``Cell``."""
_PLACE = {state: place for place, state in enumerate(STATES)}
_TERMINAL = tuple(_PLACE[state] for state in STATES if state in TERMINAL)
_LATE = {step: tuple(_PLACE[state] for state in STATES if late(step, state)) for step in Step}

Group = tuple[str, str]
"""Tier of the targets, and the child of this node in whose subtree they are (the node itself for its own order)."""


class Cell(msgspec.Struct, frozen=True):
    """Targets of a group by state, in the order of ``STATES``."""

    tier: str
    child: str
    counts: tuple[int, ...]


class Progress:
    """Counts of one order at one node. Not thread-safe."""

    def __init__(self, cells: Iterable[Cell] = ()) -> None:
        """Start from cells, as ``cells`` returned them; those of one group are added.

        Raises:
            ValueError: a cell with another number of states, or a negative count.
        """
        self._counts: dict[Group, list[int]] = {}
        for cell in cells:
            if len(cell.counts) != len(STATES) or min(cell.counts) < 0:
                raise ValueError(f"a cell has {len(STATES)} counts, none negative")
            self._add((cell.tier, cell.child), cell.counts)

    def expect(self, group: Group, targets: int = 1) -> None:
        """Count targets that are meant and have said nothing yet."""
        self._row(group)[_PLACE[Shown.ISSUED]] += targets

    def move(self, group: Group, old: Shown, new: Shown) -> None:
        """Move one target of a group from a state to another.

        Raises:
            ValueError: no target of the group is in the old state.
        """
        if old is new:
            return
        row = self._row(group)
        place = _PLACE[old]
        if row[place] < 1:
            raise ValueError(f"no target of {group} is {old}")
        row[place] -= 1
        row[_PLACE[new]] += 1

    def merged(self, other: "Progress") -> "Progress":
        """Return the sum. The targets must be other ones."""
        return Progress([*self.cells(), *other.cells()])

    def without(self, child: str) -> "Progress":
        """Return this without the targets below a child, whose newer progress is to be merged."""
        return Progress([cell for cell in self.cells() if cell.child != child])

    def as_child(self, child: str) -> "Progress":
        """Return the same targets as the parent counts them: below one child, by tier."""
        return Progress([Cell(cell.tier, child, cell.counts) for cell in self.cells()])

    def cells(self) -> list[Cell]:
        """Return the counts, sorted by tier and child; groups without targets are left out."""
        return [Cell(tier, child, tuple(row)) for (tier, child), row in sorted(self._counts.items()) if any(row)]

    def totals(self, tier: str | None = None, child: str | None = None) -> Mapping[Shown, int]:
        """Return targets by state, all of them or those of a tier, a child or both; states without any are left out."""
        sums = [0] * len(STATES)
        for (in_tier, below), row in self._counts.items():
            if tier in (None, in_tier) and child in (None, below):
                sums = [left + right for left, right in zip(sums, row, strict=True)]
        return {state: count for state, count in zip(STATES, sums, strict=True) if count}

    def targets(self) -> int:
        """Return how many targets there are."""
        return sum(sum(row) for row in self._counts.values())

    def open(self) -> int:
        """Return how many targets are not terminal."""
        return self.targets() - sum(row[place] for row in self._counts.values() for place in _TERMINAL)

    def late(self, step: Step) -> int:
        """Return how many targets have not got as far as a step: when its timer fires, these are overdue."""
        return sum(row[place] for row in self._counts.values() for place in _LATE[step])

    def _row(self, group: Group) -> list[int]:
        row = self._counts.get(group)
        if row is None:
            row = self._counts[group] = [0] * len(STATES)
        return row

    def _add(self, group: Group, counts: Iterable[int]) -> None:
        row = self._row(group)
        row[:] = [left + right for left, right in zip(row, counts, strict=True)]
