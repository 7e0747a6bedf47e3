"""CPU time per point of latest values and rules: ``python -m benchmarks.rules [--series N]``.

One process, one thread, process CPU time (the wall says nothing on a shared machine). Each block holds 65,536 points;
``wide`` blocks hold each series once, ``deep`` ones 32 samples each of 2,048 series. One point in a thousand is beyond
its limit.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.ingest.report import Row, table, write
from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.types import Kind, Priority, Rule, parse_condition
from gongfu.store.twins.latest import Twins

RESULT = Path(__file__).parent / "last.json"
POINTS = 65_536
BLOCKS = 24
START = 1_700_000_000_000_000_000
CONDITIONS = {
    "threshold": (Kind.THRESHOLD, {"direction": "above", "limit": 3.09, "deadband": 0.2}),
    "threshold with delay": (Kind.THRESHOLD, {"direction": "above", "limit": 3.09, "deadband": 0.2, "delay_s": 10}),
    "rate": (Kind.RATE, {"direction": "above", "per_s": 5.0, "window_s": 10}),
    "absence": (Kind.ABSENCE, {"timeout_s": 60}),
}


def blocks(series: int, deep: bool) -> list[Block]:
    choose = np.random.default_rng(1)
    made = []
    for number in range(BLOCKS):
        if deep:
            ids = np.tile(choose.permutation(series)[:2048] + 1, POINTS // 2048)
            times = START + (number * 32 + np.arange(POINTS) // 2048) * 1_000_000_000
        else:
            ids = choose.permutation(series)[:POINTS] + 1
            times = np.full(len(ids), START + number * 1_000_000_000)
        columns = Columns(
            ids.astype(np.uint32), times.astype(np.int64), np.zeros(len(ids), np.uint8), choose.normal(size=len(ids))
        )
        made.append(Block(1, START + number * 10**9, {ValueType.DOUBLE: columns}))
    return made


def engine_for(kind: Kind, condition: dict[str, object], series: int) -> RuleEngine:
    rule = Rule(
        id=1, tenant=1, name="", kind=kind, asset="**", point="*", condition=parse_condition(kind, condition),
        priority=Priority.LOW, message="", enabled=True,
    )  # fmt: skip
    engine = RuleEngine(max_raises_per_minute=10**9)
    engine.assign([Assignment(rule, np.arange(1, series + 1, dtype=np.uint32))], Twins(), START)
    return engine


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=100_000)
    options = parser.parse_args()
    rows = [Row("series with a rule each", options.series, "series")]
    for deep in (False, True):
        data = blocks(options.series, deep)
        points = sum(len(block) for block in data[4:])
        twins = Twins()
        subjects = [("latest values", twins.update)]
        subjects += [
            (name, engine_for(kind, condition, options.series).evaluate)
            for name, (kind, condition) in CONDITIONS.items()
        ]
        for name, take in subjects:
            transitions = 0
            for block in data[:4]:
                take(block)
            begin = time.process_time()
            for block in data[4:]:
                transitions += len(take(block) or ())
            spent = (time.process_time() - begin) / points * 1e6
            subject = f"{name}, {'deep' if deep else 'wide'} blocks"
            rows += [
                Row(f"{subject}: CPU", spent, "us/point"),
                Row(f"{subject}: transitions", transitions / points, "1/point"),
            ]
    print(table(rows))
    write(rows, RESULT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
