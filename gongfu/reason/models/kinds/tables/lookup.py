"""Look-up in one to four dimensions, on columns. Pure."""

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.models.kinds.tables.document import MOST_AXES, MOST_CELLS, Lookup, Method, Outside
from gongfu.reason.models.kinds.types import refused
from gongfu.reason.models.sandbox.types import Column


class LookupTable:
    """A checked look-up."""

    def __init__(self, table: Lookup) -> None:
        if not 1 <= len(table.axes) <= MOST_AXES:
            raise refused(f"look-up {table.gives!r} has {len(table.axes)} axes; 1 to {MOST_AXES} are possible")
        self._table = table
        self._axes: list[Column] = []
        for axis in table.axes:
            at = np.array(axis.at, dtype=np.float64)
            if len(at) < 2 or not np.isfinite(at).all() or not (np.diff(at) > 0).all():
                raise refused(f"look-up {table.gives!r}: axis {axis.input!r} needs two or more ascending numbers")
            self._axes.append(at)
        shape = tuple(map(len, self._axes))
        if np.prod(shape) > MOST_CELLS:
            raise refused(f"look-up {table.gives!r} has more than {MOST_CELLS} cells")
        try:
            self._values = np.array(table.values, dtype=np.float64)
        except (TypeError, ValueError):
            raise refused(f"look-up {table.gives!r}: values are no numbers, or not of one length") from None
        if self._values.shape != shape:
            raise refused(f"look-up {table.gives!r}: values have shape {self._values.shape}; the axes say {shape}")
        if table.outside is Outside.EXTRAPOLATE and table.method is not Method.LINEAR:
            raise refused(f"look-up {table.gives!r}: only method linear extrapolates")

    def evaluate(self, known: dict[str, Column]) -> dict[str, Column]:
        """Return the result, float64[n]; NaN where an input is NaN."""
        given = [known[axis.input] for axis in self._table.axes]
        n = len(given[0])
        wrong = np.zeros(n, dtype=bool)
        cells: list[NDArray[np.intp]] = []
        parts: list[Column] = []
        for at, values in zip(self._axes, given, strict=True):
            wrong |= np.isnan(values)
            if self._table.outside is Outside.NAN:
                wrong |= (values < at[0]) | (values > at[-1])
            held = np.where(np.isnan(values), at[0], values)
            if self._table.outside is not Outside.EXTRAPOLATE:
                held = np.clip(held, at[0], at[-1])
            cell = np.clip(np.searchsorted(at, held, side="right") - 1, 0, len(at) - 2)
            cells.append(cell)
            parts.append((held - at[cell]) / (at[cell + 1] - at[cell]))
        result = self._between(cells, parts, n)
        result[wrong] = np.nan
        return {self._table.gives: result}

    def _between(self, cells: list[NDArray[np.intp]], parts: list[Column], n: int) -> Column:
        if self._table.method is not Method.LINEAR:
            # "previous" goes on to the next point only when it is reached, "nearest" from the middle on.
            limit = 1.0 if self._table.method is Method.PREVIOUS else 0.5
            return self._values[tuple(cell + (part >= limit) for cell, part in zip(cells, parts, strict=True))]
        result = np.zeros(n)
        for corner in itertools.product((0, 1), repeat=len(cells)):
            weight = np.ones(n)
            for side, part in zip(corner, parts, strict=True):
                weight *= part if side else 1.0 - part
            value = self._values[tuple(cell + side for cell, side in zip(cells, corner, strict=True))]
            # A corner without weight does not count, even where it is NaN: tables may have holes.
            result += np.where(weight == 0.0, 0.0, weight * value)
        return result


def finite(columns: Mapping[str, Column]) -> NDArray[np.bool_]:
    """Return where all columns have a number."""
    good = np.ones(len(next(iter(columns.values()))), dtype=bool)
    for column in columns.values():
        good &= ~np.isnan(column)
    return good
