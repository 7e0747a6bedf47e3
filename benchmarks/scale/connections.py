"""Many connections held at once: memory of the front doors a connection, and one message from each."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.ingest.processes import Usage, usage
from benchmarks.ingest.report import Row
from benchmarks.scale.holder import Held
from benchmarks.scale.nodes import new_node, say
from benchmarks.scale.registration import register

# Below the 20,000 descriptors a process of this machine, with room for an uneven spread over the doors.
A_HOLDER = 19_000
A_DOOR = 16_000


def hold(folder: Path, connections: int) -> list[Row]:
    """Hold connections with credentials over several front doors, and send one message from each."""
    doors = -(-connections // A_DOOR)
    with new_node(folder, doors=doors, extra_mqtt="max_connections = 19500\n") as node:
        node.start(timeout=180.0)
        say(f"connections: {connections:,} devices are registered; {doors} front doors")
        devices = register(node, connections, "held")
        before = _doors(usage(node.pid))
        whole_before = sum(row.rss_bytes for row in usage(node.pid))
        holders: list[subprocess.Popen[str]] = []
        try:
            for number, start in enumerate(range(0, connections, A_HOLDER)):
                held = Held("127.0.0.1", node.ports.mqtt, f"127.0.1.{number + 1}", devices[start : start + A_HOLDER])
                holders.append(_start(held))
            answers = [_read(holder) for holder in holders]
            after = _doors(usage(node.pid))
            connected = sum(int(answer["connected"]) for answer in answers)
            seconds = max(answer["seconds"] for answer in answers)
            rss = sum(row.rss_bytes for row in after) - sum(row.rss_bytes for row in before)
            whole = sum(row.rss_bytes for row in usage(node.pid)) - whole_before
            say(f"connections: {connected:,} held after {seconds:.0f} s, {rss / max(connected, 1):.0f} B each")
            rows = [
                Row("connections held", connected, "connections", float(connections), "higher"),
                Row("connections: RSS of the front doors", rss / max(connected, 1) / 1024, "KB/connection", 3.0),
                Row("connections: RSS of all processes", whole / max(connected, 1) / 1024, "KB/connection"),
                Row("connections: opened", connected / seconds, "connections/s", better="higher"),
            ]
            for holder in holders:
                _write(holder, "publish")
            published = [_read(holder) for holder in holders]
            took = max(answer["seconds"] for answer in published)
            acknowledged = sum(int(answer["acknowledged"]) for answer in published)
            rows += [
                Row(
                    "connections: one QoS 1 message from each, acknowledged",
                    acknowledged,
                    "messages",
                    connected * 1.0,
                    "higher",
                ),
                Row("connections: one QoS 1 message from each", acknowledged / took, "messages/s", better="higher"),
            ]
            peak = sum(row.rss_bytes for row in _doors(usage(node.pid))) - sum(row.rss_bytes for row in before)
            rows.append(
                Row("connections: RSS of the front doors after that", peak / max(connected, 1) / 1024, "KB/connection")
            )
            return rows
        finally:
            for holder in holders:
                holder.kill()
                holder.communicate()


def _doors(rows: list[Usage]) -> list[Usage]:
    return [row for row in rows if row.name == "door"]


def _start(held: Held) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.scale.holder"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    _write(process, json.dumps(asdict(held)))
    return process


def _write(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _read(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a holder of connections ended")
    return json.loads(line)
