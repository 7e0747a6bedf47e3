"""The identifier service's benchmark: ``python -m benchmarks.identifier [--only PART …] [--store DIR [--divide N]]``.

``registration`` files and batches, and what a record takes on the disk; ``hot`` DNS beside knotd, HTTP beside nginx
and the Handle protocol; ``cold`` the same with a great store behind (``--store``), which
``benchmarks.identifier.billions --directory DIR`` has built. Without ``--store`` a small one is built for ``hot``, and
``cold`` is left out. Rates are per CPU-second of the serving process. Rows of parts that are left out stay in
``last.json`` as they were.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from benchmarks.identifier import billions, registration, resolving
from benchmarks.ingest.report import Row, table, write

RESULT = Path(__file__).parent / "last.json"
PARTS = ("registration", "hot", "cold")
_SMALL = 500


def _earlier() -> dict[str, Row]:
    if not RESULT.exists():
        return {}
    return {row["name"]: Row(**row) for row in json.loads(RESULT.read_text(encoding="utf-8"))}


def _hot(store: Path | None, divisor: int) -> list[Row]:
    if store is not None:
        return resolving.hot(store, divisor)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "store"
        path.mkdir()
        asyncio.run(billions.build(path, _SMALL, False))
        return resolving.hot(path, _SMALL)


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--store", type=Path, help="of benchmarks.identifier.billions")
    parser.add_argument("--divide", type=int, default=1, help="what it was divided by")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the files that are imported")
    parser.add_argument("--warm", type=int, default=2_000_000, help="questions before those that are measured")
    parser.add_argument("--questions", type=int, default=200_000)
    parser.add_argument("--answers", type=int, default=1_000_000, help="kept by each face with a great store behind")
    chosen = parser.parse_args()
    store: Path | None = chosen.store
    pa.set_memory_pool(pa.system_memory_pool())
    parts: dict[str, Callable[[], list[Row]]] = {
        "registration": lambda: registration.measure(chosen.rows, chosen.rows),
        "hot": lambda: _hot(store, chosen.divide),
    }
    if store is not None:
        parts["cold"] = lambda: resolving.cold(store, chosen.divide, chosen.warm, chosen.questions, chosen.answers)
    rows = [Row("load average before the start", os.getloadavg()[0], "processes")]
    for part, measure in parts.items():
        if part in chosen.only:
            print(part, file=sys.stderr, flush=True)
            rows += measure()
    print(table(rows))
    kept = _earlier() if set(chosen.only) != set(PARTS) or store is None else {}
    write(list((kept | {row.name: row for row in rows}).values()), RESULT)
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
