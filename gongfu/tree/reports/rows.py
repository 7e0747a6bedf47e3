"""Columns of a ledger: the latest cells of one child in one period, and the totals of one period over all children."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.cells import NO_CONTRIBUTOR, Cells, empty_objects
from gongfu.tree.reports.kinds import Form, ReportKind
from gongfu.tree.reports.measures import ABSENT, MeasureError, State, merge
from gongfu.tree.reports.sketches import LARGEST

_LATEST = np.iinfo(np.int64).max


@dataclass(slots=True)
class Rows:
    """n cells by slot, ascending. A withdrawn one has present False and says nothing, but keeps its revision.

    ``numbers`` is ``int64[3 + m, n]``: nodes, silent nodes, as of (0: fresh), then the exact measures.
    """

    slots: NDArray[np.int64]
    revisions: NDArray[np.int64]
    present: NDArray[np.bool_]
    numbers: NDArray[np.int64]
    contributors: NDArray[np.uint64]
    sketches: NDArray[Any]

    def __len__(self) -> int:
        return len(self.slots)

    def at(self, index: NDArray[Any]) -> "Rows":
        """Return some of the rows."""
        return Rows(
            self.slots[index],
            self.revisions[index],
            self.present[index],
            self.numbers[:, index],
            self.contributors[index],
            self.sketches[:, index],
        )

    def put(self, index: NDArray[np.intp], rows: "Rows") -> None:
        """Replace some of the rows; they have the slots already."""
        self.revisions[index] = rows.revisions
        self.present[index] = rows.present
        self.numbers[:, index] = rows.numbers
        self.contributors[index] = rows.contributors
        self.sketches[:, index] = rows.sketches

    def find(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return where slots are, and whether they are there."""
        index = np.searchsorted(self.slots, slots)
        if not len(self.slots):
            return index, np.zeros(len(slots), dtype=np.bool_)
        index = np.minimum(index, len(self.slots) - 1)
        return index, self.slots[index] == slots

    def with_slots(self, kind: ReportKind, slots: NDArray[np.int64]) -> "Rows":
        """Return the rows and, for slots that are not there yet, rows that say nothing."""
        both = join(self, nothing(kind, slots))
        return both.at(np.argsort(both.slots))


def nothing(kind: ReportKind, slots: NDArray[np.int64]) -> Rows:
    """Return rows that say nothing."""
    n = len(slots)
    numbers = np.full((3 + len(kind.exact), n), ABSENT, dtype=np.int64)
    numbers[:3] = 0
    return Rows(
        slots,
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.bool_),
        numbers,
        np.full((n, kind.least_contributors), NO_CONTRIBUTOR, dtype=np.uint64),
        empty_objects(len(kind.sketches), n),
    )


def join(a: Rows, b: Rows) -> Rows:
    """Return the rows of both, one after another."""
    return Rows(
        np.concatenate([a.slots, b.slots]),
        np.concatenate([a.revisions, b.revisions]),
        np.concatenate([a.present, b.present]),
        np.concatenate([a.numbers, b.numbers], axis=1),
        np.concatenate([a.contributors, b.contributors]),
        np.concatenate([a.sketches, b.sketches], axis=1),
    )


def rows_of(cells: Cells, slots: NDArray[np.int64], revisions: NDArray[np.int64]) -> Rows:
    """Return cells as rows, ordered by slot; what a withdrawn cell says is dropped."""
    order = np.argsort(slots)
    numbers = np.vstack([cells.nodes, cells.silent, cells.as_of, cells.exact])[:, order]
    rows = Rows(
        slots[order],
        revisions[order],
        cells.present[order],
        numbers,
        cells.contributors[order],
        cells.sketches[:, order],
    )
    gone = np.flatnonzero(~rows.present)
    if len(gone):
        blank = nothing(cells.kind, rows.slots[gone])
        blank.revisions = rows.revisions[gone]
        rows.put(gone, blank)
    return rows


