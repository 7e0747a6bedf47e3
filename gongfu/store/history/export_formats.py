"""Files of points: Parquet, Arrow IPC stream and CSV, written piece by piece. Imports pyarrow: import when needed."""

import io
import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import severity
from gongfu.kernel.times import SECOND
from gongfu.store.history.directory import PointInfo
from gongfu.store.history.surroundings import Run

MEDIA_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
    "csv": "text/csv; charset=utf-8",
}
SUFFIXES = {"parquet": "parquet", "arrow": "arrows", "csv": "csv"}
_TIME = pa.timestamp("ns", "UTC")
_TYPES: dict[ValueType, Any] = {
    ValueType.DOUBLE: pa.float64(),
    ValueType.INT64: pa.int64(),
    ValueType.BOOLEAN: pa.bool_(),
    ValueType.STRING: pa.string(),
    ValueType.JSON: pa.string(),
}
_TEXT = (ValueType.STRING, ValueType.JSON)
_SEVERITIES = pa.array([severity(quality) for quality in range(256)])
_QUOTED = re.compile(r'[",\r\n]')
_UNITS = ((SECOND, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns"))


class FileWriter(Protocol):
    """A file in the making. Methods return the bytes that are complete."""

    def write(self, point: PointInfo, run: Run) -> bytes:
        """Add values of one series."""
        ...

    def finish(self) -> bytes:
        """Return the rest of the file."""
        ...


def writer_for(form: str, points: Sequence[PointInfo], *, times: str, zone_ns: int, bom: bool) -> FileWriter:
    """Return the writer of a format for points of some types."""
    if form == "csv":
        return CsvWriter(times, zone_ns, bom=bom)
    return ColumnWriter({point.value_type for point in points}, parquet=form == "parquet")


class _Taken(io.RawIOBase):
    """A file that only remembers what was written since it was last asked."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._size

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _same(text: str, n: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([text]))


class ColumnWriter:
    """Parquet (zstd, a row group a piece) or an Arrow IPC stream; see ``SeriesExport`` for the columns."""

    def __init__(self, value_types: set[ValueType], *, parquet: bool) -> None:
        texts = pa.dictionary(pa.int32(), pa.string())
        kinds = {_TYPES[value_type] for value_type in value_types}
        self._mixed = len(kinds) > 1
        fields: list[Any] = [
            pa.field("series", pa.uint32()),
            *(pa.field(name, texts) for name in ("asset", "point", "unit")),
            pa.field("time", _TIME),
            pa.field("value", pa.float64() if self._mixed else kinds.pop()),
        ]
        if self._mixed:
            fields += [pa.field("value_int64", pa.int64()), pa.field("value_text", pa.string())]
        self._schema = pa.schema([*fields, pa.field("quality", pa.uint8())])
        self._sink = _Taken()
        file = pa.PythonFile(self._sink, mode="w")
        self._writer: Any = (
            pq.ParquetWriter(file, self._schema, compression="zstd")
            if parquet
            else pa.ipc.new_stream(file, self._schema)
        )

    def write(self, point: PointInfo, run: Run) -> bytes:
        """See ``FileWriter``."""
        n = len(run)
        arrays = [
            pa.array(np.full(n, point.series, np.uint32)),
            _same(point.asset_path, n),
            _same(point.name, n),
            _same(point.unit, n),
            pa.array(run.times).cast(_TIME),
            *self._values(point.value_type, run),
            pa.array(run.qualities),
        ]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        return self._sink.take()

    def _values(self, value_type: ValueType, run: Run) -> list[Any]:
        n = len(run)
        if not self._mixed:
            values: Any = run.values
            return [pa.array(values.astype(bool) if value_type is ValueType.BOOLEAN else values, _TYPES[value_type])]
        if value_type in _TEXT:
            return [pa.nulls(n, pa.float64()), pa.nulls(n, pa.int64()), pa.array(run.values, pa.string())]
        numbers = np.asarray(run.values)
        whole = pa.array(numbers, pa.int64()) if value_type is ValueType.INT64 else pa.nulls(n, pa.int64())
        return [pa.array(numbers.astype(np.float64)), whole, pa.nulls(n, pa.string())]

    def finish(self) -> bytes:
        """See ``FileWriter``."""
        self._writer.close()
        return self._sink.take()


class CsvWriter:
    """RFC 4180 CSV with a header, lines ending in LF; values that are not finite are empty."""

    def __init__(self, times: str, zone_ns: int, *, bom: bool) -> None:
        self._times = times
        self._zone = zone_ns
        head = b"time,asset,point,unit,value,quality\n"
        self._head = b"\xef\xbb\xbf" + head if bom else head

    def write(self, point: PointInfo, run: Run) -> bytes:
        """See ``FileWriter``."""
        n = len(run)
        values = self._values(point.value_type, run)
        names = [self._guarded(pa.repeat(text, n)) for text in (point.asset_path, point.name, point.unit)]
        columns = [self._moments(run.times), *names, values, _SEVERITIES.take(pa.array(run.qualities))]
        table = pa.table(columns, names=["time", "asset", "point", "unit", "value", "quality"])
        sink = pa.BufferOutputStream()
        # "needed" quotes every text; most files have none that needs it.
        plain = point.value_type not in _TEXT and not _QUOTED.search(point.asset_path + point.name + point.unit)
        options = pa_csv.WriteOptions(include_header=False, quoting_style="none" if plain else "needed")
        pa_csv.write_csv(table, sink, options)
        head, self._head = self._head, b""
        return head + sink.getvalue().to_pybytes()

    def _values(self, value_type: ValueType, run: Run) -> Any:
        if value_type in _TEXT:
            return self._guarded(pa.array(run.values, pa.string()))
        numbers = np.asarray(run.values)
        if value_type is ValueType.BOOLEAN:
            return pa.array(numbers.astype(bool))
        return pa.array(numbers, mask=~np.isfinite(numbers) if value_type is ValueType.DOUBLE else None)

    def _moments(self, times: Any) -> Any:
        if self._times == "ms":
            return pa.array(times // 1_000_000)
        local = times + self._zone
        # Digits of the fraction as they are needed: at least milliseconds where a spreadsheet reads them.
        size, unit = next(one for one in _UNITS if not (local % one[0]).any())
        if unit == "s" and self._times == "spreadsheet":
            size, unit = 1_000_000, "ms"
        text = pa.array(local // size).cast(pa.timestamp(unit)).cast(pa.string())
        if self._times == "spreadsheet":
            return text
        minutes = self._zone // (60 * SECOND)
        sign = "-" if minutes < 0 else "+"
        zone = "Z" if not minutes else f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
        joined = pc.binary_join_element_wise(pc.utf8_replace_slice(text, 10, 11, "T"), zone, "")  # type: ignore[attr-defined]
        return joined

    def _guarded(self, texts: Any) -> Any:
        """Keep a spreadsheet from running text that begins like a formula: a quote in front makes it text."""
        if self._times != "spreadsheet":
            return texts
        risky = pc.match_substring_regex(texts, r"^[=+\-@\t\r]")  # type: ignore[attr-defined]
        quoted = pc.binary_join_element_wise("'", texts, "")  # type: ignore[attr-defined]
        return pc.if_else(risky, quoted, texts)  # type: ignore[attr-defined]

    def finish(self) -> bytes:
        """See ``FileWriter``."""
        head, self._head = self._head, b""
        return head
