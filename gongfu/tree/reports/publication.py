"""Publication of a table with margins.

What stands for too few enterprises is not shown, and cannot be computed from the rest. Primary suppression: a cell
with at least one and fewer than ``least`` enterprises, or in which one enterprise has too large a share.
Complementary suppression: as many other cells as are needed so that by all sums a suppressed cell can have values
that are apart by ``width`` of itself (at least 1), and so that the suppressed cells of one sum are together not too
few enterprises either: one of two could subtract itself. All of it is deterministic.

A ``Pattern`` goes from one publication to the next. What was suppressed stays suppressed, so that two publications
do not tell by their difference; what was shown in one table of a period is not used to protect another table of it.

Two tables of one period by different keys share margins. Where a shared margin is suppressed, the later table does not
show its line at all: then it says nothing of that margin, whatever it is (a line without any known cell fits every
total), and what else is suppressed in it is protected with the shared margins held fast. So both together give away no
more than each alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.tree.reports.cells import NO_CONTRIBUTOR, Cells, merge_contributors, take
from gongfu.tree.reports.disclosure import SumGraph
from gongfu.tree.reports.kinds import Form
from gongfu.tree.reports.measures import ABSENT

# (key, value) of each key that a cell fixes: () is the grand total.
CellName = tuple[tuple[str, str], ...]
MAX_TABLE_CELLS = 200_000


class PublicationReason(StrEnum):
    """Why a table is not published."""

    KEY = "key-unknown"
    MEASURE = "measure-not-additive"
    NEGATIVE = "negative-values"
    PERIODS = "several-periods"
    TOO_LARGE = "too-many-cells"
    RULE = "rule-malformed"
    UNPROTECTABLE = "cannot-be-protected"


class PublicationError(ValueError):
    """A table is not published.

    Attributes:
        reason: the stable code.
    """

    def __init__(self, reason: PublicationReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What is suppressed.

    Attributes:
        least: enterprises that a cell shows at least; not more than the kind's ``least_contributors``.
        width: how far apart the possible values of a suppressed cell are, as a share of its value.
        largest_share: a cell in which one enterprise has a larger share is suppressed; 1: no such rule.
    """

    least: int = 3
    width: float = 0.1
    largest_share: float = 1.0


class Pattern(msgspec.Struct, frozen=True):
    """What has been decided: names of suppressed cells; in this period, (measure, cell) that were shown, and tables.

    A table is (measure, row key, column key or an empty text).
    """

    suppressed: frozenset[CellName] = frozenset()
    shown: frozenset[tuple[str, CellName]] = frozenset()
    tables: frozenset[tuple[str, str, str]] = frozenset()

    def next_period(self) -> "Pattern":
        """Return the pattern to begin the next period with."""
        return Pattern(self.suppressed)


EMPTY = Pattern()


@dataclass(frozen=True, slots=True)
class Table:
    """One measure by one or two keys, with margins.

    Attributes:
        measure: its name; values are whole numbers of 10^-decimals.
        row_key, column_key: names of the keys; no column key: a table of one dimension.
        rows, columns: values of the keys, ascending; the last row and column of the arrays are the margins. Without a
            column key there is one column, and its last row is the total.
        values: ``int64[R + 1, C + 1]``, or ``int64[R + 1, 1]``.
        contributors: ``uint64[R + 1, C + 1, k]``, see ``Cells``.
    """

    measure: str
    row_key: str
    column_key: str | None
    rows: Sequence[str]
    columns: Sequence[str]
    values: NDArray[np.int64]
    contributors: NDArray[np.uint64]

    def name(self, row: int, column: int) -> CellName:
        """Return the name of a cell, the same in every table of the kind."""
        parts: list[tuple[str, str]] = []
        if row < len(self.rows):
            parts.append((self.row_key, self.rows[row]))
        if self.column_key is not None and column < len(self.columns):
            parts.append((self.column_key, self.columns[column]))
        return tuple(sorted(parts))


class Publication(msgspec.Struct, frozen=True):
    """A table as it is shown.

    Attributes:
        values: by row and column, margins last; None where suppressed.
        why: by row and column: ``""``, ``"primary"``, ``"complementary"`` or ``"frozen"`` (by an earlier publication).
    """

    measure: str
    row_key: str
    column_key: str | None
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[int | None, ...], ...]
    why: tuple[tuple[str, ...], ...]


