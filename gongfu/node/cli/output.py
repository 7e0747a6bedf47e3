"""What the command line prints: JSON, tables with aligned columns (East Asian width), CSV."""

import csv
import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from gongfu.kernel.times import SECOND, parse_rfc3339


def print_json(value: object) -> None:
    """Print one JSON document."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_json_line(value: object) -> None:
    """Print one JSON document on one line, at once: for streams."""
    print(json.dumps(value, ensure_ascii=False, separators=(",", ":")), flush=True)


def print_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print RFC 4180 CSV with a header line."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)


def print_table(header: Sequence[str], rows: Iterable[Sequence[Any]], empty: str = "nothing") -> None:
    """Print aligned columns; numbers to the right."""
    rows = list(rows)
    cells = [[text_of(cell) for cell in row] for row in rows]
    if not cells:
        print(empty)
        return
    widths = [max(_width(line[column]) for line in [list(header), *cells]) for column in range(len(header))]
    right = [all(isinstance(row[c], (int, float)) or row[c] is None for row in rows) for c in range(len(header))]
    for line in [list(header), *cells]:
        padded = [
            " " * (width - _width(cell)) + cell if to_right else cell + " " * (width - _width(cell))
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        print("  ".join(padded).rstrip())


def text_of(cell: object) -> str:
    """Return a cell as people read it: ``-`` for nothing, numbers without noise, no control characters."""
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.6g}"
    if isinstance(cell, (dict, list)):
        return json.dumps(cell, ensure_ascii=False)
    # What devices send must not steer the terminal.
    return "".join(c if unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for c in str(cell))


def ago(time: str | None, now_ns: int) -> str | None:
    """Return how long ago an RFC 3339 time was, in one unit."""
    if not time:
        return None
    seconds = (now_ns - parse_rfc3339(time)) // SECOND
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{max(seconds, 0)} s ago"


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
