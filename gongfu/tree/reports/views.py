"""Reports as the API shows them: cells with figures, coverage and age."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from gongfu.kernel.errors import invalid
from gongfu.kernel.times import format_rfc3339
from gongfu.tree.reports.applied import Coverage
from gongfu.tree.reports.cells import Cell, Cells, contributor, merge_groups
from gongfu.tree.reports.kinds import Form, Measure, ReportKind
from gongfu.tree.reports.measures import ABSENT, State, exact_state, figure
from gongfu.tree.reports.publication import Publication
from gongfu.tree.reports.sketches import (
    quantile_values,
    sketch_distinct,
    sketch_quantiles,
    sketch_top,
    top_items,
)

_RANKS = (0.05, 0.25, 0.5, 0.75, 0.95)
_TOP = 20


class CellDoc(msgspec.Struct, frozen=True, kw_only=True):
    """One cell.

    Attributes:
        keys: by name; empty where the key did not leave a tier below.
        measures: by name: a number; of a distinct count ``{value, low, high}``, of quantiles ``{p5, p25, …}``, of top
            ``[{item, low, high}]``. What is absent is not there: missing is not zero.
        nodes: nodes in it at least; ``silent``: those of them that were not heard for too long.
        as_of: RFC 3339 of the oldest part, null: as fresh as the report.
    """

    keys: dict[str, str]
    measures: dict[str, Any]
    nodes: int
    silent: int
    as_of: str | None


class CoverageDoc(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the subtree a report speaks of; ``silent`` and ``never`` are children that are not heard."""

    known: int
    reported: int
    silent: list[str]
    never: list[str]


class ReportDoc(msgspec.Struct, frozen=True, kw_only=True):
    """A report: the cells of one period."""

    kind: str
    version: int
    period: str | None
    periods: list[str]
    node: str
    by: list[str]
    items: list[CellDoc]
    coverage: CoverageDoc
    as_of: str | None


class PublicationDoc(msgspec.Struct, frozen=True, kw_only=True):
    """A table as it may be shown: margins last; null and a reason where suppressed."""

    kind: str
    period: str | None
    published_at: str
    measure: str
    unit: str
    row_key: str
    column_key: str | None
    rows: list[str]
    columns: list[str]
    values: list[list[float | None]]
    why: list[list[str]]
    least_contributors: int