def tabulate(cells: Cells, measure: str, row_key: str, column_key: str | None = None) -> Table:
    """Return the table of a count or sum over all cells of one period; cells without the measure are not in it.

    Raises:
        PublicationError: a key or the measure does not fit, or there are several periods.
    """
    kind = cells.kind
    names = [m.name for m in kind.exact if m.form in (Form.COUNT, Form.SUM)]
    if measure not in names:
        raise PublicationError(PublicationReason.MEASURE, f"{measure!r} is not a count or sum of {kind.name}")
    if row_key not in kind.keys or (column_key is not None and column_key not in kind.keys) or row_key == column_key:
        raise PublicationError(PublicationReason.KEY, f"{kind.name} does not have these keys")
    row = [m.name for m in kind.exact].index(measure)
    cells = take(cells, cells.present & (cells.exact[row] != ABSENT))
    if len(np.unique(cells.periods)) > 1:
        raise PublicationError(PublicationReason.PERIODS, "a table is of one period")
    at = kind.keys.index(row_key)
    rows = sorted({key[at] for key in cells.keys})
    number = {value: i for i, value in enumerate(rows)}
    i = np.array([number[key[at]] for key in cells.keys], dtype=np.int64)
    columns: list[str] = []
    j = np.zeros(len(cells), dtype=np.int64)
    if column_key is not None:
        across = kind.keys.index(column_key)
        columns = sorted({key[across] for key in cells.keys})
        number = {value: c for c, value in enumerate(columns)}
        j = np.array([number[key[across]] for key in cells.keys], dtype=np.int64)
    height, width = len(rows) + 1, len(columns) + 1
    if height * width > MAX_TABLE_CELLS:
        raise PublicationError(PublicationReason.TOO_LARGE, f"more than {MAX_TABLE_CELLS} cells")
    places = [i * width + j, np.full_like(i, height - 1) * width + j]
    if column_key is not None:
        places += [i * width + width - 1, np.full_like(i, height * width - 1)]
    groups = np.concatenate(places)
    values = np.zeros(height * width, dtype=np.int64)
    np.add.at(values, groups, np.tile(cells.exact[row], len(places)))
    hashes = np.tile(cells.contributors, (len(places), 1))
    contributors = merge_contributors(groups, hashes, height * width, kind.least_contributors)
    return Table(
        measure,
        row_key,
        column_key,
        rows,
        columns,
        values.reshape(height, width),
        contributors.reshape(height, width, kind.least_contributors),
    )


def _edges(table: Table) -> tuple[int, list[tuple[int, int, int, int]]]:
    """Return the number of nodes of the sum graph, and the edge of each cell in row order."""
    height, width = table.values.shape
    flat = table.values.ravel().tolist()
    edges: list[tuple[int, int, int, int]] = []
    for place, value in enumerate(flat):
        i, j = divmod(place, width)
        if table.column_key is None:
            # One sum only: all cells are between the same two nodes.
            edges.append((0, 1, -1 if i == height - 1 else 1, value))
        else:
            margin = (i == height - 1) != (j == width - 1)
            edges.append((i, height + j, -1 if margin else 1, value))
    return (2 if table.column_key is None else height + width), edges


def bounds(table: Table, suppressed: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[int, int | None]]:
    """Return what can be computed of suppressed cells from everything else: least and largest value (None: none).

    It is exact for whole numbers ≥ 0. A cell whose two bounds are equal is given away.
    """
    width = table.values.shape[1]
    nodes, edges = _edges(table)
    graph = SumGraph(nodes, edges, (i * width + j for i, j in suppressed))
    return {(i, j): graph.bounds(i * width + j) for i, j in suppressed}


