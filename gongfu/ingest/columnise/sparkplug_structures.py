"""Sparkplug values that are more than one number or text: template instances, data sets and arrays.

Sparkplug 3.0.0 §6.4.14 (data sets), §6.4.15 (templates), §6.4.17 (arrays). The members of a template instance become
points of their own, ``<instance>/<member>``, as if they were metrics; definitions describe and are not stored. Data
sets and arrays become points of type json.
"""

import struct
from collections.abc import Iterator, Mapping
from math import isfinite
from struct import iter_unpack, unpack_from
from typing import Any

from google.protobuf.message import DecodeError

from gongfu.ingest.columnise.reasons import Reason, Reject, shown
from gongfu.ingest.columnise.rows import Row
from gongfu.ingest.columnise.sparkplug_schema import DataSet, DataType, Template
from gongfu.ingest.columnise.sparkplug_values import SIGNED, VALUE_TYPES, quality_of, value_of
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, MILLISECOND

# Templates in templates, at most.
DEEPEST = 8
MAX_CELLS = 100_000
_ARRAYS = {
    DataType.INT8ARRAY: "<b",
    DataType.INT16ARRAY: "<h",
    DataType.INT32ARRAY: "<i",
    DataType.INT64ARRAY: "<q",
    DataType.UINT8ARRAY: "<B",
    DataType.UINT16ARRAY: "<H",
    DataType.UINT32ARRAY: "<I",
    DataType.UINT64ARRAY: "<Q",
    DataType.FLOATARRAY: "<f",
    DataType.DOUBLEARRAY: "<d",
    DataType.DATETIMEARRAY: "<Q",
}
_STRUCTURES = frozenset({DataType.TEMPLATE, DataType.DATASET, DataType.BOOLEANARRAY, DataType.STRINGARRAY, *_ARRAYS})
_FIELDS = {
    DataType.TEMPLATE: "template_value",
    DataType.DATASET: "dataset_value",
}


class _Damaged(ValueError):
    """The value does not follow the specification; the message says how."""


def is_structure(datatype: int) -> bool:
    """Return whether values of this data type are read here."""
    return datatype in _STRUCTURES


def members_of(name: str, metric: Any, depth: int = 0) -> list[tuple[str, int | None, int]]:
    """Return (name, alias, data type) of the members of a template instance in a birth; else nothing."""
    if metric.datatype != DataType.TEMPLATE or depth >= DEEPEST or not metric.HasField("template_value"):
        return []
    try:
        template = Template.FromString(metric.template_value)
    except DecodeError:
        return []
    if template.is_definition:
        return []
    found: list[tuple[str, int | None, int]] = []
    for member in template.metrics:
        if type(member.name) is str and member.name:
            path = f"{name}/{member.name}"
            found.append((path, member.alias if member.HasField("alias") else None, member.datatype))
            found += members_of(path, member, depth + 1)
    return found


def structure_rows(
    name: str,
    metric: Any,
    datatype: int,
    types: Mapping[str, int],
    time: int,
    quality: int,
    reject: Reject,
    depth: int = 0,
) -> Iterator[Row]:
    """Yield the rows of a metric; report what cannot be one.

    Args:
        name: name of the metric.
        metric: the message.
        datatype: its data type, for which ``is_structure`` is true.
        types: data types of the birth, by name; members may leave theirs out.
        time: UTC ns of what has no time of its own.
        quality: quality byte of the metric.
        reject: called with what cannot be stored.
        depth: number of templates around it.
    """
    if metric.is_null:
        reject(Reason.NULL_VALUE, 1, f"{shown(name)}: value is null")
        return
    field = _FIELDS.get(DataType(datatype), "bytes_value")
    if metric.WhichOneof("value") != field:
        reject(Reason.TYPE_MISMATCH, 1, f"{shown(name)}: not a value of data type {DataType(datatype).name}")
        return
    try:
        if datatype == DataType.TEMPLATE:
            yield from _members(name, metric.template_value, types, time, reject, depth)
            return
        value = _table(metric.dataset_value) if datatype == DataType.DATASET else _array(metric.bytes_value, datatype)
    except (_Damaged, DecodeError, struct.error, UnicodeDecodeError) as error:
        reject(Reason.MALFORMED_SPARKPLUG, 1, f"{shown(name)}: {error}")
        return
    yield Row(name, ValueType.JSON, value, time, quality)


