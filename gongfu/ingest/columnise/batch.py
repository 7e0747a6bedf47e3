"""Batch: payloads of known layout that came within a few milliseconds, columnised together.

Every payload is put into the *group* of its layout; a group is read with a few NumPy operations, however many devices
it is from. What does not fit after all is handed back and judged by itself. Order is kept where it matters: points of
one asset get into the block in the order in which their payloads came.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from gongfu.ingest.columnise.accumulator import Accumulator, Lane, OpenBlock
from gongfu.ingest.columnise.elements import PointTable
from gongfu.ingest.columnise.gateway import Reading
from gongfu.ingest.columnise.gateway_group import GatewayGroup, Given, SettlePart
from gongfu.ingest.columnise.json_shape import JsonShape
from gongfu.ingest.types import Done, Form, Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import EXACT_INTEGER_LIMIT, ValueType
from gongfu.kernel.times import MILLISECOND
from gongfu.thing.compiled import Screen

if TYPE_CHECKING:
    from gongfu.ingest.columnise.sparkplug_wire import WireLayout, WireTemplate

logger = logging.getLogger(__name__)

# A batch is columnised at once when it holds so many points; else when its time has come.
BATCH_POINTS = 32_768

Flags = NDArray[np.bool_]


class Group(Protocol):
    """Payloads of one layout for one lane, in the order they came.

    Attributes:
        index: place of the group in the batch.
        lane: where its points go.
        layout: what the payloads have in common; None once they are written.
        count: points a payload.
        writers, dones, payloads, received: as given, by payload.
    """

    index: int
    lane: Lane
    layout: Any
    count: int
    form: Form
    writers: list[Writer]
    dones: list[Done | None]
    payloads: list[bytes]
    received: list[int]

    def context(self, row: int) -> str:
        """Return what was given with a payload beside it."""
        ...

    def read(self) -> Flags | None:
        """Read all payloads; return ``bool[k]`` which of them fit, None when all do."""
        ...

    def columns(self) -> list[tuple[bytes, NDArray[Any]]]:
        """Return what was read: ``uint32`` series ids, and ``[k, n]`` values of k payloads."""
        ...

    def write(self, block: OpenBlock, rows: list[int] | None) -> None:
        """Append what was read, of some payloads or of all."""
        ...


def _within(group: Group, fits: Flags | None, screen: Screen) -> Flags | None:
    """Return ``bool[k]`` which payloads fit and have no value outside of what a thing model allows, None for all."""
    for series, values in group.columns():
        inside = screen.inside(np.frombuffer(series, dtype="<u4").reshape(values.shape), values)
        if not inside.all():
            mine: Flags = np.all(inside, axis=1)
            fits = mine if fits is None else fits & mine
    return fits


def _chosen(items: list[Any], rows: list[int] | None) -> list[Any]:
    return items if rows is None else [items[row] for row in rows]


class JsonGroup:
    """A ``Group`` of JSON payloads of one shape."""

    __slots__ = (
        "_times", "_values", "count", "dones", "flat", "form", "index", "lane", "layout", "payloads", "received",
        "series", "times", "writers",
    )  # fmt: skip

    def __init__(self, index: int, lane: Lane, layout: JsonShape) -> None:
        self.index = index
        self.lane = lane
        self.layout: Any = layout
        self.count = layout.count
        self.form = Form.JSON
        self.writers: list[Writer] = []
        self.dones: list[Done | None] = []
        self.payloads: list[bytes] = []
        self.received: list[int] = []
        self.series: list[bytes] = []
        self.times: list[int] = []
        self.flat: list[float] = []

    def context(self, row: int) -> str:
        """Return an empty text."""
        return ""

    def read(self) -> Flags | None:
        """Turn the values into an array, and look for integers that a double may not hold exactly."""
        self._times = np.array(self.times, dtype=np.int64)
        values = np.fromiter(self.flat, dtype="<f8", count=len(self.flat))
        self._values = values.reshape(len(self.payloads), self.count)
        if values.max() < EXACT_INTEGER_LIMIT and values.min() > -EXACT_INTEGER_LIMIT:
            return None
        return np.abs(self._values).max(axis=1) < EXACT_INTEGER_LIMIT

    def columns(self) -> list[tuple[bytes, NDArray[Any]]]:
        """Return series and values."""
        return [(b"".join(self.series), self._values)]

    def write(self, block: OpenBlock, rows: list[int] | None) -> None:
        """Append the values as good doubles."""
        times, values = self._times, self._values
        if rows is not None:
            times, values = times[rows], values[rows]
        n = values.size
        series = b"".join(_chosen(self.series, rows))
        block.add(ValueType.DOUBLE, n, series, times.repeat(self.count).tobytes(), bytes(n), values.tobytes())


class SparkplugGroup:
    """A ``Group`` of Sparkplug payloads of one layout."""

    __slots__ = (
        "_columns", "_read", "_times", "contexts", "count", "dones", "form", "future", "index", "lane", "layout",
        "payloads", "received", "templates", "writers",
    )  # fmt: skip

    def __init__(self, index: int, lane: Lane, layout: "WireLayout", future: int) -> None:
        self.index = index
        self.lane = lane
        self.layout: Any = layout
        self._read = layout.read
        self.count = layout.count
        self.form = Form.SPARKPLUG
        self.future = future
        self.writers: list[Writer] = []
        self.dones: list[Done | None] = []
        self.payloads: list[bytes] = []
        self.received: list[int] = []
        self.contexts: list[str] = []
        self.templates: list[WireTemplate] = []

    def context(self, row: int) -> str:
        """Return the topic."""
        return self.contexts[row]

    def read(self) -> Flags | None:
        """Read all payloads by position; those that are too far ahead of the earliest arrival do not fit."""
        fits, self._times, self._columns = self._read(self.payloads, min(self.received) + self.future)
        return None if bool(fits.all()) else fits

    def columns(self) -> list[tuple[bytes, NDArray[Any]]]:
        """Return series and values by data type."""
        return [
            (b"".join([template.series[number] for template in self.templates]), column)
            for number, (_, _, column) in enumerate(self._columns)
        ]

    def write(self, block: OpenBlock, rows: list[int] | None) -> None:
        """Append the metrics as good values."""
        templates = _chosen(self.templates, rows)
        times = self._times if rows is None else self._times[rows]
        for number, (value_type, positions, column) in enumerate(self._columns):
            values = column if rows is None else column[rows]
            n = values.size
            series = b"".join([template.series[number] for template in templates])
            mine = times.repeat(len(positions)) if times.ndim == 1 else np.ascontiguousarray(times[:, positions])
            block.add(value_type, n, series, mine.tobytes(), bytes(n), values.tobytes())


class Batch:
    """Gathers payloads; use from one event loop.

    A device has either gateway payloads or others in it, as these are not ordered among each other.

    Attributes:
        devices: devices that have something in it.
        gateways: those of them that have gateway payloads in it.
        screen: bounds of the points of assets with a thing model.
    """

    def __init__(
        self,
        accumulator: Accumulator,
        counters: Counters,
        future: int,
        stamp: Callable[[int], int],
        refuse: Callable[[list[Given]], None],
        settle: SettlePart,
    ) -> None:
        """Set up.

        Args:
            accumulator: where the points go.
            counters: where to count the messages.
            future: how far a source time may be ahead of the time of arrival, ns.
            stamp: returns the time for values without one for a time of arrival, UTC ns.
            refuse: takes payloads that did not fit after all, in the order they came; nothing of them was taken.
            settle: called for points of a gateway message in several blocks that did not become durable.
        """
        self._accumulator = accumulator
        self._counters = counters
        self._future = future
        self._stamp = stamp
        self._refuse = refuse
        self._loop = asyncio.get_running_loop()
        self._groups: list[Any] = []
        self._newest: dict[tuple[Any, Lane], Any] = {}
        self._points = 0
        self._timer: asyncio.Handle | None = None
        # The timer is one for gateways, which may wait longer than others.
        self._patient = False
        self._flushed_at = 0.0
        self._settle = settle
        accumulator.before_close = self.flush
        self._gateways: dict[int, GatewayGroup] = {}
        self.devices: set[int] = set()
        self.gateways: set[int] = set()
        self.screen = Screen()

    def take_gateway(self, writer: Writer, reading: Reading, payload: bytes, received: int, done: Done | None) -> None:
        """Take a gateway payload that was read."""
        group = self._gateways.get(writer.tenant)
        if group is None:
            group = self._gateways[writer.tenant] = GatewayGroup(writer.tenant)
        group.given.append((writer, Form.JSON_GATEWAY, payload, received, done, ""))
        group.routes.append(reading.route)
        group.times += reading.times
        group.values += reading.values
        self.devices.add(writer.device)
        self.gateways.add(writer.device)
        self._points += reading.route.points
        if self._points >= BATCH_POINTS:
            self.flush()
        elif self._timer is None:
            self._schedule(self._accumulator.pace.gateway_s)
            self._patient = True

    def take_json(self, writer: Writer, table: PointTable, payload: bytes, received: int, done: Done | None) -> bool:
        """Take a payload of the shape that its asset is expected to have; return False when it has another."""
        shape: JsonShape = table.expected
        try:
            document = shape.decode(payload)
        except ValueError:
            table.expected = None
            return False
        if shape.timed:
            time = document.ts * MILLISECOND
            if not 0 < time <= received + self._future:
                return False
            values = astuple(document.values)
        else:
            time = self._stamp(received)
            values = astuple(document)
        group = table.group
        if group is None or group.layout is not shape:
            group = self._group(table, shape, writer)
        group.writers.append(writer)
        group.dones.append(done)
        group.payloads.append(payload)
        group.received.append(received)
        group.series.append(table.expected_plan.series[0])
        group.times.append(time)
        group.flat += values
        self.devices.add(writer.device)
        self._points += shape.count
        if self._points >= BATCH_POINTS:
            self.flush()
        elif self._timer is None or self._patient:
            self._schedule(self._accumulator.pace.interval_s)
        return True

    def take_sparkplug(
        self, writer: Writer, template: "WireTemplate", payload: bytes, received: int, done: Done | None, context: str
    ) -> None:
        """Take a payload of the length of a template; whether it fits is seen later."""
        table, layout = template.table, template.layout
        group = table.group
        if group is None or group.layout is not layout:
            group = self._group(table, layout, writer)
        group.writers.append(writer)
        group.dones.append(done)
        group.payloads.append(payload)
        group.received.append(received)
        group.contexts.append(context)
        group.templates.append(template)
        self.devices.add(writer.device)
        self._points += layout.count
        if self._points >= BATCH_POINTS:
            self.flush()
        elif self._timer is None or self._patient:
            self._schedule(self._accumulator.pace.interval_s)

    def _group(self, table: PointTable, layout: Any, writer: Writer) -> Any:
        """Return the group for a payload: never one before the group of an earlier payload of the same asset."""
        lane = table.lane
        if lane is None:
            lane = table.lane = self._accumulator.lane(writer.tenant, table.partition)
        before = table.group
        group = self._newest.get((layout, lane))
        if group is None or (before is not None and before.layout is not None and before.index > group.index):
            index = len(self._groups)
            if isinstance(layout, JsonShape):
                group = JsonGroup(index, lane, layout)
            else:
                group = SparkplugGroup(index, lane, layout, self._future)
            self._groups.append(group)
            self._newest[layout, lane] = group
        table.group = group
        return group

    def _schedule(self, gather_s: float) -> None:
        """Flush ``gather_s`` after the flush before, whatever was arranged."""
        if self._timer is not None:
            self._timer.cancel()
        self._patient = False
        due = self._flushed_at + gather_s
        late = self._loop.time() >= due
        self._timer = self._loop.call_soon(self._due) if late else self._loop.call_at(due, self._due)

    def _due(self) -> None:
        self._timer = None
        self._patient = False
        self.flush()

    def flush(self) -> None:
        """Columnise what was gathered into the open blocks."""
        groups, gateways = self._groups, self._gateways
        if not groups and not gateways:
            return
        self._flushed_at = self._loop.time()
        self._groups, self._gateways, self._points = [], {}, 0
        self._newest.clear()
        self.devices.clear()
        self.gateways.clear()
        refused: list[Given] = []
        # Devices of which something was refused: what they sent after it must stay behind it.
        held: set[int] = set()
        self._counters.add("messages_received", sum([len(group.payloads) for group in groups]))
        for group in groups:
            self._write(group, held, refused)
        for group in gateways.values():
            self._counters.add("messages_received", len(group.given))
            refused += group.write(self._accumulator, self._settle, self.screen)
        if refused:
            self._refuse(refused)

    def _write(self, group: Any, held: set[int], refused: list[Given]) -> None:
        group.layout = None
        writers, dones, payloads = group.writers, group.dones, group.payloads
        try:
            fits = group.read()
            if self.screen.active:
                fits = _within(group, fits, self.screen)
        except Exception:
            logger.exception("%d payloads were not read together; they are read one by one", len(payloads))
            fits = np.zeros(len(payloads), dtype=np.bool_)
        rows: list[int] | None = None
        if fits is not None or held:
            rows = []
            for row, writer in enumerate(writers):
                if (fits is None or fits[row]) and writer.device not in held:
                    rows.append(row)
                    continue
                held.add(writer.device)
                refused.append((writer, group.form, payloads[row], group.received[row], dones[row], group.context(row)))
            if not rows:
                return
        lane = group.lane
        block = lane.block
        group.write(block, rows)
        block.batches.append((_chosen(writers, rows), _chosen(dones, rows), group.count))
        self._accumulator.written(lane)
