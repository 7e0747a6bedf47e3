"""CSV and Parquet as batches: columns of texts. What is not plain there (a template or an operation of its own, dates,
lists) becomes lines of JSON, row by row."""

import csv
import io
from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from gongfu.identify.api.batch_chunk import CHUNK_BYTES, LINE_BYTES, Chunk, in_chunks
from gongfu.identify.bulk.batch_form import MAX_ITEMS, text_of
from gongfu.kernel.errors import invalid

_NAMES = ("handle", "suffix")
_OWN_COLUMNS = (*_NAMES, "template", "operation")
_ATTRIBUTE = "attributes."
_PIECE = 1 << 20
# Of CSV that are read together: rows of Python's are many objects.
_ROWS = 1000


def read_csv(file: IO[bytes]) -> Iterator[Chunk]:
    """Yield the rows below a head; empty cells say nothing.

    Raises:
        Problem: 400: it is not CSV, or lacks a column; what was yielded before stands.
    """
    first, names = 1, list[str]()
    waiting: list[pa.RecordBatch] = []
    try:
        for names, part in _csv_parts(file):
            waiting.append(part)
            if sum(rows.num_rows for rows in waiting) >= MAX_ITEMS:
                first = yield from _csv_chunks(names, waiting, first, last=False)
        yield from _csv_chunks(names, waiting, first, last=True)
    except UnicodeDecodeError as error:
        raise invalid(f"CSV is UTF-8 text: {error.reason}") from None
    except (csv.Error, pa.ArrowException) as error:
        raise invalid(f"CSV: {str(error)[:200]}") from None


def _csv_parts(file: IO[bytes]) -> Iterator[tuple[list[str], pa.RecordBatch]]:
    """Yield columns of a few rows: read as columns up to the first quotation mark, row by row from there on."""
    head = file.readline(LINE_BYTES)
    names = list[str]()
    lines, rest = 0, b""
    if head.endswith(b"\n") and b"\r" not in head[:-2] and head.count(b'"') % 2 == 0:
        names = [name.strip() for name in next(csv.reader([head.decode("utf-8-sig")], strict=True), [])]
        _check_columns(names)
        lines = 1
        while (data := file.read(_PIECE)) and b'"' not in data:
            whole, newline, tail = (rest + data).rpartition(b"\n")
            if len(tail) > _PIECE:
                raise invalid(f"line {lines + 1} has more than {_PIECE} bytes")
            rest = tail if newline else rest + data
            if newline:
                yield names, _unquoted(whole, names, lines)
                lines += whole.count(b"\n") + 1
        rest += data
    else:
        rest = head
    text = io.TextIOWrapper(
        io.BufferedReader(_Behind(rest, file)), encoding="utf-8" if lines else "utf-8-sig", newline=""
    )
    rows = csv.reader(text, strict=True)
    if not lines:
        names = [name.strip() for name in next(rows, [])]
        _check_columns(names)
    while part := list(islice(_whole(rows, names, lines), _ROWS)):
        arrays = [pa.array(cells, pa.string()) for cells in zip(*part, strict=True)]
        yield names, pa.RecordBatch.from_arrays(arrays, names)


def _unquoted(data: bytes, names: Sequence[str], lines: int) -> pa.RecordBatch:
    """Return lines without quotation marks as columns."""
    data.decode()
    wrong: list[pyarrow.csv.InvalidRow] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        wrong.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        pa.BufferReader(data),
        pyarrow.csv.ReadOptions(use_threads=False, column_names=list(names), block_size=2 * len(data) + 1),
        pyarrow.csv.ParseOptions(quote_char=False, invalid_row_handler=note),
        pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
    )
    if wrong:
        for number, line in enumerate(data.split(b"\n"), lines + 1):
            if line.strip() and (found := line.count(b",") + 1) != len(names):
                raise invalid(f"line {number} has {found} columns, the header {len(names)}")
    return table.combine_chunks().to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], table.schema)


class _Behind(io.RawIOBase):
    """What was read of a file already, and then the rest of it."""

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self._head = memoryview(head)
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        if not self._head:
            data = self._file.read(len(into))
            into[: len(data)] = data
            return len(data)
        count = min(len(into), len(self._head))
        into[:count] = self._head[:count]
        self._head = self._head[count:]
        return count


def read_parquet(file: IO[bytes]) -> Iterator[Chunk]:
    """Yield the rows of a table; nulls and empty texts say nothing.

    Raises:
        Problem: 400: it is not Parquet, or lacks a column; what was yielded before stands.
    """
    try:
        table = pq.ParquetFile(file)
        _check_columns(list(table.schema_arrow.names))
        first = 1
        for batch in table.iter_batches(batch_size=MAX_ITEMS, use_threads=False):
            columns = _texts(batch)
            if columns is None:
                rows: list[dict[str, Any]] = batch.to_pylist()
                yield from _as_lines(rows, first)
            else:
                yield from _in_columns(columns, first)
            first += batch.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise invalid(f"Parquet: {str(error)[:200]}") from None


