"""``make bench AREA=cluster``: kill the leader of the block log, then every kind of process of a whole cluster."""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.cluster.leader import kill_leaders
from benchmarks.ingest.report import Row, table, write
from demo.cluster.machines import Cluster
from demo.cluster.publisher import Publisher
from demo.cluster.verdict import check, make_devices

RESULT = Path(__file__).parent / "last.json"
KINDS = ("nats-1", "postgres", "history-1", "door-1@a", "worker-1@a", "web@a", "supervisor@a")
RECOVERY_BAR_S, GAP_BAR_S, BACK_BAR_S, READY_BAR_S = 10.0, 5.0, 60.0, 60.0
_PATIENCE_S = 60.0


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--leader-kills", type=int, default=6)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--no-cluster", action="store_true", help="only the leader of the block log")
    options = parser.parse_args()
    # Ended by a signal, it must still end what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rows = [Row("load average before the start", os.getloadavg()[0], "processes")]
    with tempfile.TemporaryDirectory(prefix="gongfu-bench-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        # PostgreSQL runs as another user when this is root, and must get to its directory.
        Path(folder).chmod(0o711)
        if options.leader_kills:
            rows += _leader(Path(folder) / "leader", options.leader_kills)
        print(table(rows), flush=True)
        if not options.no_cluster:
            rows += _cluster(Path(folder) / "cluster", options.kinds)
    print(table(rows))
    write(rows, RESULT)
    return 0 if all(row.met is not False for row in rows) else 1


def _leader(root: Path, kills: int) -> list[Row]:
    found = kill_leaders(root, kills)
    gaps, backs = sorted(found.gaps), sorted(found.backs)
    return [
        Row("leader killed: times", kills, "kills"),
        Row("leader killed: blocks acknowledged", found.acknowledged, "blocks"),
        Row("leader killed: of them moved from the spare stream", found.diverted, "blocks"),
        Row("leader killed: acknowledged lost", found.lost, "blocks", 0),
        Row("leader killed: stored twice", found.repeated, "blocks", 0),
        Row("leader killed: out of order", found.exchanged, "blocks", 0),
        Row("leader killed: write gap, median", gaps[len(gaps) // 2], "s"),
        Row("leader killed: write gap, longest", gaps[-1], "s", GAP_BAR_S),
        Row("leader killed: all blocks in the log after, median", backs[len(backs) // 2], "s"),
        Row("leader killed: all blocks in the log after, longest", backs[-1], "s", BACK_BAR_S),
    ]


def _cluster(root: Path, kinds: list[str]) -> list[Row]:
    cluster = Cluster(root)
    rows: list[Row] = []
    try:
        rows.append(Row("start to ready", cluster.start(), "s", READY_BAR_S))
        api = cluster.machines[1].api()
        publisher = Publisher([m.ports.mqtt for m in cluster.machines], make_devices(api, 8), 20.0).start()
        time.sleep(5)
        for name in kinds:
            rows += _kill(cluster, publisher, name)
        publisher.stop()
        verdict = check(cluster, api, publisher.tallies, publisher.base_ms, 120)
        api.close()
        rows += [
            Row("cluster: points acknowledged", verdict.acknowledged, "points"),
            Row("cluster: acknowledged lost", verdict.lost, "points", 0),
            Row("cluster: stored twice", verdict.repeated, "points", 0),
        ]
    finally:
        cluster.stop()
    return rows


def _kill(cluster: Cluster, publisher: Publisher, name: str) -> list[Row]:
    """Kill a process; return how long acknowledgements stood still, and when later points were in the history."""
    publisher.begin_gap()
    began = time.monotonic()
    before = publisher.acknowledged
    cluster.kill(name)
    # Recovered when more is stored than was acknowledged at the kill: everything from before, and newer points.
    while cluster.stored() <= before and time.monotonic() - began < _PATIENCE_S:
        time.sleep(0.2)
    stored = time.monotonic() - began
    time.sleep(max(0.0, 12.0 - stored))
    kind = name.rstrip("123").rstrip("-") if "@" not in name else name.partition("@")[0].partition("-")[0]
    return [
        Row(f"{kind} killed: no acknowledgement for", max(publisher.gap, publisher.quiet()), "s", RECOVERY_BAR_S),
        Row(f"{kind} killed: all of before and newer points stored after", stored, "s", RECOVERY_BAR_S),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
