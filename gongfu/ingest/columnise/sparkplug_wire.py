"""Layout of Sparkplug payloads: many payloads of the same layout are read at once, by position.

An edge node sends the same metrics again and again, and whole fleets of them are alike; only times and values differ,
and those of fixed size stand at the same places. The bytes of many payloads are put one below the other: a comparison
under a mask shows which have the layout; then the columns are taken by position, without a protobuf message.
Whatever is not exactly so goes the way of ``SparkplugPlan``.

Wire format: Protocol Buffers encoding, base-128 varints and field tags; field numbers as in ``sparkplug_schema``.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.ingest.columnise.elements import PointTable
from gongfu.ingest.columnise.sparkplug_plan import SparkplugPlan
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MILLISECOND

_METRICS, _TIMESTAMP, _SEQUENCE = 0x12, 0x08, 0x18
_NAME, _METRIC_TIMESTAMP = 0x0A, 0x18
# Alias, data type, is_historical, is_transient: the same in every payload of the layout, or it is another layout.
_FIXED_VARINTS = frozenset({0x10, 0x20, 0x28, 0x30})
# Field tag: size, format.
_VALUES = {0x69: (8, "<f8"), 0x65: (4, "<f4"), 0x70: (1, "u1")}
# A time in ms between 2004 and 2109 is a varint of six bytes.
_TIME_SIZE = 6
_TIME_WEIGHTS = np.array([1 << 7 * at for at in range(_TIME_SIZE)], dtype=np.int64)
# Layouts are shared by all payloads that have them; beyond so many none is made.
MAX_LAYOUTS = 5000


class _OtherLayout(Exception):
    """The payload has something that is not at a fixed place."""


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return (value, position behind it)."""
    value = shift = 0
    while position < end:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
    raise _OtherLayout


@dataclass(slots=True)
class _Layout:
    """Where what varies stands."""

    mask: bytearray
    time: int | None = None
    metric_times: list[int] = field(default_factory=list[int])
    values: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])


def _vary_time(data: bytes, position: int, end: int, layout: _Layout) -> int:
    behind = _varint(data, position, end)[1]
    if behind - position != _TIME_SIZE:
        raise _OtherLayout
    # The continuation bits stay under the mask, so a time of another length is another layout.
    layout.mask[position:behind] = b"\x80" * _TIME_SIZE
    return behind


def _walk_metric(data: bytes, position: int, end: int, layout: _Layout) -> None:
    seen: set[int] = set()
    while position < end:
        tag = data[position]
        position += 1
        if tag in seen:
            raise _OtherLayout
        seen.add(tag)
        if tag == _METRIC_TIMESTAMP:
            layout.metric_times.append(position)
            position = _vary_time(data, position, end, layout)
        elif tag in _FIXED_VARINTS:
            position = _varint(data, position, end)[1]
        elif tag == _NAME:
            size, position = _varint(data, position, end)
            position += size
        elif tag in _VALUES:
            size, code = _VALUES[tag]
            layout.values.append((position, code))
            layout.mask[position : position + size] = b"\xfe" if code == "u1" else bytes(size)
            position += size
        else:
            raise _OtherLayout
    if position != end or len(seen & _VALUES.keys()) != 1:
        raise _OtherLayout


def _walk(data: bytes) -> _Layout:
    layout = _Layout(bytearray(b"\xff" * len(data)))
    position, end = 0, len(data)
    while position < end:
        tag = data[position]
        position += 1
        if tag == _METRICS:
            size, position = _varint(data, position, end)
            _walk_metric(data, position, position + size, layout)
            position += size
        elif tag == _TIMESTAMP and layout.time is None:
            layout.time = position
            position = _vary_time(data, position, end, layout)
        elif tag == _SEQUENCE:
            behind = _varint(data, position, end)[1]
            layout.mask[position:behind] = b"\x80" * (behind - position)
            position = behind
        else:
            raise _OtherLayout
    if position != end:
        raise _OtherLayout
    return layout


class _Places:
    """Fields of one size at certain places of every row of a matrix of bytes."""

    __slots__ = ("_offset", "_picked", "_stride", "_type", "n")

    def __init__(self, places: list[int], dtype: str) -> None:
        self._type = np.dtype(dtype)
        self.n = len(places)
        self._offset = places[0]
        steps = {after - before for before, after in pairwise(places)} or {self._type.itemsize}
        self._stride = steps.pop() if len(steps) == 1 else 0
        self._picked: NDArray[np.intp] | None = None
        if not self._stride:
            every = np.array(places, dtype=np.intp)[:, None] + np.arange(self._type.itemsize, dtype=np.intp)
            self._picked = every.reshape(-1)

    def take(self, data: bytes, rows: NDArray[np.uint8]) -> NDArray[Any]:
        """Return ``[k, n]`` of the type."""
        k, size = rows.shape
        if self._picked is None:
            return np.ndarray((k, self.n), self._type, data, self._offset, (size, self._stride))
        return rows.take(self._picked, axis=1).view(self._type)


