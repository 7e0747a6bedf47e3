"""Points of one asset in columns: nothing is judged value by value that can be judged as a column."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.ingest.columnise.accumulator import OpenBlock
from gongfu.ingest.columnise.elements import PointTable, Refusals, refuse_unknown
from gongfu.ingest.columnise.limits import MAX_NAME
from gongfu.ingest.columnise.reasons import Reason, Reject, shown
from gongfu.ingest.columnise.values import name_problem
from gongfu.ingest.types import ReadingColumns
from gongfu.kernel.block import TEXT_TYPES
from gongfu.kernel.points import EXACT_INTEGER_LIMIT, Series, ValueType
from gongfu.kernel.quality import SEVERITY_MASK, Quality

_DTYPES: dict[ValueType, Any] = {
    ValueType.DOUBLE: np.float64,
    ValueType.INT64: np.int64,
    ValueType.BOOLEAN: np.uint8,
    ValueType.STRING: object,
    ValueType.JSON: object,
}


class PointColumns:
    """An ``Element``: points of one asset in columns."""

    def __init__(
        self,
        child: str,
        names: list[str],
        name_of: NDArray[np.int64],
        value_type: ValueType,
        values: NDArray[Any],
        times: NDArray[np.int64],
        qualities: NDArray[np.uint8],
    ) -> None:
        self.child = child
        self._names = names
        self._name_of = name_of
        self._value_type = value_type
        self._values = values
        self._times = times
        self._qualities = qualities
        self._used: list[int] = np.unique(name_of).tolist()

    @property
    def points(self) -> int:
        """Number of points."""
        return len(self._times)

    def missing(self, names: Mapping[str, Series]) -> dict[str, ValueType]:
        """Return valid names without a series, with the type each gets."""
        used = [self._names[index] for index in self._used]
        return {name: self._value_type for name in used if name not in names and not name_problem(name, MAX_NAME)}

    def write_planned(self, table: PointTable, block: OpenBlock) -> bool:
        """Return False: columns need no plan."""
        return False

    def write(self, table: PointTable, block: OpenBlock, reject: Reject, refused: Refusals) -> None:
        """Append the points to the block; report those that cannot be."""
        by_type: dict[ValueType, list[tuple[int, int]]] = {}
        for index in self._used:
            name = self._names[index]
            series = table.names.get(name)
            if series is not None:
                by_type.setdefault(series.value_type, []).append((index, series.series))
                continue
            for _ in range(int((self._name_of == index).sum())):
                refuse_unknown(name, self.child, name_problem(name, MAX_NAME), refused, reject)
        series_of = np.zeros(len(self._names), dtype="<u4")
        for value_type, known in by_type.items():
            wanted = np.zeros(len(self._names), dtype=np.bool_)
            for index, series in known:
                wanted[index], series_of[index] = True, series
            rows = np.flatnonzero(wanted[self._name_of])
            self._write_type(value_type, rows, series_of, block, reject)

    def _write_type(
        self, value_type: ValueType, rows: NDArray[np.int64], series_of: NDArray[Any], block: OpenBlock, reject: Reject
    ) -> None:
        values = self._values[rows]
        bad, column = _convert(values, value_type, self._value_type)
        for reason, mask in bad:
            if mask.any():
                name = self._names[int(self._name_of[rows[int(mask.argmax())]])]
                reject(reason, int(mask.sum()), f"{shown(name)}: value does not fit type {value_type.label}")
        keep = np.ones(len(rows), dtype=np.bool_)
        for _, mask in bad:
            keep &= ~mask
        if column is None or not keep.any():
            return
        rows, column = rows[keep], column[keep]
        series = series_of[self._name_of[rows]].tobytes()
        times = self._times[rows].astype("<i8").tobytes()
        qualities = self._qualities[rows].astype("u1").tobytes()
        if value_type in TEXT_TYPES:
            block.add_texts(value_type, series, times, qualities, column.tolist())
        else:
            block.add(value_type, len(rows), series, times, qualities, column.tobytes())


def _convert(
    values: NDArray[Any], value_type: ValueType, given: ValueType
) -> tuple[list[tuple[Reason, NDArray[np.bool_]]], NDArray[Any] | None]:
    """Return (what does not fit, by reason; the values as the column type, or None when none fits)."""
    kind = values.dtype.kind
    everything = np.ones(len(values), dtype=np.bool_)
    if value_type is ValueType.DOUBLE and kind == "f":
        return [], values.astype("<f8")
    if value_type is ValueType.DOUBLE and kind in "iu" and values.dtype != np.uint8:
        # uint8 is how booleans come here; integers are int64 or uint64.
        overflow = values > np.uint64(2**63 - 1) if kind == "u" else ~everything
        inexact = (values > EXACT_INTEGER_LIMIT) | (values < -EXACT_INTEGER_LIMIT if kind == "i" else ~everything)
        return [(Reason.INTEGER_OVERFLOW, overflow), (Reason.PRECISION_LOSS, inexact & ~overflow)], values.astype("<f8")
    if value_type is ValueType.INT64 and kind in "iu" and values.dtype != np.uint8:
        overflow = values > np.uint64(2**63 - 1) if kind == "u" else ~everything
        return [(Reason.INTEGER_OVERFLOW, overflow)], values.astype("<i8")
    if value_type is ValueType.INT64 and kind == "f":
        fraction = ~np.isfinite(values) | (np.trunc(values) != values)
        inexact = ~fraction & (np.abs(values) > EXACT_INTEGER_LIMIT)
        exact = np.where(fraction | inexact, 0.0, values).astype("<i8")
        return [(Reason.TYPE_MISMATCH, fraction), (Reason.PRECISION_LOSS, inexact)], exact
    if value_type is ValueType.BOOLEAN and values.dtype == np.uint8:
        return [], values
    if value_type is given and kind == "O":
        return [], values
    return [(Reason.TYPE_MISMATCH, everything)], None


def columns_of(readings: ReadingColumns, horizon: int, stamp: Callable[[], int], reject: Reject) -> PointColumns:
    """Return the element of readings of a driver.

    Args:
        readings: as the driver kit gathered them.
        horizon: a later source time (UTC ns) is rejected.
        stamp: returns the time of what has none.
        reject: told of what is left out.
    """
    times = np.array(readings.times, dtype=np.int64)
    if not times.all():
        times[times == 0] = [stamp() for _ in range(int((times == 0).sum()))]
    values = np.array(readings.values, dtype=_DTYPES[readings.value_type])
    qualities = np.array(readings.qualities, dtype=np.uint8)
    name_of = np.array(readings.name_of, dtype=np.int64)
    if readings.value_type is ValueType.DOUBLE:
        usable = (qualities & SEVERITY_MASK) != Quality.BAD
        qualities[usable & ~np.isfinite(values)] = Quality.BAD_NOT_A_NUMBER
    late = times > horizon
    if late.any():
        name = readings.names[int(name_of[int(late.argmax())])]
        reject(Reason.TIMESTAMP_IN_FUTURE, int(late.sum()), f"{shown(name)}: time is further ahead than allowed")
        keep = ~late
        times, values, qualities, name_of = times[keep], values[keep], qualities[keep], name_of[keep]
    return PointColumns(readings.child, readings.names, name_of, readings.value_type, values, times, qualities)
