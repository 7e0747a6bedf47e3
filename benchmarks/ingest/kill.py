"""``python -m benchmarks.ingest.kill``: kill -9 each process of the node at random moments under load.

Every message carries a number of its own. At the end each acknowledged number must be readable, at its source time,
once.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.ingest.fleet import make_devices
from benchmarks.ingest.kill_client import POINT, NumberedDevice
from benchmarks.ingest.processes import usage
from demo.api import Api, ApiError
from demo.node import NodeError, NodeProcess, Ports, free_port, write_configuration

TARGETS = ("nats-server", "history", "door", "worker", "web", "supervisor")
RESTART_S = 120.0
CATCH_UP_S = 180.0
READ_LIMIT = 1_000_000
TORN_BYTES = 37


@dataclass
class KillResult:
    """What was found.

    Attributes:
        kills: by process name.
        sent: messages made.
        acknowledged: of them acknowledged.
        lost: acknowledged numbers that cannot be read, by device; empty when all is well.
        repeated: rows beyond the first of a source time, by device.
        wrong: rows whose value is not the number of their time, by device.
        reconnects: connections made beyond the first of each device.
        seconds: duration of the load.
    """

    kills: dict[str, int] = field(default_factory=dict[str, int])
    sent: int = 0
    acknowledged: int = 0
    lost: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    repeated: dict[str, int] = field(default_factory=dict[str, int])
    wrong: dict[str, int] = field(default_factory=dict[str, int])
    reconnects: int = 0
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        """Acknowledged = readable, once."""
        return not self.lost and not self.repeated and not self.wrong and self.acknowledged > 0


@dataclass(frozen=True)
class KillPlan:
    """What to do.

    Attributes:
        kills: of each target.
        targets: process names.
        seed: of the moments and the order.
        devices: connections.
        rate: messages a second and device.
        pause_s: shortest and longest time between two kills.
        torn: at the end, kill everything and leave a torn record at the end of the block log's newest file.
    """

    kills: int = 20
    targets: tuple[str, ...] = TARGETS
    seed: int = 1
    devices: int = 20
    rate: float = 100.0
    pause_s: tuple[float, float] = (0.5, 4.0)
    torn: bool = True


async def run_kills(folder: Path, plan: KillPlan) -> KillResult:
    """Run a node in ``folder`` under load, kill its processes, and check what can be read."""
    data_dir = folder / "data"
    data_dir.mkdir()
    ports = Ports(web=free_port(), mqtt=free_port())
    write_configuration(folder / "gongfu.toml", data_dir, ports)
    node = NodeProcess(data_dir, folder / "gongfu.toml", ports)
    result = KillResult()
    await asyncio.to_thread(node.start)
    try:
        api = node.api()
        devices = [
            NumberedDevice(ports.mqtt, name, secret, time.time_ns() // 1_000_000, plan.rate, window=32)
            for name, secret in await asyncio.to_thread(make_devices, api, plan.devices, "kill")
        ]
        api.close()
        stop, done = asyncio.Event(), asyncio.Event()
        began = time.monotonic()
        running = [asyncio.create_task(device.run(stop, done)) for device in devices]
        await asyncio.to_thread(_kill_all, node, plan, result)
        stop.set()
        await asyncio.wait(running, timeout=RESTART_S)
        done.set()
        await asyncio.gather(*running)
        result.seconds = time.monotonic() - began
        if plan.torn:
            await asyncio.to_thread(_tear, node)
        await asyncio.to_thread(_check, node, devices, result)
    finally:
        await asyncio.to_thread(node.stop)
    return result


def _kill_all(node: NodeProcess, plan: KillPlan, result: KillResult) -> None:
    rng = random.Random(plan.seed)
    todo = [target for target in plan.targets for _ in range(plan.kills)]
    rng.shuffle(todo)
    # Some load before the first kill.
    time.sleep(2.0)
    for target in todo:
        pid = _wait_for(node, target)
        os.kill(pid, signal.SIGKILL)
        result.kills[target] = result.kills.get(target, 0) + 1
        if target == "supervisor":
            _restart(node)
        time.sleep(rng.uniform(*plan.pause_s))
    for target in plan.targets:
        _wait_for(node, target)


def _wait_for(node: NodeProcess, target: str) -> int:
    """Return the process id of a target that runs, waiting for its restart."""
    deadline = time.monotonic() + RESTART_S
    while True:
        for row in usage(node.pid):
            if row.name == target:
                return row.pid
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


def _check(node: NodeProcess, devices: list[NumberedDevice], result: KillResult) -> None:
    api = node.api()
    deadline = time.monotonic() + CATCH_UP_S
    try:
        for device in devices:
            while True:
                times, values = _read(api, device)
                missing = device.acknowledged.difference(times)
                if not missing or time.monotonic() > deadline:
                    break
                time.sleep(0.5)
            if missing:
                result.lost[device.name] = sorted(missing)[:20]
            if len(times) != len(set(times)):
                result.repeated[device.name] = len(times) - len(set(times))
            if wrong := sum(number != value for number, value in zip(times, values, strict=True)):
                result.wrong[device.name] = wrong
            result.sent += device.sent
            result.acknowledged += len(device.acknowledged)
            result.reconnects += device.connects - 1
    finally:
        api.close()


def _read(api: Api, device: NumberedDevice) -> tuple[list[int], list[float]]:
    """Return the numbers (from the source times) and the values that the history has of a device."""
    query = {
        "points": [{"asset": f"kill/{device.name}", "point": POINT}],
        "from": device.base_ms,
        "limit": READ_LIMIT,
    }
    try:
        columns = api.post("/series:query?times_format=ms", query)["series"][0]
    except ApiError:
        return [], []
    return [moment - device.base_ms for moment in columns["times"]], columns["values"]


def main() -> int:
    """Run with the options of the command line; return 1 when something was lost or repeated."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of each process")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: each")
    given = parser.parse_args()
    plan = KillPlan(kills=given.kills, seed=given.seed, targets=tuple(given.target or TARGETS))
    print(f"seed {plan.seed}: {plan.kills} kills of each of {', '.join(plan.targets)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gongfu-kill-") as folder:
        result = asyncio.run(run_kills(Path(folder), plan))
    print(result)
    print("acknowledged = readable, once" if result.sound else "NOT SOUND")
    return 0 if result.sound else 1


if __name__ == "__main__":
    sys.exit(main())
