"""Corrections by hand: from the words of a request to columns. Pure."""

from typing import Any

import numpy as np

from gongfu.kernel.block import Columns
from gongfu.kernel.errors import invalid
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import parse_quality
from gongfu.store.history.documents import SeriesCorrection
from gongfu.store.history.requests import moment_of

MAX_CORRECTIONS = 10_000
_INT64 = 2**63


def columns_to_correct(series: int, value_type: ValueType, request: SeriesCorrection) -> Columns:
    """Return the points of a correction as columns, ascending in time.

    Raises:
        Problem: 400 for no reason, no or too many points, a time named twice, or a value that is not of the type.
    """
    if not request.reason.strip():
        raise invalid("reason is missing: corrections are kept with who made them and why")
    if not 1 <= len(request.points) <= MAX_CORRECTIONS:
        raise invalid(f"correct 1 to {MAX_CORRECTIONS} points at a time")
    points = sorted(((moment_of(one.time, "time"), one) for one in request.points), key=lambda pair: pair[0])
    times = np.array([time for time, _ in points], np.int64)
    if (np.diff(times) == 0).any():
        raise invalid("a time is named twice")
    try:
        qualities = np.array([parse_quality(point.quality) for _, point in points], np.uint8)
    except ValueError as error:
        raise invalid(str(error)) from None
    values = [_value(value_type, point.value) for _, point in points]
    dtypes = {ValueType.DOUBLE: "<f8", ValueType.INT64: "<i8", ValueType.BOOLEAN: "u1"}
    held: Any = np.array(values, dtypes[value_type]) if value_type in dtypes else values
    return Columns(np.full(len(times), series, "<u4"), times, qualities, held)


def _value(value_type: ValueType, value: Any) -> float | int | str:
    """Return a value of a type; integers may come as decimal text, as answers give them."""
    if value_type is ValueType.BOOLEAN and isinstance(value, bool):
        return int(value)
    if value_type is ValueType.DOUBLE and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if value_type in (ValueType.STRING, ValueType.JSON) and isinstance(value, str):
        return value
    if value_type is ValueType.INT64 and not isinstance(value, (bool, float)):
        plain = value if isinstance(value, int) else None
        if isinstance(value, str) and len(value) <= 20 and value.removeprefix("-").isascii():
            plain = int(value) if value.removeprefix("-").isdigit() else None
        if plain is not None and -_INT64 <= plain < _INT64:
            return plain
    raise invalid(f"{str(value)[:40]!r} is not a value of a {value_type.label} point")
