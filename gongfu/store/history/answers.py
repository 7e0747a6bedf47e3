"""Answers of the history's API: what queries found, as documents and Arrow streams. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import UNSET

from gongfu.kernel.errors import invalid
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import severity
from gongfu.kernel.times import MILLISECOND, SECOND, format_rfc3339
from gongfu.store.history.directory import PointInfo
from gongfu.store.history.documents import (
    Gap,
    PointVersion,
    PointVersions,
    SeriesColumns,
    json_qualities,
    json_times,
    json_values,
)
from gongfu.store.history.gaps import Gaps
from gongfu.store.history.query import Found
from gongfu.store.history.types import Version


def columns_of(found: Sequence[Found], milliseconds: bool) -> list[SeriesColumns]:
    """Return what was found as JSON columns; times are text, or whole milliseconds."""
    return [
        SeriesColumns(
            series=one.point.series,
            asset_path=one.point.asset_path,
            name=one.point.name,
            type=one.value_type.label,
            unit=one.point.unit,
            times=json_times(one.columns.times, milliseconds=milliseconds),
            values=json_values(one.value_type, one.columns.values, one.missing),
            qualities=json_qualities(one.columns.qualities),
            bits=UNSET if one.bits is None else one.bits.tolist(),
            gaps=UNSET if one.gaps is None else json_gaps(one.gaps, milliseconds=milliseconds),
            usual_interval=UNSET if one.gaps is None else one.gaps.usual and one.gaps.usual / SECOND,
        )
        for one in found
    ]


def arrow_stream(found: Sequence[Found]) -> bytes:
    """Return an Arrow IPC stream with columns ``series``, ``time``, ``value``, ``quality``, one batch a series.

    Raises:
        Problem: 400 when the series have different value types: a stream has one schema.
    """
    import pyarrow as pa

    kinds = {one.value_type for one in found}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.label for kind in kinds))
        raise invalid(f"an Arrow answer holds series of one value type, these have {names}")
    types: dict[ValueType, Any] = {
        ValueType.DOUBLE: pa.float64(),
        ValueType.INT64: pa.int64(),
        ValueType.BOOLEAN: pa.bool_(),
        ValueType.STRING: pa.string(),
        ValueType.JSON: pa.string(),
    }
    kind = kinds.pop()
    schema = pa.schema(
        [
            ("series", pa.uint32()),
            ("time", pa.timestamp("ns", "UTC")),
            ("value", types[kind]),
            ("quality", pa.uint8()),
        ]
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        for one in found:
            values: Any = one.columns.values
            if kind is ValueType.BOOLEAN:
                values = values.astype(bool)
            arrays = [
                pa.array(one.columns.series, pa.uint32()),
                pa.array(one.columns.times, pa.int64()).cast(pa.timestamp("ns", "UTC")),
                pa.array(values, types[kind], mask=one.missing),
                pa.array(one.columns.qualities, pa.uint8()),
            ]
            stream.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()


def json_gaps(gaps: Gaps, *, milliseconds: bool) -> list[Gap]:
    """Return gaps with times like those of values."""

    def moment(time: int) -> str | int:
        return time // MILLISECOND if milliseconds else format_rfc3339(time)

    return [
        Gap(
            start=moment(one.since),
            to=None if one.until is None else moment(one.until),
            seconds=one.length / SECOND,
        )
        for one in gaps.silences
    ]


def versions_document(point: PointInfo, moment: int, versions: Sequence[Version]) -> PointVersions:
    """Return the document for the versions of a point at a source time."""

    def value(one: Version) -> Any:
        if isinstance(one.value, str):
            return one.value
        dtype = {ValueType.BOOLEAN: np.uint8, ValueType.INT64: np.int64}.get(point.value_type, np.float64)
        return json_values(point.value_type, np.array([one.value], dtype))[0]

    return PointVersions(
        series=point.series,
        time=format_rfc3339(moment),
        versions=[
            PointVersion(
                known_since=format_rfc3339(one.ingested),
                value=value(one),
                quality=severity(one.quality),
                corrected_by=one.corrected_by,
                reason=one.reason,
            )
            for one in versions
        ],
    )
