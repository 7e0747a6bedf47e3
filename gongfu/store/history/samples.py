"""Samples out of the engine's answers, and samples put together. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import Columns
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MILLISECOND
from gongfu.store.history.native import decode_native
from gongfu.store.history.types import Samples

# Columns of an answer by name, see ``native.decode_native``.
Answered = Mapping[str, NDArray[Any] | list[str]]

_EMPTY: dict[ValueType, NDArray[Any] | list[str]] = {
    ValueType.DOUBLE: np.empty(0, "<f8"),
    ValueType.INT64: np.empty(0, "<i8"),
    ValueType.BOOLEAN: np.empty(0, "u1"),
    ValueType.STRING: [],
    ValueType.JSON: [],
}


def repeats(columns: Answered) -> bool:
    """Return whether a point is there more than once, in an answer that has the versions of a point together."""
    if not columns:
        return False
    series, times = np.asarray(columns["series"]), np.asarray(columns["time"])
    return bool(((times[1:] == times[:-1]) & (series[1:] == series[:-1])).any())


def samples_of(value_type: ValueType, answer: bytes | Answered, limit: int, empty: ValueType) -> Samples:
    """Return what a statement gave, decoded or not, without the points beyond the limit of their series."""
    columns = decode_native(answer) if isinstance(answer, bytes) else answer
    if not columns:
        nothing = Columns(np.empty(0, "<u4"), np.empty(0, "<i8"), np.empty(0, "u1"), _EMPTY[empty])
        return Samples(nothing, np.empty(0, "<i8"))
    series: NDArray[np.uint32] = np.asarray(columns["series"], dtype="<u4")
    ingested = np.asarray(columns["ingested"]) * MILLISECOND if "ingested" in columns else np.empty(0, "<i8")
    values = columns["value"]
    times, qualities = np.asarray(columns["time"]), np.asarray(columns["quality"])
    starts = np.flatnonzero(np.r_[True, series[1:] != series[:-1]])
    position = np.arange(len(series)) - np.repeat(starts, np.diff(np.r_[starts, len(series)]))
    keep = position < limit
    if keep.all():
        return Samples(Columns(series, times, qualities, values), ingested)
    kept = values[keep] if isinstance(values, np.ndarray) else [values[i] for i in np.flatnonzero(keep)]
    ingested = ingested[keep] if len(ingested) else ingested
    return Samples(Columns(series[keep], times[keep], qualities[keep], kept), ingested, truncated=True)


def together(value_type: ValueType, pieces: Sequence[Samples]) -> Samples:
    """Return the pieces as one, ordered by series."""
    return combined(pieces) if pieces else samples_of(value_type, b"", 1, value_type)


def combined(pieces: Sequence[Samples]) -> Samples:
    """Return one or more pieces as one, ordered by series; the order within a series stays."""
    series = np.concatenate([piece.columns.series for piece in pieces])
    order = np.argsort(series, kind="stable")
    values: NDArray[Any] | list[str]
    if isinstance(pieces[0].columns.values, np.ndarray):
        values = np.concatenate([np.asarray(piece.columns.values) for piece in pieces])[order]
    else:
        flat = [value for piece in pieces for value in piece.columns.values]
        values = [flat[i] for i in order]
    columns = Columns(
        series[order],
        np.concatenate([piece.columns.times for piece in pieces])[order],
        np.concatenate([piece.columns.qualities for piece in pieces])[order],
        values,
    )
    moments = np.concatenate([piece.ingested for piece in pieces])
    return Samples(columns, moments[order] if len(moments) else moments, any(piece.truncated for piece in pieces))


def taken(columns: Columns, rows: NDArray[np.intp]) -> Columns:
    """Return some rows of columns, in the order given."""
    values = columns.values
    chosen: Any = values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows.tolist()]
    return Columns(columns.series[rows], columns.times[rows], columns.qualities[rows], chosen)
