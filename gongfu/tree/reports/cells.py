"""Cells: (kind, period, key values) → measures; in columns, because a nation has hundreds of thousands of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.kinds import Form, ReportKind
from gongfu.tree.reports.measures import ABSENT, MeasureError, MeasureReason, State, check_state, merge
from gongfu.tree.reports.sketches import LARGEST

MAX_CELLS = 100_000
MAX_KEY_BYTES = 64
NO_CONTRIBUTOR = 2**64 - 1
_LAST = np.iinfo(np.int64).max


class CellReason(StrEnum):
    """Why cells are refused."""

    SHAPE = "columns-of-different-length"
    TOO_MANY = "too-many-cells"
    PERIOD = "period-not-aligned"
    KEY = "key-value-malformed"
    REPEATED = "cell-repeated"
    CONTRIBUTORS = "contributors-malformed"
    COVERAGE = "coverage-malformed"
    MEASURE = "measure-out-of-range"


class CellError(ValueError):
    """Cells are refused.

    Attributes:
        reason: the stable code.
    """

    def __init__(self, reason: CellReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell.

    Attributes:
        kind: name of the report kind.
        version: version of the declaration by which it is read.
        period: start, UTC ns; 0 for a snapshot.
        keys: value of every key, in the kind's order.
        measures: name → state; a measure that is not there is absent, not zero.
        present: False: withdrawn, there is no such cell any more.
        contributors: the smallest hashes of the enterprises in it, at most ``least_contributors`` of them, ascending:
            exact when there are fewer, and otherwise as many as are asked for.
        nodes: nodes that are in it; ``silent``: those of them that have not been heard for too long.
        as_of: UTC ns of the oldest statement in it; 0: as fresh as the batch it is in.
        revision: of the ledger that it was read from.
    """

    kind: str
    version: int = 1
    period: int = 0
    keys: tuple[str, ...] = ()
    measures: dict[str, State] = {}
    present: bool = True
    contributors: tuple[int, ...] = ()
    nodes: int = 1
    silent: int = 0
    as_of: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Cells:
    """n cells of one kind in columns.

    Attributes:
        kind: the declaration that the columns follow.
        periods: ``int64[n]``.
        keys: n tuples.
        present: ``bool[n]``.
        exact: ``int64[m, n]``, a row for each of ``kind.exact``; ``ABSENT`` where there is none.
        sketches: ``object[s, n]`` of bytes, a row for each of ``kind.sketches``; empty where there is none.
        contributors: ``uint64[n, k]`` ascending, filled up with ``NO_CONTRIBUTOR``; k is ``least_contributors``.
        nodes, silent, as_of: ``int64[n]``, see ``Cell``.
    """

    kind: ReportKind
    periods: NDArray[np.int64]
    keys: Sequence[tuple[str, ...]]
    present: NDArray[np.bool_]
    exact: NDArray[np.int64]
    sketches: NDArray[Any]
    contributors: NDArray[np.uint64]
    nodes: NDArray[np.int64]
    silent: NDArray[np.int64]
    as_of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    def cell(self, i: int, revision: int = 0) -> Cell:
        """Return one of the cells."""
        exact = zip(self.kind.exact, self.exact[:, i].tolist(), strict=True)
        sketches = zip(self.kind.sketches, self.sketches[:, i].tolist(), strict=True)
        measures: dict[str, State] = {measure.name: state for measure, state in exact if state != ABSENT}
        measures |= {measure.name: state for measure, state in sketches if state}
        return Cell(
            kind=self.kind.name,
            version=self.kind.version,
            period=int(self.periods[i]),
            keys=self.keys[i],
            measures=measures if self.present[i] else {},
            present=bool(self.present[i]),
            contributors=tuple(h for h in self.contributors[i].tolist() if h != NO_CONTRIBUTOR),
            nodes=int(self.nodes[i]),
            silent=int(self.silent[i]),
            as_of=int(self.as_of[i]),
            revision=revision,
        )


def empty_objects(rows: int, n: int) -> NDArray[Any]:
    """Return ``object[rows, n]`` of empty bytes."""
    column = np.empty((rows, n), dtype=object)
    column.fill(b"")
    return column


def contributor(kind: str, node: str) -> int:
    """Return the hash by which an enterprise's node is counted among the contributors of a kind."""
    digest = hashlib.sha256(f"{kind}\0{node}".encode()).digest()
    return min(int.from_bytes(digest[:8], "little"), NO_CONTRIBUTOR - 1)


