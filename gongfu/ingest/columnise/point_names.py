"""Points of one asset by name, compact: a million devices with the same names share them and keep a number each.

An asset whose series ids follow each other keeps the first one; otherwise four bytes a point. A dictionary of its own,
which took about 1 KB for ten points, is only for assets with very many points, because it grows without copying.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from weakref import WeakValueDictionary

from gongfu.kernel.points import Series, ValueType

# Beyond so many points an asset has a dictionary of its own.
MAX_SHARED = 2048


class NameShape:
    """Names and types that many assets have in common, in the order of their series ids.

    Attributes:
        places: position by name.
        types: value type by position.
        doubles: positions of the points of type double, by name.
    """

    __slots__ = ("__weakref__", "doubles", "places", "types")

    def __init__(self, names: tuple[str, ...], types: bytes) -> None:
        self.places = {name: place for place, name in enumerate(names)}
        self.types = tuple(ValueType(code) for code in types)
        self.doubles = {name: place for name, place in self.places.items() if self.types[place] is ValueType.DOUBLE}


_SHAPES: WeakValueDictionary[tuple[tuple[str, ...], bytes], NameShape] = WeakValueDictionary()
_EMPTY = NameShape((), b"")


def _shape_of(names: tuple[str, ...], types: bytes) -> NameShape:
    shape = _SHAPES.get((names, types))
    if shape is None:
        shape = _SHAPES[names, types] = NameShape(names, types)
    return shape


class PointNames(Mapping[str, Series]):
    """Series by point name: a mapping that only grows."""

    __slots__ = ("_own", "_series", "_shape")

    def __init__(self) -> None:
        self._shape = _EMPTY
        # The first of consecutive series ids, or all of them in the order of the shape.
        self._series: int | array[int] = 0
        self._own: dict[str, Series] | None = None

    def __getitem__(self, name: str) -> Series:
        if self._own is not None:
            return self._own[name]
        place = self._shape.places[name]
        series = self._series
        return Series(series + place if type(series) is int else series[place], self._shape.types[place])  # pyright: ignore[reportIndexIssue, reportArgumentType]

    def get(self, name: str, default: Series | None = None) -> Series | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the series of a name, None when it has none."""
        try:
            return self[name]
        except KeyError:
            return default

    def doubles(self, names: Iterable[str]) -> list[int] | None:
        """Return the series ids of names, None when one of them is not known as a point of type double."""
        if self._own is not None:
            found = [self._own.get(name) for name in names]
            if any(entry is None or entry.value_type is not ValueType.DOUBLE for entry in found):
                return None
            return [entry.series for entry in found if entry is not None]
        places, series = self._shape.doubles, self._series
        try:
            if isinstance(series, int):
                return [series + places[name] for name in names]
            return [series[places[name]] for name in names]
        except KeyError:
            return None

    def __contains__(self, name: object) -> bool:
        return name in (self._shape.places if self._own is None else self._own)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shape.places if self._own is None else self._own)

    def __len__(self) -> int:
        return len(self._shape.places if self._own is None else self._own)

    def __setitem__(self, name: str, series: Series) -> None:
        self.update({name: series})

    def update(self, points: Mapping[str, Series]) -> None:
        """Add points; one that is there already keeps its series."""
        if self._own is not None:
            self._own.update(points)
            return
        if points.keys() <= self._shape.places.keys():
            return
        merged = {**points, **self}
        if len(merged) > MAX_SHARED:
            self._own, self._shape, self._series = merged, _EMPTY, 0
            return
        ordered = sorted(merged.items(), key=lambda item: item[1].series)
        names, found = zip(*ordered, strict=True)
        ids = [entry.series for entry in found]
        self._shape = _shape_of(names, bytes(entry.value_type for entry in found))
        self._series = ids[0] if ids[-1] - ids[0] == len(ids) - 1 else array("I", ids)
