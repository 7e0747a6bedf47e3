"""The latest cells of each child and a node's own, and the subtree's totals over them.

A cell replaces the one before by its revision, it is never added to it: repeated, late and restored batches cannot
double a total. A change costs what changed, not what there is. A child that is not heard stays in the totals with what
it said last, and is counted as silent: in the coverage of the period and in each cell that it is in.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.applied import Applied, Coverage, LedgerError, LedgerReason
from gongfu.tree.reports.cells import Cell, Cells, check_cells, concatenate, take, withdrawn
from gongfu.tree.reports.kinds import ReportKind
from gongfu.tree.reports.position import Missing, Position
from gongfu.tree.reports.rows import Rows, Totals, nothing, rows_of
from gongfu.tree.reports.stream import MAX_KEYS, SEQUENCE_BITS, Statement


def _as_meant(rows: Rows, position: Position) -> Rows:
    """Return rows with the age that they have when their child is silent."""
    if not position.silent:
        return rows
    numbers = rows.numbers.copy()
    numbers[1] = numbers[0]
    numbers[2] = np.where(rows.present & (numbers[2] == 0), max(1, position.as_of), numbers[2])
    return Rows(rows.slots, rows.revisions, rows.present, numbers, rows.contributors, rows.sketches)


class Ledger:
    """Cells of one kind at one node; ``node`` is its own id, under which its own cells are kept."""

    def __init__(self, kind: ReportKind, node: str) -> None:
        self.kind = kind
        self.node = node
        self.revision = 0
        self.keys: list[tuple[str, ...]] = []
        self._slots: dict[tuple[str, ...], int] = {}
        self._positions: dict[str, Position] = {node: Position(epoch=1, complete=True)}
        self._rows: dict[str, dict[int, Rows]] = {node: {}}
        self._totals: dict[int, Totals] = {}
        self._oldest = 0
        self._own_periods: set[int] = set()

    @property
    def periods(self) -> list[int]:
        """Return the periods of which there is something, ascending."""
        return sorted(self._totals)

    @property
    def children(self) -> list[str]:
        """Return the ids of the children, in the order in which they came."""
        return [child for child, position in self._positions.items() if position.member and child != self.node]

    @property
    def sources(self) -> list[str]:
        """Return whose cells there are: the node itself, its children, and those that were children."""
        return list(self._positions)

    def position(self, child: str) -> Position | None:
        """Return how far the stream of a child is; None when it was never one."""
        return self._positions.get(child)

    def periods_of(self, child: str) -> list[int]:
        """Return the periods of which a child said something."""
        return sorted(self._rows.get(child, ()))

    def cells_of(self, child: str, period: int) -> int:
        """Return how many cells of a child are kept of a period."""
        rows = self._rows[child].get(period)
        return len(rows) if rows is not None else 0

    def add_child(self, child: str) -> None:
        """Know of a child; nothing is taken from others. It counts as known and not reported until it is heard."""
        position = self._positions.get(child)
        if position is None:
            self._positions[child], self._rows[child] = Position(), {}
        elif not position.member:
            position.member, position.heard, position.newest = True, 0, 0

    def remove_child(self, child: str, from_period: int = 0) -> int:
        """Take a child that is one no more out of the totals, from a period on; return how many totals changed.

        What it said of earlier periods stays: it was here then. Its totals elsewhere begin with the same period.

        Raises:
            LedgerError: it is not a child.
        """
        position = self._member(child)
        changed = self._heard_again(child)
        for period, rows in self._rows[child].items():
            if period >= from_period:
                gone = rows.at(np.flatnonzero(rows.present))
                blank = nothing(self.kind, gone.slots)
                blank.revisions = gone.revisions
                changed += self._replace(child, period, blank)
        position.leave(from_period)
        return changed

    def _member(self, child: str) -> Position:
        position = self._positions.get(child)
        if position is None or not position.member or child == self.node:
            raise LedgerError(LedgerReason.UNKNOWN_CHILD, f"{child!r} is not a child")
        return position

    def apply(self, child: str, statement: Statement, now: int) -> Applied:
        """Apply what a child said; ``now`` is this node's time, UTC ns.

        Raises:
            LedgerError: it cannot be taken, and no cell was changed.
        """
        position = self._member(child)
        if statement.cells.kind != self.kind:
            raise LedgerError(LedgerReason.KIND, f"cells of {statement.cells.kind.name}, not of {self.kind.name} here")
        if position.repeated(statement):
            position.heard = max(position.heard, now)
            return Applied(repeated=True, changed=self._heard_again(child))
        if position.full(statement):
            raise LedgerError(LedgerReason.GAP, "too many batches are missing; a complete statement is needed")
        changed = self._heard_again(child)
        revisions = np.full(len(statement.cells), statement.revision, dtype=np.int64)
        staged, outdated = self._stage(child, position, statement.cells, revisions)
        gone = 0
        if statement.complete is not None:
            period, sequence = statement.complete
            gone = self._stage_withdrawn(child, period, statement.epoch << SEQUENCE_BITS | sequence, staged)
        changed += self._commit(child, staged)
        position.note(statement, now)
        return Applied(False, changed, gone, outdated)

    def state(self, period: int, cells: Cells, as_of: int) -> Applied:
        """Replace the node's own cells of a period, all of them; what is the same is not touched.

        Raises:
            CellError: the cells are wrong, or of another period.
            LedgerError: a total would be out of range.
        """
        check_cells(cells)
        position, stored = self._positions[self.node], self._rows[self.node].get(period)
        if stored is not None:
            had = [self.keys[slot] for slot in stored.slots[stored.present].tolist()]
            gone = set(had) - set(cells.keys)
            if gone:
                cells = concatenate(self.kind, [cells, withdrawn(self.kind, period, sorted(gone))])
        sequence = position.newest + 1
        staged, outdated = self._stage(self.node, position, cells, np.full(len(cells), sequence, dtype=np.int64))
        if set(staged) - {period}:
            raise LedgerError(LedgerReason.KIND, "cells of another period")
        changed = self._commit(self.node, staged)
        position.newest, position.as_of = sequence, max(position.as_of, as_of)
        self._own_periods.add(period)
        return Applied(False, changed, 0, outdated)

    def _slots_of(self, keys: Sequence[tuple[str, ...]]) -> NDArray[np.int64]:
        slots = self._slots
        new = [key for key in dict.fromkeys(keys) if key not in slots]
        if len(self.keys) + len(new) > MAX_KEYS:
            raise LedgerError(LedgerReason.KEYS, f"a ledger has at most {MAX_KEYS} different keys")
        for key in new:
            slots[key] = len(self.keys)
            self.keys.append(key)
        return np.fromiter(map(slots.__getitem__, keys), np.int64, len(keys))

    def _stage(
        self, child: str, position: Position, cells: Cells, revisions: NDArray[np.int64]
    ) -> tuple[dict[int, Rows], int]:
        """Return by period the rows that win over what is stored, and how many do not."""
        slots = self._slots_of(cells.keys)
        staged: dict[int, Rows] = {}
        taken = 0
        for period in np.unique(cells.periods).tolist():
            if period < self._oldest:
                continue
            index = np.flatnonzero(cells.periods == period)
            part = cells if len(index) == len(cells) else take(cells, index)
            rows = rows_of(part, slots[index], revisions[index])
            wins = rows.revisions >= position.floor(period)
            stored = self._rows[child].get(period)
            if stored is not None:
                at, there = stored.find(rows.slots)
                wins[there] &= rows.revisions[there] > stored.revisions[at[there]]
            staged[period] = rows if wins.all() else rows.at(np.flatnonzero(wins))
            taken += int(wins.sum())
        return staged, len(cells) - taken

    def _stage_withdrawn(self, child: str, period: int, floor: int, staged: dict[int, Rows]) -> int:
        """Stage that every older cell of the child, from a period on, is withdrawn; return how many."""
        gone = 0
        for start, stored in self._rows[child].items():
            if start < period:
                continue
            old = stored.slots[stored.present & (stored.revisions < floor)]
            if start in staged:
                old = np.setdiff1d(old, staged[start].slots, assume_unique=True)
            if len(old):
                blank = nothing(self.kind, old)
                # Just below the floor: a batch that belongs to the complete statement may still bring the cell.
                blank.revisions[:] = floor - 1
                both = staged[start].with_slots(self.kind, old) if start in staged else blank
                both.put(both.find(old)[0], blank)
                staged[start] = both
                gone += len(old)
        return gone

    def _commit(self, child: str, staged: dict[int, Rows]) -> int:
        """Replace staged rows in all periods or in none; return how many totals changed."""
        for period, new in staged.items():
            stored = self._rows[child].get(period)
            totals = self._totals.get(period)
            if totals is None:
                totals = self._totals[period] = Totals(self.kind)
            totals.reserve(len(self.keys))
            old = nothing(self.kind, new.slots)
            if stored is not None:
                at, there = stored.find(new.slots)
                old.put(np.flatnonzero(there), stored.at(at[there]))
            if not totals.fits(old, new):
                raise LedgerError(LedgerReason.RANGE, "a total would be out of range")
        return sum(self._replace(child, period, new) for period, new in staged.items())

    def _replace(self, child: str, period: int, new: Rows) -> int:
        """Replace rows of a child; return how many totals changed."""
        if not len(new):
            return 0
        by_period = self._rows[child]
        stored = by_period.get(period)
        if stored is None:
            stored = nothing(self.kind, np.zeros(0, dtype=np.int64))
        at, there = stored.find(new.slots)
        if not there.all():
            stored = stored.with_slots(self.kind, new.slots[~there])
            at, _ = stored.find(new.slots)
        old = stored.at(at)
        by_period[period] = stored
        changed = self._totals[period].replace(old, new, self.revision + 1)
        stored.put(at, new)
        if changed:
            self.revision += 1
        return changed

    def refresh(self, now: int, silent_after: int) -> int:
        """Find the children that have not been heard for ``silent_after`` ns; return how many totals this changed."""
        changed = 0
        for child in self.children:
            position = self._positions[child]
            if position.heard and not position.silent and now - position.heard > silent_after:
                changed += self._set_silent(child, True)
        return changed

    def _heard_again(self, child: str) -> int:
        return self._set_silent(child, False) if self._positions[child].silent else 0

    def _set_silent(self, child: str, silent: bool) -> int:
        # Only the latest is expected again and again: a period that was reported stays reported.
        position = self._positions[child]
        changed = 0
        before = {period: _as_meant(rows, position) for period, rows in self._standing(child)}
        position.silent = silent
        for period, rows in self._standing(child):
            done = self._totals[period].replace(before[period], _as_meant(rows, position), self.revision + 1)
            if done:
                self.revision += 1
            changed += done
        return changed

    def _standing(self, child: str) -> Iterator[tuple[int, Rows]]:
        if not self.kind.period:
            yield from self._rows[child].items()

    def _settled(self, period: int) -> Totals:
        totals = self._totals[period]
        totals.reserve(len(self.keys))
        totals.settle(
            rows[period] if self.kind.period else _as_meant(rows[period], self._positions[child])
            for child, rows in self._rows.items()
            if period in rows
        )
        return totals

    def changed(self, since: int) -> dict[int, NDArray[np.int64]]:
        """Return by period the slots of totals that changed after a revision."""
        found = {
            period: np.flatnonzero(totals.rows.revisions > since).astype(np.int64)
            for period, totals in sorted(self._totals.items())
        }
        return {period: slots for period, slots in found.items() if len(slots)}

    def read(self, period: int, slots: NDArray[np.int64] | None = None) -> Cells:
        """Return totals of a period: all that are present, or those of some slots, withdrawn ones included."""
        if period not in self._totals:
            return withdrawn(self.kind, period, [] if slots is None else [self.keys[i] for i in slots.tolist()])
        rows = self._settled(period).rows
        if slots is None:
            slots = np.flatnonzero(rows.present).astype(np.int64)
        return self._as_cells(period, rows.at(slots))

    def _as_cells(self, period: int, rows: Rows) -> Cells:
        keys = self.keys
        return Cells(
            self.kind,
            np.full(len(rows), period, dtype=np.int64),
            [keys[i] for i in rows.slots.tolist()],
            rows.present,
            rows.numbers[3:],
            rows.sketches,
            rows.contributors,
            rows.numbers[0],
            rows.numbers[1],
            rows.numbers[2],
        )

    def cell(self, period: int, keys: tuple[str, ...]) -> Cell | None:
        """Return one total; None when there is none."""
        slot = self._slots.get(keys)
        if slot is None or period not in self._totals:
            return None
        cells = self.read(period, np.array([slot], dtype=np.int64))
        return cells.cell(0, int(self._totals[period].rows.revisions[slot])) if cells.present[0] else None

    def as_of(self) -> int:
        """Return the oldest time (UTC ns) of what was heard and is not silent; 0 when nothing was."""
        times = [p.as_of for p in self._positions.values() if p.member and not p.silent and p.newest]
        return min(times, default=0)

    def coverage(self, period: int) -> Coverage:
        """Return how much of the subtree is in a period."""
        known = int(bool(self._own_periods))
        reported = int(period in self._own_periods)
        silent: list[str] = []
        never: list[str] = []
        for child in self.children:
            position = self._positions[child]
            known += position.known
            if not position.newest:
                never.append(child)
                continue
            if position.silent:
                silent.append(child)
            if not position.silent or self.kind.period:
                said = position.coverage.get(period)
                reported += min(said[1], position.known) if said else 0
        return Coverage(known, reported, tuple(silent), tuple(never))

    def missing(self, child: str) -> Missing:
        """Return what to ask a child for.

        Raises:
            LedgerError: it is not a child.
        """
        return self._member(child).missing()

    def forget(self, before: int) -> None:
        """Forget periods that begin before a time (UTC ns), wherever they are kept now; snapshots stay."""
        if not self.kind.period:
            return
        self._oldest = max(self._oldest, before)
        self._totals = {period: totals for period, totals in self._totals.items() if period >= before}
        self._own_periods = {period for period in self._own_periods if period >= before}
        for child, rows in self._rows.items():
            self._rows[child] = {period: kept for period, kept in rows.items() if period >= before}
            self._positions[child].forget(before)

    def stored(
        self, child: str, periods: Collection[int] | None = None
    ) -> tuple[Position, list[tuple[Cells, NDArray[np.int64]]]]:
        """Return what is known of a child (or of the node itself), to store it: position, cells with revisions.

        ``periods`` are those whose cells are wanted; None: all.
        """
        rows = {p: r for p, r in sorted(self._rows[child].items()) if periods is None or p in periods}
        return self._positions[child], [(self._as_cells(p, r), r.revisions) for p, r in rows.items()]

    def restore(self, child: str, position: Position, parts: Iterable[tuple[Cells, NDArray[np.int64]]]) -> None:
        """Take back what ``stored`` gave, into a ledger that knows nothing of the child yet."""
        position = msgspec.structs.replace(position)
        silent, position.silent = position.silent, False
        self._positions[child], self._rows[child] = position, {}
        for cells, revisions in parts:
            staged, _ = self._stage(child, Position(), cells, revisions)
            self._commit(child, staged)
            if child == self.node:
                self._own_periods |= set(staged)
        if silent:
            self._set_silent(child, True)
