"""Bytes and CPU per point of the history, and how long reads take.

    python -m benchmarks.history [--data ../shared/data] [--points 3000000]

Bytes are those of active parts, with series, time, quality and ingest time: as a load of 40 inserts leaves them, and
after the history's own upkeep, without any OPTIMIZE. ``value_floor`` is the entropy of the first differences of the
values alone. CPU is that of both processes: the writer (decode, sort, encode, send) and the history (parse, sort,
compress, fsync and all merges).
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.history.signals import Signals, entropy_bytes, nab, tep
from benchmarks.ingest.report import Row, write
from gongfu.kernel.block import Block, Columns, encode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, MILLISECOND, SECOND
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.types import Aggregate, Batch, Order
from gongfu.store.history.writer import HistoryWriter
from tests.contract.history.served import ServedHistory

RESULT = Path(__file__).parent / "last.json"
BYTES_BAR = 2.0
INSERTS = 40
# The history promises its own merges within a minute of the last insert; a busy machine may take longer.
UPKEEP_S = 120.0


async def _bytes(signals: Signals) -> dict[str, Any]:
    """Insert as a live node would have, in the order of time, each point 1 to 5 ms after its source time; then wait."""
    with tempfile.TemporaryDirectory() as folder:
        served = ServedHistory(Path(folder))
        served.start()
        store = served.store()
        n = len(signals.values)
        ingested = signals.times + np.random.default_rng(1).integers(1, 6, n) * MILLISECOND
        order = np.lexsort((signals.series, signals.times))
        for part in np.array_split(order, INSERTS):
            columns = Columns(
                signals.series[part].astype("<u4"),
                signals.times[part].astype("<i8"),
                np.zeros(len(part), "u1"),
                signals.values[part].astype("<f8"),
            )
            await store.insert([Batch(ValueType.DOUBLE, columns, ingested[part])])
        loaded, begin = (await store.sizes())["point_double"], time.perf_counter()
        partitions = "SELECT uniqExact(partition) FROM system.parts WHERE active AND table = 'point_double'"
        while (size := (await store.sizes())["point_double"]).parts > await asyncio.to_thread(
            store.call, lambda client: int(str(client.command(partitions)))
        ):
            if time.perf_counter() - begin > UPKEEP_S:
                break
            await asyncio.sleep(1)
        settled = time.perf_counter() - begin
        n = size.rows
        raw = await asyncio.to_thread(
            store.call,
            lambda client: client.raw_query(
                "SELECT column, sum(column_data_compressed_bytes) FROM system.parts_columns "
                "WHERE table = 'point_double' AND active GROUP BY column"
            ),
        )
        by_column = {name: int(value) / n for name, value in (line.split("\t") for line in raw.decode().splitlines())}
        await _same(store, signals, ingested)
        await store.close()
        served.stop()
        return {
            "points": n,
            "bytes_per_point_right_after_load": round(loaded.bytes_on_disk / loaded.rows, 3),
            "bytes_per_point": round(size.bytes_on_disk / n, 3),
            "seconds_after_load": round(settled, 1),
            "parts": f"{loaded.parts} -> {size.parts}",
            "bytes": size.bytes_on_disk,
            "columns": {name: round(value, 3) for name, value in sorted(by_column.items()) if value},
            "value_floor": round(entropy_bytes(signals), 3),
        }


async def _same(store: ClickHouseHistory, signals: Signals, ingested: Any) -> None:
    """Fail unless every double came back bit by bit; of two with one time (NAB has some) the later one is kept."""
    found = await store.query(ValueType.DOUBLE, np.unique(signals.series).tolist(), 0, MAX_NS, limit=10**8)
    order = np.lexsort((ingested, signals.times, signals.series))
    unique = np.r_[True, (np.diff(signals.series[order]) != 0) | (np.diff(signals.times[order]) != 0)]
    kept = np.r_[unique[1:], True]
    expected = signals.values[order][kept]
    if np.asarray(found.columns.values).tobytes() != expected.astype("<f8").tobytes():
        raise SystemExit(f"{signals.name}: values did not come back exactly")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def _cost(points: int, directory: Path) -> dict[str, Any]:
    """Write blocks of 10,000 points of 2,000 series through the writer."""
    served = ServedHistory(directory / "history")
    begin = time.perf_counter()
    served.start()
    ready = time.perf_counter() - begin
    assert served.process is not None
    server, me = psutil.Process(served.process.pid), psutil.Process()
    idle_rss = server.memory_info().rss
    before = _cpu(server)
    await asyncio.sleep(10)
    idle_cpu = (_cpu(server) - before) * 10
    store, counters = served.store(), Counters()
    await store.sizes()
    random = np.random.default_rng(0)
    size, series = 10_000, 2_000
    blocks: list[tuple[int, bytes]] = []
    for k in range(points // size):
        ids = np.tile(np.arange(1, series + 1, dtype="<u4"), size // series)
        times = 1_700_000_000 * SECOND + (k * 5 + np.repeat(np.arange(5), series)) * SECOND
        values = np.round(20 + ids * 0.01 + random.standard_normal(size), 2)
        block = Block(1, int(times[-1]), {ValueType.DOUBLE: Columns(ids, times, np.zeros(size, "u1"), values)})
        blocks.append((k + 1, encode_block(block)))
    writer = HistoryWriter(store, directory, counters)
    writer.start()
    client_before, server_before, begin = _cpu(me), _cpu(server), time.perf_counter()
    for start in range(0, len(blocks), 16):
        await writer.add(0, blocks[start : start + 16])
    await writer.flush()
    wall = time.perf_counter() - begin
    client, insert = _cpu(me) - client_before, _cpu(server) - server_before
    await asyncio.to_thread(store.call, lambda c: c.command("OPTIMIZE TABLE gongfu.point_double FINAL"))
    merged = _cpu(server) - server_before - insert
    await writer.stop()
    reads = await _reads(store)
    loaded = server.memory_info().rss
    await store.close()
    served.stop()
    n = points // size * size
    return {
        "points": n,
        "inserts": counters.snapshot()["history_inserts"],
        "start_to_ready_s": round(ready, 2),
        "idle_rss_mb": round(idle_rss / 2**20, 1),
        "idle_cpu_percent": round(idle_cpu, 2),
        "loaded_rss_mb": round(loaded / 2**20, 1),
        "writer_cpu_us_per_point": round(client / n * 1e6, 3),
        "history_cpu_us_per_point": round(insert / n * 1e6, 3),
        "final_merge_cpu_us_per_point": round(merged / n * 1e6, 3),
        "points_per_second": round(n / wall),
        "reads_ms": reads,
    }


async def _reads(store: ClickHouseHistory) -> dict[str, float]:
    n = 1_000_000
    columns = Columns(
        np.full(n, 90_001, "<u4"), 1_600_000_000 * SECOND + np.arange(n) * SECOND, np.zeros(n, "u1"),
        np.round(np.cumsum(np.random.default_rng(2).normal(size=n)), 2),
    )  # fmt: skip
    await store.insert([Batch(ValueType.DOUBLE, columns, np.asarray(columns.times))])

    async def best(make: Any) -> float:
        took = []
        for _ in range(5):
            begin = time.perf_counter()
            await make()
            took.append(time.perf_counter() - begin)
        return round(min(took) * 1000, 1)

    step = n * SECOND // 1000
    hour = (1_600_000_000 * SECOND, 1_600_003_600 * SECOND)
    return {
        "minmax_of_1m_points_in_1000_steps": await best(
            lambda: store.aggregate(ValueType.DOUBLE, [90_001], 0, MAX_NS, how=Aggregate.MINMAX, step=step)
        ),
        "avg_of_1m_points_in_1000_steps": await best(
            lambda: store.aggregate(ValueType.DOUBLE, [90_001], 0, MAX_NS, how=Aggregate.AVERAGE, step=step)
        ),
        "all_of_1m_points": await best(lambda: store.query(ValueType.DOUBLE, [90_001], 0, MAX_NS, limit=n)),
        "one_hour_of_one_series": await best(lambda: store.query(ValueType.DOUBLE, [90_001], *hour)),
        "last_100_points": await best(
            lambda: store.query(ValueType.DOUBLE, [90_001], 0, MAX_NS, order=Order.DESCENDING, limit=100)
        ),
        "latest_of_2000_series": await best(lambda: store.latest(ValueType.DOUBLE, range(1, 2001))),
    }


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--points", type=int, default=3_000_000)
    options = parser.parse_args()
    report: dict[str, Any] = {}
    sources = [nab(options.data, "machine", 1), nab(options.data, "ambient", 2), tep(options.data)]
    for source in sources:
        report[source.name] = await _bytes(source)
    together = Signals(
        "together", *(np.concatenate([getattr(s, key) for s in sources]) for key in ("series", "times", "values"))
    )
    report["NAB and TEP together"] = await _bytes(together)
    with tempfile.TemporaryDirectory() as folder:
        report["cost"] = await _cost(options.points, Path(folder))
    print(json.dumps(report, indent=2))
    write(_rows(report), RESULT)


def _rows(report: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for name in (name for name in report if name != "cost"):
        found = report[name]
        bar = BYTES_BAR if name == "NAB and TEP together" else None
        rows += [
            Row(f"{name}: on disk after upkeep", found["bytes_per_point"], "B/point", bar),
            Row(f"{name}: right after the load", found["bytes_per_point_right_after_load"], "B/point"),
            Row(f"{name}: entropy of the first differences of the values", found["value_floor"], "B/point"),
        ]
    cost = report["cost"]
    rows += [
        Row("CPU, writer", cost["writer_cpu_us_per_point"], "us/point"),
        Row("CPU, history", cost["history_cpu_us_per_point"], "us/point"),
    ]
    return rows


if __name__ == "__main__":
    asyncio.run(_main())