def _primary(table: Table, rule: Rule, largest: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    count = (table.contributors != NO_CONTRIBUTOR).sum(axis=2)
    primary = (count > 0) & (count < rule.least)
    if largest is not None:
        primary |= (count > 0) & (largest > rule.largest_share * table.values)
    return primary


def _shared(table: Table, names: Sequence[CellName], pattern: Pattern) -> set[int]:
    """Return the suppressed margins that another table of the period has too."""
    mine = {table.row_key, table.column_key}
    others = [
        {row, column} for measure, row, column in pattern.tables if measure == table.measure and {row, column} != mine
    ]
    # One dimension only has sums that the other table has as well.
    margins = {e for e, name in enumerate(names) if len(name) < 2} if table.column_key is not None else set[int]()
    return {
        e for e in margins if names[e] in pattern.suppressed and any({key for key, _ in names[e]} <= o for o in others)
    }


def _lines(table: Table, margins: set[int]) -> set[int]:
    """Return all cells of the lines of some margins; the line of the grand total is both rows of margins."""
    height, width = table.values.shape
    places = np.arange(height * width).reshape(height, width)
    out: set[int] = set()
    for margin in margins:
        i, j = divmod(margin, width)
        if j == width - 1:
            out |= set(places[i].tolist())
        if i == height - 1:
            out |= set(places[:, j].tolist())
    return out


class _Suppression:
    """The search for complementary cells of one table."""

    def __init__(self, table: Table, rule: Rule, suppressed: set[int], kept: set[int]) -> None:
        self._rule = rule
        self._width = table.values.shape[1]
        nodes, self._edges = _edges(table)
        self._hashes: list[set[int]] = [
            set(row) - {NO_CONTRIBUTOR} for row in table.contributors.reshape(len(self._edges), -1).tolist()
        ]
        self.graph = SumGraph(nodes, self._edges, sorted(suppressed))
        # A cell that nobody is in is a zero that everybody knows: it protects nothing.
        usable = [e for e in range(len(self._edges)) if e in suppressed or (self._hashes[e] and e not in kept)]
        self._at: list[list[int]] = [[] for _ in range(nodes)]
        for edge in usable:
            row, column, _, _ = self._edges[edge]
            self._at[row].append(edge)
            self._at[column].append(edge)

    def _cost(self, edge: int) -> int:
        """Return what is lost with a cell; margins are dearer than the cells in them."""
        _, _, sign, value = self._edges[edge]
        total = edge == len(self._edges) - 1
        return (value + 1) * (1 if sign > 0 and not total else 8)

    def run(self, primary: set[int]) -> None:
        """Suppress until nothing is given away.

        Raises:
            PublicationError: too much was shown before.
        """
        done: set[int] = set()
        while self.graph.suppressed - done or self._fill_sums():
            for edge in sorted(self.graph.suppressed - done):
                value = self._edges[edge][3]
                need = max(1, -int(-self._rule.width * value // 1)) if edge in primary else 1
                if not self.graph.protect(edge, need, self._at, self._cost):
                    raise PublicationError(PublicationReason.UNPROTECTABLE, "too much was shown in earlier tables")
                done.add(edge)

    def _fill_sums(self) -> bool:
        """Suppress one more cell in each sum whose suppressed cells are together too few enterprises."""
        more: set[int] = set()
        for edges in self._at:
            hidden = [e for e in edges if e in self.graph.suppressed]
            together = set[int]().union(*(self._hashes[e] for e in hidden))
            if not hidden or len(together) >= self._rule.least:
                continue
            others = [e for e in edges if e not in self.graph.suppressed and self._hashes[e] - together]
            if others:
                more.add(min(others, key=lambda e: (self._cost(e), e)))
        for edge in sorted(more):
            self.graph.suppress(edge)
        return bool(more)


def publish(
    table: Table, rule: Rule, pattern: Pattern = EMPTY, largest: NDArray[np.int64] | None = None
) -> tuple[Publication, Pattern]:
    """Return a table as it may be shown, and the pattern for the next one.

    ``largest`` (the shape of the values) is what the largest enterprise has in each cell, for the rule of its share.

    Raises:
        PublicationError: the table has negative values, or what was shown before leaves nothing to protect it with.
    """
    if rule.least > table.contributors.shape[2] or rule.least < 1 or rule.width < 0:
        raise PublicationError(
            PublicationReason.RULE, "cells do not know so many enterprises, or the width is negative"
        )
    if bool((table.values < 0).any()):
        raise PublicationError(PublicationReason.NEGATIVE, "sums can be protected only when no value is below zero")
    height, width = table.values.shape
    names = [table.name(i, j) for i in range(height) for j in range(width)]
    primary = set(np.flatnonzero(_primary(table, rule, largest)).tolist())
    frozen = {e for e, name in enumerate(names) if name in pattern.suppressed}
    shown = {e for e, name in enumerate(names) if (table.measure, name) in pattern.shown}
    shared = _shared(table, names, pattern)
    frozen |= _lines(table, shared)
    # What was shown is known, even when it is hidden from now on; what is shared is not moved.
    search = _Suppression(table, rule, (primary | frozen) - shown - shared, shown | shared)
    search.run(primary)
    hidden = search.graph.suppressed | primary | frozen
    why = [
        "" if e not in hidden else "primary" if e in primary else "frozen" if e in frozen else "complementary"
        for e in range(len(names))
    ]
    flat = table.values.ravel().tolist()
    rows = range(0, len(flat), width)
    publication = Publication(
        table.measure,
        table.row_key,
        table.column_key,
        tuple(table.rows),
        tuple(table.columns),
        tuple(tuple(None if e in hidden else flat[e] for e in range(row, row + width)) for row in rows),
        tuple(tuple(why[row : row + width]) for row in rows),
    )
    return publication, Pattern(
        pattern.suppressed | {names[e] for e in hidden},
        pattern.shown | {(table.measure, name) for e, name in enumerate(names) if e not in hidden},
        pattern.tables | {(table.measure, table.row_key, table.column_key or "")},
    )