class Totals:
    """Cells of one period merged over all children, by slot.

    Sums follow each change by its difference. What has no difference (least, largest, sketches, contributors, age)
    is merged anew when it is asked for, and only for slots in which something changed.
    """

    def __init__(self, kind: ReportKind) -> None:
        self.kind = kind
        self.unmergeable = 0
        self._sums = np.array([measure.form in (Form.COUNT, Form.SUM) for measure in kind.exact], dtype=np.bool_)
        self.rows = nothing(kind, np.zeros(0, dtype=np.int64))
        self._holders = np.zeros(0, dtype=np.int64)
        # int64[m, slots]: how many children have the measure; a sum of none is absent and not zero.
        self._having = np.zeros((len(kind.exact), 0), dtype=np.int64)
        self._dirty = np.zeros(0, dtype=np.bool_)

    def reserve(self, slots: int) -> None:
        """Have room for slots below a number."""
        have = len(self._holders)
        if slots <= have:
            return
        grow = max(slots - have, have // 2, 64)
        self.rows = join(self.rows, nothing(self.kind, np.arange(have, have + grow, dtype=np.int64)))
        self._holders = np.pad(self._holders, (0, grow))
        self._having = np.pad(self._having, ((0, 0), (0, grow)))
        self._dirty = np.pad(self._dirty, (0, grow))

    def _sums_after(self, old: Rows, new: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        before, after = old.numbers[3:], new.numbers[3:]
        had, has = before != ABSENT, after != ABSENT
        having = self._having[:, new.slots] + has - had
        now = self.rows.numbers[3:, new.slots]
        total = np.where(now == ABSENT, 0, now) + np.where(has, after, 0) - np.where(had, before, 0)
        return np.where(having > 0, total, ABSENT), having

    def fits(self, old: Rows, new: Rows) -> bool:
        """Whether all sums stay in range when rows are replaced."""
        total, _ = self._sums_after(old, new)
        total = total[self._sums]
        return not bool(((np.abs(total) > LARGEST) & (total != ABSENT)).any())

    def replace(self, old: Rows, new: Rows, revision: int) -> int:
        """Replace what one child says of some slots; return how many of them changed."""
        changed = (old.present != new.present) | (old.numbers != new.numbers).any(axis=0)
        lazily = (old.numbers[2] != new.numbers[2]) | (old.contributors != new.contributors).any(axis=1)
        others = old.numbers[3:][~self._sums] != new.numbers[3:][~self._sums]
        lazily |= others.any(axis=0)
        if len(self.kind.sketches):
            lazily |= (old.sketches != new.sketches).any(axis=0)
        changed |= lazily
        slots = new.slots
        total, having = self._sums_after(old, new)
        rows, sums = self.rows, self._sums
        self._having[:, slots] = having
        rows.numbers[np.ix_(np.flatnonzero(np.concatenate([[False] * 3, sums])), slots)] = total[sums]
        rows.numbers[:2, slots] += new.numbers[:2] - old.numbers[:2]
        self._holders[slots] += new.present.astype(np.int64) - old.present
        rows.present[slots] = self._holders[slots] > 0
        self._dirty[slots[lazily]] = True
        rows.revisions[slots[changed]] = revision
        return int(changed.sum())

    def settle(self, children: Iterable[Rows]) -> None:
        """Merge anew what has no difference, over the rows of all children, as their age is meant."""
        dirty = np.flatnonzero(self._dirty)
        if not len(dirty):
            return
        blank = nothing(self.kind, dirty)
        as_of = np.full(len(dirty), _LATEST, dtype=np.int64)
        extremes = [(row, m.form is Form.MIN) for row, m in enumerate(self.kind.exact) if not self._sums[row]]
        sketches: list[dict[int, list[State]]] = [{} for _ in self.kind.sketches]
        for rows in children:
            index, there = rows.find(dirty)
            there &= rows.present[index] if len(rows) else False
            at, of = np.flatnonzero(there), index[there]
            if not len(at):
                continue
            ages = rows.numbers[2, of]
            as_of[at] = np.minimum(as_of[at], np.where(ages == 0, _LATEST, ages))
            for row, least in extremes:
                mine, theirs = blank.numbers[3 + row, at], rows.numbers[3 + row, of]
                best = np.minimum(mine, theirs) if least else np.maximum(mine, theirs)
                lone = np.where(mine == ABSENT, theirs, mine)
                blank.numbers[3 + row, at] = np.where((mine == ABSENT) | (theirs == ABSENT), lone, best)
            blank.contributors[at] = union_contributors(blank.contributors[at], rows.contributors[of])
            for some, column in zip(sketches, rows.sketches, strict=True):
                for i, state in zip(at.tolist(), column[of].tolist(), strict=True):
                    if state:
                        some.setdefault(i, []).append(state)
        for row, (measure, some) in enumerate(zip(self.kind.sketches, sketches, strict=True)):
            for i, states in some.items():
                try:
                    blank.sketches[row, i] = merge(measure, states)
                except MeasureError:
                    # One child's absurd weights may not keep all other figures from being read: this one is absent.
                    self.unmergeable += 1
        rows = self.rows
        rows.numbers[2, dirty] = np.where(as_of == _LATEST, 0, as_of)
        for row, _ in extremes:
            rows.numbers[3 + row, dirty] = blank.numbers[3 + row]
        rows.contributors[dirty] = blank.contributors
        rows.sketches[:, dirty] = blank.sketches
        self._dirty[dirty] = False


def union_contributors(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return ``uint64[n, k]``: row by row the k smallest different hashes of both."""
    k = a.shape[1]
    both = np.sort(np.concatenate([a, b], axis=1), axis=1)
    both[:, 1:][both[:, 1:] == both[:, :-1]] = NO_CONTRIBUTOR
    return np.sort(both, axis=1)[:, :k]
