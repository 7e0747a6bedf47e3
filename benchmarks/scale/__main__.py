"""``python -m benchmarks.scale``: the heavy bars of one node, and peers in the same run.

Everything runs on this machine, the generators too, on fresh data directories that are removed at the end. Parts:
``sustained`` (10 minutes each of Sparkplug B and JSON from 10,000 connections), ``messages`` (bulk and single),
``connections`` (190,000 held), ``peers`` (thingsboard-gateway, Node-RED). Rows of parts that are not run are kept.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.ingest.peers.mosquitto import find_mosquitto
from benchmarks.ingest.peers.tb_gateway import run_gateway
from benchmarks.ingest.report import Row, table, write
from benchmarks.scale.connections import hold
from benchmarks.scale.messages import messages
from benchmarks.scale.nodes import say
from benchmarks.scale.peers.node_red import install_node_red, run_node_red
from benchmarks.scale.sustained import sustain

RESULT = Path(__file__).parent / "last.json"
PARTS = ("sustained", "messages", "connections", "peers")
# What the peers keep up with, messages of 20 points a second.
GATEWAY_MESSAGES_PER_S, NODE_RED_MESSAGES_PER_S, PEER_S = 100.0, 4_000.0, 20.0


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed or something was lost."""
    given = _options()
    parts = given.part or list(PARTS)
    kept = [] if set(parts) == set(PARTS) else _kept(parts)
    rows = [*kept, Row(f"{'+'.join(parts)}: load average before the start", os.getloadavg()[0], "processes")]
    run: dict[str, Callable[[Path], list[Row]]] = {
        "sustained": lambda root: sustain(root, given.seconds, given.connections, given.window, given.doors),
        "messages": lambda root: messages(root, min(given.seconds, 30.0), given.doors),
        "connections": lambda root: hold(root, given.held),
        "peers": lambda root: _peer_rows(root, rows),
    }
    for part in parts:
        with tempfile.TemporaryDirectory(prefix=f"gongfu-scale-{part}-") as folder:
            # A broker that gives up its privileges must still read its configuration here.
            Path(folder).chmod(0o755)
            rows += run[part](Path(folder) / "data")
            write(rows, RESULT)
    print("\n" + table(rows))
    return 1 if any(row.met is False for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--seconds", type=float, default=600.0, help="duration of each sustained load")
    parser.add_argument("--connections", type=int, default=10_000, help="of the sustained load")
    parser.add_argument("--window", type=int, default=8, help="unacknowledged messages a connection")
    parser.add_argument("--doors", type=int, default=1, help="front door processes of the loads")
    parser.add_argument("--held", type=int, default=190_000, help="connections to hold")
    return parser.parse_args()


def _kept(parts: Sequence[str]) -> list[Row]:
    """Return the rows of the last result that other parts made."""
    if not RESULT.exists():
        return []
    names = {
        "sustained": ("sparkplug:", "json:", "sustained"),
        "messages": ("bulk:", "three:", "single:", "messages"),
        "connections": ("connections",),
        "peers": ("thingsboard-gateway", "Node-RED", "ratio", "peers"),
    }
    gone = tuple(name for part in parts for name in names[part])
    return [Row(**row) for row in json.loads(RESULT.read_text(encoding="utf-8")) if not row["name"].startswith(gone)]


def _peer_rows(root: Path, ours: list[Row]) -> list[Row]:
    mosquitto = find_mosquitto()
    if mosquitto is None:
        say("mosquitto is not installed (Debian package mosquitto): no peers")
        return []
    cpu = next((row.value for row in ours if row.name == "json: CPU, all processes"), None)
    rows: list[Row] = []
    root.mkdir()
    root.chmod(0o755)
    say("thingsboard-gateway: MQTT in, ThingsBoard API out, stores nothing")
    folder = root / "tbgw"
    folder.mkdir()
    gateway = run_gateway(mosquitto, folder, PEER_S, GATEWAY_MESSAGES_PER_S)
    used = gateway.cpu_seconds / gateway.delivered * 1e6
    rows += [
        Row("thingsboard-gateway: points delivered", gateway.delivered / gateway.seconds, "points/s", better="higher"),
        Row("thingsboard-gateway: CPU", used, "us/point"),
    ]
    if cpu is not None:
        rows.append(Row("ratio: CPU, thingsboard-gateway : Gongfu stored (JSON)", used / cpu, "x", 40.0, "higher"))
    script = install_node_red()
    if script is None:
        say("npm is not installed: no Node-RED")
        return rows
    for points in (20, 3):
        say(f"Node-RED: MQTT in, JSON of {points} values, a threshold in a function node, stores nothing")
        red = run_node_red(script, mosquitto, root / f"red-{points}", PEER_S, NODE_RED_MESSAGES_PER_S, points)
        used = red.cpu_seconds / max(red.taken, 1) * 1e6
        rows += [
            Row(f"Node-RED: points taken, {points} a message", red.taken / red.seconds, "points/s", better="higher"),
            Row(f"Node-RED: points lost, {points} a message", red.offered - red.taken, "points"),
            Row(f"Node-RED: CPU, {points} points a message", used, "us/point"),
        ]
        if cpu is not None and points == 20:
            rows.append(Row("ratio: CPU, Node-RED : Gongfu stored (JSON, 20 points)", used / cpu, "x", 5.0, "higher"))
        single = next((row.value for row in ours if row.name == "three: CPU, all processes"), None)
        if single is not None and points == 3:
            ratio = used / (single / 3)
            rows.append(Row("ratio: CPU, Node-RED : Gongfu stored (JSON, 3 points)", ratio, "x", 5.0, "higher"))
    return rows


if __name__ == "__main__":
    sys.exit(main())
