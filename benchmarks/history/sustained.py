"""CPU per point of the history writer and the history process under a steady load, merges included.

    python -m benchmarks.history.sustained [--rate 1000000] [--seconds 60] [--series 20000]

Messages of 20 points (one source time each), in the order of their devices, as a front door gives them. The cost of
making the load is left out. After the load it waits for the merges that the load has left.
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

from gongfu.kernel.block import Block, Columns, encode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.store.history.writer import HistoryWriter
from tests.contract.history.served import ServedHistory

BLOCK = 10_000
MESSAGE = 20
SETTLE_S = 15.0


class _Load:
    """Blocks of random walks with two decimals; each point of a series one millisecond or more after its last."""

    def __init__(self, series: int) -> None:
        self._random = np.random.default_rng(0)
        self._devices = series // MESSAGE
        self._state = self._random.uniform(10, 500, series)
        self._next = 0
        self._time = np.zeros(series, "<i8")
        self.blocks = 0

    def block(self) -> tuple[int, bytes]:
        devices = (self._next + np.arange(BLOCK // MESSAGE)) % self._devices
        self._next = (self._next + BLOCK // MESSAGE) % self._devices
        at = (devices[:, None] * MESSAGE + np.arange(MESSAGE)).ravel()
        now = time.time_ns()
        self._time[at] = np.maximum(self._time[at] + 1_000_000, now // 1_000_000 * 1_000_000)
        self._state[at] += self._random.normal(0, 0.3, BLOCK)
        columns = Columns((at + 1).astype("<u4"), self._time[at], np.zeros(BLOCK, "u1"), np.round(self._state[at], 2))
        self.blocks += 1
        return self.blocks, encode_block(Block(1, now, {ValueType.DOUBLE: columns}))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def measure(rate: float, seconds: float, series: int) -> dict[str, Any]:
    """Return points, CPU by process and point (µs) and the table's size."""
    with tempfile.TemporaryDirectory() as folder:
        served = ServedHistory(Path(folder) / "history")
        served.start()
        assert served.process is not None
        server, me = psutil.Process(served.process.pid), psutil.Process()
        store, counters, load = served.store(), Counters(), _Load(series)
        await store.sizes()
        writer = HistoryWriter(store, Path(folder), counters)
        writer.start()
        making = 0.0
        before_me, before_server, begin = _cpu(me), _cpu(server), time.perf_counter()
        while (elapsed := time.perf_counter() - begin) < seconds:
            start = time.thread_time()
            made: list[tuple[int, bytes]] = []
            while load.blocks * BLOCK < elapsed * rate and len(made) < 16:
                made.append(load.block())
            making += time.thread_time() - start
            if made:
                await writer.add(0, made)
            else:
                await asyncio.sleep(0.02)
        await writer.flush()
        wall = time.perf_counter() - begin
        writing, inserting = _cpu(me) - before_me - making, _cpu(server) - before_server
        await asyncio.sleep(SETTLE_S)
        merging = _cpu(server) - before_server - inserting
        size = (await store.sizes())["point_double"]
        await writer.stop()
        await store.close()
        served.stop()
        n = load.blocks * BLOCK
        return {
            "points": n,
            "points_per_second": round(n / wall),
            "inserts": counters.snapshot()["history_inserts"],
            "writer_us_per_point": round(writing / n * 1e6, 3),
            "history_us_per_point": round(inserting / n * 1e6, 3),
            "merges_afterwards_us_per_point": round(merging / n * 1e6, 3),
            "rows": size.rows,
            "parts": size.parts,
            "bytes_per_point": round(size.bytes_on_disk / size.rows, 3),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--series", type=int, default=20_000)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.rate, options.seconds, options.series)), indent=2))


if __name__ == "__main__":
    main()