def withdrawn(kind: ReportKind, period: int, keys: Sequence[tuple[str, ...]]) -> Cells:
    """Return markers that some cells of a period are no more."""
    n = len(keys)
    zeros = np.zeros(n, dtype=np.int64)
    return Cells(
        kind,
        np.full(n, period, dtype=np.int64),
        keys,
        np.zeros(n, dtype=np.bool_),
        np.full((len(kind.exact), n), ABSENT, dtype=np.int64),
        empty_objects(len(kind.sketches), n),
        np.full((n, kind.least_contributors), NO_CONTRIBUTOR, dtype=np.uint64),
        zeros,
        zeros,
        zeros,
    )


def columns_of(kind: ReportKind, cells: Sequence[Cell]) -> Cells:
    """Return cells in columns, checked.

    Raises:
        CellError: a cell is wrong, or there is one twice.
        MeasureError: a state has the wrong form.
    """
    n = len(cells)
    out = withdrawn(kind, 0, [cell.keys for cell in cells])
    counts = np.array([[c.period, c.nodes, c.silent, c.as_of] for c in cells], dtype=np.int64).reshape(n, 4).T
    for measure in kind.measures:
        for cell in cells:
            check_state(measure, cell.measures.get(measure.name, ABSENT if measure.exact else b""))
    for row, measure in enumerate(kind.exact):
        out.exact[row] = [cell.measures.get(measure.name, ABSENT) for cell in cells]
    for row, measure in enumerate(kind.sketches):
        out.sketches[row] = [cell.measures.get(measure.name, b"") for cell in cells]
    for i, cell in enumerate(cells):
        out.present[i] = cell.present
        smallest = sorted(set(cell.contributors))[: kind.least_contributors]
        out.contributors[i, : len(smallest)] = smallest
    made = Cells(
        kind,
        counts[0],
        out.keys,
        out.present,
        out.exact,
        out.sketches,
        out.contributors,
        counts[1],
        counts[2],
        counts[3],
    )
    check_cells(made, check_sketches=False)
    return made


def take(cells: Cells, index: NDArray[np.intp] | NDArray[np.bool_]) -> Cells:
    """Return some of the cells, by indices or flags."""
    positions = np.flatnonzero(index) if index.dtype == np.bool_ else index
    keys = cells.keys
    return Cells(
        cells.kind,
        cells.periods[positions],
        [keys[i] for i in positions.tolist()],
        cells.present[positions],
        cells.exact[:, positions],
        cells.sketches[:, positions],
        cells.contributors[positions],
        cells.nodes[positions],
        cells.silent[positions],
        cells.as_of[positions],
    )


def concatenate(kind: ReportKind, parts: Sequence[Cells]) -> Cells:
    """Return the cells of several columns of one kind, one after another."""
    if not parts:
        return withdrawn(kind, 0, [])
    return Cells(
        kind,
        np.concatenate([p.periods for p in parts]),
        [key for p in parts for key in p.keys],
        np.concatenate([p.present for p in parts]),
        np.concatenate([p.exact for p in parts], axis=1),
        np.concatenate([p.sketches for p in parts], axis=1),
        np.concatenate([p.contributors for p in parts]),
        np.concatenate([p.nodes for p in parts]),
        np.concatenate([p.silent for p in parts]),
        np.concatenate([p.as_of for p in parts]),
    )


def check_cells(cells: Cells, *, check_sketches: bool = True) -> None:
    """Check cells that come from elsewhere.

    Raises:
        CellError: with the reason of the first thing that is wrong.
    """
    kind, n = cells.kind, len(cells)
    if n > MAX_CELLS:
        raise CellError(CellReason.TOO_MANY, f"{n} are more than {MAX_CELLS}")
    shapes = (cells.periods, cells.present, cells.contributors, cells.nodes, cells.silent, cells.as_of)
    if {len(column) for column in shapes} != {n} or cells.exact.shape != (len(kind.exact), n):
        raise CellError(CellReason.SHAPE, f"not all columns have {n} rows")
    length = kind.period * 1_000_000_000
    if bool((cells.periods % length).any() if length else cells.periods.any()) or bool((cells.periods < 0).any()):
        raise CellError(CellReason.PERIOD, f"a period does not start at a multiple of {kind.period} s")
    arity = len(kind.keys)
    for values in cells.keys:
        if len(values) != arity:
            raise CellError(CellReason.KEY, f"a cell has {len(values)} key values and not {arity}")
    for value in {value for values in cells.keys for value in values}:
        if not value.isprintable() or len(value.encode()) > MAX_KEY_BYTES:
            raise CellError(CellReason.KEY, f"a key value is not printable, or longer than {MAX_KEY_BYTES} bytes")
    if len(set(zip(cells.periods.tolist(), cells.keys, strict=True))) != n:
        raise CellError(CellReason.REPEATED, "a cell is there twice")
    hashes = cells.contributors
    if hashes.shape != (n, kind.least_contributors) or bool(
        ((hashes[:, 1:] <= hashes[:, :-1]) & (hashes[:, 1:] != NO_CONTRIBUTOR)).any()
    ):
        raise CellError(CellReason.CONTRIBUTORS, "contributors are not ascending")
    if bool(((cells.silent < 0) | (cells.nodes < cells.silent) | (cells.nodes > LARGEST) | (cells.as_of < 0)).any()):
        raise CellError(CellReason.COVERAGE, "more nodes are silent than there are, or a time is negative")
    for row, measure in enumerate(kind.exact):
        values = cells.exact[row]
        least = 0 if measure.form is Form.COUNT else -LARGEST
        if bool((((values < least) | (values > LARGEST)) & (values != ABSENT)).any()):
            raise CellError(CellReason.MEASURE, f"{measure.name} is out of range")
    if check_sketches:
        for row, measure in enumerate(kind.sketches):
            for state in set(cells.sketches[row].tolist()):
                check_state(measure, state)


