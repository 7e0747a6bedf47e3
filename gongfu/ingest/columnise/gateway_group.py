"""Gateway payloads of one tenant that came within a few milliseconds, columnised together."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.ingest.columnise.accumulator import Accumulator
from gongfu.ingest.columnise.careful import give
from gongfu.ingest.columnise.gateway import Route
from gongfu.ingest.columnise.reasons import Shed
from gongfu.ingest.types import Done, Form, Receipt, Writer
from gongfu.kernel.points import EXACT_INTEGER_LIMIT, ValueType
from gongfu.kernel.times import MILLISECOND
from gongfu.thing.compiled import Screen

logger = logging.getLogger(__name__)

# A payload handed back: the arguments of ``Intake.submit``.
Given = tuple[Writer, Form, bytes, int, Done | None, str]
# Counts points of a writer that did not become durable.
SettlePart = Callable[[Writer, int], None]


class GatewayGroup:
    """Messages in the order they came, and their times and values one after the other.

    Attributes:
        given: the payloads.
        routes: where their points go.
        times: source time of each item, ms.
        values: value of each point.
    """

    __slots__ = ("_tenant", "given", "routes", "times", "values")

    def __init__(self, tenant: int) -> None:
        self._tenant = tenant
        self.given: list[Given] = []
        self.routes: list[Route] = []
        self.times: list[int] = []
        self.values: list[int | float] = []

    def write(self, accumulator: Accumulator, lost: SettlePart, screen: Screen) -> list[Given]:
        """Append all to the open blocks; return payloads that need the careful way, of which nothing was taken.

        Args:
            accumulator: has the open blocks.
            lost: called for points of a message that did not become durable.
            screen: bounds of the points of assets with a thing model.
        """
        given, routes = self.given, self.routes
        try:
            values = np.array(self.values, dtype="<f8")
            times = np.array(self.times, dtype="<i8") * MILLISECOND
            times = times.repeat(_joined([route.widths for route in routes]))
            series = _joined([route.series for route in routes])
            refused: list[Given] = []
            outside = ~screen.inside(series, values) if screen.active else None
            inexact = not (values.max() < EXACT_INTEGER_LIMIT and values.min() > -EXACT_INTEGER_LIMIT)
            if inexact or (outside is not None and outside.any()):
                odd = np.abs(values) >= EXACT_INTEGER_LIMIT
                given, routes, refused, rows = self._judge(odd if outside is None else odd | outside)
                if not given:
                    return refused
                values, times, series = values[rows], times[rows], series[rows]
        except Exception:
            logger.exception("%d payloads were not read together; they are read one by one", len(given))
            return self.given
        first = routes[0].partition
        if all(route.partitions is None and route.partition == first for route in routes):
            self._write_one(accumulator, first, given, routes, series, times, values)
        else:
            self._write_several(accumulator, lost, given, routes, series, times, values)
        return refused

    def _judge(self, wrong: NDArray[np.bool_]) -> tuple[list[Given], list[Route], list[Given], NDArray[np.bool_]]:
        """Sort out messages with a value that is to be judged by itself, and what their devices sent after them."""
        sizes = np.array([route.points for route in self.routes])
        odd = np.logical_or.reduceat(wrong, np.cumsum(sizes) - sizes)
        held: set[int] = set()
        keep: list[bool] = []
        for one, is_odd in zip(self.given, odd.tolist(), strict=True):
            if is_odd:
                held.add(one[0].device)
            keep.append(one[0].device not in held)
        given = [one for one, kept in zip(self.given, keep, strict=True) if kept]
        routes = [route for route, kept in zip(self.routes, keep, strict=True) if kept]
        refused = [one for one, kept in zip(self.given, keep, strict=True) if not kept]
        return given, routes, refused, np.array(keep, dtype=np.bool_).repeat(sizes)

    def _write_one(
        self,
        accumulator: Accumulator,
        partition: int,
        given: list[Given],
        routes: list[Route],
        series: NDArray[np.uint32],
        times: NDArray[np.int64],
        values: NDArray[np.float64],
    ) -> None:
        lane = accumulator.lane(self._tenant, partition)
        block, n = lane.block, len(values)
        block.add(ValueType.DOUBLE, n, series.tobytes(), times.tobytes(), bytes(n), values.tobytes())
        block.known += [(one[0], one[4], route.points) for one, route in zip(given, routes, strict=True)]
        accumulator.written(lane)

    def _write_several(
        self,
        accumulator: Accumulator,
        lost: SettlePart,
        given: list[Given],
        routes: list[Route],
        series: NDArray[np.uint32],
        times: NDArray[np.int64],
        values: NDArray[np.float64],
    ) -> None:
        where = _joined([_partitions(route) for route in routes])
        parts: dict[int, list[tuple[Callable[[int, bool], None], int, int]]] = {}
        for one, route in zip(given, routes, strict=True):
            message = _Message(one[0], one[4], len(route.parts), lost)
            for partition, n in route.parts:
                parts.setdefault(partition, []).append((message.settle, n, one[0].device))
        for partition, settled in parts.items():
            rows = np.flatnonzero(where == partition)
            lane = accumulator.lane(self._tenant, partition)
            block, n = lane.block, len(rows)
            mine = series[rows].tobytes(), times[rows].tobytes(), bytes(n), values[rows].tobytes()
            block.add(ValueType.DOUBLE, n, *mine)
            block.others += settled
            accumulator.written(lane)


class _Message:
    """A message whose points are in blocks of several partitions."""

    __slots__ = ("_accepted", "_done", "_lost", "_open", "_shed", "_writer")

    def __init__(self, writer: Writer, done: Done | None, parts: int, lost: SettlePart) -> None:
        self._writer = writer
        self._done = done
        self._open = parts
        self._lost = lost
        self._accepted = 0
        self._shed = 0

    def settle(self, n: int, durable: bool) -> None:
        """Take note of what became of one part; the last one gives the receipt."""
        self._open -= 1
        if durable:
            self._accepted += n
        else:
            self._shed += n
            self._lost(self._writer, n)
        if not self._open and self._done is not None:
            shed = {Shed.LOG_UNAVAILABLE.value: self._shed} if self._shed else {}
            give(self._done, Receipt(self._accepted, {}, shed))


def _partitions(route: Route) -> NDArray[np.uint32]:
    if route.partitions is not None:
        return route.partitions
    return np.full(route.points, route.partition, dtype=np.uint32)


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
