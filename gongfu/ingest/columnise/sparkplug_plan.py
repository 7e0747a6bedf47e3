"""Plan for Sparkplug payloads of known shape: whole columns are read at once."""

from collections.abc import Callable
from math import hypot, inf
from operator import itemgetter
from struct import pack
from typing import Any

from gongfu.ingest.columnise.accumulator import OpenBlock
from gongfu.ingest.columnise.elements import PointTable
from gongfu.ingest.columnise.sparkplug_values import FIELDS, SIGNED
from gongfu.ingest.columnise.values import INT64_MAX
from gongfu.kernel.points import EXACT_INTEGER_LIMIT, ValueType
from gongfu.kernel.quality import Quality
from gongfu.kernel.times import MILLISECOND

# One read function per field: an attribute access by name is a third of getattr with a variable.
_READERS: dict[str, Callable[[Any], list[Any]]] = {
    "int_value": lambda metrics: [metric.int_value for metric in metrics],
    "long_value": lambda metrics: [metric.long_value for metric in metrics],
    "float_value": lambda metrics: [metric.float_value for metric in metrics],
    "double_value": lambda metrics: [metric.double_value for metric in metrics],
    "boolean_value": lambda metrics: [metric.boolean_value for metric in metrics],
    "string_value": lambda metrics: [metric.string_value for metric in metrics],
}
_CODES = {ValueType.DOUBLE: "d", ValueType.INT64: "q", ValueType.BOOLEAN: "B"}


class Group:
    """Metrics of one data type at points of one type.

    Attributes:
        positions: where they stand in the payload.
        fixed: whether every value has the same size: reals at points of type double, booleans at boolean points.
    """

    def __init__(self, datatype: int, value_type: ValueType, positions: list[int], series: list[int], n: int) -> None:
        self.value_type = value_type
        self.n = len(positions)
        self.series = pack(f"<{self.n}I", *series)
        self.field = FIELDS[datatype]
        self.read = _READERS[self.field]
        self.convert = SIGNED.get(datatype)
        self.real = self.field in ("float_value", "double_value")
        self.positions = positions
        self.fixed = (self.real and value_type is ValueType.DOUBLE) or (
            self.field == "boolean_value" and value_type is ValueType.BOOLEAN
        )
        picked = itemgetter(*positions)
        self.pick: Callable[[list[Any]], Any] | None = None
        if self.n < n:
            self.pick = picked if self.n > 1 else lambda metrics: (picked(metrics),)

    def column(self, metrics: list[Any]) -> bytes | list[str] | None:
        """Return the values, packed unless they are texts; None when they need to be judged one by one."""
        mine = metrics if self.pick is None else self.pick(metrics)
        values: list[Any] = self.read(mine)
        # A field that is not set reads as zero, false or empty.
        if not all(values) and not all(metric.HasField(self.field) for metric in mine):
            return None
        if self.convert is not None:
            values = list(map(self.convert, values))
        if self.value_type is ValueType.DOUBLE:
            # False for NaN too.
            if not hypot(*values) < (inf if self.real else EXACT_INTEGER_LIMIT):
                return None
        elif self.value_type is ValueType.INT64:
            if self.real or max(values) > INT64_MAX:
                return None
        elif self.value_type is ValueType.STRING:
            return values if bytes not in map(type, values) else None
        return pack(f"<{self.n}{_CODES[self.value_type]}", *values)


class SparkplugPlan:
    """How to write metrics with certain aliases (or names) in a certain order.

    Attributes:
        table: the points it was made for; when another table has taken its place, the plan is void.
        datatypes: data type of each metric.
        born: they are those of the birth, so metrics may leave them out.
        groups: its columns.
    """

    def __init__(self, names: list[str], datatypes: list[int], table: PointTable, *, born: bool) -> None:
        self.table = table
        self.datatypes = datatypes
        self.born = born
        groups: dict[tuple[int, ValueType], tuple[list[int], list[int]]] = {}
        for position, (name, datatype) in enumerate(zip(names, datatypes, strict=True)):
            series = table.names[name]
            positions, ids = groups.setdefault((datatype, series.value_type), ([], []))
            positions.append(position)
            ids.append(series.series)
        self.groups = [
            Group(datatype, value_type, positions, ids, len(names))
            for (datatype, value_type), (positions, ids) in groups.items()
        ]

    def write(self, metrics: list[Any], timestamp: int, horizon: int, block: OpenBlock) -> bool:
        """Append the metrics; return False, with nothing appended, when one must be judged by itself.

        Args:
            metrics: metrics without null and without quality, in the shape of this plan.
            timestamp: time of those without one, ms.
            horizon: latest time that is taken, UTC ns.
            block: where to append.
        """
        given = [metric.datatype for metric in metrics]
        if given != self.datatypes and not (self.born and self._may_be(given)):
            return False
        if True in [metric.is_null for metric in metrics]:
            return False  # written in more bytes than usual
        times = [metric.timestamp for metric in metrics]
        first = times[0] or timestamp
        same = times.count(times[0]) == len(times)
        if not same:
            times = [time or timestamp for time in times]
        if (first if same else max(times)) * MILLISECOND > horizon:
            return False
        columns: list[bytes | list[str]] = []
        for group in self.groups:
            column = group.column(metrics)
            if column is None:
                return False
            columns.append(column)
        stamp = (first * MILLISECOND).to_bytes(8, "little")
        for group, column in zip(self.groups, columns, strict=True):
            n = group.n
            if same:
                stamps = stamp * n
            else:
                mine = times if group.pick is None else group.pick(times)
                stamps = pack(f"<{n}q", *[time * MILLISECOND for time in mine])
            qualities = bytes((Quality.GOOD,)) * n
            if isinstance(column, bytes):
                block.add(group.value_type, n, group.series, stamps, qualities, column)
            else:
                block.add_texts(group.value_type, group.series, stamps, qualities, column)
        return True

    def _may_be(self, given: list[int]) -> bool:
        return all(mine in (0, known) for mine, known in zip(given, self.datatypes, strict=True))