def merge_contributors(groups: NDArray[np.int64], hashes: NDArray[np.uint64], n: int, least: int) -> NDArray[np.uint64]:
    """Return ``uint64[n, least]``: the smallest different hashes of every group; ``hashes`` is ``[rows, k]``."""
    out = np.full((n, least), NO_CONTRIBUTOR, dtype=np.uint64)
    flat, of = hashes.ravel(), np.repeat(groups, hashes.shape[1])
    known = flat != NO_CONTRIBUTOR
    flat, of = flat[known], of[known]
    order = np.lexsort((flat, of))
    flat, of = flat[order], of[order]
    new = np.ones(len(flat), dtype=np.bool_)
    new[1:] = (flat[1:] != flat[:-1]) | (of[1:] != of[:-1])
    flat, of = flat[new], of[new]
    rank = np.arange(len(of)) - np.searchsorted(of, of)
    small = rank < least
    out[of[small], rank[small]] = flat[small]
    return out


def _reduce(kind: ReportKind, cells: Cells, groups: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return ``int64[m, n]``: the exact measures of every group."""
    exact = np.full((len(kind.exact), n), ABSENT, dtype=np.int64)
    for row, measure in enumerate(kind.exact):
        known = cells.exact[row] != ABSENT
        values, of = cells.exact[row][known], groups[known]
        if measure.form is Form.MIN:
            exact[row] = _LAST
            np.minimum.at(exact[row], of, values)
            exact[row][exact[row] == _LAST] = ABSENT
        elif measure.form is Form.MAX:
            np.maximum.at(exact[row], of, values)
        else:
            # Whether the whole numbers overflow is seen in floating point first.
            if len(values) and np.bincount(of, weights=np.abs(values).astype(np.float64)).max() > 2.0**62:
                raise MeasureError(MeasureReason.RANGE, f"{measure.name} of merged cells is out of range")
            total = np.zeros(n, dtype=np.int64)
            np.add.at(total, of, values)
            if bool((np.abs(total) > LARGEST).any()):
                raise MeasureError(MeasureReason.RANGE, f"{measure.name} of merged cells is out of range")
            some = np.zeros(n, dtype=np.bool_)
            some[of] = True
            exact[row][some] = total[some]
    return exact


def merge_groups(
    cells: Cells, groups: NDArray[np.int64], periods: NDArray[np.int64], keys: Sequence[tuple[str, ...]]
) -> Cells:
    """Return n merged cells; ``groups[i]`` says which of them cell i goes into.

    A group without a present cell is withdrawn.

    The nodes of a merged cell are at least those of its largest part: a node may be in several of them.

    Raises:
        MeasureError: a sum is out of range.
    """
    kind, n = cells.kind, len(keys)
    if not bool(cells.present.all()):
        groups = groups[cells.present]
        cells = take(cells, cells.present)
    present = np.zeros(n, dtype=np.bool_)
    present[groups] = True
    sketches = empty_objects(len(kind.sketches), n)
    for row, measure in enumerate(kind.sketches):
        states: dict[int, list[State]] = {}
        for group, state in zip(groups.tolist(), cells.sketches[row].tolist(), strict=True):
            if state:
                states.setdefault(group, []).append(state)
        for group, some in states.items():
            sketches[row, group] = merge(measure, some)
    nodes, silent = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    np.maximum.at(nodes, groups, cells.nodes)
    np.maximum.at(silent, groups, cells.silent)
    # 0 is the freshest there is: everything that lags is older.
    as_of = np.full(n, _LAST, dtype=np.int64)
    np.minimum.at(as_of, groups, np.where(cells.as_of == 0, _LAST, cells.as_of))
    as_of[as_of == _LAST] = 0
    return Cells(
        kind,
        periods,
        keys,
        present,
        _reduce(kind, cells, groups, n),
        sketches,
        merge_contributors(groups, cells.contributors, n, kind.least_contributors),
        nodes,
        silent,
        as_of,
    )
