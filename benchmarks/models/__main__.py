"""Models, rules and reference apps: ``python -m benchmarks.models [--only PART …]``.

Parts: ``tep`` and ``nab`` (reference apps on published data), ``fmu`` and ``python_model`` (models through the
platform), ``rule_engine`` and ``backtest``. One row with a bar for each bar of issue 7, the others are what they are
made of, or peers. A part whose data or module is not there says so and has no rows. ``last.json`` is written when all
parts were asked for.
"""

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

from benchmarks.ingest.report import Row, table, write

RESULT = Path(__file__).parent / "last.json"
PARTS = ("tep", "nab", "fmu", "python_model", "streaming", "rule_engine", "backtest")


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    chosen = parser.parse_args()
    load, begun = os.getloadavg()[0], time.monotonic()
    rows: list[Row] = []
    for part in PARTS:
        if part in chosen.only:
            print(f"{part} after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            rows += _measured(part)
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


def _measured(part: str) -> list[Row]:
    """Return the rows of a part; none, with a line that says why, where it cannot be measured."""
    name = f"benchmarks.models.{part}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(f"{part}: no rows: {error}", file=sys.stderr, flush=True)
        return []
    rows: list[Row] = module.rows()
    if not rows:
        print(f"{part}: no rows: its data is not on this machine", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
