"""Bodies of batches: kept in a file until they are whole, then read in chunks of lines of JSON."""

import csv
import hashlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from gongfu.identify.management.batch_form import MAX_ITEMS
from gongfu.kernel.errors import Problem, invalid
from gongfu.rest.routing import Incoming

MAX_BATCH_BYTES = 1 << 30
# Of a chunk; what is on the bus is bounded.
CHUNK_BYTES = 4 << 20
LINE_BYTES = 256 << 10
NDJSON, CSV, PARQUET = "application/x-ndjson", "text/csv", "application/vnd.apache.parquet"
MEDIA_TYPES = {NDJSON: NDJSON, "application/ndjson": NDJSON, "application/jsonl": NDJSON, CSV: CSV, PARQUET: PARQUET}
_IN_MEMORY = 1 << 20
_OWN_COLUMNS = ("handle", "suffix", "template", "operation")

Chunk = tuple[list[int], list[bytes]]
"""Numbers of the lines (or rows), and the lines as JSON."""


async def keep(incoming: Incoming, directory: Path) -> IO[bytes]:
    """Return a file, at its beginning, with all of a body. Short ones stay in memory.

    Raises:
        Problem: 413.
    """
    too_large = Problem(413, "body-too-large", "The body is too large", f"at most {MAX_BATCH_BYTES} bytes")
    if (incoming.length or 0) > MAX_BATCH_BYTES:
        raise too_large
    file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(directory))  # noqa: SIM115 (closed by the caller)
    size = 0
    try:
        async for piece in incoming.chunks:
            size += len(piece)
            if size > MAX_BATCH_BYTES:
                raise too_large
            file.write(piece)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def read_chunks(file: IO[bytes], media_type: str) -> Iterator[Chunk]:
    """Yield the items of a body.

    Raises:
        Problem: 400: it is not of its media type; what was yielded before stands.
    """
    if media_type == NDJSON:
        return _lines(file)
    return _chunked(_csv_rows(file) if media_type == CSV else _parquet_rows(file))


def chunk_key(user: int, key: str, number: int, common: str, lines: list[bytes]) -> str:
    """Return the key of idempotency of a chunk: the same only for the same items of the same batch of the same user."""
    digest = hashlib.sha256(msgspec.json.encode((user, key, number, common)))
    for line in lines:
        digest.update(b"\n")
        digest.update(line)
    return digest.hexdigest()


def _lines(file: IO[bytes]) -> Iterator[Chunk]:
    numbers, lines, size = list[int](), list[bytes](), 0
    number = 0
    while line := file.readline(LINE_BYTES + 1):
        if len(line) > LINE_BYTES:
            raise invalid(f"line {number + 1} has more than {LINE_BYTES} bytes")
        number += 1
        line = line.strip()
        if not line:
            continue
        numbers.append(number)
        lines.append(line)
        size += len(line)
        if len(lines) == MAX_ITEMS or size >= CHUNK_BYTES:
            yield numbers, lines
            numbers, lines, size = [], [], 0
    if lines:
        yield numbers, lines


def _chunked(rows: Iterator[dict[str, Any]]) -> Iterator[Chunk]:
    numbers, lines, size = list[int](), list[bytes](), 0
    for number, row in enumerate(rows, 1):
        line = msgspec.json.encode(_item(row))
        numbers.append(number)
        lines.append(line)
        size += len(line)
        if len(lines) == MAX_ITEMS or size >= CHUNK_BYTES:
            yield numbers, lines
            numbers, lines, size = [], [], 0
    if lines:
        yield numbers, lines


def _item(row: dict[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for name, value in row.items():
        if value is None or value == "":
            continue
        if name in _OWN_COLUMNS:
            item[name] = value
        else:
            attributes[name.removeprefix("attributes.")] = value
    if attributes:
        item["attributes"] = attributes
    return item


def _check_columns(names: list[str]) -> None:
    if "handle" not in names and "suffix" not in names:
        raise invalid('a column "handle" (or "suffix", with ?prefix=) is needed')
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise invalid(f"the column {twice[0][:80]!r} stands twice")


def _csv_rows(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")  # type: ignore[arg-type]
    try:
        rows = csv.reader(text, strict=True)
        names = [name.strip() for name in next(rows, [])]
        _check_columns(names)
        for row in rows:
            if not row:
                continue
            if len(row) != len(names):
                raise invalid(f"line {rows.line_num} has {len(row)} columns, the header {len(names)}")
            yield dict(zip(names, row, strict=True))
    except UnicodeDecodeError as error:
        raise invalid(f"CSV is UTF-8 text: {error.reason}") from None
    except csv.Error as error:
        raise invalid(f"CSV: {error}") from None


def _parquet_rows(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    # Late: few batches are of this kind, and the library is large.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        _check_columns(list(table.schema_arrow.names))
        for batch in table.iter_batches(batch_size=MAX_ITEMS):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise invalid(f"Parquet: {str(error)[:200]}") from None
