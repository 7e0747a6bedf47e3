"""Reads of the versions of points: as known at a time, and all of one point. SQL is pure; see ``statements``."""

# ruff: noqa: S608 -- every value that enters the text is an integer or a name from this package

from collections.abc import Sequence
from typing import Any

import numpy as np

from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MILLISECOND
from gongfu.store.history.native import decode_native
from gongfu.store.history.schema import DATABASE, TABLES, versions_of
from gongfu.store.history.types import Order, Version

_COLUMNS = "series, time, value, quality, ingested"


def points_as_of(
    value_type: ValueType,
    series: Sequence[int],
    time_from: int,
    time_to: int,
    *,
    order: Order,
    limit: int,
    good_only: bool,
    as_of: int,
) -> str:
    """Return the statement for the points as known at ``as_of`` (UTC ns), at most limit + 1 of each series."""
    table = TABLES[value_type]
    where = (
        f"series IN ({', '.join(str(int(one)) for one in series)}) "
        f"AND time >= fromUnixTimestamp64Nano({int(time_from)}) AND time < fromUnixTimestamp64Nano({int(time_to)})"
    )
    both = " UNION ALL ".join(
        f"SELECT {_COLUMNS} FROM {DATABASE}.{name} FINAL WHERE {where}" for name in (table, versions_of(table))
    )
    known = (
        f"SELECT {_COLUMNS} FROM ({both}) WHERE ingested <= fromUnixTimestamp64Milli({int(as_of) // MILLISECOND}) "
        "ORDER BY series, time, ingested DESC LIMIT 1 BY series, time"
    )
    good = " WHERE quality < 64" if good_only else ""
    return (
        f"SELECT {_COLUMNS} FROM ({known}){good} ORDER BY series, time {order.upper()} LIMIT {int(limit) + 1} BY series"
    )


def versions_of_point(value_type: ValueType, series: int, time: int) -> str:
    """Return the statement for all rows of one point, in the order of ingest times."""
    table = TABLES[value_type]
    where = f"series = {int(series)} AND time = fromUnixTimestamp64Nano({int(time)})"
    return (
        "SELECT value, quality, ingested, corrected_by, reason FROM ("
        f"SELECT value, quality, ingested, '' AS corrected_by, '' AS reason, 0 AS manual FROM {DATABASE}.{table} FINAL "
        f"WHERE {where} UNION ALL "
        "SELECT value, quality, ingested, "
        "CAST(corrected_by AS String) AS corrected_by, CAST(reason AS String) AS reason, manual "
        f"FROM {DATABASE}.{versions_of(table)} FINAL WHERE {where}"
        ") ORDER BY ingested, manual DESC LIMIT 1 BY ingested"
    )


def read_versions(raw: bytes) -> list[Version]:
    """Return the versions that ``versions_of_point`` found; neighbours with one value and quality are one."""
    columns: dict[str, Any] = dict(decode_native(raw))
    found: list[Version] = []
    last: tuple[bytes, int] | None = None
    for i in range(len(columns["ingested"]) if columns else 0):
        value, quality = columns["value"][i], int(columns["quality"][i])
        same = (value.encode() if isinstance(value, str) else np.asarray(value).tobytes(), quality)
        by, reason = columns["corrected_by"][i], columns["reason"][i]
        if same != last or by:
            plain = value if isinstance(value, str) else value.item()
            found.append(Version(int(columns["ingested"][i]) * MILLISECOND, plain, quality, by, reason))
        last = same
    return found
