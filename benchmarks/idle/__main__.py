"""Start to ready, and what an idle node costs: ``python -m benchmarks.idle [--seconds 60] [--starts 3]``.

Bars: ready in 5 s or less, 700 MB or less resident over all processes, 3 % or less of one core.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gongfu.node.process_usage import usage_of

READY_S, RESIDENT_BYTES, CPU_PERCENT = 5.0, 700_000_000, 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the idle measurement")
    parser.add_argument("--settle", type=float, default=10.0, help="wait before it")
    parser.add_argument("--starts", type=int, default=3, help="number of starts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gongfu-idle-") as scratch:
        ready: list[float] = []
        result: dict[str, Any] = {}
        for number in range(options.starts):
            process, document = start(Path(scratch) / "data")
            ready.append(document["ready_seconds"])
            try:
                if number == options.starts - 1:
                    time.sleep(options.settle)
                    result = idle(Path(scratch) / "data", process.pid, options.seconds)
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=120)
    result = {"ready_seconds": {"first_start": ready[0], "later_starts": ready[1:]}, **result}
    result["load_average"] = os.getloadavg()[0]
    result["bars"] = {
        "ready": max(ready) <= READY_S,
        "resident": result["resident_bytes"] <= RESIDENT_BYTES,
        "cpu": result["cpu_percent"] <= CPU_PERCENT,
    }
    print(json.dumps(result, indent=2))
    return 0 if all(result["bars"].values()) else 1


def start(data: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    ports = [free_port() for _ in range(3)]
    command = [sys.executable, "-m", "gongfu.node.cli", "up", "--json", "--quiet", "--data-dir", str(data)]
    for option, port in zip(("--mqtt-port", "--websocket-port", "--web-port"), ports, strict=True):
        command += [option, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the node did not start: status {process.wait()}")
    return process, json.loads(line)


def idle(data: Path, supervisor: int, seconds: float) -> dict[str, Any]:
    state = json.loads((data / "run" / "state.json").read_text())
    pids = {"supervisor": supervisor, **{role["role"]: role["pid"] for role in state["roles"]}}

    def measure() -> dict[str, tuple[int, int]]:
        return {name: usage_of(pid, descendants=name != "supervisor") for name, pid in pids.items()}

    before, began = measure(), time.monotonic()
    time.sleep(seconds)
    after, took = measure(), time.monotonic() - began
    roles = {
        name: {
            "cpu_percent": round((after[name][0] - before[name][0]) / 1e7 / took, 3),
            "resident_bytes": after[name][1],
            "restarts": next((role["restarts"] for role in state["roles"] if role["role"] == name), 0),
        }
        for name in pids
    }
    return {
        "cpu_percent": round(sum(role["cpu_percent"] for role in roles.values()), 3),
        "resident_bytes": sum(role["resident_bytes"] for role in roles.values()),
        "roles": roles,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
