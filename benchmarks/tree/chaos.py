"""Jepsen-style test of a tree on real processes: ``python -m benchmarks.tree.chaos [--seconds 1800] [--seed N]``.

Seven whole nodes over four levels. While orders are issued at every level and the sites state reports, nodes and single
processes of every level are killed, cut off, held and restarted at random. Afterwards ``chaos_checker`` looks at all
records, files and answers. The seed is printed; the same one draws the same faults.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tree.chaos_checker import Found, violations
from benchmarks.tree.chaos_faults import Faults, kill_all
from benchmarks.tree.chaos_load import REPORT_KIND, Asker, Load
from benchmarks.tree.chaos_reading import find
from demo.tree.layout import MEMBERS
from demo.tree.nodes import NodeTree, apart
from gongfu.tree.orders.combined import NOTHING, shown

SETTINGS = 'plugins = ["benchmarks.tree.chaos_plugin"]\n'
# A role that died often is started again after up to half a minute.
QUIET_S = 180.0
_DEVICES_A_SITE = 3


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        violations: what is not as it must be.
        orders, effects: of all nodes.
        states: targets by the state at their end.
        faults: by kind.
        asked, failed: requests, and those that were not confirmed.
        settled: seconds until everything was as it must be.
    """

    violations: Sequence[str]
    orders: int
    effects: int
    states: Counter[str]
    faults: Counter[str]
    asked: int
    failed: int
    settled: float

    def __str__(self) -> str:
        lines = [
            f"faults: {dict(self.faults)}",
            f"requests: {self.asked}, not confirmed {self.failed}",
            f"orders: {self.orders}, effects {self.effects}, targets by their end: {dict(self.states)}",
            f"quiet after {self.settled:.1f} s",
            *(f"VIOLATION {text}" for text in self.violations[:50]),
            "VERDICT: sound" if not self.violations else f"VERDICT: {len(self.violations)} violations",
        ]
        return "\n".join(lines)


def run(root: Path, seed: int, seconds: float, pause: float = 6.0, tell: Callable[[str], None] = print) -> Outcome:
    """Make a tree, let things go wrong, and look.

    Args:
        root: directory of all nodes.
        seed: of faults and load.
        seconds: of trouble.
        pause: longest time between two faults, and of one, in seconds.
        tell: is told what happens.
    """
    tell(f"chaos seed {seed}, {seconds:.0f} s, in {root}")
    tree = NodeTree(root, SETTINGS, apart())
    try:
        tree.start()
        load = _prepare(tree, seed)
        load.start()
        faults = Faults(tree, seed, pause)
        try:
            faults.run(seconds, tell)
        finally:
            load.stop()
        tell("everything runs again; waiting until it is quiet")
        return _settle(load, faults, time.monotonic())
    finally:
        tree.stop()
        for node in tree.nodes.values():
            kill_all(node)


def _prepare(tree: NodeTree, seed: int) -> Load:
    ids = {key: str(node.place()["id"]) for key, node in tree.nodes.items()}
    parents = {member.key: member.parent for member in MEMBERS}
    below: dict[str, list[str]] = {key: [] for key in tree.nodes}
    for key in tree.nodes:
        above = parents[key]
        while above:
            below[above].append(key)
            above = parents[above]
    load = Load(tree, ids, below, seed)
    tree["nation"].call(lambda api: api.post("/report-kinds", {"cells": REPORT_KIND}))
    for key, nodes in below.items():
        if not nodes:
            for number in range(_DEVICES_A_SITE):
                tree[key].call(
                    lambda api, n=number, k=key: api.post("/devices", {"name": f"{k}-{n}", "asset": f"a/{n}"})
                )
            _until_known(tree, key)
    return load


def _until_known(tree: NodeTree, key: str) -> None:
    asker, deadline = Asker(tree[key]), time.monotonic() + 60
    while asker.ask("GET", f"/reports/{REPORT_KIND['name']}")[0] != 200:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the report's kind did not come to {key}")
        time.sleep(0.1)


def _settle(load: Load, faults: Faults, began: float) -> Outcome:
    while True:
        found = find(load)
        wrong = violations(found)
        settled = time.monotonic() - began
        if not wrong or settled > QUIET_S:
            return _outcome(found, wrong, load, faults, settled)
        time.sleep(1.0)


def _outcome(found: Found, wrong: Sequence[str], load: Load, faults: Faults, settled: float) -> Outcome:
    states = Counter(
        str(shown(found.registers[target].get((order.id, target), NOTHING)))
        for order in found.orders
        for target in order.targets
    )
    return Outcome(
        wrong, len(found.orders), len(found.effects), states, faults.counts, load.asked, load.failed, settled
    )


def main() -> int:
    """Run, print; return 1 when something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1800.0, help="of trouble")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--pause", type=float, default=6.0, help="longest time between two faults")
    parser.add_argument("--data-dir", type=Path, help="keep everything here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gongfu-chaos-", ignore_cleanup_errors=True) as folder:
        root = options.data_dir.absolute() if options.data_dir else Path(folder)
        outcome = run(root, options.seed, options.seconds, options.pause, lambda text: print(text, flush=True))
    print(outcome, f"\nseed {options.seed}", flush=True)
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
