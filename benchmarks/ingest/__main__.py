"""``python -m benchmarks.ingest``: the first bars of the node, and two peers under the same generator.

Everything runs on this machine, the generator too, on a fresh data directory that is removed at the end.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from benchmarks.ingest.fleet import make_devices
from benchmarks.ingest.generator import Load
from benchmarks.ingest.payloads import POINTS_PER_MESSAGE
from benchmarks.ingest.peers.mosquitto import find_mosquitto, receive_only
from benchmarks.ingest.peers.tb_gateway import run_gateway
from benchmarks.ingest.processes import cpu_by_name, usage
from benchmarks.ingest.report import Row, table, write
from benchmarks.ingest.signals import signals
from benchmarks.ingest.stored import disk_usage, wait_until_stored
from benchmarks.ingest.throughput import Throughput, run_load
from demo.api import Api
from demo.node import NodeProcess, Ports, free_port, write_configuration

RESULT = Path(__file__).parent / "last.json"
# Form of the payload, topic, and path of the asset that the points come under.
FORMS = (
    ("json", "v1/devices/me/telemetry", "bench/{device}"),
    ("sparkplug", "spBv1.0/group/NDATA/{device}", "bench/{device}/group/{device}"),
)
# Settling time before the idle node is measured, and the time it is measured for.
SETTLE_S, IDLE_S = 5.0, 20.0
# What the gateway keeps up with.
GATEWAY_MESSAGES_PER_S, GATEWAY_S = 100.0, 15.0
POST_SAMPLES = 500
MERGE_S = 30.0


@dataclass(frozen=True)
class Options:
    """What to run."""

    seconds: float
    connections: int
    window: int
    doors: int
    peers: bool
    disk: bool


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed or something was lost."""
    options = _options()
    rows = [Row("load average before the start", os.getloadavg()[0], "processes")]
    with tempfile.TemporaryDirectory(prefix="gongfu-bench-") as folder:
        root = Path(folder)
        # A broker that gives up its privileges must still read its configuration here.
        root.chmod(0o755)
        rows += _load_rows(root / "load", options)
        if options.disk:
            rows += _disk_rows(root / "disk")
        if options.peers:
            rows += _peer_rows(root, options, rows)
    print("\n" + table(rows))
    write(rows, RESULT)
    return 1 if any(row.met is False for row in rows) else 0


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of each load")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--window", type=int, default=8, help="unacknowledged messages a connection")
    parser.add_argument("--doors", type=int, default=1, help="front door processes")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-disk", action="store_true")
    given = parser.parse_args()
    return Options(given.seconds, given.connections, given.window, given.doors, not given.no_peers, not given.no_disk)


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def _new_node(data_dir: Path, doors: int = 1) -> NodeProcess:
    data_dir.mkdir()
    ports = Ports(web=free_port(), mqtt=free_port())
    configuration = data_dir.with_suffix(".toml")
    write_configuration(configuration, data_dir, ports, door_processes=doors)
    return NodeProcess(data_dir, configuration, ports)


def _load_rows(data_dir: Path, options: Options) -> list[Row]:
    with _new_node(data_dir, options.doors) as node:
        rows = [Row("start to ready, first start", node.start(), "s", 5.0)]
        _say(f"node ready in {rows[0].value:.2f} s; {options.connections} devices are made")
        api = node.api()
        try:
            rows += _idle_rows(node)
            devices = make_devices(api, options.connections, "bench")
        finally:
            api.close()
        for form, topic, assets in FORMS:
            _say(f"{form}: {options.connections} connections, QoS 1, {options.seconds:g} s")
            load = Load("127.0.0.1", node.ports.mqtt, devices, options.seconds, options.window, form=form, topic=topic)
            # A Sparkplug edge node begins with its birth certificate.
            birth = replace(load, seconds=0.1, window=1, topic=topic.replace("/NDATA/", "/NBIRTH/"))
            first = run_load(node, birth, assets)
            took = (first.outcome.last_ack_at - first.outcome.first_at) / 1e9
            rows.append(Row(f"{form}: first contact, {options.connections * load.points} new points", took, "s"))
            rows += _throughput_rows(form, run_load(node, load, assets))
    return rows


def _idle_rows(node: NodeProcess) -> list[Row]:
    time.sleep(SETTLE_S)
    before, began = usage(node.pid), time.monotonic()
    time.sleep(IDLE_S)
    after = usage(node.pid)
    cpu = sum(cpu_by_name(before, after).values()) / (time.monotonic() - began) * 100.0
    rows = [
        Row("idle RSS, all processes", sum(row.rss_bytes for row in after) / 1e6, "MB", 700.0),
        Row("idle CPU, all processes", cpu, "% of a core", 3.0),
    ]
    rows += [Row(f"idle RSS, {row.name}", row.rss_bytes / 1e6, "MB") for row in after]
    return rows


