"""Snapshot: values of one asset at one time, by name, as the JSON forms give them.

The quick way writes a payload whose names were seen before in this order with one operation per value type. Every
doubt (a new name, another kind of value, an integer that a double cannot hold) leads to the careful way, which judges
each value by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from math import hypot
from operator import itemgetter
from struct import Struct, pack
from typing import Any

from gongfu.ingest.columnise.accumulator import OpenBlock
from gongfu.ingest.columnise.elements import MAX_PLAN_POINTS, PointTable, Refusals, refuse_unknown
from gongfu.ingest.columnise.limits import MAX_NAME
from gongfu.ingest.columnise.reasons import Reason, Reject, shown
from gongfu.ingest.columnise.values import (
    INT64_MAX,
    INT64_MIN,
    WIDE_DOUBLE_MAX,
    WIDE_DOUBLE_MIN,
    compact_json,
    fit,
    name_problem,
    type_of_new,
)
from gongfu.kernel.points import EXACT_INTEGER_LIMIT, Series, ValueType
from gongfu.kernel.quality import NAMES, Quality
from gongfu.thing.compiled import ALWAYS, CompiledModel

_INTEGERS = frozenset({int})
_BOOLEANS = frozenset({bool})
_TEXTS = frozenset({str})
_NESTED = frozenset({dict, list})

_CODES = {ValueType.DOUBLE: "d", ValueType.INT64: "q", ValueType.BOOLEAN: "B"}


class _Columns:
    """Part of a layout: the values of one type and where they stand in the payload."""

    __slots__ = ("n", "pack", "pick", "positions", "value_type")

    def __init__(self, value_type: ValueType, positions: list[int]) -> None:
        self.value_type = value_type
        self.n = len(positions)
        self.positions = tuple(positions)
        picked = itemgetter(*positions)
        self.pick: Callable[[list[Any]], Any] = picked if self.n > 1 else lambda values: (picked(values),)
        self.pack = Struct(f"<{self.n}{_CODES.get(value_type, 'x')}").pack


# Name, least and greatest value.
Limits = tuple[tuple[str, float, float], ...]
# Name, and what says whether something is wrong with a value.
Tests = tuple[tuple[str, Callable[[Any], str]], ...]


class Plan:
    """A ready-made way to write payloads of one shape of one asset.

    Attributes:
        columns: what all assets with these types at these places share.
        series: ``uint32`` series ids of each of the columns.
        limits: name and bounds of values that the model of the asset limits, None for no model.
        tests: the same of values that bounds do not say all about.
    """

    __slots__ = ("columns", "limits", "series", "tests")

    def __init__(
        self, columns: tuple[_Columns, ...], series: tuple[bytes, ...], limits: Limits | None, tests: Tests = ()
    ) -> None:
        self.columns = columns
        self.series = series
        self.limits = limits
        self.tests = tests


# Layouts by the types of the values in order; forgotten as a whole when there are too many.
_LAYOUTS: dict[bytes, tuple[_Columns, ...]] = {}
_MAX_LAYOUTS = 10_000


def _layout(types: bytes) -> tuple[_Columns, ...]:
    layout = _LAYOUTS.get(types)
    if layout is None:
        if len(_LAYOUTS) >= _MAX_LAYOUTS:
            _LAYOUTS.clear()
        positions: dict[int, list[int]] = {}
        for position, code in enumerate(types):
            positions.setdefault(code, []).append(position)
        layout = tuple(_Columns(ValueType(code), places) for code, places in positions.items())
        _LAYOUTS[types] = layout
    return layout


def make_plan(names: Sequence[str], table: Mapping[str, Series], model: CompiledModel | None = None) -> Plan:
    """Return the plan for payloads with these names in this order; all must have a series."""
    entries = [table[name] for name in names]
    columns = _layout(bytes(entry.value_type for entry in entries))
    series = tuple(pack(f"<{part.n}I", *(entries[at].series for at in part.positions)) for part in columns)
    if model is None:
        return Plan(columns, series, None)
    limits: list[tuple[str, float, float]] = []
    tests: list[tuple[str, Callable[[Any], str]]] = []
    for name, entry in zip(names, entries, strict=True):
        low, high = model.limits(name, entry.value_type)
        test = model.test(name, entry.value_type)
        if test is not None:
            tests.append((name, test))
        elif (low, high) != ALWAYS:
            limits.append((name, low, high))
    return Plan(columns, series, tuple(limits) if limits or tests else None, tuple(tests))


def _outside(limits: Limits, tests: Tests, values: Mapping[str, Any]) -> bool:
    try:
        for name, low, high in limits:
            if not low <= values[name] <= high:
                return True
        for name, test in tests:
            if test(values[name]):
                return True
    except TypeError:
        return True
    return False


def _doubles(values: Any) -> bool:
    """Return whether all values are numbers below 2^53: doubles, and integers that a double holds exactly."""
    try:
        # The Euclidean norm is no less than any of the values; it takes numbers and booleans only. Two passes in C
        # are cheaper than a test of every value. 2^53 itself may be 2^53 + 1 rounded.
        return hypot(*values) < EXACT_INTEGER_LIMIT and bool not in map(type, values)
    except (TypeError, OverflowError):
        return False


def write_by_plan(plan: Plan, values: dict[str, Any], time: int, quality: Quality, block: OpenBlock) -> bool:
    """Append a snapshot by its plan; return False, with nothing appended, when a value needs the careful way."""
    if plan.limits is not None and _outside(plan.limits, plan.tests, values):
        return False
    stamp = time.to_bytes(8, "little")
    columns = plan.columns
    if len(columns) == 1 and columns[0].value_type is ValueType.DOUBLE:
        group = columns[0]
        column = values.values()
        if not _doubles(column):
            return False
        n = group.n
        block.add(ValueType.DOUBLE, n, plan.series[0], stamp * n, bytes((quality,)) * n, group.pack(*column))
        return True
    listed = list(values.values())
    ready: list[Any] = []
    for group in columns:
        picked = group.pick(listed)
        value_type = group.value_type
        if value_type is ValueType.DOUBLE:
            if not _doubles(picked):
                return False
            ready.append(group.pack(*picked))
        elif value_type is ValueType.BOOLEAN:
            if not _BOOLEANS.issuperset(map(type, picked)):
                return False
            ready.append(group.pack(*picked))
        elif value_type is ValueType.STRING:
            if not _TEXTS.issuperset(map(type, picked)):
                return False
            ready.append(picked)
        elif value_type is ValueType.INT64:
            if not _INTEGERS.issuperset(map(type, picked)) or max(picked) > INT64_MAX or min(picked) < INT64_MIN:
                return False
            ready.append(group.pack(*picked))
        else:
            if not _NESTED.issuperset(map(type, picked)):
                return False
            ready.append([compact_json(value) for value in picked])
    for group, series, column in zip(columns, plan.series, ready, strict=True):
        n = group.n
        qualities = bytes((quality,)) * n
        if isinstance(column, bytes):
            block.add(group.value_type, n, series, stamp * n, qualities, column)
        else:
            block.add_texts(group.value_type, series, stamp * n, qualities, column)
    return True


class Snapshot:
    """An ``Element`` of the JSON forms.

    Attributes:
        child: path of the asset below the writer's own.
        time: source time, UTC ns.
        values: JSON values by point name.
        quality: quality of all values, or name of the quality by point name.
    """

    __slots__ = ("child", "quality", "time", "values")

    def __init__(self, child: str, time: int, values: dict[str, Any], quality: Quality | dict[str, Any]) -> None:
        self.child = child
        self.time = time
        self.values = values
        self.quality = quality

    @property
    def points(self) -> int:
        """Number of points."""
        return len(self.values)

    @property
    def wide(self) -> bool:
        """Whether a value may have been an integer beyond 64 bits before it was read as a double."""
        return any(
            type(value) is float and not WIDE_DOUBLE_MIN < value < WIDE_DOUBLE_MAX for value in self.values.values()
        )

    def missing(self, names: Mapping[str, Series]) -> dict[str, ValueType]:
        """Return valid names without a series, with the type each gets."""
        wanted: dict[str, ValueType] = {}
        for name, value in self.values.items():
            if name not in names and not name_problem(name, MAX_NAME) and self._mark(name) is not None:
                value_type = type_of_new(value)
                if isinstance(value_type, ValueType):
                    wanted[name] = value_type
        return wanted

    def write_planned(self, table: PointTable, block: OpenBlock) -> bool:
        """Append the points by the plan for their names; return False, with nothing appended, when it does not fit."""
        quality = self.quality
        if not isinstance(quality, Quality):
            return False
        plan = table.plan_of(tuple(self.values))
        return plan is not None and write_by_plan(plan, self.values, self.time, quality, block)

    def write(self, table: PointTable, block: OpenBlock, reject: Reject, refused: Refusals) -> None:
        """Append the points to the block; report those that cannot be."""
        clean = self._write_each(table, block, reject, refused)
        if clean and isinstance(self.quality, Quality) and 0 < len(self.values) <= MAX_PLAN_POINTS:
            shape = tuple(self.values)
            if table.plan_of(shape) is None:
                model = None if table.model is None else table.model.model
                table.keep_plan(shape, make_plan(shape, table.names, model))

    def _write_each(self, table: PointTable, block: OpenBlock, reject: Reject, refused: Refusals) -> bool:
        """Append value by value; return whether all were taken."""
        taken: dict[ValueType, tuple[list[int], list[int], list[Any]]] = {}
        names = table.names
        one = self.quality if isinstance(self.quality, Quality) else None
        count = 0
        for name, value in self.values.items():
            mark = one
            if mark is None:
                mark = self._mark(name)
                if mark is None:
                    reject(Reason.QUALITY_INVALID, 1, f"{shown(name)}: quality must be good, uncertain or bad")
                    continue
            series = names.get(name)
            if series is None:
                self._reject_unknown(name, value, refused, reject)
                continue
            reason, stored = fit(value, series.value_type)
            if reason is not None:
                reject(reason, 1, f"{shown(name)}: {stored}")
                continue
            columns = taken.get(series.value_type)
            if columns is None:
                columns = taken[series.value_type] = ([], [], [])
            columns[0].append(series.series)
            columns[1].append(mark)
            columns[2].append(stored)
            count += 1
        stamp = self.time.to_bytes(8, "little")
        for value_type, (series_ids, marks, values) in taken.items():
            n = len(series_ids)
            packed = pack(f"<{n}I", *series_ids)
            code = _CODES.get(value_type)
            if code is None:
                block.add_texts(value_type, packed, stamp * n, bytes(marks), values)
            else:
                block.add(value_type, n, packed, stamp * n, bytes(marks), pack(f"<{n}{code}", *values))
        return count == len(self.values)

    def _mark(self, name: str) -> Quality | None:
        """Return the quality of a value, None when what stands for it is none."""
        quality = self.quality
        if isinstance(quality, Quality):
            return quality
        text = quality.get(name, "good")
        return NAMES.get(text) if isinstance(text, str) else None

    def _reject_unknown(self, name: str, value: Any, refused: Refusals, reject: Reject) -> None:
        problem = name_problem(name, MAX_NAME)
        if not problem:
            reason = type_of_new(value)
            if isinstance(reason, Reason):
                what = "value is null" if reason is Reason.NULL_VALUE else "integer beyond 64 bits"
                reject(reason, 1, f"{shown(name)}: {what}")
                return
        refuse_unknown(name, self.child, problem, refused, reject)
