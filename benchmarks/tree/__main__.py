"""The tree's benchmark: ``python -m benchmarks.tree [--only PART …]``; every row says what kind of seconds it is in.

``virtual`` the simulator, ``sessions`` 10,000 sessions through NATS into SQLite, ``orders`` 84,000 targets in the order
engine, ``rollup`` a nation's devices, ``nodes`` seven whole nodes. Rows of parts that are left out stay in
``last.json`` as they were.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.ingest.report import Row, table, write
from benchmarks.tree import orders, rollup, sessions, whole_nodes

RESULT = Path(__file__).parent / "last.json"
PARTS: dict[str, Callable[[], list[Row]]] = {
    "virtual": sessions.virtual,
    "sessions": sessions.real,
    "orders": orders.measure,
    "rollup": rollup.measure,
    "nodes": whole_nodes.measure,
}


def _earlier() -> dict[str, Row]:
    if not RESULT.exists():
        return {}
    return {row["name"]: Row(**row) for row in json.loads(RESULT.read_text(encoding="utf-8"))}


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    chosen: list[str] = parser.parse_args().only
    rows = [Row("load average before the start", os.getloadavg()[0], "processes")]
    for part, measure in PARTS.items():
        if part in chosen:
            print(part, file=sys.stderr, flush=True)
            rows += measure()
    print(table(rows))
    kept = _earlier() if set(chosen) != set(PARTS) else {}
    write(list((kept | {row.name: row for row in rows}).values()), RESULT)
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
