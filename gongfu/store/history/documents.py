"""Requests and answers of the history's API, and columns to JSON values. Pure."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.points import EXACT_INTEGER_LIMIT, ValueType
from gongfu.kernel.quality import severity
from gongfu.kernel.times import MILLISECOND, format_rfc3339

_SEVERITIES = [severity(quality) for quality in range(256)]


class PointName(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A point by the path of its asset and its name."""

    asset: str
    point: str


class SeriesQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, rename={"start": "from"}):
    """Request for points of some series in ``[from, to)``.

    ``from`` and ``to`` are RFC 3339 times or milliseconds since 1970; ``to`` is open by default. ``step`` is seconds.
    ``quality`` is by default ``all`` for points and ``good`` for aggregates. Series are named by id or by asset and
    point. ``limit`` counts values of each series.
    """

    start: str | int
    to: str | int | None = None
    series: list[int] = []
    points: list[PointName] = []
    order: Literal["asc", "desc"] = "asc"
    limit: int | None = None
    aggregate: Literal["avg", "min", "max", "count", "first", "last", "minmax"] | None = None
    step: float | None = None
    quality: Literal["all", "good"] | None = None


class SeriesColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one series, in columns of one length.

    ``times`` are RFC 3339 UTC, or milliseconds since 1970 with ``?times_format=ms``. A value that is not finite is
    null, and its quality tells why. Integers beyond ±(2^53 - 1) are decimal text (RFC 7493 §2.2). A ``json`` point
    gives its compact JSON text. ``qualities`` are ``good``, ``uncertain`` or ``bad``.
    """

    series: int
    asset_path: str
    name: str
    type: str
    unit: str
    times: Sequence[str | int]
    values: list[Any]
    qualities: list[str]


class SeriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a series query, in the order of the request. ``truncated``: some series has more than the limit."""

    series: list[SeriesColumns]
    truncated: bool


class SqlQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request for a read-only SQL query in ClickHouse's dialect."""

    query: str


class SqlColumn(msgspec.Struct, frozen=True):
    """Name and ClickHouse type of a result column."""

    name: str
    type: str


class SqlAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a SQL query: values that are not finite are null, integers beyond ±(2^53 - 1) are text."""

    columns: list[SqlColumn]
    rows: list[list[Any]]
    truncated: bool
    elapsed_ms: float


def json_values(value_type: ValueType, values: NDArray[Any] | Sequence[str]) -> list[Any]:
    """Return values as JSON can hold them without loss, see ``SeriesColumns``."""
    if not isinstance(values, np.ndarray):
        return list(values)
    if value_type is ValueType.BOOLEAN:
        return values.astype(bool).tolist()
    plain: list[Any] = values.tolist()
    if value_type is ValueType.INT64:
        for i in np.flatnonzero((values >= EXACT_INTEGER_LIMIT) | (values <= -EXACT_INTEGER_LIMIT)).tolist():
            plain[i] = str(plain[i])
    else:
        for i in np.flatnonzero(~np.isfinite(values)).tolist():
            plain[i] = None
    return plain


def json_times(times: NDArray[np.int64], *, milliseconds: bool) -> list[str] | list[int]:
    """Return times (UTC ns) as RFC 3339 text or as whole milliseconds."""
    if milliseconds:
        return (times // MILLISECOND).tolist()
    return [format_rfc3339(moment) for moment in times.tolist()]


def json_qualities(qualities: NDArray[np.uint8]) -> list[str]:
    """Return severity names."""
    return [_SEVERITIES[quality] for quality in qualities.tolist()]
