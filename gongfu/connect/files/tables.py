"""Cells of files to values and times. Pure."""

import math
from datetime import UTC, datetime, tzinfo
from typing import Any

from gongfu.connect.kit.types import Value
from gongfu.kernel.times import MAX_NS, MILLISECOND, SECOND, parse_rfc3339

# Numbers below are seconds since 1970 (until the year 2286), above milliseconds.
_SECONDS_BELOW = 1e10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def value_of(cell: Any) -> Value:
    """Return the value in a cell of a CSV or Parquet file; None for an empty one.

    Text is a number where it looks like one (``1.5``, ``1e3``, ``NaN``), true or false where it says so, else text.
    """
    if not isinstance(cell, str):
        if isinstance(cell, datetime):
            return cell.isoformat()
        return cell
    text = cell.strip()
    if not text:
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return cell


def time_of(cell: Any, zone: tzinfo) -> int:
    """Return UTC ns of the time in a cell, 0 when it is none.

    Args:
        cell: text, number or datetime.
        zone: of times that have none.
    """
    if isinstance(cell, datetime):
        return _since(cell, zone)
    if isinstance(cell, str):
        text = cell.strip()
        try:
            return parse_rfc3339(text)
        except ValueError:
            pass
        try:
            return _number(float(text), text)
        except ValueError:
            pass
        try:
            return _since(datetime.fromisoformat(text), zone)
        except ValueError:
            return 0
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return _number(float(cell), str(cell))
    return 0


def _number(number: float, text: str) -> int:
    if not math.isfinite(number) or number <= 0:
        return 0
    unit = SECOND if number < _SECONDS_BELOW else MILLISECOND
    whole, point, fraction = text.partition(".")
    if whole.isdigit() and (not point or fraction.isdigit()):
        # Exact: a double has no nanoseconds.
        digits = len(str(unit)) - 1
        time = int(whole) * unit + (int(fraction[:digits].ljust(digits, "0")) if fraction else 0)
    else:
        time = int(number * unit)
    return time if time <= MAX_NS else 0


def _since(moment: datetime, zone: tzinfo) -> int:
    passed = (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)) - _EPOCH
    time = (passed.days * 86_400 + passed.seconds) * SECOND + passed.microseconds * 1000
    return time if 0 < time <= MAX_NS else 0
