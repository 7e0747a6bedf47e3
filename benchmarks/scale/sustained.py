"""Sustained load from thousands of connections with credentials and access control: rate, CPU, latency, exactness."""

from dataclasses import replace
from pathlib import Path

from benchmarks.ingest.generator import Load, Outcome
from benchmarks.ingest.load import Generator
from benchmarks.ingest.processes import Usage, cpu_by_name, usage
from benchmarks.ingest.report import Row
from benchmarks.ingest.stored import query_store, wait_until_queryable
from benchmarks.scale.nodes import new_node, say
from benchmarks.scale.registration import register
from demo.node import NodeProcess

# Form of the payload, topic, path of the asset that the points come under, bar in points/s.
FORMS = (
    ("sparkplug", "spBv1.0/group/NDATA/{device}", "plant/{device}/group/{device}", 1_000_000.0),
    ("json", "v1/devices/me/telemetry", "plant/{device}", 500_000.0),
)
CPU_BAR = 1.5
STORED_TIMEOUT_S = 300.0


def sustain(folder: Path, seconds: float, connections: int, window: int, doors: int) -> list[Row]:
    """Run both forms one after the other, each on a node of its own."""
    rows: list[Row] = []
    for form, topic, assets, bar in FORMS:
        with new_node(folder / form, doors=doors) as node:
            node.start()
            say(f"{form}: {connections:,} devices are registered")
            devices = register(node, connections, "plant")
            load = Load("127.0.0.1", node.ports.mqtt, devices, seconds, window, form=form, topic=topic)
            # First contact makes the points; a Sparkplug edge node begins with its birth certificate.
            birth = replace(load, seconds=0.1, window=1, topic=topic.replace("/NDATA/", "/NBIRTH/"))
            run_until_stored(node, birth, assets)
            say(f"{form}: {connections:,} connections, QoS 1, {seconds:g} s")
            rows += _rows(node, load, assets, bar)
    return rows


def run_until_stored(node: NodeProcess, load: Load, assets: str) -> tuple[Outcome, int, list[Usage], list[Usage]]:
    """Run a load; return what happened, the UTC ns at which its last points could be queried, and what the processes of
    the node had used once all were connected and at that time.

    Args:
        node: takes the load.
        load: what to send.
        assets: path of a device's asset, with ``{device}`` for its name.
    """
    api = node.api()
    try:
        with Generator(load) as generator:
            before = usage(node.pid)
            generator.start()
            outcome = generator.outcome()
        seen = wait_until_queryable(api, _last(assets, outcome.last_ms), STORED_TIMEOUT_S)
        return outcome, seen, before, usage(node.pid)
    finally:
        api.close()


def _last(assets: str, last_ms: dict[str, int]) -> dict[str, int]:
    return {assets.format(device=name): moment for name, moment in last_ms.items()}


def _rows(node: NodeProcess, load: Load, assets: str, bar: float) -> list[Row]:
    before_count = _count(node)
    outcome, seen, before, after = run_until_stored(node, load, assets)
    stored = _count(node) - before_count
    points = outcome.acknowledged * load.points
    seconds = (seen - outcome.first_at) / 1e9
    cpu = cpu_by_name(before, after)
    form = load.form
    total = sum(cpu.values()) / points * 1e6
    say(f"{form}: {points / seconds:,.0f} points/s, {total:.2f} us/point, {points:,} acknowledged, {stored:,} stored")
    rows = [
        Row(f"{form}: points end to end into history, sustained", points / seconds, "points/s", bar, "higher"),
        Row(f"{form}: CPU, all processes", total, "us/point", CPU_BAR),
    ]
    rows += [Row(f"{form}: CPU, {name}", value / points * 1e6, "us/point") for name, value in sorted(cpu.items())]
    rows += [
        Row(f"{form}: CPU, generator (not counted)", outcome.cpu_seconds / points * 1e6, "us/point"),
        Row(f"{form}: duration", seconds, "s"),
        Row(f"{form}: PUBACK latency p50", outcome.latency_ms["p50"], "ms"),
        Row(f"{form}: PUBACK latency p99", outcome.latency_ms["p99"], "ms"),
        Row(f"{form}: acknowledged points", points, "points", better="higher"),
        Row(f"{form}: acknowledged but not in history", max(points - stored, 0), "points", 0.0),
        Row(f"{form}: in history but not acknowledged", max(stored - points, 0), "points", 0.0),
        Row(f"{form}: sent but never acknowledged", outcome.sent - outcome.acknowledged, "messages", 0.0),
        Row(f"{form}: connections lost", outcome.lost_connections, "connections", 0.0),
    ]
    return rows + [Row(f"{form}: peak RSS, {row.name}", row.peak_rss_bytes / 1e6, "MB") for row in after]


def _count(node: NodeProcess) -> int:
    """Return the number of rows that a reader sees, counted by the store; partition by partition of the series."""
    total = 0
    for part in range(4):
        answer = query_store(
            node.data_dir, f"SELECT count() AS n FROM gongfu.point_double FINAL WHERE series % 4 = {part}"
        )
        total += int(answer[0]["n"])
    return total
