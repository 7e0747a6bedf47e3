"""Files of identifiers, one a row: CSV with a head, NDJSON, Parquet; read a part at a time, however large they are.

Columns are ``handle``, or ``suffix`` where all are of one prefix, and the attributes of the template by name. In CSV an
empty field is none, and ``""`` an empty text.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

HANDLE = "handle"
SUFFIX = "suffix"
_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 20


class FileForm(StrEnum):
    """Forms of files."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


class FileError(ValueError):
    """A file that cannot be read, from some place on or at all; the text is for people."""


class Part(msgspec.Struct, frozen=True):
    """Rows of a file.

    Attributes:
        columns: by name; a column that is not there has nothing in these rows.
        rows: the number of each row in the file, from 0 on, in the order of the columns.
        malformed: rows that could not be read: number → why.
    """

    columns: Mapping[str, pa.Array]
    rows: Sequence[int] | range
    malformed: Mapping[int, str]


def form_of(path: Path) -> FileForm:
    """Return the form that the name of a file says.

    Raises:
        FileError: it says none.
    """
    ending = path.suffix.lower().removeprefix(".")
    forms = {"csv": FileForm.CSV, "ndjson": FileForm.NDJSON, "jsonl": FileForm.NDJSON, "parquet": FileForm.PARQUET}
    if ending not in forms:
        raise FileError(f"{path.name}: a file ends in .csv, .ndjson, .jsonl or .parquet")
    return forms[ending]


def read(source: BinaryIO, form: FileForm, names: Sequence[str], size: int) -> Iterator[Part]:
    """Yield a file's rows in parts of about ``size``.

    Args:
        source: the file.
        form: of it.
        names: of the attributes that there can be.
        size: rows of a part.

    Raises:
        FileError: it is not of the form, or has columns that are none of the names.
    """
    reader = {FileForm.CSV: _csv, FileForm.NDJSON: _ndjson, FileForm.PARQUET: _parquet}[form]
    try:
        yield from reader(source, names, size)
    except pa.ArrowInvalid as error:
        raise FileError(str(error)[:500]) from None


def _check_columns(found: Sequence[str], names: Sequence[str]) -> None:
    """Refuse what is not known, rather than to leave it out.

    Raises:
        FileError: see there.
    """
    if (HANDLE in found) == (SUFFIX in found):
        raise FileError(f"a column {HANDLE}, or one {SUFFIX}, is needed, and not both")
    if len(set(found)) != len(found):
        raise FileError("a column stands twice")
    unknown = [name for name in found if name not in names and name not in (HANDLE, SUFFIX)]
    if unknown:
        raise FileError(f"no attributes of the template: {', '.join(unknown)[:200]}")


def _gathered(parts: Iterator[Part], size: int) -> Iterator[Part]:
    """Put small parts together."""
    waiting: list[Part] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part.rows) + len(part.malformed)
        if count >= size:
            yield _joined(waiting)
            waiting, count = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(parts: Sequence[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    columns = {name: pa.concat_arrays([part.columns[name] for part in parts]) for name in parts[0].columns}
    rows: Sequence[int] | range
    if all(isinstance(part.rows, range) for part in parts) and not any(part.malformed for part in parts):
        rows = range(parts[0].rows[0] if parts[0].rows else 0, _end(parts))
    else:
        rows = [row for part in parts for row in part.rows]
    malformed = {row: why for part in parts for row, why in part.malformed.items()}
    return Part(columns, rows, malformed)


def _end(parts: Sequence[Part]) -> int:
    return next((part.rows[-1] + 1 for part in reversed(parts) if part.rows), 0)


def _csv(source: BinaryIO, names: Sequence[str], size: int) -> Iterator[Part]:
    bad: list[tuple[int, str]] = []

    def malformed(row: pyarrow.csv.InvalidRow) -> str:
        bad.append((int(row.number or 0), f"{row.actual_columns} fields in place of {row.expected_columns}"))
        return "skip"

    types = dict.fromkeys((HANDLE, SUFFIX, *names), pa.string())
    opened = pyarrow.csv.open_csv(
        source,
        pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=malformed),
        pyarrow.csv.ConvertOptions(
            column_types=types, strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=False
        ),
    )
    _check_columns(opened.schema.names, names)

    def parts() -> Iterator[Part]:
        first = 0
        for batch in opened:
            end = first + batch.num_rows
            skipped: dict[int, str] = {}
            # The reader is ahead: some of them are behind this part. The head is row 1 of the file.
            while bad and bad[0][0] - 2 < end:
                number, why = bad.pop(0)
                skipped[number - 2] = why
                end += 1
            rows = [row for row in range(first, end) if row not in skipped] if skipped else range(first, end)
            yield Part(dict(zip(batch.schema.names, batch.columns, strict=True)), rows, skipped)
            first = end
        if bad:
            nothing = {name: pa.array([], pa.string()) for name in opened.schema.names}
            yield Part(nothing, [], {number - 2: why for number, why in bad})

    yield from _gathered(parts(), size)


def _parquet(source: BinaryIO, names: Sequence[str], size: int) -> Iterator[Part]:
    opened = pyarrow.parquet.ParquetFile(source)
    _check_columns(opened.schema_arrow.names, names)
    first = 0
    for batch in opened.iter_batches(batch_size=size, use_threads=False):
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        yield Part(columns, range(first, first + batch.num_rows), {})
        first += batch.num_rows


def _ndjson(source: BinaryIO, names: Sequence[str], size: int) -> Iterator[Part]:
    yield from _gathered(_lines_of(source, names), size)


def _lines_of(source: BinaryIO, names: Sequence[str]) -> Iterator[Part]:
    scalar = str | int | float | bool | None
    # Attributes are not all names of Python.
    fields: list[Any] = [(f"f{place}", scalar, None) for place in range(len(names) + 2)]
    said = dict(zip([name for name, _, _ in fields], (HANDLE, SUFFIX, *names), strict=True))
    row_type = msgspec.defstruct("Row", fields, rename=said, forbid_unknown_fields=True, gc=False)
    decoder = msgspec.json.Decoder(row_type)
    number = 0
    rest = b""
    while data := source.read(_BLOCK):
        whole, newline, rest = (rest + data).rpartition(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise FileError(f"a line has more than {_LONGEST_LINE:,} bytes")
        if newline:
            part, number = _lines(whole, decoder, said, number)
            yield part
    if rest:
        yield _lines(rest, decoder, said, number)[0]


def _lines(data: bytes, decoder: Any, said: Mapping[str, str], first: int) -> tuple[Part, int]:
    """Return a part, and the number of the row behind it. Empty lines are none."""
    malformed: dict[int, str] = {}
    rows: Sequence[int] | range
    try:
        found = decoder.decode_lines(data)
        rows = range(first, first + len(found))
        end = first + len(found)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found, kept, end = [], [], first
        for line in data.split(b"\n"):
            if not line.strip():
                continue
            try:
                found.append(decoder.decode(line))
                kept.append(end)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                malformed[end] = str(error)[:200]
            end += 1
        rows = kept
    columns = {name: _array(list(map(attrgetter(field), found))) for field, name in said.items()}
    return Part(columns, rows, malformed), end


def _array(values: list[Any]) -> pa.Array:
    """Return texts; numbers and booleans of JSON are as they are written."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.array([_text(value) for value in values], pa.string())


def _text(value: str | float | bool | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return repr(value).lower()
