"""Rows: points of one asset with a type, a time and a quality each, judged one by one."""

from collections.abc import Mapping
from math import isfinite, nan
from struct import pack
from typing import Any

from gongfu.ingest.columnise.accumulator import OpenBlock
from gongfu.ingest.columnise.elements import PointTable, Refusals, refuse_unknown
from gongfu.ingest.columnise.limits import MAX_NAME
from gongfu.ingest.columnise.reasons import Reject, shown
from gongfu.ingest.columnise.values import fit, name_problem
from gongfu.kernel.points import Series, ValueType
from gongfu.kernel.quality import Quality

_CODES = {ValueType.DOUBLE: "d", ValueType.INT64: "q", ValueType.BOOLEAN: "B"}
# What stands for no value: no aggregate takes it for one, since its quality is bad.
_NOTHING = {
    ValueType.DOUBLE: nan, ValueType.INT64: 0, ValueType.BOOLEAN: False, ValueType.STRING: "", ValueType.JSON: "null",
}  # fmt: skip


class Row:
    """One point: name, type if it is new, value (None: there is none), source time (UTC ns), quality."""

    __slots__ = ("name", "quality", "time", "value", "value_type")

    def __init__(self, name: str, value_type: ValueType, value: Any, time: int, quality: int) -> None:
        self.name = name
        self.value_type = value_type
        self.value = value
        self.time = time
        self.quality = quality


def missing_rows(rows: list[Row], names: Mapping[str, Series]) -> dict[str, ValueType]:
    """Return valid names of rows without a series, with the type each gets."""
    wanted: dict[str, ValueType] = {}
    for row in rows:
        if row.name not in names and row.name not in wanted and not name_problem(row.name, MAX_NAME):
            wanted[row.name] = row.value_type
    return wanted


def write_rows(
    rows: list[Row], child: str, table: PointTable, block: OpenBlock, reject: Reject, refused: Refusals
) -> int:
    """Append rows to the block, report those that cannot be; return the number taken.

    A double that is not a number or infinite is stored with quality ``BAD_NOT_A_NUMBER``.
    """
    taken: dict[ValueType, tuple[list[int], list[int], list[int], list[Any]]] = {}
    for row in rows:
        series = table.names.get(row.name)
        if series is None:
            refuse_unknown(row.name, child, name_problem(row.name, MAX_NAME), refused, reject)
            continue
        if row.value is None:
            reason, stored = None, _NOTHING[series.value_type]
        else:
            reason, stored = fit(row.value, series.value_type)
        if reason is not None:
            reject(reason, 1, f"{shown(row.name)}: {stored}")
            continue
        columns = taken.get(series.value_type)
        if columns is None:
            columns = taken[series.value_type] = ([], [], [], [])
        columns[0].append(series.series)
        columns[1].append(row.time)
        odd = series.value_type is ValueType.DOUBLE and not isfinite(stored) and row.value is not None
        columns[2].append(Quality.BAD_NOT_A_NUMBER if odd else row.quality)
        columns[3].append(stored)
    count = 0
    for value_type, (ids, times, qualities, values) in taken.items():
        n = len(ids)
        count += n
        series, stamps = pack(f"<{n}I", *ids), pack(f"<{n}q", *times)
        code = _CODES.get(value_type)
        if code is None:
            block.add_texts(value_type, series, stamps, bytes(qualities), values)
        else:
            block.add(value_type, n, series, stamps, bytes(qualities), pack(f"<{n}{code}", *values))
    return count