def _check_columns(names: list[str]) -> None:
    if "handle" not in names and "suffix" not in names:
        raise invalid('a column "handle" (or "suffix", with ?prefix=) is needed')
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise invalid(f"the column {twice[0][:80]!r} stands twice")


def _whole(rows: Any, names: Sequence[str], lines: int) -> Iterator[list[str]]:
    """Yield rows that are as long as the head; all of them but those without anything."""
    width = len(names)
    for row in rows:
        if len(row) == width:
            yield row
        elif row:
            raise invalid(f"line {lines + rows.line_num} has {len(row)} columns, the header {width}")


def _csv_chunks(
    names: Sequence[str], waiting: list[pa.RecordBatch], first: int, *, last: bool
) -> Generator[Chunk, None, int]:
    """Yield what waits in chunks, the last only if nothing follows; returns the number of the row behind them."""
    batch = pa.concat_batches(waiting) if waiting else None
    waiting.clear()
    while batch is not None and batch.num_rows and (last or batch.num_rows >= MAX_ITEMS):
        part, batch = _own(batch.slice(0, MAX_ITEMS)), batch.slice(MAX_ITEMS)
        columns = dict(zip(names, part.columns, strict=True))
        yield from _in_columns(columns, first) if _plain(columns) else _as_lines(part.to_pylist(), first)
        first += part.num_rows
    if batch is not None and batch.num_rows:
        waiting.append(batch)
    return first


def _texts(batch: pa.RecordBatch) -> dict[str, pa.Array] | None:
    """Return columns as texts; None where one has something else than texts, numbers and booleans."""
    columns: dict[str, pa.Array] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        kind = column.type
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
            column = column.cast(pa.string())
        elif pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind):
            if name in _NAMES:
                return None
            encoded = column.dictionary_encode()
            # JSON has no numbers that are none.
            said = [
                None if value is None or value - value != 0 else text_of(value)
                for value in encoded.dictionary.to_pylist()
            ]
            column = pa.array(said, pa.string()).take(encoded.indices)
        elif not pa.types.is_string(kind):
            return None
        columns[name] = column
    return columns if _plain(columns) else None


def _plain(columns: Mapping[str, pa.Array]) -> bool:
    """Return whether all columns are names and attributes, each once."""
    attributes = [name.removeprefix(_ATTRIBUTE) for name in columns if name not in _NAMES]
    return len(set(attributes)) == len(attributes) and not any(name in _OWN_COLUMNS for name in attributes)


def _in_columns(columns: Mapping[str, pa.Array], first: int) -> Iterator[Chunk]:
    made: dict[str, pa.Array] = {}
    for name, column in columns.items():
        empty = pc.call_function("equal", [column, pa.scalar("")])
        said = pc.call_function("if_else", [empty, pa.scalar(None, pa.string()), column])
        made[name.removeprefix(_ATTRIBUTE)] = said
    yield from _cut(pa.RecordBatch.from_pydict(made), first)


def _cut(batch: pa.RecordBatch, first: int) -> Iterator[Chunk]:
    """Yield a batch, halved for as long as it is too large for the bus."""
    if batch.get_total_buffer_size() > CHUNK_BYTES and batch.num_rows > 1:
        half = batch.num_rows // 2
        left, right = (pa.concat_batches([part]) for part in (batch.slice(0, half), batch.slice(half)))
        yield from chain(_cut(_own(left), first), _cut(_own(right), first + half))
        return
    if batch.get_total_buffer_size() > CHUNK_BYTES:
        raise invalid(f"row {first} has more than {LINE_BYTES} bytes")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    yield Chunk(range(first, first + batch.num_rows), sink.getvalue().to_pybytes(), columns=True)


def _own(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a part of a batch with buffers of its own."""
    everything = pa.array(range(batch.num_rows), pa.int32())
    return pa.RecordBatch.from_arrays([column.take(everything) for column in batch.columns], batch.schema.names)


def _as_lines(rows: Sequence[Mapping[str, Any]], first: int) -> Iterator[Chunk]:
    return in_chunks((number, msgspec.json.encode(_item(row))) for number, row in enumerate(rows, first))


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for name, value in row.items():
        if value is None or value == "":
            continue
        if name in _OWN_COLUMNS:
            item[name] = value
        else:
            attributes[name.removeprefix(_ATTRIBUTE)] = value
    if attributes:
        item["attributes"] = attributes
    return item
