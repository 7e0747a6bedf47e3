"""What expressions are made of: functions and operators over NumPy columns, in which NaN is "not known"."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


def _folded(function: Any) -> Callable[..., Column]:
    def fold(*columns: Column) -> Column:
        found = columns[0]
        for column in columns[1:]:
            found = function(found, column)
        return found

    return fold


def _known(column: Column) -> Column:
    return (~np.isnan(column)).astype(np.float64)


# Name: (function, least and most arguments, whether the result has the unit of the arguments).
FUNCTIONS: dict[str, tuple[Callable[..., Column], int, int, bool]] = {
    "abs": (np.abs, 1, 1, True),
    "min": (_folded(np.minimum), 2, 8, True),
    "max": (_folded(np.maximum), 2, 8, True),
    "floor": (np.floor, 1, 1, True),
    "ceil": (np.ceil, 1, 1, True),
    "sqrt": (np.sqrt, 1, 1, False),
    "exp": (np.exp, 1, 1, False),
    "ln": (np.log, 1, 1, False),
    "log10": (np.log10, 1, 1, False),
    "known": (_known, 1, 1, False),
}


def both(one: Column, other: Column) -> Column:
    """Return whether both are true: false when one is false, whatever the other is."""
    return np.where((one == 0) | (other == 0), 0.0, one * other)


def either(one: Column, other: Column) -> Column:
    """Return whether one is true: true when one is true, whatever the other is."""
    return np.where((one == 1) | (other == 1), 1.0, one + other)


def divide(one: Column, other: Column) -> Column:
    """Return the quotient; by 0 it is not known, whatever is divided."""
    return np.where(other == 0, np.nan, np.divide(one, np.where(other == 0, 1.0, other)))


def _compare(function: Any) -> Callable[[Column, Column], Column]:
    return lambda one, other: np.where(np.isnan(one) | np.isnan(other), np.nan, function(one, other))


COMPARE: dict[str, Callable[[Column, Column], Column]] = {
    "<": _compare(np.less),
    "<=": _compare(np.less_equal),
    ">": _compare(np.greater),
    ">=": _compare(np.greater_equal),
    "==": _compare(np.equal),
    "!=": _compare(np.not_equal),
}
