"""Least data: what of a ledger's totals may leave a tier. Keys go by merging the cells that differ in them only."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.cells import Cells, concatenate, merge_groups
from gongfu.tree.reports.kinds import Measure, ReportKind
from gongfu.tree.reports.ledger import Ledger


class LeavingReason(StrEnum):
    """Why nothing leaves."""

    TIER = "tier-has-no-rule"
    MEASURES = "no-measure-leaves"
    KIND = "other-kind"


class LeavingError(ValueError):
    """Nothing of a kind leaves a tier.

    Attributes:
        reason: the stable code.
    """

    def __init__(self, reason: LeavingReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Projection:
    """How cells of a kind leave a tier. ``kind`` is what arrives at the parent: fewer keys, fewer measures."""

    def __init__(self, kind: ReportKind, tier: str) -> None:
        rule = kind.leaving_from(tier)
        if rule is None:
            raise LeavingError(LeavingReason.TIER, f"{kind.name} says nothing of tier {tier!r}")
        measures = tuple(measure for measure in kind.measures if measure.name in rule.measures)
        if not measures:
            raise LeavingError(LeavingReason.MEASURES, f"no measure of {kind.name} leaves tier {tier!r}")
        keys = tuple(key for key in kind.keys if key in rule.keys)
        self.source = kind
        self.kind = msgspec.structs.replace(kind, keys=keys, measures=measures)
        self._columns = [(kind.keys.index(key), rule.lengths.get(key)) for key in keys]
        self.merges = keys != kind.keys or any(length for _, length in self._columns)
        self._exact = _rows_of(kind.exact, self.kind.exact)
        self._sketches = _rows_of(kind.sketches, self.kind.sketches)

    def key(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """Return what of a cell's key values leaves."""
        return tuple(values[i] if length is None else values[i][:length] for i, length in self._columns)

    def without_measures(self, cells: Cells) -> Cells:
        """Return the cells with the measures that leave; the keys are as they were, for merging."""
        if cells.kind != self.source:
            raise LeavingError(LeavingReason.KIND, f"cells of {cells.kind.name}, not of {self.source.name} here")
        return Cells(
            self.kind,
            cells.periods,
            cells.keys,
            cells.present,
            cells.exact[self._exact],
            cells.sketches[self._sketches],
            cells.contributors,
            cells.nodes,
            cells.silent,
            cells.as_of,
        )

    def project(self, cells: Cells) -> Cells:
        """Return what leaves of cells; they must be all that there are of each merged cell.

        Raises:
            LeavingError: cells of another kind.
            MeasureError: a sum is out of range.
        """
        less = self.without_measures(cells)
        if not self.merges:
            return less
        names = list(zip(cells.periods.tolist(), map(self.key, cells.keys), strict=True))
        groups = {name: i for i, name in enumerate(dict.fromkeys(names))}
        index = np.array([groups[name] for name in names], dtype=np.int64)
        periods = np.array([period for period, _ in groups], dtype=np.int64)
        return merge_groups(less, index, periods, [key for _, key in groups])


def _rows_of(all_measures: Sequence[Measure], some: Sequence[Measure]) -> list[int]:
    names = [measure.name for measure in all_measures]
    return [names.index(measure.name) for measure in some]


class Departures:
    """What changed in a ledger, as it leaves the tier. A merged cell is made anew when one of its parts changed."""

    def __init__(self, ledger: Ledger, projection: Projection) -> None:
        self.ledger = ledger
        self.projection = projection
        self._groups: dict[tuple[str, ...], int] = {}
        self._keys: list[tuple[str, ...]] = []
        self._group_of: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def _learn(self) -> None:
        keys = self.ledger.keys
        known = len(self._group_of)
        new: list[int] = []
        for values in keys[known:]:
            key = self.projection.key(values)
            group = self._groups.setdefault(key, len(self._keys))
            if group == len(self._keys):
                self._keys.append(key)
            new.append(group)
        if new:
            self._group_of = np.concatenate([self._group_of, np.array(new, dtype=np.int64)])

    def since(self, revision: int) -> Cells:
        """Return the cells that changed after a revision of the ledger, withdrawn ones included; 0: all there are."""
        changed = self.ledger.changed(revision)
        projection = self.projection
        if not projection.merges:
            parts = [projection.without_measures(self.ledger.read(p, slots)) for p, slots in changed.items()]
            return concatenate(projection.kind, parts)
        self._learn()
        parts: list[Cells] = []
        for period, slots in changed.items():
            affected = np.unique(self._group_of[slots])
            members = np.flatnonzero(np.isin(self._group_of, affected)).astype(np.int64)
            cells = projection.without_measures(self.ledger.read(period, members))
            groups = np.searchsorted(affected, self._group_of[members])
            periods = np.full(len(affected), period, dtype=np.int64)
            parts.append(merge_groups(cells, groups, periods, [self._keys[i] for i in affected.tolist()]))
        return concatenate(projection.kind, parts)
