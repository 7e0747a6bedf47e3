"""Rationalisation records as CSV (RFC 4180, UTF-8): the form in which master alarm databases are exchanged."""

import csv
import io
from collections.abc import Callable, Sequence

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.reason.alarms.rationalisation.types import Record, check_record

COLUMNS = (
    "rule",
    "source",
    "asset",
    "point",
    "cause",
    "consequence",
    "action",
    "respond_s",
    "alarm_class",
    "justification",
    "owner",
    "review_date",
    "latching",
    "realarm_s",
)
MAX_ROWS = 100_000
MAX_BYTES = 32 * 1024 * 1024
_TRUE = ("true", "1", "yes")
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(records: Sequence[Record], rule_name: Callable[[int], str]) -> str:
    """Return records as CSV with a line of names; rules go by name, so that another node understands them.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, which ``read_csv`` takes away.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for record in records:
        row = {**msgspec.structs.asdict(record), "rule": rule_name(record.rule_id) if record.rule_id else ""}
        row["latching"] = "true" if record.latching else "false"
        writer.writerow([_guarded(str(row[name])) for name in COLUMNS])
    return text.getvalue()


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def read_csv(content: bytes, rule_id: Callable[[str], int | None]) -> list[Record]:
    """Return the records of a CSV file; columns may be in any order, and those that are missing are empty.

    Raises:
        Problem: 400 with the line and what is wrong with it.
    """
    if len(content) > MAX_BYTES:
        raise invalid(f"at most {MAX_BYTES} bytes")
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        names = reader.fieldnames or []
        if unknown := [name for name in names if name not in COLUMNS]:
            raise invalid(f"line 1: unknown column {unknown[0][:80]!r}; known are {', '.join(COLUMNS)}")
        return [_record(row, number, rule_id) for number, row in enumerate(_bounded(reader), 2)]
    except UnicodeDecodeError:
        raise invalid("the file is not UTF-8") from None
    except csv.Error as error:
        raise invalid(f"the file is no CSV: {error}") from None


def _bounded(reader: "csv.DictReader[str]") -> "list[dict[str, str]]":
    rows: list[dict[str, str]] = []
    for row in reader:
        if len(rows) >= MAX_ROWS:
            raise invalid(f"at most {MAX_ROWS} lines")
        rows.append(row)
    return rows


def _record(row: dict[str, str], line: int, rule_id: Callable[[str], int | None]) -> Record:
    if None in row:
        raise invalid(f"line {line}: more fields than columns")
    plain = {name: (text or "").removeprefix("'") for name, text in row.items()}
    rule = plain.pop("rule", "")
    document: dict[str, object] = {name: text for name, text in plain.items() if text}
    if rule:
        found = rule_id(rule)
        if found is None:
            raise invalid(f"line {line}: there is no rule {rule[:80]!r}")
        document["rule_id"] = found
    if "latching" in document:
        document["latching"] = str(document["latching"]).lower() in _TRUE
    try:
        record = msgspec.convert(document, Record, strict=False)
        check_record(record)
    except msgspec.ValidationError as error:
        raise invalid(f"line {line}: {error}") from None
    return record