class NewCell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cell of the node's own, to be stated.

    Attributes:
        keys: value of every key of the kind.
        measures: by name: a number in the measure's unit; for distinct a list of items, for quantiles a list of
            values, for top a list of [item, weight].
    """

    keys: dict[str, str] = {}
    measures: dict[str, Any] = {}


def time_text(time: int) -> str | None:
    """Return a time (UTC ns) in milliseconds, None for 0."""
    return format_rfc3339(time // 1_000_000 * 1_000_000) if time else None


def grouped(cells: Cells, by: Sequence[str]) -> Cells:
    """Return cells of one period merged to some keys, in the order of the kind.

    Raises:
        Problem: 400 for a key that the kind does not have.
    """
    kind = cells.kind
    unknown = [key for key in by if key not in kind.keys]
    if unknown:
        raise invalid(f"{kind.name} has no key {unknown[0][:80]!r}")
    keys = tuple(key for key in kind.keys if key in by)
    less = msgspec.structs.replace(kind, keys=keys)
    columns = [kind.keys.index(key) for key in keys]
    names = [tuple(values[i] for i in columns) for values in cells.keys]
    groups = {name: i for i, name in enumerate(sorted(set(names)))}
    index = np.array([groups[name] for name in names], dtype=np.int64)
    period = int(cells.periods[0]) if len(cells) else 0
    renamed = Cells(
        less,
        cells.periods,
        names,
        cells.present,
        cells.exact,
        cells.sketches,
        cells.contributors,
        cells.nodes,
        cells.silent,
        cells.as_of,
    )
    return merge_groups(renamed, index, np.full(len(groups), period, dtype=np.int64), list(groups))


def cell_docs(cells: Cells) -> list[CellDoc]:
    """Return the present cells as they are shown."""
    kind = cells.kind
    out: list[CellDoc] = []
    for i in np.flatnonzero(cells.present).tolist():
        cell = cells.cell(i)
        measures = {m.name: _shown(m, cell.measures[m.name]) for m in kind.measures if m.name in cell.measures}
        out.append(
            CellDoc(
                keys=dict(zip(kind.keys, cell.keys, strict=True)),
                measures=measures,
                nodes=cell.nodes,
                silent=cell.silent,
                as_of=time_text(cell.as_of),
            )
        )
    return out


def _shown(measure: Measure, state: State) -> Any:
    if isinstance(state, int):
        number = figure(measure, state)
        if number is None:
            return None
        return int(number.value) if measure.decimals == 0 else number.value
    if measure.form is Form.DISTINCT:
        estimate = figure(measure, state)
        return None if estimate is None else {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    if measure.form is Form.QUANTILES:
        values = quantile_values(state, _RANKS)
        return {f"p{round(rank * 100)}": value for rank, value in zip(_RANKS, values, strict=bool(values))}
    return [{"item": item, "low": low, "high": high} for item, low, high in top_items(measure, state, _TOP)]


def coverage_doc(coverage: Coverage) -> CoverageDoc:
    """Return coverage as it is shown."""
    return CoverageDoc(
        known=coverage.known,
        reported=coverage.reported,
        silent=list(coverage.silent),
        never=list(coverage.never),
    )


def publication_doc(
    kind: ReportKind, publication: Publication, period: int, published_at: int, least: int
) -> PublicationDoc:
    """Return a published table as it is shown."""
    measure = next(measure for measure in kind.measures if measure.name == publication.measure)
    scale = 10**measure.decimals
    return PublicationDoc(
        kind=kind.name,
        period=time_text(period),
        published_at=format_rfc3339(published_at),
        measure=measure.name,
        unit=measure.unit,
        row_key=publication.row_key,
        column_key=publication.column_key,
        rows=list(publication.rows),
        columns=list(publication.columns),
        values=[[None if value is None else value / scale for value in row] for row in publication.values],
        why=[list(row) for row in publication.why],
        least_contributors=least,
    )


def stated_cells(kind: ReportKind, period: int, cells: Sequence[NewCell], enterprise: str) -> list[Cell]:
    """Return cells of the node's own.

    Raises:
        Problem: 400, a key or value does not fit the kind.
    """
    known = {measure.name: measure for measure in kind.measures}
    out: list[Cell] = []
    for cell in cells:
        if set(cell.keys) != set(kind.keys):
            raise invalid(f"a cell of {kind.name} has the keys {', '.join(kind.keys) or '(none)'}")
        unknown = [name for name in cell.measures if name not in known]
        if unknown:
            raise invalid(f"{kind.name} has no measure {unknown[0][:80]!r}")
        try:
            states = {name: _state(known[name], value) for name, value in cell.measures.items()}
        except (TypeError, ValueError, ArithmeticError) as error:
            raise invalid(f"a value does not fit its measure: {error}") from None
        out.append(
            Cell(
                kind=kind.name,
                version=kind.version,
                period=period,
                keys=tuple(cell.keys[key] for key in kind.keys),
                measures={name: state for name, state in states.items() if state != ABSENT and state != b""},
                contributors=(contributor(kind.name, enterprise),),
            )
        )
    return out


def _state(measure: Measure, value: Any) -> State:
    if measure.exact:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{measure.name} is a number")
        if measure.form is Form.COUNT:
            if value != int(value) or not 0 <= value < 2**53:
                raise ValueError(f"{measure.name} is a whole number that is not negative")
            return int(value)
        return exact_state(measure, [value])
    if not isinstance(value, list):
        raise ValueError(f"{measure.name} is a list")
    if measure.form is Form.DISTINCT:
        return sketch_distinct(measure, msgspec.convert(value, list[str]))
    if measure.form is Form.QUANTILES:
        return sketch_quantiles(measure, msgspec.convert(value, list[float]))
    return sketch_top(measure, msgspec.convert(value, list[tuple[str, int]]))
