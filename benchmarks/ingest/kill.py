"""``python -m benchmarks.ingest.kill``: kill -9 random processes of the node at random moments under load.

Every message carries a number of its own. At the end each acknowledged number must be readable, at its source time,
once.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.ingest.fleet import make_devices
from benchmarks.ingest.kill_client import POINT, DeviceReport, FleetPlan
from benchmarks.ingest.processes import usage
from benchmarks.ingest.report import Row, table, write
from benchmarks.ingest.stored import query_store
from demo.api import Api
from demo.node import NodeError, NodeProcess, Ports, free_port, write_configuration

RESULT = Path(__file__).parent / "last_kill.json"
TARGETS = ("nats-server", "history", "door", "worker", "web", "supervisor")
RESTART_S = 120.0
CATCH_UP_S = 300.0
TORN_BYTES = 37
# Source times begin here, so that a fast device does not run into the future: message i is i ms later.
PAST_MS = 40 * 86_400_000


@dataclass
class KillResult:
    """What was found.

    Attributes:
        kills: by process name.
        sent: messages made.
        acknowledged: of them acknowledged.
        lost: acknowledged numbers that cannot be read, by device (the first 20); empty when all is well.
        repeated: rows beyond the first of a source time, by device.
        wrong: rows whose value is not the number of their time, by device.
        reconnects: connections made beyond the first of each device.
        resent: messages sent again because their acknowledgement had not come.
        seconds: duration of the load.
    """

    kills: dict[str, int] = field(default_factory=dict[str, int])
    sent: int = 0
    acknowledged: int = 0
    lost: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    repeated: dict[str, int] = field(default_factory=dict[str, int])
    wrong: dict[str, int] = field(default_factory=dict[str, int])
    reconnects: int = 0
    resent: int = 0
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        """Acknowledged = readable, once."""
        return not self.lost and not self.repeated and not self.wrong and self.acknowledged > 0


@dataclass(frozen=True)
class KillPlan:
    """What to do.

    Attributes:
        kills: number of kills, of processes drawn at random.
        each: kill every target as often as any other, in random order, instead of drawing.
        targets: process names.
        seed: of the moments and the order.
        devices: connections.
        rate: messages a second and device.
        window: unacknowledged messages a device.
        pause_s: shortest and longest time between two kills.
        torn: at the end, kill everything and leave a torn record at the end of the block log's newest file.
        doors: front door processes.
    """

    kills: int = 20
    each: bool = False
    targets: tuple[str, ...] = TARGETS
    seed: int = 1
    devices: int = 20
    rate: float = 100.0
    window: int = 32
    pause_s: tuple[float, float] = (0.5, 4.0)
    torn: bool = True
    doors: int = 1


def run_kills(folder: Path, plan: KillPlan) -> KillResult:
    """Run a node in ``folder`` under load, kill its processes, and check what can be read."""
    data_dir = folder / "data"
    data_dir.mkdir()
    ports = Ports(web=free_port(), mqtt=free_port())
    write_configuration(folder / "gongfu.toml", data_dir, ports, door_processes=plan.doors)
    node = NodeProcess(data_dir, folder / "gongfu.toml", ports)
    result = KillResult()
    node.start()
    try:
        api = node.api()
        devices = make_devices(api, plan.devices, "kill")
        api.close()
        base_ms = time.time_ns() // 1_000_000 - PAST_MS
        fleet = FleetPlan(ports.mqtt, devices, base_ms, plan.rate, plan.window)
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ingest.kill_client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                began = time.monotonic()
                process.stdin.write(json.dumps(asdict(fleet)) + "\n")
                process.stdin.flush()
                _kill_all(node, plan, result)
                process.stdin.write("stop\n")
                process.stdin.flush()
                reports = [DeviceReport(**fields) for fields in json.loads(process.stdout.readline())]
                result.seconds = time.monotonic() - began
            finally:
                process.kill()
        if plan.torn:
            _tear(node)
        _check(node, base_ms, reports, result)
    finally:
        node.stop()
    return result


def _kill_all(node: NodeProcess, plan: KillPlan, result: KillResult) -> None:
    rng = random.Random(plan.seed)
    if plan.each:
        todo = [plan.targets[number % len(plan.targets)] for number in range(plan.kills)]
        rng.shuffle(todo)
    else:
        todo = rng.choices(plan.targets, k=plan.kills)
    # Some load before the first kill.
    time.sleep(2.0)
    for target in todo:
        pid = _wait_for(node, target, rng)
        os.kill(pid, signal.SIGKILL)
        result.kills[target] = result.kills.get(target, 0) + 1
        if target == "supervisor":
            _restart(node)
        time.sleep(rng.uniform(*plan.pause_s))
    for target in plan.targets:
        _wait_for(node, target, rng)


def _wait_for(node: NodeProcess, target: str, rng: random.Random) -> int:
    """Return the process id of a target that runs, waiting for its restart; one of them at random when several do."""
    deadline = time.monotonic() + RESTART_S
    while True:
        if found := [row.pid for row in usage(node.pid) if row.name == target]:
            return rng.choice(found)
        if time.monotonic() > deadline:
            raise NodeError(f"{target} was not started again in {RESTART_S:.0f} s")
        time.sleep(0.05)


def _restart(node: NodeProcess) -> None:
    """Start the node again after its supervisor was killed; its orphans may need a moment to go."""
    deadline = time.monotonic() + RESTART_S
    while True:
        try:
            node.stop()
            node.start()
        except NodeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _tear(node: NodeProcess) -> None:
    """Kill every process at once, append part of a record to the newest file of the block log, start again."""
    for row in usage(node.pid):
        os.kill(row.pid, signal.SIGKILL)
    files = [path for path in (node.data_dir / "nats").rglob("*.blk") if "blk" in path.name]
    newest = max(files, key=lambda path: path.stat().st_mtime_ns)
    with newest.open("ab") as file:
        file.write(random.Random(0).randbytes(TORN_BYTES))
    _restart(node)


def _check(node: NodeProcess, base_ms: int, reports: list[DeviceReport], result: KillResult) -> None:
    """Compare what was acknowledged with what the history holds, device by device."""
    api = node.api()
    try:
        series = {
            report.name: next(
                int(item["series"]) for item in api.items("/points", search=POINT, asset=_asset(api, report.name))
            )
            for report in reports
        }
    finally:
        api.close()
    deadline = time.monotonic() + CATCH_UP_S
    for report in reports:
        while True:
            missing = _missing(node.data_dir, series[report.name], base_ms, report)
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        if missing:
            result.lost[report.name] = missing[:20]
        number = f"toUnixTimestamp64Milli(time) - {base_ms}"
        row = query_store(
            node.data_dir,
            f"SELECT count() AS rows, uniqExact(time) AS times, countIf(value != {number}) AS wrong "
            f"FROM gongfu.point_double FINAL WHERE series = {series[report.name]}",
        )[0]
        if (repeated := int(row["rows"]) - int(row["times"])) > 0:
            result.repeated[report.name] = repeated
        if int(row["wrong"]):
            result.wrong[report.name] = int(row["wrong"])
        result.sent += report.sent
        result.acknowledged += report.acknowledged
        result.reconnects += report.connects - 1
        result.resent += report.repeats


def _asset(api: Api, name: str) -> int:
    return next(int(item["id"]) for item in api.items("/assets", path=f"kill/{name}"))


def _missing(data_dir: Path, series: int, base_ms: int, report: DeviceReport) -> list[int]:
    """Return acknowledged numbers that the history does not have."""
    number = f"toUnixTimestamp64Milli(time) - {base_ms}"
    where = f"FROM gongfu.point_double FINAL WHERE series = {series}"
    row = query_store(data_dir, f"SELECT uniqExact({number}) AS found, max({number}) AS last {where}")[0]
    if int(row["found"]) == report.sent and (report.sent == 0 or int(row["last"]) == report.sent - 1):
        return []
    found = {int(item["n"]) for item in query_store(data_dir, f"SELECT DISTINCT {number} AS n {where}")}
    return sorted(set(range(report.sent)) - found - set(report.open))


def main() -> int:
    """Run with the options of the command line; return 1 when something was lost or repeated."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: each")
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--rate", type=float, default=1000.0, help="messages a second and device")
    parser.add_argument("--doors", type=int, default=1, help="front door processes")
    given = parser.parse_args()
    plan = KillPlan(
        kills=given.kills,
        seed=given.seed,
        targets=tuple(given.target or TARGETS),
        devices=given.devices,
        rate=given.rate,
        window=256,
        pause_s=(0.3, 3.0),
        doors=given.doors,
    )
    print(f"seed {plan.seed}: {plan.kills} kills among {', '.join(plan.targets)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gongfu-kill-") as folder:
        result = run_kills(Path(folder), plan)
    print(result)
    rows = [
        Row("random kills -9", sum(result.kills.values()), "kills", float(given.kills), "higher"),
        Row("messages a second", result.acknowledged / result.seconds, "messages/s", better="higher"),
        Row("acknowledged", result.acknowledged, "messages", better="higher"),
        Row("sent again", result.resent, "messages"),
        Row("devices with an acknowledged message that cannot be read", len(result.lost), "devices", 0.0),
        Row("messages stored twice", sum(result.repeated.values()), "messages", 0.0),
        Row("messages with a wrong value", sum(result.wrong.values()), "messages", 0.0),
    ]
    print(table(rows))
    write(rows, RESULT)
    return 0 if result.sound else 1


if __name__ == "__main__":
    sys.exit(main())
