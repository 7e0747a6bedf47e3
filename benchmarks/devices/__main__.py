"""``python -m benchmarks.devices``: a million devices with ten points each on one node, through its doors.

Devices are imported with their points (POST /v1/devices:import); a few hundred gateways report for them with
authentication, QoS 1 and real MQTT. Everything runs on this machine, the generator too, on a fresh data directory.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.devices.edges import wave
from benchmarks.devices.gateways import Gateways, Plan
from benchmarks.ingest.processes import cpu_by_name, usage
from benchmarks.ingest.report import Row, table, write
from demo.node import NodeProcess, Ports, free_port, write_configuration
from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.store.twins.latest import Twins

RESULT = Path(__file__).parent / "last.json"
BATCH = 2000
# Requests at a time: the node reads the lines of one while it writes those of the other.
IMPORTERS = 2
PARTS = ("load", "reads", "deaths", "restart")
READS = 200
SEARCHES = (
    "zzzzqq", "SN0012", "meter-00099", "attributes.line=3", 'attributes.line=3 attributes.site="site 14"', "site 14",
    "line-2/", "^meter-01", "attributes.nothing=1", "meter_00",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What to run."""

    devices: int
    points: int
    gateways: int
    seconds: float
    period: float
    edges: int
    children: int
    parts: frozenset[str]


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="gongfu-devices-") as folder:
        rows = [Row("load average before the start", os.getloadavg()[0], "processes"), *_measure(Path(folder), options)]
    print("\n" + table(rows))
    write(rows, RESULT)
    return 1 if any(row.met is False for row in rows) else 0


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.devices", description=__doc__)
    parser.add_argument("--devices", type=int, default=1_000_000)
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--gateways", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of each load")
    parser.add_argument(
        "--period",
        type=float,
        default=30.0,
        help="seconds between the points of a device in the load of one point each",
    )
    parser.add_argument("--edges", type=int, default=5000, help="edge nodes that are killed (14,000 at most)")
    parser.add_argument("--children", type=int, default=19, help="children of each edge node")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="what to do after first contact")
    given = parser.parse_args()
    return Options(
        given.devices,
        given.points,
        given.gateways,
        given.seconds,
        given.period,
        min(given.edges, 14_000),
        given.children,
        frozenset(given.parts),
    )


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def _rss(node: NodeProcess) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in usage(node.pid):
        found[row.name] = found.get(row.name, 0.0) + row.rss_bytes
    return found


def _measure(root: Path, options: Options) -> list[Row]:
    data_dir = root / "node"
    data_dir.mkdir()
    ports = Ports(web=free_port(), mqtt=free_port())
    configuration = root / "node.toml"
    write_configuration(configuration, data_dir, ports)
    node = NodeProcess(data_dir, configuration, ports)
    with node:
        rows = [Row("start to ready, no devices", node.start(), "s")]
        before = _rss(node)
        rows += _import(node, options)
        plan = Plan("127.0.0.1", ports.mqtt, _secrets, options.devices, options.points)
        with Gateways(plan) as gateways:
            _rule(node)
            _say("first contact: every point of every device once")
            began = time.monotonic()
            first = gateways.send(points=options.points, period=0.0, rounds=1)
            _settle(node)
            rows.append(Row("first contact, all points", time.monotonic() - began, "s"))
            rows.append(Row("first contact: not acknowledged", first.sent - first.acknowledged, "messages", 0.0))
            after = _rss(node)
            for name, size in sorted(after.items()):
                rows.append(Row(f"RSS beyond idle, {name}", (size - before.get(name, 0.0)) / 1e6, "MB"))
            beyond = sum(after.values()) - sum(before.values())
            rows.append(Row("RSS beyond idle, all processes", beyond / options.devices, "B/device", 2048.0))
            if "load" in options.parts:
                rows += _loads(node, gateways, options)
            if "reads" in options.parts:
                rows += _reads(node, gateways, options)
        if "deaths" in options.parts:
            with _client(node) as client:
                rows += wave(node, lambda lines: _post(client, lines), _say, options.edges, options.children)
        if "restart" in options.parts:
            _say("restart")
            node.stop()
            rows.append(Row("start to ready, all devices", node.start(), "s", 5.0))
    return rows


def _loads(node: NodeProcess, gateways: Gateways, options: Options) -> list[Row]:
    name = f"1 point a device every {options.period:g} s"
    # The door remembers where a message of a gateway goes from the second time it comes; gateways report for years.
    rows = _load(node, gateways, f"{name}, the first two rounds", 1, options.period, options, rounds=2)
    rows += _load(node, gateways, name, 1, options.period, options, 10.0)
    rows += _load(node, gateways, f"{options.points} points a device every 60 s", options.points, 60.0, options)
    return rows


_secrets: list[tuple[str, str]] = []


def _import(node: NodeProcess, options: Options) -> list[Row]:
    """Add the gateways, and the devices below their assets."""
    _say(f"{options.devices} devices are imported")
    points = {f"p{number}": "double" for number in range(options.points)}
    spent = 0.0
    with _client(node) as client, ThreadPoolExecutor(IMPORTERS) as importers:
        lines: list[dict[str, object]] = [{"name": f"gw-{number:03d}"} for number in range(options.gateways)]
        answer = _post(client, lines)
        _secrets[:] = [(item["name"], item["secret"]) for item in answer["secrets"]]
        for start in range(0, options.devices, IMPORTERS * BATCH):
            last = min(start + IMPORTERS * BATCH, options.devices)
            bodies = [
                _body([_device(number, options.gateways, points) for number in range(first, min(first + BATCH, last))])
                for first in range(start, last, BATCH)
            ]
            began = time.monotonic()
            answers = list(importers.map(lambda body: _send(client, body), bodies))
            spent += time.monotonic() - began
            if start % 100_000 == 0 and start:
                _say(f"  {start} are in")
            if sum(answer["created"] for answer in answers) != last - start:
                raise RuntimeError(f"import: {answers[0]['errors'][:3]}")
    return [Row("bulk registration", options.devices / spent, "devices/s", 20_000.0, "higher")]


