"""Typing of values: which type a new point gets, and whether a value fits the type a point has."""

import math
import re
from typing import Any

import orjson

from gongfu.ingest.columnise.reasons import Reason
from gongfu.kernel.points import EXACT_INTEGER_LIMIT, ValueType

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

# orjson reads integers beyond 64 bits as doubles; a double outside these bounds may have been one.
WIDE_DOUBLE_MIN = float(INT64_MIN)
WIDE_DOUBLE_MAX = 2.0**64

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def name_problem(name: str, limit: int) -> str:
    """Return what is wrong with the name of a point or asset, or an empty string."""
    if not name:
        return "name is empty"
    if len(name) > limit:
        return f"name is longer than {limit} characters"
    if _CONTROL.search(name):
        return "name has control characters"
    return ""


def path_problem(path: str, limit: int) -> str:
    """Return what is wrong with the path of a child asset (names joined by ``/``), or an empty string."""
    for name in path.split("/"):
        problem = name_problem(name, limit)
        if problem:
            return problem
    return ""


def type_of_new(value: Any) -> ValueType | Reason:
    """Return the type of a point whose first value is this JSON value, or why there is none."""
    kind = type(value)
    if kind is float:
        return ValueType.DOUBLE
    if kind is bool:
        return ValueType.BOOLEAN
    if kind is int:
        if -EXACT_INTEGER_LIMIT <= value <= EXACT_INTEGER_LIMIT:
            return ValueType.DOUBLE
        return ValueType.INT64 if INT64_MIN <= value <= INT64_MAX else Reason.INTEGER_OVERFLOW
    if kind is str:
        return ValueType.STRING
    return Reason.NULL_VALUE if value is None else ValueType.JSON


def fit(value: Any, value_type: ValueType) -> tuple[Reason | None, Any]:
    """Return ``(None, value to store)`` for a JSON value at a point of a type, or ``(reason, what is wrong)``."""
    if value is None:
        return Reason.NULL_VALUE, "value is null"
    kind = type(value)
    if value_type is ValueType.DOUBLE:
        if kind is float:
            return None, value
        if kind is int:
            if -EXACT_INTEGER_LIMIT <= value <= EXACT_INTEGER_LIMIT:
                return None, float(value)
            if INT64_MIN <= value <= INT64_MAX:
                return Reason.PRECISION_LOSS, "integer beyond 2^53 at a point of type double"
            return Reason.INTEGER_OVERFLOW, "integer beyond 64 bits"
    elif value_type is ValueType.INT64:
        if kind is int:
            if INT64_MIN <= value <= INT64_MAX:
                return None, value
            return Reason.INTEGER_OVERFLOW, "integer beyond 64 bits"
        if kind is float:
            return _fit_whole(value)
    elif value_type is ValueType.BOOLEAN:
        if kind is bool:
            return None, value
    elif value_type is ValueType.STRING:
        if kind is str:
            return None, value
    elif kind is dict or kind is list:
        return None, compact_json(value)
    if kind is int and not INT64_MIN <= value <= INT64_MAX:
        return Reason.INTEGER_OVERFLOW, "integer beyond 64 bits"
    return Reason.TYPE_MISMATCH, f"{json_kind(value)} at a point of type {value_type.label}"


def _fit_whole(value: float) -> tuple[Reason | None, Any]:
    if not math.isfinite(value) or not value.is_integer():
        return Reason.TYPE_MISMATCH, "fraction at a point of type int64"
    if not -EXACT_INTEGER_LIMIT <= value <= EXACT_INTEGER_LIMIT:
        return Reason.PRECISION_LOSS, "number with fraction or exponent beyond 2^53 at a point of type int64"
    return None, int(value)


def compact_json(value: Any) -> str:
    """Return JSON text without spaces; integers beyond 64 bits keep the digits of a double."""
    return orjson.dumps(value, default=float).decode()


def json_kind(value: Any) -> str:
    """Return the JSON name of a value's kind."""
    kind = type(value)
    if kind is bool:
        return "boolean"
    if kind is int or kind is float:
        return "number"
    if kind is str:
        return "string"
    return "object" if kind is dict else "array" if kind is list else "null"
