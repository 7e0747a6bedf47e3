"""``gongfu device import``."""

import csv
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from gongfu.node.cli.failures import Failure
from gongfu.node.cli.node_api import connect
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json

# Lines of one request: one transaction of the node.
BATCH_LINES = 5000
# Below the greatest body the API takes (1 MiB).
BATCH_BYTES = 900_000
_SHOWN_ERRORS = 20


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--secrets",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for generated secrets (CSV: name, secret); default: FILE.secrets.csv.",
)
@node_options
def command(file: Path, secrets: Path | None, as_json: bool, **node: Any) -> None:
    """Add many devices from FILE: .csv, or one JSON document a line.

    JSON members and CSV columns: name, asset, type, secret or secret_hash, enabled, attributes, points. In CSV an
    attribute is a column "attributes.NAME" and a point a column "points.NAME" with its type. Devices that are there
    already are left as they are, so an import that was cut off can simply be run again.
    """
    api = connect(**node)
    secrets = secrets or file.with_name(file.name + ".secrets.csv")
    total = {"created": 0, "existing": 0, "failed": 0}
    errors: list[dict[str, Any]] = []
    lines = _csv_lines(file) if file.suffix.lower() == ".csv" else _json_lines(file)
    with _secrets_file(secrets) as out:
        for first, batch in _batches(lines):
            answer = api.post("/devices:import", b"\n".join(batch))
            for name in total:
                total[name] += answer[name]
            errors += [{"line": first + item["line"] - 1, "error": item["error"]} for item in answer["errors"]]
            if answer["secrets"]:
                csv.writer(out).writerows((item["name"], item["secret"]) for item in answer["secrets"])
                out.flush()
                os.fsync(out.fileno())
            if not as_json and sys.stderr.isatty():
                print(f"\r{sum(total.values()):,} lines", end="", file=sys.stderr)
    if as_json:
        print_json({**total, "errors": errors})
    else:
        print(f"{total['created']} devices added, {total['existing']} were there already, {total['failed']} failed")
        for item in errors[:_SHOWN_ERRORS]:
            print(f"line {item['line']}: {item['error']}", file=sys.stderr)
    if total["failed"]:
        raise Failure(f"{total['failed']} lines were not taken", "correct them and run the import again", code="lines")


def _secrets_file(path: Path) -> TextIO:
    # Appended to, so that a second run keeps the secrets of the first; readable by its owner only.
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8", newline="")


def _json_lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        for line in source:
            yield line.rstrip(b"\r\n")


def _csv_lines(file: Path) -> Iterator[bytes]:
    with file.open(encoding="utf-8-sig", newline="") as source:
        rows = csv.DictReader(source)
        # The header is line 1; a line of its own keeps the count right.
        yield b""
        for row in rows:
            yield json.dumps(_document(row), ensure_ascii=False).encode()


def _document(row: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for column, cell in row.items():
        if not column or not cell:
            continue
        group, dot, name = column.partition(".")
        if dot and group in ("attributes", "points"):
            document.setdefault(group, {})[name] = _value(cell) if group == "attributes" else cell
        elif column == "enabled":
            document[column] = cell.strip().lower() not in ("false", "0", "no")
        elif column in ("attributes", "points"):
            document.setdefault(column, {}).update(_value(cell) if isinstance(_value(cell), dict) else {column: cell})
        else:
            document[column] = cell
    return document


def _value(cell: str) -> Any:
    """Return what a cell holds: JSON, else the text."""
    try:
        return json.load(io.StringIO(cell))
    except ValueError:
        return cell


def _batches(lines: Iterator[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield batches with the number of their first line."""
    batch: list[bytes] = []
    size, first = 0, 1
    for number, line in enumerate(lines, 1):
        if batch and (len(batch) >= BATCH_LINES or size + len(line) >= BATCH_BYTES):
            yield first, batch
            batch, size, first = [], 0, number
        batch.append(line)
        size += len(line) + 1
    if batch:
        yield first, batch
