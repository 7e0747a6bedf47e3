"""``python -m benchmarks.budget``: CPU-µs a point by process and stage, from runs of a node under load.

Every form runs on a node of its own, so that merges of one do not count for the next. The shares of the stages are
sampled with py-spy (``pip install py-spy``; without it only processes are shown), which takes no CPU of the process it
looks at. ``--flame docs/img`` writes flame graphs of the door and the worker.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.budget.flame import flame_svg
from benchmarks.budget.stages import STAGES, read_stacks, shares
from benchmarks.ingest.fleet import make_devices
from benchmarks.ingest.generator import Load
from benchmarks.ingest.processes import usage
from benchmarks.ingest.report import Row, table, write
from benchmarks.ingest.throughput import run_load
from demo.node import NodeProcess, Ports, free_port, write_configuration

RESULT = Path(__file__).parent / "last.json"
SAMPLES_PER_S = 100
# Name: form of the payload, topic, path of the asset of the points, points a message, unacknowledged messages.
FORMS: dict[str, tuple[str, str, str, int, int]] = {
    "json": ("json", "v1/devices/me/telemetry", "bench/{device}", 20, 8),
    "sparkplug": ("sparkplug", "spBv1.0/group/NDATA/{device}", "bench/{device}/group/{device}", 20, 8),
    "sparkplug-alias": ("sparkplug-alias", "spBv1.0/group/NDATA/{device}", "bench/{device}/group/{device}", 20, 8),
    "json-single": ("json", "v1/devices/me/telemetry", "bench/{device}", 3, 1),
}


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of each load")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--forms", default=",".join(FORMS), help=f"of {', '.join(FORMS)}")
    parser.add_argument("--flame", type=Path, help="folder for flame graphs of the last form")
    options = parser.parse_args()
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        print("py-spy is not installed: processes only")
    rows = [Row("load average before the start", os.getloadavg()[0], "processes")]
    for name in options.forms.split(","):
        with tempfile.TemporaryDirectory(prefix="gongfu-budget-") as folder:
            rows += _measure(Path(folder), name, options.seconds, options.connections, spy, options.flame)
    print("\n" + table(rows))
    write(rows, RESULT)
    return 0


def _measure(
    root: Path, name: str, seconds: float, connections: int, spy: str | None, flames: Path | None
) -> list[Row]:
    form, topic, assets, points, window = FORMS[name]
    data_dir = root / "node"
    data_dir.mkdir()
    ports = Ports(web=free_port(), mqtt=free_port())
    configuration = root / "gongfu.toml"
    write_configuration(configuration, data_dir, ports)
    with NodeProcess(data_dir, configuration, ports) as node:
        node.start()
        api = node.api()
        try:
            devices = make_devices(api, connections, "bench")
        finally:
            api.close()
        load = Load("127.0.0.1", ports.mqtt, devices, seconds, window, form=form, topic=topic, points=points)
        birth = replace(load, seconds=0.1, window=1, topic=topic.replace("/NDATA/", "/NBIRTH/"))
        run_load(node, replace(birth, form=form.replace("-alias", "-alias-birth")), assets)
        run_load(node, replace(load, seconds=1.0), assets)
        profilers = _start(root, spy, node.pid, seconds)
        result = run_load(node, load, assets)
        for one in profilers.values():
            one.wait()
    rows = [
        Row(f"{name}: points end to end into history", result.points_per_s, "points/s", better="higher"),
        Row(f"{name}: CPU, all processes", result.cpu_us_per_point, "us/point"),
        Row(f"{name}: PUBACK latency p50", result.outcome.latency_ms["p50"], "ms"),
        Row(f"{name}: lost or stored twice", 0.0 if result.exact else 1.0, "yes or no", 0.0),
    ]
    for process, cpu in sorted(result.cpu.items(), key=lambda item: -item[1]):
        each = cpu / max(result.points, 1) * 1e6
        rows.append(Row(f"{name}: {process}", each, "us/point"))
        kind = process.partition("-")[0]
        path = root / f"{kind}.folded"
        if kind not in profilers or not path.exists():
            continue
        stacks = read_stacks(path)
        known = 1.0
        if kind == "history":
            # The threads of the engine are not Python's: what is not sampled is theirs.
            known = min(1.0, sum(stacks.values()) / SAMPLES_PER_S / max(cpu, 1e-9))
        for stage, share in shares(kind, stacks).items():
            rows.append(Row(f"{name}: {process}: {stage}", each * share * known, "us/point"))
        if known < 1.0:
            rows.append(Row(f"{name}: {process}: threads of the engine", each * (1.0 - known), "us/point"))
        if flames is not None and kind != "history":
            title = f"{process}, {name}, {connections} connections: {each:.2f} CPU-µs a point"
            (flames / f"flame-{kind}.svg").write_text(flame_svg(stacks, title), encoding="utf-8")
    return rows


def _start(root: Path, spy: str | None, pid: int, seconds: float) -> dict[str, "subprocess.Popen[bytes]"]:
    """Begin to sample the processes that have stages."""
    if spy is None:
        return {}
    started: dict[str, subprocess.Popen[bytes]] = {}
    for row in usage(pid):
        kind = row.name.partition("-")[0]
        if kind in STAGES and kind not in started:
            command = [spy, "record", "--pid", str(row.pid), "--duration", str(max(1, int(seconds)))]
            command += ["--rate", str(SAMPLES_PER_S), "--format", "raw"]
            command += ["--output", str(root / f"{kind}.folded")]
            started[kind] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    return started


if __name__ == "__main__":
    sys.exit(main())
