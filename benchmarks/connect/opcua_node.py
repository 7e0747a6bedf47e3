"""OPC UA end to end: 20,000 tags at 1 Hz from a foreign server through a whole node to its history, no value lost.

    python -m benchmarks.connect.opcua_node [--tags 20000] [--seconds 60] [--secure] [--mode poll]

Bar: the role ``connect`` takes at most one core, and of each tag every value of the time is in the history. The server
(asyncua, a process of its own) counts its turns in the values, so a value that is missing shows; what its own queues
drop when the machine is too busy for it is told apart (``dropped_by_server``). CPU is that of the role's process.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.ingest.processes import usage
from gongfu.connect.opcua.certificates.identity import fingerprint
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

HERE = Path(__file__).parent
WARM_S = 10.0
PATIENCE_S = 240.0

# By tag: values that should lie between its first and its last one in the time, and how many do.
LOSS = """
SELECT count() AS tags, sum(n) AS points, sum(span - n) AS lost, min(n) AS fewest FROM (
  SELECT point, uniqExact(value) AS n, max(value) - min(value) + 1 AS span
  FROM points WHERE value >= {first} AND value <= {last} GROUP BY point)
"""


def cpu_of(pid: int) -> float:
    """Return CPU seconds of a process."""
    return sum(row.cpu_seconds for row in usage(pid) if row.pid == pid)


class Machine:
    """The server's process and what it says of itself."""

    def __init__(self, tags: int, pki: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.rates: list[int] = []
        self.dropped = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.connect.opcua_machine", str(self.port), str(tags), pki],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == "ready"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            rate, dropped = line.split()
            self.rates.append(int(rate))
            self.dropped = int(dropped)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def measure(folder: Path, tags: int, seconds: float, secure: bool, mode: str) -> dict[str, Any]:
    """Run node and machine; return the figures."""
    (folder / "gongfu.toml").write_text("[mqtt]\nmax_payload_bytes = 16777216\n", encoding="utf-8")
    machine = Machine(tags, str(folder / "machine") if secure else "-")
    node = Node(folder / "data")
    try:
        node.start()
        headers = {"Authorization": f"Bearer {node.token}"}
        with httpx.Client(base_url=f"{node.url}/v1", headers=headers, timeout=120) as client:
            if secure:
                own = (folder / "machine" / "own" / "certificate.der").read_bytes()
                client.post("/connections/opcua/certificates", content=own).raise_for_status()
                assert fingerprint(own)
            options = {"security": "sign-and-encrypt" if secure else "none", "mode": mode, "timeout": 120.0}
            body = {
                "name": "machine", "url": f"opc.tcp://127.0.0.1:{machine.port}/bench", "options": options,
                "addresses": [{"point": f"t{n}", "where": f"ns=2;s=t{n}"} for n in range(tags)],
            }  # fmt: skip
            made = client.post("/connections", json=body)
            made.raise_for_status()
            path = f"/connections/{made.json()['id']}"

            def status() -> dict[str, Any]:
                return dict(client.get(path).json()["status"] or {})

            began = time.monotonic()
            wait_until(lambda: status().get("counters", {}).get("accepted", 0) >= 3 * tags, "values", PATIENCE_S)
            ready = time.monotonic() - began
            time.sleep(WARM_S)
            pid = node.pid_of("connect")
            before, dropped, cpu, at = status(), machine.dropped, cpu_of(pid), time.monotonic()
            first = len(machine.rates) + 1
            time.sleep(seconds)
            cpu, wall, after = cpu_of(pid) - cpu, time.monotonic() - at, status()
            last, dropped = len(machine.rates) - 3, machine.dropped - dropped
            accepted = after["counters"]["accepted"] - before["counters"]["accepted"]

            def stored() -> dict[str, int]:
                answer = client.post("/sql", json={"query": LOSS.format(first=first, last=last)}).json()
                names = [column["name"] for column in answer["columns"]]
                return {name: int(float(value)) for name, value in zip(names, answer["rows"][0], strict=True)}

            wait_until(lambda: stored()["points"] >= tags * (last - first) * 0.98 or mode == "poll", "history", 60)
            found = stored()
    finally:
        node.kill()
        machine.close()
    return {
        "tags": tags, "secure": secure, "mode": mode, "seconds": round(wall, 1),
        "seconds_until_values": round(ready, 1),
        "values": accepted, "values_per_s": round(accepted / wall),
        "cpu_cores": round(cpu / wall, 3),
        "cpu_us_per_value": round(cpu / max(accepted, 1) * 1e6, 2),
        "cores_at_20000_hz": round(cpu / max(accepted, 1) * 20_000, 3),
        "in_history": found["points"], "tags_in_history": found["tags"], "turns": last - first + 1,
        "missing_in_history": found["lost"], "fewest_of_a_tag": found["fewest"], "dropped_by_server": dropped,
        "server_updates_per_s": round(sum(machine.rates[first:last]) / max(len(machine.rates[first:last]), 1)),
        "rejected": after["rejected"], "shed": after["shed"], "gaps": after["counters"]["gaps"],
        "breaks": after["health"].get("breaks", 0),
    }  # fmt: skip


def main() -> int:
    """Measure, print, write; return 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--secure", action="store_true")
    parser.add_argument("--mode", choices=["subscribe", "poll"], default="subscribe")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), chosen.tags, chosen.seconds, chosen.secure, chosen.mode)
    text = json.dumps(found, indent=2)
    print(text)
    name = f"last_opcua_node{'_secure' if chosen.secure else ''}{'_poll' if chosen.mode == 'poll' else ''}.json"
    (HERE / name).write_text(text + "\n", encoding="utf-8")
    lost = found["missing_in_history"] - found["dropped_by_server"] if chosen.mode == "subscribe" else 0
    return 0 if found["cpu_cores"] <= 1 and lost <= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
