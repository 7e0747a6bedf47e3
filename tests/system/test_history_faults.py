"""The history process under kill -9, a full disk and a second owner; what was acknowledged is readable, once."""

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from gongfu.kernel.block import Block, Columns, encode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, MILLISECOND
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.types import HistoryError, HistoryFull
from gongfu.store.history.writer import HistoryWriter
from tests.contract.history.points import T0, batch, rows
from tests.contract.history.served import ServedHistory, wait_for

KILLS = 5


@asynccontextmanager
async def _store(served: ServedHistory) -> AsyncIterator[ClickHouseHistory]:
    store = served.store()
    try:
        yield store
    finally:
        await store.close()


async def test_acknowledged_inserts_survive_kills(tmp_path: Path) -> None:
    random.seed(20_240_501)
    served = ServedHistory(tmp_path / "history")
    acknowledged: list[int] = []
    number = 0
    n = 2000
    for _ in range(KILLS):
        served.start()
        async with _store(served) as store:
            killer = asyncio.get_running_loop().call_later(random.uniform(0.2, 1.0), served.kill)
            try:
                while True:
                    times = [T0 + number * n + i for i in range(n)]
                    one = batch(ValueType.DOUBLE, [7] * n, times, [float(number)] * n, ingested=T0)
                    await store.insert([one])
                    acknowledged.append(number)
                    number += 1
            except HistoryError:
                number += 1
            finally:
                killer.cancel()
    served.start()
    async with _store(served) as store:
        found = await store.query(ValueType.DOUBLE, [7], 0, MAX_NS, limit=10**7)
        values = np.asarray(found.columns.values)
        counts = dict(zip(*(part.tolist() for part in np.unique(values, return_counts=True)), strict=True))
        assert len(acknowledged) > KILLS
        assert {counts.get(float(k)) for k in acknowledged} == {n}
        # An insert without an answer is there as a whole or not at all.
        assert set(counts.values()) == {n}
        assert len(np.unique(found.columns.times)) == len(found.columns)
    assert "closed" in served.stop()


def _block(number: int) -> bytes:
    n = 500
    moment = T0 + number * 10 * MILLISECOND
    series = np.arange(1, n + 1, dtype="<u4")
    times = np.full(n, moment, "<i8")
    good = np.zeros(n, "u1")
    columns = {
        ValueType.DOUBLE: Columns(series, times, good, series * 0.5 + number),
        ValueType.INT64: Columns(series[:3] + 10_000, times[:3], good[:3], np.full(3, number, "<i8")),
        ValueType.STRING: Columns(series[:2] + 20_000, times[:2], good[:2], ["开", "关"]),
    }
    return encode_block(Block(1, moment, columns))


async def test_writer_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """History and writer die at random; the log of blocks is read again from the writer's position."""
    random.seed(7)
    served = ServedHistory(tmp_path / "history")
    served.start()
    log = [(sequence, _block(sequence)) for sequence in range(1, 121)]
    counters = Counters()
    for life in range(KILLS + 1):
        last = life == KILLS
        async with _store(served) as store:
            writer = HistoryWriter(store, tmp_path, counters)
            writer.start()
            behind = [entry for entry in log if entry[0] > writer.position(0)]
            feed = len(behind) if last else random.randint(10, 40)
            for begin in range(0, feed, 5):
                await writer.add(0, behind[begin : begin + 5])
                if not last and begin == feed // 10 * 5:
                    await asyncio.sleep(random.uniform(0, 0.6))
                    served.kill()
            if served.process is None:
                served.start()
            if last:
                await asyncio.wait_for(writer.flush(), 30)
                assert writer.position(0) == log[-1][0]
                await writer.stop()
            else:
                # The process of the writer dies: nothing of its memory is left.
                await asyncio.sleep(random.uniform(0, 0.8))
                await writer.stop(0)
    async with _store(served) as store:
        for value_type, series, each in (
            (ValueType.DOUBLE, 500, 1), (ValueType.INT64, 10_001, 1), (ValueType.STRING, 20_001, 1),
        ):  # fmt: skip
            found = await store.query(value_type, [series], 0, MAX_NS)
            assert found.columns.times.tolist() == [T0 + k * 10 * MILLISECOND for k, _ in log], value_type
            assert len(found.columns) == len(log) * each
        total = await store.aggregate(ValueType.DOUBLE, range(1, 501), 0, MAX_NS, how="count", step=MAX_NS)
        assert float(np.asarray(total.columns.values).sum()) == 500 * len(log)
    served.stop()


async def test_full_disk_refuses_inserts_and_still_reads(tmp_path: Path) -> None:
    served = ServedHistory(tmp_path / "history")
    served.start()
    async with _store(served) as store:
        await store.insert([batch(ValueType.DOUBLE, [1], [T0], [1.5])])
    served.stop()
    served.keep_free_bytes = 10**15
    served.start()
    counters = Counters()
    async with _store(served) as store:
        with pytest.raises(HistoryFull):
            await store.insert([batch(ValueType.DOUBLE, [1], [T0 + 1], [2.5])])
        assert rows(await store.query(ValueType.DOUBLE, [1], 0, MAX_NS)) == [(1, T0, 1.5, 0)]
        writer = HistoryWriter(store, tmp_path, counters)
        writer.start()
        await writer.add(0, [(1, _block(1))])
        await asyncio.to_thread(
            wait_for, lambda: counters.snapshot().get("history_retries.full", 0) >= 2, "retries are counted"
        )
        assert writer.position(0) == 0
        # Room again: the same writer goes on by itself.
        served.stop()
        served.keep_free_bytes = 1_000_000
        served.start()
        await asyncio.wait_for(writer.flush(), 30)
        assert writer.position(0) == 1
        await writer.stop()
        found = await store.query(ValueType.INT64, [10_001], 0, MAX_NS)
        assert rows(found) == [(10_001, T0 + 10 * MILLISECOND, 1, 0)]
    served.stop()


def test_second_owner_is_refused(tmp_path: Path) -> None:
    served = ServedHistory(tmp_path / "history")
    served.start()
    assert served.process is not None
    other = ServedHistory(tmp_path / "history")
    second = subprocess.run(other.command(), capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert f"is in use by process {served.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    served.stop()
