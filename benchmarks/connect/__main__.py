"""Machines: ``python -m benchmarks.connect [--only PART …] [--peer PYTHON]``; CPU a value beside the peer's.

Each part runs in a process of its own and leaves its whole result in ``last_<part>.json``; the rows with bars come
together in ``last.json``. ``--peer`` is a Python with pysparkplug; Modbus makes the environment of thingsboard-gateway
itself (see ``modbus_gateway.py``).
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.ingest.report import Row, table, write

HERE = Path(__file__).parent


def sparkplug(found: dict[str, Any]) -> list[Row]:
    """Rows of the host: 20 metrics a message, 10,000 nodes."""
    ours, wave = found["decode_and_columnise_us_per_metric"]["20"], found["wave"]
    rows = [
        Row("Sparkplug: decode, order and columnise, 20 metrics a message", ours, "us CPU/metric", found["bar_us"]),
        Row("Sparkplug: return of 10,000 nodes, values lost", wave["lost"], "values", 0),
        Row("Sparkplug: memory after two waves of 10,000 nodes", wave["kib_per_node"], "KiB/node"),
    ]
    peer = found.get("pysparkplug_decode_us_per_metric")
    return [*rows, Row("Sparkplug: pysparkplug, decode only", peer, "us CPU/metric")] if peer else rows


def opcua(found: dict[str, Any]) -> list[Row]:
    """Rows of the client: 20,000 tags at 1 Hz are 50 us CPU a value on one core."""
    cores = {
        name: found[name]["cores_at_20000_hz"] for name in ("gongfu_subscribe", "gongfu_poll", "asyncua_subscribe")
    }
    return [
        Row("OPC UA: cores for 20,000 values a second, subscribed", cores["gongfu_subscribe"], "cores", 1),
        Row("OPC UA: the same, polled", cores["gongfu_poll"], "cores", 1),
        Row("OPC UA: asyncua's own client, subscribed", cores["asyncua_subscribe"], "cores"),
    ]


def opcua_node(found: dict[str, Any]) -> list[Row]:
    """Rows of 20,000 tags through a whole node to its history."""
    name = f"OPC UA, {'signed and encrypted' if found['secure'] else 'unencrypted'}, {found['tags']:,} tags at 1 Hz"
    lost = found["missing_in_history"] - found["dropped_by_server"]
    return [
        Row(f"{name}, to the history: cores of the role", found["cpu_cores"], "cores", 1),
        Row(f"{name}: values a second", found["values_per_s"], "values/s"),
        Row(f"{name}: values missing in the history", max(lost, 0), "values", 0),
    ]


def modbus(found: dict[str, Any]) -> list[Row]:
    """Rows of the driver: what thingsboard-gateway takes for the same registers."""
    return [
        Row(f"Modbus: CPU of {peer} by ours", times, "times", found["bar"], "higher")
        for peer, times in found["times_our_cpu"].items()
    ]


PARTS: dict[str, Callable[[dict[str, Any]], list[Row]]] = {
    "sparkplug": sparkplug,
    "opcua": opcua,
    "opcua_node": opcua_node,
    "opcua_node_secure": opcua_node,
    "modbus": modbus,
}
MORE = {"opcua_node_secure": ["--secure"]}


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--peer", default=sys.executable)
    chosen = parser.parse_args()
    rows: list[Row] = []
    for part in PARTS:
        if part in chosen.only:
            more = ["--peer", chosen.peer] if part == "sparkplug" else MORE.get(part, [])
            # What it returns says whether its bar is met; so do the rows.
            module = f"benchmarks.connect.{part.removesuffix('_secure')}"
            subprocess.run([sys.executable, "-m", module, *more], check=False)
        rows += PARTS[part](json.loads((HERE / f"last_{part}.json").read_text(encoding="utf-8")))
    print(table(rows))
    write(rows, HERE / "last.json")
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
