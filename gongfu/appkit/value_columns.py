"""Values of points as apps have them: one NumPy array for a column, its type that of the point. Pure.

======== ==================================== =======================
point    array of an app                      beside a bad quality
======== ==================================== =======================
double   ``float64[n]``                       NaN, or any number
int64    ``int64[n]``, exact                  0, or any number
boolean  ``bool[n]``                          False, or either
string   ``object[n]`` of ``str``             "", or any text
json     ``object[n]`` of ``str``, JSON text  "null", or any JSON
======== ==================================== =======================
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.points import EXACT_INTEGER_LIMIT, VALUE_TYPES, ValueType
from gongfu.kernel.quality import Quality

# How a column is stored and sent: strings and JSON are both text.
Kind = Literal["double", "int64", "boolean", "text"]
TypeName = Literal["double", "int64", "boolean", "string", "json"]

TEXT = frozenset({ValueType.STRING, ValueType.JSON})
_ARRAYS: Mapping[Kind, Any] = {"double": np.float64, "int64": np.int64, "boolean": np.bool_, "text": object}
_NOTHING: Mapping[ValueType, Any] = {
    ValueType.DOUBLE: np.nan,
    ValueType.INT64: 0,
    ValueType.BOOLEAN: False,
    ValueType.STRING: "",
    ValueType.JSON: "null",
}
_LIMITS = (-(2**63), 2**63 - 1)


def kind_of(values: NDArray[Any]) -> Kind:
    """Return what a column of an app holds."""
    kinds: dict[str, Kind] = {"f": "double", "i": "int64", "u": "int64", "b": "boolean"}
    return kinds.get(values.dtype.kind, "text")


def of_stored(values: NDArray[Any] | Sequence[Any], value_type: ValueType) -> NDArray[Any]:
    """Return a column as an app has it, of one as blocks and history hold it (``uint8`` for booleans, lists of text).

    None, which stands for a value that is not known, becomes what stands beside a bad quality.
    """
    if value_type in TEXT or any(value is None for value in (values if isinstance(values, list) else ())):
        nothing = _NOTHING[value_type]
        values = [nothing if value is None else value for value in values]
    kind: Kind = "text" if value_type in TEXT else kind_named(value_type)
    return array_of(values, kind)


def kind_named(value_type: ValueType) -> Kind:
    """Return how a type is stored and sent."""
    kinds: dict[ValueType, Kind] = {
        ValueType.DOUBLE: "double",
        ValueType.INT64: "int64",
        ValueType.BOOLEAN: "boolean",
    }
    return kinds.get(value_type, "text")


def array_of(values: NDArray[Any] | Sequence[Any], kind: Kind) -> NDArray[Any]:
    """Return a one-dimensional array of a kind."""
    if kind != "text":
        return np.asarray(values, _ARRAYS[kind])
    found = np.empty(len(values), object)
    found[:] = list(values)
    return found


def to_bytes(values: NDArray[Any]) -> bytes:
    """Return the bytes of a column that is not text: int64, float64 or uint8."""
    kind = kind_of(values)
    return np.ascontiguousarray(values, _ARRAYS[kind]).tobytes()


def from_bytes(data: bytes, kind: Kind) -> NDArray[Any]:
    """Return the column in bytes of ``to_bytes``, read-only.

    Raises:
        ValueError: their number is not that of whole values.
    """
    return np.frombuffer(data, np.uint8).astype(np.bool_) if kind == "boolean" else np.frombuffer(data, _ARRAYS[kind])


def given(values: Sequence[Any] | NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a column of what somebody wrote down, and which of its n values are None.

    Numbers become ``int64[n]`` if all are whole Python or NumPy integers, else ``float64[n]``; true and false
    ``bool[n]``; texts ``object[n]``. Where all are None the column is ``float64[n]`` of NaN.

    Raises:
        ValueError: they are of several types, or of none of these; or an integer is beyond 64 bits.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "fib":
        if values.ndim != 1:
            raise ValueError(f"values have the shape {values.shape}, not (n,)")
        return array_of(values, kind_of(values)), np.zeros(len(values), np.bool_)
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    absent = np.array([value is None for value in plain], np.bool_)
    types = {type(value) for value in plain if value is not None}
    if not types <= {str} and not types <= {bool, int, float}:
        names = ", ".join(sorted(one.__name__ for one in types))
        raise ValueError(f"values are {names}; they are all numbers, all true or false, or all text")
    if types == {str}:
        return array_of(["" if value is None else value for value in plain], "text"), absent
    if types == {bool}:
        return array_of([bool(value) for value in plain], "boolean"), absent
    if types and types <= {bool, int}:
        whole = [int(value or 0) for value in plain]
        if not all(_LIMITS[0] <= value <= _LIMITS[1] for value in whole):
            raise ValueError("an integer is beyond 64 bits")
        return array_of(whole, "int64"), absent
    return array_of([np.nan if value is None else float(value) for value in plain], "double"), absent


def type_of(values: NDArray[Any], asked: str = "") -> ValueType:
    """Return the type of a point that is made for values: as asked, else by the values, whole numbers too as double.

    Raises:
        ValueError: there is no such type.
    """
    if asked:
        if asked not in VALUE_TYPES:
            raise ValueError(f"type is one of {', '.join(VALUE_TYPES)}, not {asked!r}")
        return VALUE_TYPES[asked]
    kinds: dict[Kind, ValueType] = {"boolean": ValueType.BOOLEAN, "text": ValueType.STRING}
    return kinds.get(kind_of(values), ValueType.DOUBLE)


def fitted(values: NDArray[Any], absent: NDArray[np.bool_], value_type: ValueType) -> NDArray[Any]:
    """Return ``n`` values as those of a point, exactly, or not at all; what is absent becomes what means nothing.

    Raises:
        ValueError: they do not fit: text at a number, a fraction or an inexact number at an integer, …
    """
    kind, wanted = kind_of(values), kind_named(value_type)
    there = values[~absent]
    if len(there):
        _check(there, kind, value_type)
    if kind != wanted:
        exact = np.zeros(len(values), _ARRAYS[wanted])
        exact[~absent] = there.astype(_ARRAYS[wanted])
        values = exact
    if bool(absent.any()):
        values = values.copy()
        values[absent] = _NOTHING[value_type]
    return values


def _check(values: NDArray[Any], kind: Kind, value_type: ValueType) -> None:
    wanted = kind_named(value_type)
    if (kind == "text") != (wanted == "text") or (wanted == "boolean" and kind != "boolean"):
        what = {"boolean": "true or false", "text": "text"}.get(wanted, "numbers")
        raise ValueError(f"the point is {value_type.label} and takes {what}")
    if wanted == "int64" and kind == "double":
        if not bool(np.all(np.isfinite(values) & (values == np.trunc(values)))):
            raise ValueError("the point is int64 and takes whole numbers")
        if bool(np.any(np.abs(values) > EXACT_INTEGER_LIMIT)):
            raise ValueError("a whole number beyond 2^53 went through a float: give int64 as integers")
    if wanted == "double" and kind == "int64" and bool(np.any(np.abs(values) > EXACT_INTEGER_LIMIT)):
        raise ValueError("the point is double and does not take integers beyond 2^53 exactly: write to an int64 point")
    if wanted == "text":
        for text in values.tolist():
            try:
                str(text).encode()
                if value_type is ValueType.JSON:
                    json.loads(text)
            except (UnicodeEncodeError, ValueError):
                what = "JSON text" if value_type is ValueType.JSON else "text that is Unicode"
                raise ValueError(f"the point is {value_type.label} and takes {what}") from None


def qualities_of(values: NDArray[Any], absent: NDArray[np.bool_], base: Quality) -> NDArray[np.uint8]:
    """Return the qualities of written values: ``base``, *bad, no data* where there is none, *bad, not a number* for NaN
    and infinities."""
    found = np.full(len(values), int(base), np.uint8)
    if values.dtype.kind == "f":
        found[~np.isfinite(values)] = Quality.BAD_NOT_A_NUMBER
    found[absent] = Quality.BAD_NO_DATA
    return found
