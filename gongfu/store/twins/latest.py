"""Latest value of every series in NumPy columns indexed by series id: 30 bytes a series, text beside."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import TEXT_TYPES, Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.store.twins.grouping import group, newest_before

# Series ids are dense; one far beyond the rest is damage, not data, and would take the memory of all below it.
MAX_SERIES = 100_000_000
# Bound of all latest texts together; beyond it a text keeps its time and quality but not its value.
MAX_TEXT_CHARACTERS = 64 * 1024 * 1024
NEVER = np.iinfo(np.int64).min
_GROWTH = 1.25

Value = float | int | bool | str | None


@dataclass(frozen=True, slots=True)
class Latest:
    """Latest value of a series. Times are UTC ns. ``value`` is None only for a text that was too much to keep."""

    series: int
    value_type: ValueType
    value: Value
    quality: int
    time: int
    ingested: int


@dataclass(frozen=True, slots=True)
class LatestColumns:
    """Latest values of k series.

    Attributes:
        series: ``int64[k]``.
        types: ``uint8[k]`` value types.
        bits: ``uint64[k]`` the bytes of a float64 or int64; 0 or 1 for a boolean; nothing for a text.
        qualities: ``uint8[k]``.
        times: ``int64[k]`` source times, UTC ns.
        ingested: ``int64[k]`` UTC ns.
        texts: by series, None for one that was too much to keep.
    """

    series: NDArray[np.int64]
    types: NDArray[np.uint8]
    bits: NDArray[np.uint64]
    qualities: NDArray[np.uint8]
    times: NDArray[np.int64]
    ingested: NDArray[np.int64]
    texts: dict[int, str | None]

    def values(self) -> list[Value]:
        """Return the values in order; what is not a finite number is None."""
        values: list[Value] = np.where(self.types == ValueType.DOUBLE, self.bits.view(np.float64), 0.0).tolist()
        odd = self.types != ValueType.DOUBLE
        odd |= ~np.isfinite(self.bits.view(np.float64))
        for at in np.flatnonzero(odd).tolist():
            kind = self.types[at]
            if kind == ValueType.DOUBLE:
                values[at] = None
            elif kind == ValueType.INT64:
                values[at] = int(self.bits[at : at + 1].view(np.int64)[0])
            elif kind == ValueType.BOOLEAN:
                values[at] = bool(self.bits[at])
            else:
                values[at] = self.texts.get(int(self.series[at]))
        return values


class Twins:
    """Latest values. The newest source time wins, an equal one replaces (correction), an older one is late.

    Rows count in order of arrival: the same rows cut into other blocks give the same state and the same ``late``.

    Attributes:
        late: points that were older than the latest value of their series when they arrived.
        refused: points whose series id is beyond ``MAX_SERIES``.
        texts_dropped: text values not kept because all texts together exceeded ``MAX_TEXT_CHARACTERS``.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self._time = np.full(capacity, NEVER, dtype=np.int64)
        self._ingested = np.zeros(capacity, dtype=np.int64)
        # The eight bytes of a float64, an int64 or a boolean; ``_type`` says which.
        self._bits = np.zeros(capacity, dtype=np.uint64)
        self._quality = np.zeros(capacity, dtype=np.uint8)
        self._type = np.zeros(capacity, dtype=np.uint8)
        self._last_row = np.zeros(capacity, dtype=np.uint32)
        self._text: dict[int, str | None] = {}
        self._text_characters = 0
        self._used = 0
        self.late = 0
        self.refused = 0
        self.texts_dropped = 0

    def __len__(self) -> int:
        """Number of series that have a value."""
        return int(np.count_nonzero(self._type[: self._used]))

    @property
    def nbytes(self) -> int:
        """Bytes of the columns, without texts."""
        return sum(column.nbytes for column in (*self._columns().values(), self._last_row))

    def update(self, block: Block) -> None:
        """Take in all points of a block."""
        for value_type, columns in block.columns.items():
            if len(columns):
                self._update(value_type, columns, block.ingested)

    def _update(self, value_type: ValueType, columns: Columns, ingested: int) -> None:
        series, times = columns.series, columns.times
        highest = int(series.max())
        rows: NDArray[Any] | None = None
        if highest >= MAX_SERIES:
            rows = np.flatnonzero(series < MAX_SERIES)
            self.refused += len(series) - len(rows)
            series, times = series[rows], times[rows]
            if not len(rows):
                return
            highest = int(series.max())
        self._reserve(highest + 1)
        winners, at, late = self._winners(series, times)
        self.late += late
        if not len(winners):
            return
        source = winners if rows is None else rows[winners]
        self._time[at] = times[winners]
        self._ingested[at] = ingested
        self._quality[at] = columns.qualities[source]
        self._type[at] = value_type
        if value_type in TEXT_TYPES:
            for where, row in zip(at.tolist(), source.tolist(), strict=True):
                self._keep_text(where, str(columns.values[row]))
        else:
            values = np.asarray(columns.values)[source]
            self._bits[at] = values.view(np.uint64) if values.itemsize == 8 else values.astype(np.uint64)

    def _winners(self, series: NDArray[np.uint32], times: NDArray[np.int64]) -> tuple[Any, Any, int]:
        """Return the rows that become the latest values, their series, and how many rows were late."""
        numbers = np.arange(len(series), dtype=np.uint32)
        self._last_row[series] = numbers
        if bool((self._last_row[series] == numbers).all()):  # no series twice in the block
            keep = times >= self._time[series]
            if bool(keep.all()):
                return numbers, series, 0
            winners = np.flatnonzero(keep)
            return winners, series[winners], len(series) - len(winners)
        groups = group(series)
        ordered = times if groups.order is None else times[groups.order]
        at = groups.keys[groups.starts]
        current = self._time[at]
        on_time = ordered >= newest_before(ordered, groups, current)
        # Of the rows that were on time, the last one of each group is the newest.
        positions = np.where(on_time, np.arange(len(ordered), dtype=np.intp), -1)
        newest = np.maximum.reduceat(positions, groups.starts)
        some = newest >= groups.starts
        winners = newest[some] if groups.order is None else groups.order[newest[some]]
        return winners, at[some], len(ordered) - int(np.count_nonzero(on_time))

    def _keep_text(self, series: int, text: str) -> None:
        before = self._text.get(series)
        self._text_characters += len(text) - len(before or "")
        if self._text_characters > MAX_TEXT_CHARACTERS:
            self._text_characters -= len(text)
            self.texts_dropped += 1
            self._text[series] = None
        else:
            self._text[series] = text

    def seen_since(self, since: int) -> NDArray[np.bool_]:
        """Return ``bool[n]`` by series id: whether its latest value arrived at ``since`` (UTC ns) or later."""
        # The answer is made in a thread, while series come and the columns grow one by one.
        ingested, types = self._ingested, self._type
        used = min(self._used, len(ingested), len(types))
        return (ingested[:used] >= since) & (types[:used] != 0)

    def gather(self, series: NDArray[np.int64]) -> "LatestColumns":
        """Return the latest values of some series, ascending, in columns; those without a value are left out."""
        found = np.sort(series[(series >= 0) & (series < self._used)])
        found = found[self._type[found] != 0]
        kinds = self._type[found]
        texts: dict[int, str | None] = {}
        if self._text:
            text = (kinds == ValueType.STRING) | (kinds == ValueType.JSON)
            texts = {key: self._text.get(key) for key in found[text].tolist()}
        return LatestColumns(
            found, kinds, self._bits[found], self._quality[found], self._time[found], self._ingested[found], texts
        )

    def get(self, series: int) -> Latest | None:
        """Return the latest value of a series, None when it has none."""
        if not 0 <= series < self._used or not self._type[series]:
            return None
        value_type = ValueType(int(self._type[series]))
        bits = self._bits[series : series + 1]
        value: Value
        if value_type in TEXT_TYPES:
            value = self._text.get(series)
        elif value_type is ValueType.DOUBLE:
            value = float(bits.view(np.float64)[0])
        elif value_type is ValueType.INT64:
            value = int(bits.view(np.int64)[0])
        else:
            value = bool(bits[0])
        return Latest(
            series,
            value_type,
            value,
            int(self._quality[series]),
            int(self._time[series]),
            int(self._ingested[series]),
        )

    def numbers_of(
        self, series: NDArray[np.uint32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint8], NDArray[np.bool_]]:
        """Return source times, values as doubles, qualities, and which series have a number (all of length n)."""
        some = series < self._used
        at = np.where(some, series, 0)
        kind = self._type[at]
        bits = self._bits[at]
        values = np.where(
            kind == ValueType.DOUBLE,
            bits.view(np.float64),
            np.where(kind == ValueType.INT64, bits.view(np.int64), bits).astype(np.float64),
        )
        numeric = some & (kind != 0) & (kind != ValueType.STRING) & (kind != ValueType.JSON)
        return self._time[at], values, self._quality[at], numeric

    def times_of(self, series: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return source and ingest times, ``int64[n]`` each; ``NEVER`` and 0 for a series without a value."""
        times = np.full(len(series), NEVER, dtype=np.int64)
        ingested = np.zeros(len(series), dtype=np.int64)
        known = series < self._used
        times[known] = self._time[series[known]]
        ingested[known] = self._ingested[series[known]]
        return times, ingested

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {
            "time": self._time,
            "ingested": self._ingested,
            "bits": self._bits,
            "quality": self._quality,
            "type": self._type,
        }

    def _reserve(self, size: int) -> None:
        self._used = max(self._used, size)
        if size <= len(self._time):
            return
        # Growth by a quarter keeps the worst case at 1.25 * 30 = 37.5 bytes a series.
        more = min(max(size, int(len(self._time) * _GROWTH)), MAX_SERIES) - len(self._time)
        self._time = np.concatenate([self._time, np.full(more, NEVER, dtype=np.int64)])
        self._ingested = np.concatenate([self._ingested, np.zeros(more, dtype=np.int64)])
        self._bits = np.concatenate([self._bits, np.zeros(more, dtype=np.uint64)])
        self._quality = np.concatenate([self._quality, np.zeros(more, dtype=np.uint8)])
        self._type = np.concatenate([self._type, np.zeros(more, dtype=np.uint8)])
        self._last_row = np.concatenate([self._last_row, np.zeros(more, dtype=np.uint32)])

    def snapshot(self, *, copy: bool = True) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the columns and a JSON document of the rest, for a checkpoint.

        Without ``copy`` the columns are those of the twins, which may not change while they are used.
        """
        columns = {name: column[: self._used] for name, column in self._columns().items()}
        if copy:
            columns = {name: column.copy() for name, column in columns.items()}
        document = {
            "text": {str(series): text for series, text in self._text.items()},
            "late": self.late,
            "refused": self.refused,
            "texts_dropped": self.texts_dropped,
        }
        return columns, document

    @classmethod
    def restore(cls, columns: dict[str, NDArray[Any]], document: dict[str, Any]) -> "Twins":
        """Return the twins of a snapshot, whose columns become theirs.

        Raises:
            KeyError, ValueError: the snapshot is not one of twins.
        """
        n = len(columns["time"])
        twins = cls(1)
        if n:
            empty = twins._columns()
            for name in empty:
                if columns[name].dtype != empty[name].dtype or columns[name].shape != (n,):
                    raise ValueError(f"column {name} does not fit")
            # Copied only where they cannot be written to.
            own = {name: np.require(columns[name], requirements="W") for name in empty}
            twins._time, twins._ingested, twins._bits = own["time"], own["ingested"], own["bits"]
            twins._quality, twins._type = own["quality"], own["type"]
            twins._last_row = np.zeros(n, dtype=np.uint32)
        twins._used = n
        twins._text = {int(series): text for series, text in document["text"].items()}
        twins._text_characters = sum(len(text or "") for text in twins._text.values())
        twins.late = document["late"]
        twins.refused = document["refused"]
        twins.texts_dropped = document["texts_dropped"]
        return twins
