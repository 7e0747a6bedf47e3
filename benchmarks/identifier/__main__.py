"""The identifier service's benchmark: ``python -m benchmarks.identifier --store DIR [--only PART …]``.

``registration`` files and batches; ``sizes`` what 10,000,000 records take on the disk; ``hot`` DNS beside knotd, HTTP
beside nginx and the Handle protocol; ``great`` and ``cold`` what the store of ``benchmarks.identifier.billions
--directory DIR`` has, and DNS with it behind. Rates are per CPU-second of the serving process. One row with a bar for
each bar of the issue, the others are what they are made of. ``last.json`` is written when all parts were measured.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from benchmarks.identifier import registration, resolving, sizes
from benchmarks.ingest.report import Row, table, write

RESULT = Path(__file__).parent / "last.json"
PARTS = ("registration", "sizes", "hot", "great", "cold")


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--store", type=Path, required=True, help="of benchmarks.identifier.billions")
    parser.add_argument("--divide", type=int, default=1, help="what it was divided by")
    parser.add_argument("--rows", type=int, default=400_000, help="of the files and batches that are imported")
    parser.add_argument("--sizes", type=int, default=10, help="100,000,000 divided by it are the records of sizes")
    parser.add_argument("--warm", type=int, default=6_000_000, help="questions before those that are measured")
    parser.add_argument("--questions", type=int, default=200_000)
    parser.add_argument("--answers", type=int, default=2_200_000, help="kept by each face with a great store behind")
    chosen = parser.parse_args()
    store: Path = chosen.store
    pa.set_memory_pool(pa.system_memory_pool())
    parts: dict[str, Callable[[], list[Row]]] = {
        "registration": lambda: registration.measure(chosen.rows),
        "sizes": lambda: sizes.records(chosen.sizes),
        "hot": lambda: resolving.hot(store, chosen.divide),
        "great": lambda: sizes.great(store, chosen.divide),
        "cold": lambda: resolving.cold(store, chosen.divide, chosen.warm, chosen.questions, chosen.answers),
    }
    load, begun = os.getloadavg()[0], time.monotonic()
    rows: list[Row] = []
    for part, measure in parts.items():
        if part in chosen.only:
            print(f"{part} after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            rows += measure()
    # Those with a bar first.
    rows.sort(key=lambda row: row.bar is None)
    rows += [
        Row("load average before the start", load, "processes"),
        Row("time that all took", time.monotonic() - begun, "s"),
    ]
    print(table(rows))
    if set(chosen.only) == set(PARTS):
        write(rows, RESULT)
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
