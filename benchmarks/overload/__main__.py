"""``python -m benchmarks.overload``: 200 ordinary devices, idle and beside one device that floods the node.

Everything runs on this machine, the load processes too, on a fresh data directory that is removed at the end.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.ingest.fleet import make_devices
from benchmarks.ingest.generator import Load
from benchmarks.ingest.processes import cpu_by_name, usage
from benchmarks.ingest.report import Row, table, write
from benchmarks.ingest.stored import count_points
from benchmarks.overload.child import Child
from benchmarks.overload.flooder import Flood
from demo.api import Api
from demo.node import NodeProcess, Ports, free_port, write_configuration

RESULT = Path(__file__).parent / "last.json"
POINTS = 20
FLOODER = "flooder"
STORED_S = 120.0
OF_ASSETS = "WHERE series IN (SELECT series FROM series WHERE {})"


@dataclass(frozen=True)
class Options:
    """What to run: seconds of each phase, ordinary devices, their messages a second together, connections of the
    flooder, how many times the capacity it wants to send, front doors."""

    seconds: float
    devices: int
    rate: float
    connections: int
    times: float
    doors: int


def main() -> int:
    """Measure, print, write; return 1 when a bar is missed or something was lost."""
    options = _options()
    rows = [Row("load average before the start", os.getloadavg()[0], "processes")]
    with tempfile.TemporaryDirectory(prefix="gongfu-overload-") as folder:
        data = Path(folder) / "node"
        data.mkdir()
        ports = Ports(web=free_port(), mqtt=free_port())
        write_configuration(data.with_suffix(".toml"), data, ports, door_processes=options.doors)
        with NodeProcess(data, data.with_suffix(".toml"), ports) as node:
            node.start()
            api = node.api()
            try:
                rows += Bench(node, api, options).run()
            finally:
                api.close()
    print("\n" + table(rows))
    write(rows, RESULT)
    return 1 if any(row.met is False for row in rows) else 0


class Bench:
    """One run on one node."""

    def __init__(self, node: NodeProcess, api: Api, options: Options) -> None:
        self._node = node
        self._api = api
        self._options = options
        self._devices = make_devices(api, options.devices, "ordinary")
        made = api.post("/devices", {"name": FLOODER, "asset": FLOODER})
        self._flooder, self._secret = made["device"]["id"], made["secret"]
        self._sent = 0

    def run(self) -> list[Row]:
        """Run all phases."""
        self._ordinary(2.0, None)  # first contact of all points
        capacity = self._capacity()
        _say(f"capacity of the node for one device alone: {capacity:,.0f} points/s")
        rows = [Row("capacity for the flooder alone", capacity, "points/s", better="higher")]
        idle = self._ordinary(self._options.seconds, None)[0]
        rate = capacity * self._options.times
        rows += self._phase("fairness, QoS 1", rate, {}, {"qos": 1, "version": 4}, idle)
        quota = capacity / 20
        rows += self._phase(
            "quota, shed, QoS 1",
            rate,
            {"points_per_second": quota, "policy": "shed", "burst_seconds": 1},
            {"qos": 1, "version": 5},
            idle,
        )
        rows += self._phase(
            "quota, delay, QoS 0",
            rate,
            {"points_per_second": quota, "policy": "delay", "burst_seconds": 1},
            {"qos": 0, "version": 4},
            idle,
        )
        again = self._ordinary(self._options.seconds, None)[0]
        rows += [
            Row("idle, p50", _percentile(idle["latency_ms"], 50), "ms"),
            Row("idle, p99", _percentile(idle["latency_ms"], 99), "ms"),
            Row("idle again at the end, p99", _percentile(again["latency_ms"], 99), "ms"),
            Row("idle, p99 of the measuring client's own lateness", _percentile(idle["lag_ms"], 99), "ms"),
        ]
        rows += [Row(f"peak RSS, {row.name}", row.peak_rss_bytes / 1e6, "MB") for row in usage(self._node.pid)]
        rows.append(self._others())
        return rows

    def _capacity(self) -> float:
        """Return what the node takes of the flooder alone, in points per second."""
        flood = self._flood(1e9, min(5.0, self._options.seconds), {"qos": 1, "version": 4})
        with Child("benchmarks.overload.flooder", asdict(flood)) as child:
            child.start()
            outcome = child.outcome()
        return outcome["acknowledged"] * POINTS / outcome["seconds"]

    def _phase(
        self, name: str, rate: float, quota: dict[str, Any], how: dict[str, Any], idle: dict[str, Any]
    ) -> list[Row]:
        self._api.patch(f"/devices/{self._flooder}", {"quota": quota or None})
        before, stored, counters = self._drops(), self._stored(), usage(self._node.pid)
        flood = self._flood(rate, self._options.seconds + 1.0, how)
        ordinary, outcome = self._ordinary(self._options.seconds, flood)
        assert outcome is not None
        sent = outcome["sent"] * POINTS
        after, kept = self._settled(before, stored, sent)
        cpu = cpu_by_name(counters, usage(self._node.pid))
        shed = sum(n for (kind, _), n in after.items() if kind == "shed")
        delayed = sum(n for (kind, _), n in after.items() if kind == "delayed")
        p50, p99 = (_percentile(ordinary["latency_ms"], p) for p in (50, 99))
        base = _percentile(idle["latency_ms"], 99)
        _say(f"{name}: p99 {p99:.1f} ms, idle {base:.1f} ms; flooder sent {sent:,}, stored {kept:,}, shed {shed:,}")
        rows = [
            Row(f"{name}: wanted by the flooder", rate, "points/s"),
            Row(f"{name}: taken of the flooder", kept / outcome["seconds"], "points/s", better="higher"),
            Row(f"{name}: ordinary p50", p50, "ms"),
            Row(f"{name}: ordinary p99", p99, "ms"),
            Row(f"{name}: ordinary p99, flooded : idle", p99 / base, "x", 2.0),
            Row(f"{name}: measuring client late, p99", _percentile(ordinary["lag_ms"], 99), "ms"),
            Row(
                f"{name}: ordinary messages without PUBACK",
                ordinary["sent"] - ordinary["acknowledged"],
                "messages",
                0.0,
            ),
            Row(f"{name}: flooder's points shed and counted", shed, "points"),
            Row(f"{name}: flooder's points neither stored nor counted", abs(sent - kept - shed), "points", 0.0),
            Row(f"{name}: flooder's connections delayed", delayed / 1000.0, "connection-seconds"),
            Row(f"{name}: CPU, flooder", outcome["cpu_seconds"], "s"),
        ]
        if how["qos"]:
            difference = abs(outcome["acknowledged"] * POINTS - kept)
            rows.append(Row(f"{name}: acknowledged but not stored, or the reverse", difference, "points", 0.0))
        return rows + [Row(f"{name}: CPU, {role}", seconds, "s") for role, seconds in sorted(cpu.items())]

    def _flood(self, rate: float, seconds: float, how: dict[str, Any]) -> Flood:
        options = self._options
        return Flood(
            "127.0.0.1",
            self._node.ports.mqtt,
            FLOODER,
            self._secret,
            options.connections,
            seconds,
            rate,
            points=POINTS,
            **how,
        )

    def _ordinary(self, seconds: float, flood: Flood | None) -> tuple[dict[str, Any], dict[str, Any] | None]:
        load = Load(
            "127.0.0.1", self._node.ports.mqtt, self._devices, seconds, messages_per_s=self._options.rate, points=POINTS
        )
        with Child("benchmarks.overload.ordinary", asdict(load)) as ordinary:
            if flood is None:
                ordinary.start()
                outcome, flooded = ordinary.outcome(), None
            else:
                with Child("benchmarks.overload.flooder", asdict(flood)) as child:
                    child.start()
                    time.sleep(1.0)  # the flood is at its height from the first measured message on
                    ordinary.start()
                    outcome, flooded = ordinary.outcome(), child.outcome()
        self._sent += outcome["sent"]
        return outcome, flooded

    def _stored(self) -> int:
        return count_points(self._api, OF_ASSETS.format(f"asset = '{FLOODER}'"))

    def _drops(self) -> dict[tuple[str, str], int]:
        items = self._api.get("/drops", device=self._flooder)["items"]
        return {(item["kind"], item["reason"]): item["count"] for item in items}

    def _settled(
        self, before: dict[tuple[str, str], int], stored: int, sent: int
    ) -> tuple[dict[tuple[str, str], int], int]:
        """Wait until all points of the flooder are stored or counted; return the drops and the points of this phase."""
        deadline = time.monotonic() + STORED_S
        while True:
            now, kept = self._drops(), self._stored() - stored
            drops = {key: n - before.get(key, 0) for key, n in now.items()}
            lost = sum(n for (kind, _), n in drops.items() if kind != "delayed")
            if kept + lost >= sent or time.monotonic() > deadline:
                return drops, kept
            time.sleep(0.5)

    def _others(self) -> Row:
        expected = self._sent * POINTS
        deadline = time.monotonic() + STORED_S
        where = OF_ASSETS.format("asset LIKE 'ordinary/%'")
        while (count := count_points(self._api, where)) < expected and time.monotonic() < deadline:
            time.sleep(0.5)
        return Row("ordinary points lost", expected - count, "points", 0.0)


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100.0))] if ordered else 0.0


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each phase")
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--rate", type=float, default=200.0, help="messages a second of all ordinary devices together")
    parser.add_argument("--connections", type=int, default=4, help="of the flooder")
    parser.add_argument("--times", type=float, default=10.0, help="what the flooder wants to send, by the capacity")
    parser.add_argument("--doors", type=int, default=1, help="front door processes")
    given = parser.parse_args()
    return Options(given.seconds, given.devices, given.rate, given.connections, given.times, given.doors)


if __name__ == "__main__":
    sys.exit(main())
