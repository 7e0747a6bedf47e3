"""Chaos on seven real nodes over four levels, shortly; ``python -m benchmarks.tree.chaos`` is the long one.

``GONGFU_CHAOS_SEED`` draws the same faults again; the seed is in the output. That the checker finds what is wrong is
shown in tests/unit/tree/test_chaos_checker.py.
"""

import os
import random
from pathlib import Path

from benchmarks.tree.chaos import run

SECONDS = 20.0
LONGEST_PAUSE_S = 3.0


def test_after_kills_and_partitions_orders_and_reports_are_as_they_must_be(tmp_path: Path) -> None:
    seed = int(os.environ.get("GONGFU_CHAOS_SEED", random.SystemRandom().randrange(1_000_000)))
    outcome = run(tmp_path, seed, SECONDS, LONGEST_PAUSE_S)
    print(outcome)
    assert outcome.violations == [], f"seed {seed}"
    # Something has happened at all.
    assert outcome.faults.total() >= 3, f"seed {seed}"
    assert outcome.orders >= 5, f"seed {seed}"
    assert outcome.effects >= outcome.states["verified"] >= 1, f"seed {seed}"
