"""Messages instead of points: bulk of small ones, and thousands of devices that send one at a time; mosquitto too.

Every load has a node of its own, and its CPU is counted until the last of its points can be queried: what a load
leaves behind is not charged to the next one, and nothing is left out.
"""

from dataclasses import replace
from pathlib import Path

from benchmarks.ingest.generator import Load, Outcome
from benchmarks.ingest.load import Generator
from benchmarks.ingest.peers.mosquitto import Mosquitto, find_mosquitto
from benchmarks.ingest.processes import cpu_by_name, usage
from benchmarks.ingest.report import Row
from benchmarks.scale.nodes import new_node, say
from benchmarks.scale.registration import register
from benchmarks.scale.sustained import run_until_stored

LOADS = ("bulk", "three", "single")
ASSETS = "small/{device}"
BULK_CONNECTIONS, BULK_WINDOW = 100, 2000
SINGLE_CONNECTIONS = 4000


def messages(folder: Path, seconds: float, doors: int) -> list[Row]:
    """Run both loads against a node, then against mosquitto, which acknowledges and drops."""
    rows: list[Row] = []
    ours: dict[str, float] = {}
    for name in LOADS:
        with new_node(folder / name, doors=doors) as node:
            node.start()
            devices = register(node, SINGLE_CONNECTIONS, "small")
            load = _loads(node.ports.mqtt, devices, seconds)[name]
            run_until_stored(node, replace(load, seconds=0.2, window=1), ASSETS)
            outcome, seen, before, after = run_until_stored(node, load, ASSETS)
            cpu = cpu_by_name(before, after)
        ours[name] = sum(cpu.values()) / outcome.acknowledged * 1e6
        rate = outcome.acknowledged / ((outcome.last_ack_at - outcome.first_at) / 1e9)
        stored = outcome.acknowledged / ((seen - outcome.first_at) / 1e9)
        say(f"{name}: {rate:,.0f} messages/s, {ours[name]:.1f} us/message, p99 {outcome.latency_ms['p99']:.1f} ms")
        bar = 300_000.0 if name == "bulk" else None
        rows += [
            Row(f"{name}: acknowledged after fsync", rate, "messages/s", bar, "higher"),
            Row(f"{name}: until all is in the history", stored, "messages/s", better="higher"),
            Row(f"{name}: CPU, all processes", ours[name], "us/message"),
            *(Row(f"{name}: CPU, {n}", v / outcome.acknowledged * 1e6, "us/message") for n, v in sorted(cpu.items())),
            Row(f"{name}: PUBACK latency p50", outcome.latency_ms["p50"], "ms"),
            Row(f"{name}: PUBACK latency p99", outcome.latency_ms["p99"], "ms"),
            Row(f"{name}: sent but never acknowledged", outcome.sent - outcome.acknowledged, "messages", 0.0),
        ]
    program = find_mosquitto()
    if program is None:
        say("mosquitto is not installed (Debian package mosquitto): no ratio")
        return rows
    folder.chmod(0o755)
    with Mosquitto(program, folder) as broker:
        anonymous = [(f"small-{number:06d}", "") for number in range(SINGLE_CONNECTIONS)]
        for name, load in _loads(broker.port, anonymous, seconds).items():
            begun = usage(broker.pid)[0].cpu_seconds
            outcome = _run(load)
            peer = (usage(broker.pid)[0].cpu_seconds - begun) / outcome.acknowledged * 1e6
            rate = outcome.acknowledged / ((outcome.last_ack_at - outcome.first_at) / 1e9)
            bar = 1.5 if name == "single" else None
            rows += [
                Row(f"{name}: mosquitto, acknowledged and dropped", rate, "messages/s", better="higher"),
                Row(f"{name}: mosquitto, CPU", peer, "us/message"),
                Row(f"{name}: ratio of CPU, Gongfu stored : mosquitto dropped", ours[name] / peer, "x", bar),
            ]
    return rows


def _loads(port: int, devices: list[tuple[str, str]], seconds: float) -> dict[str, Load]:
    bulk = Load("127.0.0.1", port, devices[:BULK_CONNECTIONS], seconds, BULK_WINDOW, points=1)
    three = replace(bulk, window=200, points=3)
    single = replace(bulk, devices=devices, window=1, points=3)
    return dict(zip(LOADS, (bulk, three, single), strict=True))


def _run(load: Load) -> Outcome:
    with Generator(load) as generator:
        generator.start()
        return generator.outcome()
