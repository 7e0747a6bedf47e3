"""Gateway payloads (form D) of timed doubles whose points are all known, read a message at a time.

A gateway reports for the same children again and again, often in the same messages. Where the points of a message go
(its *route*) is remembered by what the message says beside times and values: its children, how often each comes, and
the names. Whatever else is in a payload is refused here, with nothing done, and goes the careful way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter, methodcaller
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gongfu.ingest.columnise.catalogue import SeriesCatalogue
from gongfu.ingest.columnise.gateway_text import FlatReader
from gongfu.kernel.times import MILLISECOND

# Routes take about this much memory at most, in each of two generations: what was not used in one is forgotten.
GENERATION_BYTES = 32 * 1024 * 1024
_ROUTE_BYTES = 600
_MAX_SEEN = 100_000
# After a payload that is of another form, so many of the same gateway are not tried; twice as many each time.
_MAX_PAUSE = 64


class _Timed(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Form B without a quality, of numbers only."""

    ts: int
    values: dict[str, float]


# Refuses texts, booleans, null and other members. Reads numbers as ``orjson`` does, but rounds integers from 2^53 on.
_decode: Callable[[bytes], dict[str, list[_Timed]]] = msgspec.json.Decoder(dict[str, list[_Timed]]).decode
_ts, _values, _floats = attrgetter("ts"), attrgetter("values"), methodcaller("values")

MAX_SHAPES = 1000
_MAX_SHAPE_NAMES = 64