def _throughput_rows(form: str, result: Throughput) -> list[Row]:
    outcome = result.outcome
    bars = (200_000.0, 3.0) if form == "json" else (None, None)
    rows = [
        Row(f"{form}: points end to end into history", result.points_per_s, "points/s", bars[0], "higher"),
        Row(f"{form}: CPU, all processes", result.cpu_us_per_point, "us/point", bars[1]),
    ]
    rows += [
        Row(f"{form}: CPU, {name}", seconds / max(result.points, 1) * 1e6, "us/point")
        for name, seconds in sorted(result.cpu.items())
    ]
    generator = outcome.cpu_seconds / max(result.points, 1) * 1e6
    rows += [
        Row(f"{form}: CPU, generator (not counted)", generator, "us/point"),
        Row(f"{form}: PUBACK latency p50", outcome.latency_ms["p50"], "ms"),
        Row(f"{form}: PUBACK latency p99", outcome.latency_ms["p99"], "ms"),
        Row(f"{form}: acknowledged points", result.points, "points", better="higher"),
        Row(f"{form}: acknowledged but not in history", max(result.points - result.stored, 0), "points", 0.0),
        Row(f"{form}: in history but not acknowledged", max(result.stored - result.points, 0), "points", 0.0),
        Row(f"{form}: sent but never acknowledged", outcome.sent - outcome.acknowledged, "messages", 0.0),
    ]
    rows += [Row(f"{form}: peak RSS, {row.name}", row.peak_rss_bytes / 1e6, "MB") for row in result.after]
    _say(f"{form}: {result.points_per_s:,.0f} points/s, {result.cpu_us_per_point:.2f} us/point, exact {result.exact}")
    return rows


def _disk_rows(data_dir: Path) -> list[Row]:
    """Load real signals through POST /v1/telemetry into a node of their own and look at the store's active parts."""
    _say("disk: NAB and TEP signals through the front door")
    with _new_node(data_dir) as node:
        node.start()
        api = node.api()
        try:
            expected = 0
            for asset, samples, points in signals():
                _post(node, api, asset, samples)
                expected += points
            count = wait_until_stored(api, expected, 180.0)
        finally:
            api.close()
        # Merges run in the background; what is left of them after half a minute is part of the figure.
        time.sleep(MERGE_S)
        _, size, columns = disk_usage(node.data_dir)
    rows = [
        Row("disk: NAB and TEP signals", size / count, "B/point", 3.0),
        Row("disk: points", count, "points", better="higher"),
        Row("disk: points missing", expected - count, "points", 0.0),
    ]
    return rows + [Row(f"disk: column {name}", bytes_ / count, "B/point") for name, bytes_ in columns.items()]


def _post(node: NodeProcess, api: Api, asset: str, samples: list[dict[str, object]]) -> None:
    secret = api.post("/devices", {"name": asset, "asset": f"signals/{asset}"})["secret"]
    with httpx.Client(base_url=node.url, auth=(asset, secret), timeout=60.0, trust_env=False) as client:
        for start in range(0, len(samples), POST_SAMPLES):
            client.post("/v1/telemetry", json=samples[start : start + POST_SAMPLES]).raise_for_status()


def _peer_rows(root: Path, options: Options, ours: list[Row]) -> list[Row]:
    mosquitto = find_mosquitto()
    if mosquitto is None:
        _say("mosquitto is not installed (Debian package mosquitto): no peers")
        return []
    cpu = next(row.value for row in ours if row.name == "json: CPU, all processes")
    rate = next(row.value for row in ours if row.name == "json: points end to end into history")
    _say("mosquitto: receives and drops the same load")
    outcome, seconds = receive_only(mosquitto, root, options.connections, options.seconds, options.window)
    points = outcome.acknowledged * POINTS_PER_MESSAGE
    peer_cpu = seconds / points * 1e6
    peer_rate = points / ((outcome.last_ack_at - outcome.first_at) / 1e9)
    rows = [
        Row("mosquitto, receive only: points", peer_rate, "points/s", better="higher"),
        Row("mosquitto, receive only: CPU", peer_cpu, "us/point"),
        Row("ratio: CPU, Gongfu stored : mosquitto dropped", cpu / peer_cpu, "x"),
        Row("ratio: points/s, Gongfu stored : mosquitto dropped", rate / peer_rate, "x", better="higher"),
    ]
    _say("thingsboard-gateway: MQTT in, ThingsBoard API out")
    folder = root / "tbgw"
    folder.mkdir()
    result = run_gateway(mosquitto, folder, GATEWAY_S, GATEWAY_MESSAGES_PER_S)
    gateway = result.cpu_seconds / result.delivered * 1e6
    return [
        *rows,
        Row("thingsboard-gateway: points delivered", result.delivered / result.seconds, "points/s", better="higher"),
        Row("thingsboard-gateway: points lost", result.offered - result.delivered, "points"),
        Row("thingsboard-gateway: CPU", gateway, "us/point"),
        Row("ratio: CPU, thingsboard-gateway : Gongfu stored", gateway / cpu, "x", better="higher"),
    ]


if __name__ == "__main__":
    sys.exit(main())
