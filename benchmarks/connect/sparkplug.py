"""CPU cost of Sparkplug: decode + columnise per metric with the host's order checked, and a wave of births.

    python -m benchmarks.connect.sparkplug [--nodes 10000] [--metrics 20] [--peer /path/to/python/with/pysparkplug]

Figures are CPU time of this process (user + system), so other load on the machine does not count; the peer is measured
in the same run, in a process of its own. The block log is replaced by one that acknowledges at once.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.columnise.columnise_cost import NoLog, records
from gongfu.ingest.columnise.columniser import Columniser
from gongfu.ingest.columnise.sparkplug_schema import Payload
from gongfu.ingest.sparkplug.host import SparkplugHost
from gongfu.ingest.types import Form, Receipt, Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SystemClock
from gongfu.node.runtime import TelemetrySettings

BAR_US = 0.6
PEER = """
import sys, time
from pysparkplug._payload import NBirth, NData
from pysparkplug._protobuf import Payload
data = bytes.fromhex(sys.stdin.read())
n = int(sys.argv[1])
began = time.process_time()
for _ in range(n):
    NData.decode(data)
print(time.process_time() - began)
"""


def birth(metrics: int, now: int, bd_seq: int = 0) -> bytes:
    message = Payload(timestamp=now, seq=0)
    message.metrics.add(name="bdSeq", timestamp=now, datatype=4).long_value = bd_seq
    for n in range(metrics):
        message.metrics.add(name=f"温度/{n:03d}", alias=n + 1, timestamp=now, datatype=10).double_value = n * 1.5
    return message.SerializeToString()


def data(metrics: int, now: int, seq: int, *, typed: bool = False) -> bytes:
    message = Payload(timestamp=now, seq=seq)
    for n in range(metrics):
        metric = message.metrics.add(alias=n + 1, timestamp=now)
        metric.double_value = n + now % 1000 / 7
        if typed:
            metric.datatype = 10
    return message.SerializeToString()


def rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Setup:
    """A columniser with a Sparkplug host over records in a file."""

    def __init__(self, directory: Path, devices: int, limits: TelemetrySettings) -> None:
        self.engine, self.writers = records(directory, devices)
        self.counters = Counters()
        self.commands = 0
        self.columniser = Columniser(
            None,  # pyright: ignore[reportArgumentType]
            Subjects("bench"),
            self.engine,
            limits,
            self.counters,
            SystemClock(),
            log=NoLog(),  # pyright: ignore[reportArgumentType]
        )
        self.host = SparkplugHost(
            self.columniser, self._publish, self.counters, SystemClock(), asyncio.get_running_loop()
        )
        self.columniser.follow_sparkplug(self.host.take, self.host.order_of, self.host.unknown_alias)

    def _publish(self, *_: object) -> None:
        self.commands += 1

    async def take(self, messages: list[tuple[Writer, str, bytes]]) -> tuple[float, int]:
        """Submit messages and wait for all receipts; return (CPU seconds, points accepted)."""
        left = len(messages)
        accepted = 0
        done = asyncio.Event()

        def settle(receipt: Receipt) -> None:
            nonlocal left, accepted
            left -= 1
            accepted += receipt.accepted
            if receipt.shed or receipt.rejected:
                raise AssertionError(receipt)
            if not left:
                done.set()

        began = time.process_time()
        received = time.time_ns()
        for n, (writer, topic, payload) in enumerate(messages):
            self.columniser.submit(writer, Form.SPARKPLUG, payload, received, settle, topic)
            if n % 64 == 63:
                await asyncio.sleep(0)
        await done.wait()
        return time.process_time() - began, accepted


async def steady(metrics: int) -> float:
    """Return the least CPU-µs per metric over several rounds of in-order data of 100 edge nodes."""
    with tempfile.TemporaryDirectory() as directory:
        setup = Setup(Path(directory), 100, TelemetrySettings())
        now = time.time_ns() // 1_000_000 - 10_000_000
        topics = [f"spBv1.0/g/NDATA/e{n}" for n in range(100)]
        births = [(w, f"spBv1.0/g/NBIRTH/e{n}", birth(metrics, now)) for n, w in enumerate(setup.writers)]
        await setup.take(births)
        costs: list[float] = []
        seq = 0
        for _ in range(30):
            batch: list[tuple[Writer, str, bytes]] = []
            for _ in range(10):
                seq, now = (seq + 1) % 256, now + 1000
                payload = data(metrics, now, seq)
                batch += [(w, topic, payload) for w, topic in zip(setup.writers, topics, strict=True)]
            cpu, accepted = await setup.take(batch)
            costs.append(cpu / accepted * 1e6)
        found = setup.counters.snapshot()
        assert not any(name.startswith(("sparkplug.gaps", "sparkplug.behind")) for name in found), found
        return min(costs)


async def wave(nodes: int, metrics: int) -> dict[str, float]:
    """Return what a wave costs: all nodes are born, send, die and are born again at once."""
    with tempfile.TemporaryDirectory() as directory:
        setup = Setup(Path(directory), nodes, TelemetrySettings())
        now = time.time_ns() // 1_000_000 - 10_000_000
        named = list(enumerate(setup.writers))
        before = rss_mib()
        first, points = await setup.take([(w, f"spBv1.0/g/NBIRTH/e{n}", birth(metrics, now)) for n, w in named])
        assert points == nodes * metrics, points
        after_first = rss_mib()
        death = Payload(timestamp=now)
        death.metrics.add(name="bdSeq", timestamp=now, datatype=4).long_value = 0
        died = death.SerializeToString()
        deaths, stale = await setup.take([(w, f"spBv1.0/g/NDEATH/e{n}", died) for n, w in named])
        assert stale == nodes * metrics, stale
        again: list[tuple[Writer, str, bytes]] = []
        for n, w in named:
            again.append((w, f"spBv1.0/g/NBIRTH/e{n}", birth(metrics, now + 1000, 1)))
            again += [(w, f"spBv1.0/g/NDATA/e{n}", data(metrics, now + 1000 + seq, seq)) for seq in (1, 2)]
        second, points = await setup.take(again)
        found = setup.counters.snapshot()
        return {
            "nodes": nodes,
            "metrics": metrics,
            "first_wave_cpu_s": first,
            "death_wave_cpu_s": deaths,
            "return_wave_cpu_s": second,
            "rss_before_mib": before,
            "rss_after_first_mib": after_first,
            "rss_end_mib": rss_mib(),
            "rss_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "kib_per_node": (rss_mib() - before) * 1024 / nodes,
            "rebirth_requests": float(setup.commands),
            "gaps": float(found.get("sparkplug.gaps", 0)),
            "lost": nodes * metrics * 3 - points,
        }


async def storm(nodes: int) -> dict[str, float]:
    """Return what happens when the host has forgotten everything and all nodes go on sending data."""
    with tempfile.TemporaryDirectory() as directory:
        setup = Setup(Path(directory), 1, TelemetrySettings())
        now = time.time_ns() // 1_000_000
        before, began = rss_mib(), time.process_time()
        for seq in (5, 6, 7):
            payload = data(5, now + seq, seq)
            for n in range(nodes):
                setup.columniser.submit(
                    setup.writers[0], Form.SPARKPLUG, payload, time.time_ns(), None, f"spBv1.0/g/NDATA/e{n}"
                )
            await asyncio.sleep(0)
        held = setup.host.sessions.held_bytes
        await asyncio.sleep(5)
        return {
            "nodes": nodes,
            "cpu_s": time.process_time() - began,
            "held_mib": held / 2**20,
            "rss_growth_mib": rss_mib() - before,
            "requests_in_5_s": float(setup.commands),
        }


def peer(python: str, metrics: int) -> float | None:
    """Return the CPU-µs per metric of pysparkplug's decoding alone, None when it is not there."""
    payload = data(metrics, time.time_ns() // 1_000_000, 1, typed=True)
    n = 2000
    try:
        done = subprocess.run(
            [python, "-c", PEER, str(n)], input=payload.hex(), capture_output=True, text=True, timeout=300, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"no figure of pysparkplug: {getattr(error, 'stderr', error)}\n")
        return None
    return float(done.stdout) / n / metrics * 1e6


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--peer", default=sys.executable)
    arguments = parser.parse_args()
    run: Callable[[Any], Any] = asyncio.run
    ours = {metrics: run(steady(metrics)) for metrics in (5, 20, 100)}
    theirs = peer(arguments.peer, arguments.metrics)
    result = {
        "decode_and_columnise_us_per_metric": ours,
        "bar_us": BAR_US,
        "pysparkplug_decode_us_per_metric": theirs,
        "wave": run(wave(arguments.nodes, arguments.metrics)),
        "storm": run(storm(arguments.nodes)),
    }
    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    (Path(__file__).parent / "last_sparkplug.json").write_text(text, encoding="utf-8")
    return 0 if max(ours.values()) <= BAR_US else 1


if __name__ == "__main__":
    sys.exit(main())