# Type of the points, places of the values among the metrics, values [k, number of places].
Column = tuple[ValueType, NDArray[np.intp], NDArray[Any]]


class WireLayout:
    """What payloads of one length have in common.

    Attributes:
        count: number of metrics.
    """

    def __init__(self, sample: bytes, layout: _Layout, groups: "list[_Group]") -> None:
        self.count = len(layout.values)
        self._size = len(sample)
        self._mask = np.frombuffer(bytes(layout.mask), dtype=np.uint8)
        self._fixed = np.frombuffer(sample, dtype=np.uint8) & self._mask
        times = layout.metric_times
        if not times and layout.time is not None:
            times = [layout.time]
        self._times = _Places(times, f"V{_TIME_SIZE}")
        self._time = times[0]
        self._groups = [
            (value_type, np.array(positions, dtype=np.intp), _Places([layout.values[at][0] for at in positions], code))
            for value_type, positions, code in groups
        ]

    def read(self, payloads: list[bytes], horizon: int) -> tuple[NDArray[np.bool_], NDArray[np.int64], list[Column]]:
        """Read payloads of this length.

        Args:
            payloads: k of them.
            horizon: latest time that is taken, UTC ns.

        Returns:
            ``bool[k]`` which of them have the layout, good times and finite numbers; their times, UTC ns, ``int64[k]``
            when all metrics of a payload have one time, else ``int64[k, count]``; and the columns. What does not fit
            has arbitrary times and values.
        """
        data = b"".join(payloads)
        rows = np.frombuffer(data, dtype=np.uint8).reshape(len(payloads), self._size)
        same = (rows & self._mask) == self._fixed
        fits = np.ones(len(payloads), dtype=np.bool_) if bool(same.all()) else same.all(axis=1)
        times = self._read_times(data, rows)
        good = (times > 0) & (times <= horizon)
        if not bool(good.all()):
            fits &= good if good.ndim == 1 else good.all(axis=1)
        columns: list[Column] = []
        for value_type, positions, places in self._groups:
            values = places.take(data, rows)
            if value_type is ValueType.DOUBLE:
                values = values.astype("<f8")
                finite = np.isfinite(values)
                if not bool(finite.all()):
                    fits &= finite.all(axis=1)
            else:
                values = np.ascontiguousarray(values)
            columns.append((value_type, positions, values))
        return fits, times, columns

    def _read_times(self, data: bytes, rows: NDArray[np.uint8]) -> NDArray[np.int64]:
        first = rows[:, self._time : self._time + _TIME_SIZE]
        if self._times.n > 1:
            k = len(rows)
            taken = np.ascontiguousarray(self._times.take(data, rows)).view(np.uint8).reshape(k, -1, _TIME_SIZE)
            if not bool((taken == first[:, None, :]).all()):
                return ((taken & 0x7F).astype(np.int64) @ _TIME_WEIGHTS) * MILLISECOND
        return ((first & 0x7F).astype(np.int64) @ _TIME_WEIGHTS) * MILLISECOND


_Group = tuple[ValueType, list[int], str]
_layouts: dict[Any, WireLayout] = {}


class WireTemplate:
    """How to write the payloads of one edge node or device that have a layout.

    Attributes:
        layout: what they have in common with those of others.
        table: the points they go to; when another table has taken its place, the template is void.
        series: ``uint32`` series ids of each of the layout's columns.
    """

    __slots__ = ("layout", "series", "table")

    def __init__(self, layout: WireLayout, table: PointTable, series: tuple[bytes, ...]) -> None:
        self.layout = layout
        self.table = table
        self.series = series


def make_template(sample: bytes, plan: SparkplugPlan) -> WireTemplate | None:
    """Return the template for payloads like ``sample``, which ``plan`` has just written, or None when it has none."""
    try:
        found = _walk(sample)
    except (_OtherLayout, IndexError):
        return None
    n = len(found.values)
    if not n or len(found.metric_times) not in (0, n) or (not found.metric_times and found.time is None):
        return None
    if sum(group.n for group in plan.groups) != n:
        return None
    groups: list[_Group] = []
    for group in plan.groups:
        codes = {found.values[position][1] for position in group.positions}
        expected = {"u1"} if group.value_type is ValueType.BOOLEAN else codes & {"<f8", "<f4"}
        if codes != expected or len(codes) != 1 or not group.fixed:
            return None
        groups.append((group.value_type, group.positions, codes.pop()))
    mask = bytes(found.mask)
    fixed = bytes(byte & under for byte, under in zip(sample, mask, strict=True))
    key = mask, fixed, tuple((value_type, tuple(positions), code) for value_type, positions, code in groups)
    layout = _layouts.get(key)
    if layout is None:
        if len(_layouts) >= MAX_LAYOUTS:
            return None
        layout = _layouts[key] = WireLayout(sample, found, groups)
    return WireTemplate(layout, plan.table, tuple(group.series for group in plan.groups))