def _members(name: str, data: bytes, types: Mapping[str, int], time: int, reject: Reject, depth: int) -> Iterator[Row]:
    template = Template.FromString(data)
    if template.is_definition:
        return
    if depth >= DEEPEST:
        raise _Damaged(f"templates are nested more than {DEEPEST} deep")
    for member in template.metrics:
        if type(member.name) is not str or not member.name:
            reject(Reason.MALFORMED_SPARKPLUG, 1, f"{shown(name)}: a member of the template has no name")
            continue
        path = f"{name}/{member.name}"
        datatype = member.datatype or types.get(path, 0)
        own = member.timestamp * MILLISECOND if 0 < member.timestamp <= MAX_NS // MILLISECOND else time
        if is_structure(datatype):
            yield from structure_rows(path, member, datatype, types, own, quality_of(member), reject, depth + 1)
            continue
        value_type = VALUE_TYPES.get(datatype)
        if value_type is None:
            reject(Reason.DATATYPE_UNSUPPORTED, 1, f"{shown(path)}: data type {datatype} has no column")
            continue
        reason, value = value_of(member, datatype)
        if reason is not None:
            reject(reason, 1, f"{shown(path)}: {value}")
            continue
        yield Row(path, value_type, value, own, quality_of(member))


def _table(data: bytes) -> dict[str, Any]:
    """Return columns, types and rows of a data set.

    Raises:
        _Damaged: numbers of columns, types and elements differ (§6.4.14), or it is too large.
    """
    found = DataSet.FromString(data)
    names, types = list(found.columns), list(found.types)
    if found.num_of_columns != len(names) or len(names) != len(types):
        raise _Damaged(f"data set of {found.num_of_columns} columns has {len(names)} names and {len(types)} types")
    if len(names) * len(found.rows) > MAX_CELLS:
        raise _Damaged(f"data set of more than {MAX_CELLS} values")
    if not all(type(name) is str for name in names):
        raise _Damaged("a column name of the data set is not UTF-8")
    rows: list[list[Any]] = []
    for row in found.rows:
        if len(row.elements) != len(names):
            raise _Damaged(f"row of {len(row.elements)} values in a data set of {len(names)} columns")
        rows.append([_cell(element, kind) for element, kind in zip(row.elements, types, strict=True)])
    return {"columns": names, "types": [_type_name(kind) for kind in types], "rows": rows}


def _type_name(kind: int) -> str:
    if kind not in VALUE_TYPES:
        raise _Damaged(f"data type {kind} in a data set")
    return DataType(kind).name


def _cell(element: Any, kind: int) -> Any:
    which = element.WhichOneof("value")
    if which is None:
        return None
    value = getattr(element, which)
    convert = SIGNED.get(kind)
    if convert is not None and type(value) is int:
        return convert(value)
    if type(value) is bytes:
        raise _Damaged("text in a data set is not UTF-8")
    return _number(value) if type(value) is float else value


def _number(value: float) -> float | None:
    return value if isfinite(value) else None


def _array(data: bytes, datatype: int) -> list[Any]:
    """Return the elements of an array.

    Raises:
        _Damaged, struct.error, UnicodeDecodeError: it is no array of that type.
    """
    if datatype == DataType.BOOLEANARRAY:
        (n,) = unpack_from("<I", data)
        if len(data) - 4 != (n + 7) // 8:
            raise _Damaged(f"{len(data) - 4} bytes for {n} booleans")
        return [bool(data[4 + at // 8] & 0x80 >> at % 8) for at in range(n)]
    if datatype == DataType.STRINGARRAY:
        if data and not data.endswith(b"\0"):
            raise _Damaged("the last text of the array does not end")
        return data.decode().split("\0")[:-1]
    values = [item[0] for item in iter_unpack(_ARRAYS[DataType(datatype)], data)]
    return [_number(value) for value in values] if datatype in (DataType.FLOATARRAY, DataType.DOUBLEARRAY) else values
