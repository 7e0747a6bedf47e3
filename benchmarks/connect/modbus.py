"""CPU per Modbus register: our role ``connect`` against thingsboard-gateway, same device, same run.

``python -m benchmarks.connect.modbus [--registers 500] [--seconds 20]``. Measured is the CPU time of the process that
polls: ours reads, scales, checks and makes durable in the block log; the gateway reads, converts and publishes by MQTT
to an endpoint that throws away. What JetStream and the endpoint use is counted to neither. The bar of issue 6 is half
the gateway's.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from benchmarks.connect.modbus_gateway import measure_gateway
from benchmarks.ingest.processes import usage
from tests.fixtures.nats import free_port
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

BAR = 2.0
_WARM_S = 5.0


def measure_ours(folder: Path, port: int, registers: int, seconds: float) -> tuple[float, int, float]:
    """Return (CPU seconds, values durable, seconds of CPU for the same time with no connection at work)."""
    node = Node(folder / "data").start()
    try:
        headers = {"Authorization": f"Bearer {node.token}"}
        addresses = [{"point": f"r{n}", "where": f"holding:{n}"} for n in range(registers)]
        body = {"name": "machine", "url": f"modbus://127.0.0.1:{port}/1", "addresses": addresses}
        with httpx.Client(base_url=f"{node.url}/v1", headers=headers, timeout=60) as client:
            made = client.post("/connections", json=body)
            made.raise_for_status()
            path = f"/connections/{made.json()['id']}"

            def counters() -> dict[str, Any]:
                return dict((client.get(path).json()["status"] or {}).get("counters") or {})

            wait_until(lambda: counters().get("accepted", 0) >= registers, "values", 60)
            time.sleep(_WARM_S)
            pid = node.pid_of("connect")
            cpu, points = _cpu(pid), counters()["accepted"]
            time.sleep(seconds)
            cpu, points = _cpu(pid) - cpu, counters()["accepted"] - points
            client.patch(path, json={"paused": True}).raise_for_status()
            time.sleep(2.0)
            idle = _cpu(pid)
            time.sleep(seconds)
            return cpu, points, _cpu(pid) - idle
    finally:
        node.kill()


def _cpu(pid: int) -> float:
    return sum(row.cpu_seconds for row in usage(pid) if row.pid == pid)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    chosen = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        port = free_port()
        device = subprocess.Popen([sys.executable, "-m", "benchmarks.connect.modbus_machine", str(port)])
        stack.callback(device.wait)
        stack.callback(device.kill)
        time.sleep(2.0)

        def note(name: str, cpu: float, points: int) -> None:
            rows[name] = {
                "values": points,
                "cpu_seconds": round(cpu, 3),
                "cpu_us_per_value": round(cpu / max(points, 1) * 1e6, 2),
            }
            print(name, rows[name], flush=True)

        with tempfile.TemporaryDirectory() as folder:
            cpu, points, idle = measure_ours(Path(folder), port, chosen.registers, chosen.seconds)
            note("gongfu", cpu, points)
            rows["gongfu"]["idle_cpu_seconds"] = round(idle, 3)
        for name, ranges in (("thingsboard-gateway, tags", False), ("thingsboard-gateway, one range", True)):
            with tempfile.TemporaryDirectory() as folder:
                cpu, points = measure_gateway(Path(folder), port, chosen.registers, chosen.seconds, ranges=ranges)
                note(name, cpu, points)
    ours = rows["gongfu"]["cpu_us_per_value"]
    ratios = {name: round(row["cpu_us_per_value"] / ours, 1) for name, row in rows.items() if name != "gongfu"}
    result = {"registers": chosen.registers, "rows": rows, "times_our_cpu": ratios, "bar": BAR}
    print(json.dumps(result, indent=2))
    (Path(__file__).parent / "last_modbus.json").write_text(json.dumps(result, indent=2) + "\n")
    return 0 if min(ratios.values()) >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
