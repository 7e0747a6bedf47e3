"""Reads of the history as a caller sees them: whole HTTP requests at the web API while a load is written beside them.

    python -m benchmarks.history_read [--rate 20000] [--seconds 25] [--requests 200]

A node is started and given a month of one series (259,200 points, 10 s apart) and six hours of another (1 a second) as
its own telemetry. Then, without a load and with one (Sparkplug over MQTT, 20 points a message, QoS 1), every read is
asked for many times over one kept connection: p50 and p99 of the wall time from the first byte sent to the last byte
read, and the CPU time of the roles ``web`` and ``history`` for each request. Wall times say little on a machine that
does other things; CPU times hold.
"""

import argparse
import base64
import http.client
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.ingest.generator import Load
from benchmarks.ingest.load import Generator
from benchmarks.ingest.payloads import POINTS_PER_MESSAGE
from benchmarks.ingest.processes import usage
from benchmarks.ingest.report import Row, table, write
from demo.api import Api
from tests.fixtures.node import Node
from tests.fixtures.processes import wait_until

RESULT = Path(__file__).parent / "last.json"
# Of the median, while points come in.
BARS_MS = {
    "one hour raw (3,600 points)": 10.0,
    "one month in 1,000 buckets, minmax": 50.0,
    "one month in 1,000 buckets, avg": 50.0,
}
SECOND = 10**9
MONTH_POINTS = 259_200
HOURS = 6
CHUNK = 40_000


