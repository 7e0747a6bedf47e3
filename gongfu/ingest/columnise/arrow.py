"""Arrow streams: columns in, columns out, nothing judged value by value that can be judged as a column.

Columns: ``time`` (timestamp of any unit with or without zone, taken as UTC, or int64 UTC ns), ``name`` (string),
``value`` (integer, floating point, boolean or string), optionally ``asset`` (string, path below the sender's own asset;
null or empty is the own asset) and ``quality`` (uint8, the quality byte).
"""

import struct
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gongfu.ingest.columnise.arrow_message import is_compressed
from gongfu.ingest.columnise.columns import PointColumns
from gongfu.ingest.columnise.json import SourceTimes
from gongfu.ingest.columnise.limits import MAX_PATH
from gongfu.ingest.columnise.reasons import Reason, Reject, shown
from gongfu.ingest.columnise.values import path_problem
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from gongfu.kernel.times import MAX_NS

_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_REQUIRED = ("time", "name", "value")
_KNOWN = frozenset({*_REQUIRED, "asset", "quality"})


class _Unusable(Exception):
    """The stream is Arrow but not of this form."""


def read_arrow(payload: bytes, times: SourceTimes, max_points: int, reject: Reject) -> "list[PointColumns]":
    """Return the points of a stream, one element per asset."""
    try:
        table = _read_table(payload, max_points)
        if table is None:
            reject(Reason.TOO_MANY_POINTS, 1, f"more than {max_points} points")
            return []
        return _split(table, times, reject)
    except _Unusable as error:
        reject(Reason.FORM_INVALID, 1, str(error))
    except (pa.ArrowException, OSError, struct.error, UnicodeDecodeError, OverflowError) as error:
        reject(Reason.MALFORMED_ARROW, 1, f"not an Arrow stream: {error}")
    return []


def _read_table(payload: bytes, max_points: int) -> Any:
    """Return the table of a stream, None when it has too many rows; batches beyond the bound are not read."""
    for message in pa.ipc.MessageReader.open_stream(payload):
        if is_compressed(message.metadata.to_pybytes()):
            # A few bytes may stand for gigabytes; HTTP can compress where both sides want it.
            raise _Unusable("compressed record batches are not read")
    batches: list[Any] = []
    rows = 0
    with pa.ipc.open_stream(payload) as reader:
        for batch in reader:
            rows += batch.num_rows
            if rows > max_points:
                return None
            batches.append(batch)
        table = pa.Table.from_batches(batches, reader.schema)
    # Offsets and UTF-8 of a stream are claims of the sender until this.
    table.validate(full=True)
    names = table.column_names
    missing = [name for name in _REQUIRED if name not in names]
    other = [name for name in names if name not in _KNOWN]
    if missing or other or len(set(names)) != len(names):
        raise _Unusable("columns must be time, name, value, and may be asset, quality, each once")
    return table


def _column(table: Any, name: str) -> Any:
    return table.column(name).combine_chunks()


def _texts(column: Any, name: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return (index of the text per row, -1 for null; distinct texts)."""
    if pa.types.is_dictionary(column.type):
        encoded = column
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.dictionary_encode()
    else:
        raise _Unusable(f"column {name} must be string, not {column.type}")
    texts = encoded.dictionary.to_pylist()
    if not all(type(text) is str for text in texts):
        raise _Unusable(f"column {name} must be string, not {column.type}")
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64), texts


def _times(column: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (UTC ns, whether it is a usable time) per row."""
    if pa.types.is_timestamp(column.type):
        factor = _NANOSECONDS[column.type.unit]
    elif pa.types.is_int64(column.type):
        factor = 1
    else:
        raise _Unusable(f"column time must be timestamp or int64 (UTC ns), not {column.type}")
    times = column.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    usable = (times >= 0) & (times <= MAX_NS // factor)
    return np.where(usable, times, 0) * factor, usable


def _values(column: Any) -> tuple[ValueType, Any, NDArray[np.bool_]]:
    """Return (type for new points, values: an array or a list of texts, whether it is null) per row."""
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    kind = column.type
    if pa.types.is_boolean(kind):
        return ValueType.BOOLEAN, column.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint8), nulls
    if pa.types.is_uint64(kind):
        return ValueType.INT64, column.fill_null(0).to_numpy(zero_copy_only=False), nulls
    if pa.types.is_integer(kind):
        wide = ValueType.INT64 if kind.bit_width == 64 else ValueType.DOUBLE
        return wide, column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64), nulls
    if pa.types.is_floating(kind):
        return ValueType.DOUBLE, column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False), nulls
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ValueType.STRING, np.array(column.fill_null("").to_pylist(), dtype=object), nulls
    raise _Unusable(f"column value must be a number, boolean or string, not {kind}")


def _split(table: Any, times: SourceTimes, reject: Reject) -> "list[PointColumns]":
    stamps, usable = _times(_column(table, "time"))
    name_of, names = _texts(_column(table, "name"), "name")
    value_type, values, nulls = _values(_column(table, "value"))
    n = len(stamps)
    if "quality" in table.column_names:
        column = _column(table, "quality")
        if not pa.types.is_uint8(column.type):
            raise _Unusable(f"column quality must be uint8, not {column.type}")
        qualities = column.fill_null(Quality.GOOD).to_numpy(zero_copy_only=False)
    else:
        qualities = np.zeros(n, dtype=np.uint8)
    if value_type is ValueType.DOUBLE and values.dtype.kind == "f":
        qualities = np.where(np.isfinite(values), qualities, np.uint8(Quality.BAD_NOT_A_NUMBER))
    future = usable & (stamps > times.horizon)
    keep = np.ones(n, dtype=np.bool_)
    for bad, reason, detail in (
        (~usable, Reason.TIMESTAMP_INVALID, "time is null, before 1970 or beyond 2262"),
        (future, Reason.TIMESTAMP_IN_FUTURE, "time is further ahead than allowed"),
        (name_of < 0, Reason.NAME_INVALID, "name is null"),
        (nulls, Reason.NULL_VALUE, "value is null"),
    ):
        bad = bad & keep
        if bad.any():
            reject(reason, int(bad.sum()), f"row {int(bad.argmax())}: {detail}")
            keep &= ~bad
    elements: list[PointColumns] = []
    for child, mine in _by_asset(table, keep):
        problem = path_problem(child, MAX_PATH) if child else ""
        if problem:
            reject(Reason.NAME_INVALID, len(mine), f"asset {shown(child)}: {problem}")
            continue
        elements.append(
            PointColumns(child, names, name_of[mine], value_type, values[mine], stamps[mine], qualities[mine])
        )
    return elements


def _by_asset(table: Any, keep: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.int64]]]:
    """Return (child path, its rows) for all rows that are kept."""
    rows = np.flatnonzero(keep)
    if "asset" not in table.column_names:
        return [("", rows)] if len(rows) else []
    asset_of, assets = _texts(_column(table, "asset"), "asset")
    found: dict[str, list[NDArray[np.int64]]] = {}
    for index in np.unique(asset_of[rows]).tolist():
        child = "" if index < 0 else assets[index]
        found.setdefault(child, []).append(rows[asset_of[rows] == index])
    return [(child, np.concatenate(parts)) for child, parts in found.items()]