def _client(node: NodeProcess) -> httpx.Client:
    headers = {"Authorization": f"Bearer {node.token()}"}
    return httpx.Client(base_url=node.url, headers=headers, timeout=120.0, trust_env=False)


def _device(number: int, gateways: int, points: dict[str, str]) -> dict[str, object]:
    attributes = {"line": number % 40, "site": f"site {number % 97}", "serial": f"SN{number * 7919 % 10**9:09d}"}
    asset = f"gw-{number % gateways:03d}/m{number:07d}"
    return {"name": f"meter-{number:07d}", "asset": asset, "type": "meter", "attributes": attributes, "points": points}


def _body(lines: list[dict[str, object]]) -> bytes:
    return "\n".join(json.dumps(line, separators=(",", ":")) for line in lines).encode()


def _send(client: httpx.Client, body: bytes) -> dict[str, Any]:
    return client.post("/v1/devices:import", content=body).raise_for_status().json()


def _post(client: httpx.Client, lines: list[dict[str, object]]) -> dict[str, Any]:
    return _send(client, _body(lines))


def _rule(node: NodeProcess) -> None:
    api = node.api()
    condition = {"direction": "above", "limit": 1e9, "deadband": 1.0}
    api.post(
        "/rules", {"name": "every point", "kind": "threshold", "asset": "**", "point": "*", "condition": condition}
    )
    api.close()


def _settle(node: NodeProcess) -> None:
    """Wait until history and rules have taken everything."""
    api = node.api()
    while True:
        lag = api.get("/overview")["lag"]
        if not lag["history_blocks"] and not lag["reason_blocks"]:
            break
        time.sleep(0.5)
    api.close()


def _load(
    node: NodeProcess,
    gateways: Gateways,
    name: str,
    points: int,
    period: float,
    options: Options,
    bar: float | None = None,
    rounds: int = 0,
) -> list[Row]:
    _say(f"{name}, {rounds * period if rounds else options.seconds:g} s")
    began, before = time.monotonic(), usage(node.pid)
    outcome = gateways.send(points=points, period=period, seconds=0.0 if rounds else options.seconds, rounds=rounds)
    spent = time.monotonic() - began
    cpu = cpu_by_name(before, usage(node.pid))
    _settle(node)
    share = sum(cpu.values()) / spent / 2 * 100.0
    rows = [
        Row(
            f"{name}: points",
            outcome.acknowledged_points / spent,
            "points/s",
            options.devices * points / period * 0.97,
            "higher",
        ),
        Row(f"{name}: CPU of two cores", share, "%", bar),
        Row(f"{name}: not acknowledged", outcome.sent - outcome.acknowledged, "messages", 0.0),
    ]
    return rows + [
        Row(f"{name}: CPU, {role}", seconds / spent / 2 * 100.0, "% of two cores")
        for role, seconds in sorted(cpu.items())
    ]


def _reads(node: NodeProcess, gateways: Gateways, options: Options) -> list[Row]:
    _say("lists, searches and twins")
    api = node.api()
    searches = [_timed(lambda text=text: api.get("/devices", search=text)) for text in SEARCHES for _ in range(5)]
    series = [item["series"] for item in api.get("/points", limit=1000)["items"]]
    twins = [
        _timed(lambda at=at: api.post("/series:latest", {"series": series[at % len(series) :][:10]}))
        for at in range(READS)
    ]
    # The first contact of a million takes longer than a device may be silent.
    gateways.send(points=1, period=0.0, rounds=1)
    deadline = time.monotonic() + 60.0
    while (
        online := api.get("/overview")["totals"]["devices_online"]
    ) < options.devices and time.monotonic() < deadline:
        time.sleep(1.0)
    api.close()
    return [
        Row("search of devices p95", _quantile(searches, 0.95), "ms", 50.0),
        Row("twin read p50", statistics.median(twins), "ms"),
        Row("twin read p99", _quantile(twins, 0.99), "ms", 10.0),
        Row("devices online", online, "devices", float(options.devices), "higher"),
        Row("latest of 100,000 series in the worker", _gather_ms(options.devices * options.points), "ms", 5.0),
    ]


def _gather_ms(total: int) -> float:
    """Return CPU milliseconds of one gather of 100,000 series that follow each other, in twins of this size."""
    twins, ids = Twins(total + 1), np.arange(1, total + 1, dtype=np.uint32)
    columns = Columns(ids, np.full(total, 10**18), np.zeros(total, np.uint8), np.zeros(total))
    twins.update(Block(1, 10**18, {ValueType.DOUBLE: columns}))
    wanted = np.arange(total // 2, min(total // 2 + 100_000, total), dtype=np.int64)
    found: list[float] = []
    for _ in range(9):
        began = time.process_time()
        twins.gather(wanted)
        found.append((time.process_time() - began) * 1e3)
    return statistics.median(found)


def _timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return (time.monotonic() - began) * 1e3


def _quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(int(len(values) * q), len(values) - 1)]


if __name__ == "__main__":
    sys.exit(main())
