"""Template of a Sparkplug payload: reads the next payload of the same layout without a protobuf message per metric.

An edge node sends the same metrics again and again; only times and values differ, and those of fixed size stand at
the same places. One comparison of the whole payload under a mask shows that it has the layout; then the columns are
taken by position. Whatever is not exactly so goes the way of ``SparkplugPlan``.

Wire format: Protocol Buffers encoding, base-128 varints and field tags; field numbers as in ``sparkplug_schema``.
"""

from dataclasses import dataclass, field
from math import hypot, inf
from struct import Struct, pack

from gongfu.ingest.columnise.accumulator import OpenBlock
from gongfu.ingest.columnise.sparkplug_plan import SparkplugPlan
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MILLISECOND

_METRICS, _TIMESTAMP, _SEQUENCE = 0x12, 0x08, 0x18
_NAME, _METRIC_TIMESTAMP = 0x0A, 0x18
# Alias, data type, is_historical, is_transient: the same in every payload of the layout, or it is another layout.
_FIXED_VARINTS = frozenset({0x10, 0x20, 0x28, 0x30})
# Field tag: size, format.
_VALUES = {0x69: (8, "d"), 0x65: (4, "f"), 0x70: (1, "?")}
# A time in ms between 2004 and 2109 is a varint of six bytes.
_TIME_SIZE = 6
_TIME_MASK = int.from_bytes(b"\x7f" * _TIME_SIZE, "little")


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
            layout.mask[position : position + size] = b"\xfe" if code == "?" else bytes(size)
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


def _reader(places: list[tuple[int, str]]) -> Struct:
    """Return a format that takes values at places (ascending) and skips what is between them."""
    parts: list[str] = ["<"]
    position = 0
    for place, code in places:
        parts.append(f"{place - position}x{code}")
        position = place + Struct(f"<{code}").size
    return Struct("".join(parts))


class WireTemplate:
    """Layout of payloads of one length.

    Attributes:
        plan: the plan for the same metrics; the template is void when the plan is.
        count: number of metrics.
    """

    def __init__(self, sample: bytes, layout: _Layout, plan: SparkplugPlan) -> None:
        self.plan = plan
        self.count = len(layout.values)
        self._mask = int.from_bytes(layout.mask, "little")
        self._fixed = int.from_bytes(sample, "little") & self._mask
        times = layout.metric_times
        if not times and layout.time is not None:
            times = [layout.time]
        self._first = times[0]
        self._times = _reader([(place, f"{_TIME_SIZE}s") for place in times]).unpack_from
        self._time_count = len(times)
        self._groups = [
            (group, _reader([layout.values[position] for position in group.positions]).unpack_from)
            for group in plan.groups
        ]

    def fits(self, payload: bytes) -> bool:
        """Return whether a payload of this length has the layout."""
        return int.from_bytes(payload, "little") & self._mask == self._fixed

    def write(self, payload: bytes, horizon: int, block: OpenBlock) -> bool:
        """Append the metrics of a payload that fits; return False, with nothing appended, when they have different
        times or must be judged one by one."""
        times = self._times(payload)
        if times.count(times[0]) != self._time_count:
            return False
        bits = int.from_bytes(times[0], "little") & _TIME_MASK
        milliseconds = (
            (bits & 0x7F)
            | (bits >> 1 & 0x3F80)
            | (bits >> 2 & 0x1FC000)
            | (bits >> 3 & 0xFE00000)
            | (bits >> 4 & 0x7F0000000)
            | (bits >> 5 & 0x3F800000000)
        )
        time = milliseconds * MILLISECOND
        if time > horizon or not time:
            return False
        columns: list[bytes] = []
        for group, read in self._groups:
            values = read(payload)
            if group.value_type is ValueType.DOUBLE:
                if not hypot(*values) < inf:
                    return False
                columns.append(pack(f"<{group.n}d", *values))
            else:
                columns.append(bytes(values))
        stamp = time.to_bytes(8, "little")
        for (group, _), column in zip(self._groups, columns, strict=True):
            n = group.n
            block.add(group.value_type, n, group.series, stamp * n, bytes(n), column)
        return True


def make_template(sample: bytes, plan: SparkplugPlan) -> WireTemplate | None:
    """Return the template for payloads like ``sample``, which ``plan`` has just written, or None when it has none."""
    try:
        layout = _walk(sample)
    except (_OtherLayout, IndexError):
        return None
    n = len(layout.values)
    if not n or len(layout.metric_times) not in (0, n) or (not layout.metric_times and layout.time is None):
        return None
    if sum(group.n for group in plan.groups) != n:
        return None
    for group in plan.groups:
        codes = {layout.values[position][1] for position in group.positions}
        if codes != ({"?"} if group.value_type is ValueType.BOOLEAN else codes & {"d", "f"}) or not group.fixed:
            return None
    return WireTemplate(sample, layout, plan)