class _Shape:
    """Form D in which every child comes once, with the same names: decoded into fields, a third cheaper.

    Attributes:
        text: the names, as in a key.
        decode: returns the message; raises ``ValueError`` for any other.
        flat_text: reads the message without objects; tried when ``pause`` is 0.
        pause: messages for which it is not tried, after one that is written in another way.
    """

    __slots__ = ("_pick", "_single", "_texts", "decode", "flat_text", "pause", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._texts: dict[int, str] = {}
        names = text.split("\0")
        self.flat_text = FlatReader(names)
        self.pause = 0
        fields = [f"f{n}" for n in range(len(names))]
        values = msgspec.defstruct(
            "Values",
            [(field, float) for field in fields],
            rename=dict(zip(fields, names, strict=True)),
            forbid_unknown_fields=True,
            gc=False,
        )
        timed = msgspec.defstruct("Timed", [("ts", int), ("values", values)], forbid_unknown_fields=True, gc=False)
        self.decode: Callable[[bytes], dict[str, tuple[Any]]] = msgspec.json.Decoder(dict[str, tuple[timed]]).decode  # pyright: ignore[reportInvalidTypeForm]
        self._single = len(names) == 1
        self._pick: Callable[[Any], Any] = attrgetter(*(f"values.{field}" for field in fields))

    def flat(self, items: list[Any]) -> list[float]:
        """Return the values of items, one item after the other."""
        picked = map(self._pick, items)
        return list(picked if self._single else chain.from_iterable(picked))

    def names(self, items: int) -> str:
        """Return the names of so many items, as in a key."""
        text = self._texts.get(items)
        if text is None:
            if len(self._texts) >= _MAX_SHAPE_NAMES:
                self._texts.clear()
            text = self._texts[items] = "\1".join([self.text] * items)
        return text


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Where the points of a message go, in the order in which they stand in it.

    Attributes:
        children, items, points: how many there are.
        widths: ``int64[items]``, number of points of each item.
        series: ``uint32[points]``.
        partition: that of all points, when it is one.
        partitions: ``uint32[points]``, when there are several.
        parts: partitions and their number of points.
    """

    children: int
    items: int
    points: int
    widths: NDArray[np.int64]
    series: NDArray[np.uint32]
    partition: int
    partitions: NDArray[np.uint32] | None
    parts: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A message that was read: its route, source times in ms by item, values by point."""

    route: Route
    times: list[int]
    values: list[int | float] | list[float]


_Key = tuple[int, str, str, tuple[int, ...] | None]


class GatewayReader:
    """Reads gateway payloads and keeps their routes. Use from one event loop."""

    def __init__(self, catalogue: SeriesCatalogue, future: int, max_points: int) -> None:
        """Set up.

        Args:
            catalogue: what is known of names.
            future: how far a source time may be ahead of the time of arrival, ns.
            max_points: most points in one payload.
        """
        self._catalogue = catalogue
        self._future = future
        self._max_points = max_points
        self._generation = catalogue.generation
        self._recent: dict[_Key, Route] = {}
        self._older: dict[_Key, Route] = {}
        self._size = 0
        # Hashes of what was met once: a message that never comes again is not worth its memory.
        self._seen: set[int] = set()
        # One copy for all routes of names that are alike, with the widths of their items.
        self._names: dict[str, tuple[str, NDArray[np.int64]]] = {}
        self._shapes: dict[str, _Shape | None] = {}
        # By own asset of a gateway: shape that its next message is expected to have.
        self._expected: dict[int, _Shape] = {}
        # By own asset of a gateway: payloads that are not to be tried, and how many it was the last time.
        self._pauses: dict[int, tuple[int, int]] = {}

    def read(self, asset: int, payload: bytes, received: int) -> Reading | None:
        """Return what is in the payload of a gateway with this asset, None when it needs the careful way."""
        shape = self._expected.get(asset)
        if shape is not None:
            if shape.pause:
                shape.pause -= 1
            elif (reading := self._read_flat(asset, shape, payload, received)) is not None:
                return reading
            try:
                document = shape.decode(payload)
            except ValueError:
                del self._expected[asset]
            else:
                if (reading := self._read_shape(asset, shape, document, received)) is not None:
                    return reading
                del self._expected[asset]
        pause = self._pauses.get(asset)
        if pause is not None and pause[0]:
            self._pauses[asset] = pause[0] - 1, pause[1]
            return None
        try:
            document = _decode(payload)
        except ValueError:
            self._pause(asset, 1 if pause is None else min(2 * pause[1], _MAX_PAUSE))
            return None
        if pause is not None:
            del self._pauses[asset]
        items = list(chain.from_iterable(document.values()))
        times: list[int] = list(map(_ts, items))
        if not self._timely(times, received):
            return None
        values: list[dict[str, float]] = list(map(_values, items))
        counts = tuple(map(len, document.values()))
        single = len(values) == len(counts) == counts.count(1)
        texts = list(map("\0".join, values))
        key: _Key = (asset, "\0".join(document), "\1".join(texts), None if single else counts)
        flat = list(chain.from_iterable(map(_floats, values)))
        route = self._route(key, document, (len(flat), len(values), len(counts)))
        if route is None:
            return None
        if single and texts.count(texts[0]) == len(texts) and key in self._recent:
            self._expect(asset, texts[0])
        return Reading(route, times, flat)

    def _read_flat(self, asset: int, shape: _Shape, payload: bytes, received: int) -> Reading | None:
        flat = shape.flat_text.read(payload)
        if flat is None:
            shape.pause = _MAX_PAUSE
            return None
        times, n = flat.times, len(flat.times)
        if not self._timely(times, received):
            return None
        route = self._route((asset, flat.children, shape.names(n), None), None, (len(flat.values), n, n))
        return None if route is None else Reading(route, times, flat.values)

    def _read_shape(self, asset: int, shape: _Shape, document: dict[str, tuple[Any]], received: int) -> Reading | None:
        items = list(chain.from_iterable(document.values()))
        times: list[int] = list(map(_ts, items))
        if not self._timely(times, received):
            return None
        flat = shape.flat(items)
        route = self._route(
            (asset, "\0".join(document), shape.names(len(items)), None), None, (len(flat), len(items), len(document))
        )
        return None if route is None else Reading(route, times, flat)

    def _timely(self, times: list[int], received: int) -> bool:
        return bool(times) and min(times) > 0 and max(times) * MILLISECOND <= received + self._future

    def _expect(self, asset: int, text: str) -> None:
        """Let the next message of a gateway be read by the shape of this one."""
        if text not in self._shapes:
            if len(self._shapes) >= MAX_SHAPES:
                return
            try:
                self._shapes[text] = _Shape(text) if text.count("\0") < _MAX_SHAPE_NAMES else None
            except (ValueError, TypeError):
                self._shapes[text] = None
        shape = self._shapes[text]
        if shape is not None:
            if len(self._expected) >= _MAX_SEEN:
                self._expected.clear()
            self._expected[asset] = shape

    def _pause(self, asset: int, length: int) -> None:
        if len(self._pauses) >= _MAX_SEEN:
            self._pauses.clear()
        self._pauses[asset] = length, length

    def _route(
        self, key: _Key, document: Mapping[str, Sequence[_Timed]] | None, sizes: tuple[int, int, int]
    ) -> Route | None:
        """Return the route of a message; without its document only one that is remembered."""
        if self._generation != self._catalogue.generation:
            self._generation = self._catalogue.generation
            self._forget()
        route = self._recent.get(key)
        if route is None:
            route = self._older.pop(key, None)
            if route is not None:
                self._keep(key, route)
            else:
                return None if document is None else self._find(key, document, sizes[0])
        # No name that is kept has a separator in it: with the same numbers of children, items and points, the same text
        # means the same names.
        return route if (route.points, route.items, route.children) == sizes else None

    def _find(self, key: _Key, document: Mapping[str, Sequence[_Timed]], points: int) -> Route | None:
        """Look up every child; return None when a point is not known or no double, or there are too many."""
        below = self._catalogue.below(key[0])
        if below is None or not 0 < points <= self._max_points:
            return None
        series: list[int] = []
        partitions: list[int] = []
        widths: list[int] = []
        for child, items in document.items():
            table = below.get(child)
            if table is None:
                return None
            for item in items:
                found = table.names.doubles(item.values)
                if found is None:
                    return None
                series += found
                widths.append(len(found))
                partitions.append(table.partition)
        route = _make(len(document), series, widths, partitions)
        if _separators(key) != (len(document) - 1, len(widths) - 1, sum([width - 1 for width in widths if width])):
            return route
        mark = hash(key)
        if mark in self._seen:
            names, shared = self._names.setdefault(key[2], (key[2], route.widths))
            self._seen.discard(mark)
            route = Route(
                route.children, route.items, route.points, shared, route.series, route.partition, route.partitions,
                route.parts,
            )  # fmt: skip
            self._keep((key[0], key[1], names, key[3]), route)
        else:
            if len(self._seen) >= _MAX_SEEN:
                self._seen.clear()
            self._seen.add(mark)
        return route

    def _keep(self, key: _Key, route: Route) -> None:
        size = _ROUTE_BYTES + 2 * len(key[1]) + route.series.nbytes
        if self._size + size > GENERATION_BYTES:
            self._older, self._recent, self._size = self._recent, {}, 0
            self._names = {}
        self._recent[key] = route
        self._size += size

    def _forget(self) -> None:
        self._recent, self._older, self._size = {}, {}, 0
        self._seen.clear()
        self._names = {}


def _separators(key: _Key) -> tuple[int, int, int]:
    """Return how often a key has what stands between children, items and names: more means that a name has it."""
    return key[1].count("\0"), key[2].count("\1"), key[2].count("\0")


def _make(children: int, series: list[int], widths: list[int], partitions: list[int]) -> Route:
    counted: dict[int, int] = {}
    for partition, width in zip(partitions, widths, strict=True):
        if width:
            counted[partition] = counted.get(partition, 0) + width
    wide = np.array(widths, dtype=np.int64)
    several = None if len(counted) == 1 else np.array(partitions, dtype=np.uint32).repeat(wide)
    return Route(
        children,
        len(widths),
        len(series),
        wide,
        np.array(series, dtype="<u4"),
        next(iter(counted)),
        several,
        tuple(counted.items()),
    )