def _send(url: str, name: str, secret: str, content: Any) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, content.schema) as stream:
        stream.write_table(content)
    token = base64.b64encode(f"{name}:{secret}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/vnd.apache.arrow.stream"}
    request = urllib.request.Request(f"{url}/v1/telemetry", sink.getvalue().to_pybytes(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def _fill(node: Node, secret: str, point: str, times: Any, values: Any) -> None:
    for start in range(0, len(times), CHUNK):
        part = slice(start, start + CHUNK)
        names = pa.array([point] * len(times[part])).dictionary_encode()
        stamps = pa.array(times[part]).cast(pa.timestamp("ns", "UTC"))
        rows = pa.table({"time": stamps, "name": names, "value": values[part]})
        _send(node.url, "reader", secret, rows)


class Caller:
    """One kept connection to the API."""

    def __init__(self, node: Node) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", node.web_port, timeout=60)
        self._headers = {"Authorization": f"Bearer {node.token}", "Content-Type": "application/json"}

    def post(self, path: str, body: bytes) -> bytes:
        self._connection.request("POST", path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{answer.status}: {content[:300]!r}")
        return content


def _measured(node: Node, caller: Caller, path: str, body: dict[str, Any], requests: int) -> dict[str, Any]:
    raw = json.dumps(body).encode()
    caller.post(path, raw)
    before = _cpu(node)
    took, content = [], b""
    for _ in range(requests):
        begin = time.perf_counter()
        content = caller.post(path, raw)
        took.append(time.perf_counter() - begin)
    after = _cpu(node)
    p50, p99 = np.percentile(np.array(took) * 1000, [50, 99])
    cpu = {role: round((after[role] - before[role]) / requests * 1000, 2) for role in ("web", "history")}
    return {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "cpu_ms": cpu, "kilobytes": round(len(content) / 1000, 1)}


def _cpu(node: Node) -> dict[str, float]:
    assert node.process is not None
    found: dict[str, float] = {}
    for row in usage(node.process.process.pid):
        found[row.name] = found.get(row.name, 0.0) + row.cpu_seconds
    return found


def _reads(month: int, fast: int, end: int) -> dict[str, tuple[str, dict[str, Any]]]:
    milliseconds = end // 1_000_000
    hour = {"series": [fast], "from": milliseconds - 3_600_000, "to": milliseconds, "limit": 100_000}
    whole = {"series": [month], "from": milliseconds - 30 * 86_400_000, "to": milliseconds}
    step = 30 * 86_400 / 1000
    query = "/v1/series:query?times_format=ms"
    reads = {"one hour raw (3,600 points)": (query, hour)}
    for how in ("minmax", "avg", "count", "TimeAverage2", "Interpolative", "Average", "PercentGood"):
        reads[f"one month in 1,000 buckets, {how}"] = (query, {**whole, "aggregate": how, "step": step})
    reads["one month in 720 hours, avg"] = (query, {**whole, "aggregate": "avg", "step": 3600})
    reads["last 100 points"] = (query, {**hour, "from": 0, "order": "desc", "limit": 100})
    reads["value at one time"] = (query, {"series": [month], "at": [milliseconds - 86_400_123]})
    reads["gaps of one hour"] = (query, {**hour, "limit": 1, "gaps": {"times_usual": 5}})
    return reads


def _export(caller: Caller, month: int, end: int) -> dict[str, Any]:
    found = {}
    body = {"series": [month], "from": 0, "to": end // 1_000_000 + 1}
    for form in ("parquet", "csv", "arrow"):
        raw = json.dumps({**body, "format": form}).encode()
        begin = time.perf_counter()
        content = caller.post("/v1/series:export", raw)
        seconds = time.perf_counter() - begin
        found[form] = {"seconds": round(seconds, 2), "megabytes": round(len(content) / 1e6, 2)}
    return found


def _main() -> int:
    """Measure, print, write; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20_000, help="points a second beside the reads")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120.0, help="longest the load runs")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder) / "data").start()
        try:
            report = _run(node, options)
        finally:
            node.stop()
    rows = [Row("load average before the start", load, "processes"), *_rows(report)]
    print(table(rows))
    write(rows, RESULT)
    return 1 if any(row.met is False for row in rows) else 0


def _rows(report: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for when in ("without load", "with load"):
        for name, read in report[when].items():
            if not isinstance(read, dict) or "p50_ms" not in read:
                continue
            bar = BARS_MS.get(name) if when == "with load" else None
            rows += [
                Row(f"{name}, {when}: p50", read["p50_ms"], "ms", bar),
                Row(f"{name}, {when}: p99", read["p99_ms"], "ms"),
                *(Row(f"{name}, {when}: CPU, {role}", spent, "ms") for role, spent in read["cpu_ms"].items()),
            ]
    for form, found in report["export of a month (259,200 points)"].items():
        rows.append(Row(f"export of a month (259,200 points), {form}", found["seconds"], "s"))
    rows.append(Row("the load beside the reads, stored", report["with load"]["rates"]["stored"], "points/s"))
    return rows


def _run(node: Node, options: argparse.Namespace) -> dict[str, Any]:
    api = Api(node.url, node.token)
    secret = str(api.post("/devices", {"name": "reader", "asset": "bench/reader"})["secret"])
    end = time.time_ns() // (10 * SECOND) * (10 * SECOND)
    random = np.random.default_rng(0)
    slow = end - np.arange(MONTH_POINTS, 0, -1) * 10 * SECOND
    quick = end - np.arange(HOURS * 3600, 0, -1) * SECOND
    _fill(node, secret, "month", slow, np.round(np.cumsum(random.normal(size=len(slow))), 2))
    _fill(node, secret, "fast", quick, np.round(np.cumsum(random.normal(size=len(quick))), 2))
    asset = next(one for one in api.items("/assets", path="bench/reader"))
    points = {one["name"]: one["series"] for one in api.items("/points", asset=asset["id"])}
    caller = Caller(node)
    total = json.dumps({"series": list(points.values()), "from": 0, "aggregate": "count", "step": 31_622_400}).encode()

    def stored() -> bool:
        answer = json.loads(caller.post("/v1/series:query", total))
        return sum(sum(one["values"]) for one in answer["series"]) == len(slow) + len(quick)

    wait_until(stored, "all points in the history", 120)
    reads = _reads(points["month"], points["fast"], end)

    def all_reads() -> dict[str, Any]:
        return {name: _measured(node, caller, *read, options.requests) for name, read in reads.items()}

    report: dict[str, Any] = {"requests": options.requests, "without load": all_reads()}
    report["export of a month (259,200 points)"] = _export(caller, points["month"], end)
    report["with load"] = _loaded(node, api, options, all_reads)
    return report


def _loaded(node: Node, api: Api, options: argparse.Namespace, reads: Callable[[], Any]) -> dict[str, Any]:
    devices = []
    for number in range(50):
        name = f"load-{number:02d}"
        devices.append((name, str(api.post("/devices", {"name": name, "asset": f"bench/{name}"})["secret"])))
    load = Load(
        "127.0.0.1",
        node.mqtt_port,
        devices,
        options.seconds,
        form="sparkplug",
        messages_per_s=options.rate / POINTS_PER_MESSAGE,
        topic="spBv1.0/group/NDATA/{device}",
    )
    with Generator(load) as generator:
        generator.start()
        wait_until(lambda: api.get("/overview")["rates"]["points"] > 0, "the load is under way", 60)
        found = reads()
        rates = api.get("/overview")["rates"]
    return {"points_per_second_asked": options.rate, "rates": rates, **found}


if __name__ == "__main__":
    sys.exit(_main())
