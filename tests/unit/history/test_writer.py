"""The writer against a history that is slow, away or full."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gongfu.kernel.block import Block, Columns, encode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.store.history import writer as writer_module
from gongfu.store.history.types import Batch, HistoryError, HistoryFull, HistoryStore, HistoryUnavailable
from gongfu.store.history.writer import HistoryWriter, PositionFile


class Store:
    """Keeps batches; raises what it is told to first, and holds inserts back while ``gate`` is closed."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.called = asyncio.Event()

    async def insert(self, batches: Sequence[Batch]) -> None:
        self.called.set()
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.batches.extend(batches)

    def points(self) -> list[tuple[int, int, Any]]:
        return [
            row
            for batch in self.batches
            for row in zip(
                batch.columns.series.tolist(), batch.columns.times.tolist(), list(batch.columns.values), strict=True
            )
        ]


def _block(number: int, n: int = 3) -> bytes:
    series = np.arange(n, 0, -1, dtype="<u4")
    times = np.full(n, number, "<i8")
    columns = {
        ValueType.DOUBLE: Columns(series, times, np.zeros(n, "u1"), series * 1.0),
        ValueType.STRING: Columns(series[:1], times[:1], np.zeros(1, "u1"), [f"text {number}"]),
    }
    return encode_block(Block(1, number * 1000, columns))


def _writer(store: Store, path: Path) -> tuple[HistoryWriter, Counters]:
    counters = Counters()
    held: Any = store
    typed: HistoryStore = held
    return HistoryWriter(typed, path, counters), counters


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BACKOFF_SECONDS", (0.001,))
    monkeypatch.setattr(writer_module, "FLUSH_SECONDS", 0.01)


async def test_blocks_become_one_batch_a_type_in_the_order_of_arrival(tmp_path: Path) -> None:
    store = Store()
    writer, counters = _writer(store, tmp_path)
    await writer.add(0, [(k, _block(k)) for k in range(1, 4)])
    writer.start()
    await asyncio.wait_for(writer.flush(), 5)
    assert [batch.value_type for batch in store.batches] == [ValueType.DOUBLE, ValueType.STRING]
    double = store.batches[0]
    assert double.columns.series.tolist() == [3, 2, 1] * 3
    assert double.columns.times.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert double.ingested.tolist() == [1000] * 3 + [2000] * 3 + [3000] * 3
    assert list(store.batches[1].columns.values) == ["text 1", "text 2", "text 3"]
    assert writer.position(0) == 3
    assert counters.snapshot()["points_stored"] == 12
    await writer.stop()


async def test_position_moves_only_after_the_insert(tmp_path: Path) -> None:
    store = Store()
    store.gate.clear()
    writer, _ = _writer(store, tmp_path)
    writer.start()
    await writer.add(0, [(1, _block(1))])
    await asyncio.wait_for(store.called.wait(), 5)
    assert writer.position(0) == 0
    assert not (tmp_path / "history-position.json").exists()
    store.gate.set()
    await asyncio.wait_for(writer.flush(), 5)
    assert json.loads((tmp_path / "history-position.json").read_text()) == {"positions": {"0": 1}}
    await writer.stop()


async def test_restart_goes_on_behind_the_position(tmp_path: Path) -> None:
    first, second = Store(), Store()
    writer, _ = _writer(first, tmp_path)
    writer.start()
    await writer.add(0, [(1, _block(1)), (2, _block(2))])
    await writer.add(1, [(7, _block(7))])
    await asyncio.wait_for(writer.stop(), 5)
    again, counters = _writer(second, tmp_path)
    assert (again.position(0), again.position(1), again.position(2)) == (2, 7, 0)
    again.start()
    # Known blocks are returned for other readers, but not inserted again.
    blocks = await again.add(0, [(2, _block(2)), (3, _block(3))])
    assert len(blocks) == 2
    await asyncio.wait_for(again.flush(), 5)
    assert {time for _, time, _ in second.points()} == {3}
    assert counters.snapshot()["history_blocks"] == 1
    assert again.position(1) == 7
    await again.stop()


async def test_failures_are_tried_again_and_counted(tmp_path: Path) -> None:
    store = Store()
    store.failures = [
        HistoryUnavailable("away"),
        HistoryFull("full"),
        HistoryError("refused", 47),
        HistoryUnavailable(""),
    ]
    writer, counters = _writer(store, tmp_path)
    writer.start()
    await writer.add(0, [(1, _block(1))])
    await asyncio.wait_for(writer.flush(), 5)
    assert len(store.points()) == 4
    assert writer.position(0) == 1
    counted = counters.snapshot()
    assert counted["history_retries.unavailable"] == 2
    assert counted["history_retries.full"] == 1
    assert counted["history_retries.refused"] == 1
    await writer.stop()


async def test_damaged_blocks_are_kept_aside(tmp_path: Path) -> None:
    store = Store()
    writer, counters = _writer(store, tmp_path)
    writer.start()
    damaged = _block(2)[:-9] + b"x" + _block(2)[-8:]
    blocks = await writer.add(4, [(1, _block(1)), (2, damaged), (3, _block(3)), (4, b"")])
    assert len(blocks) == 2
    await asyncio.wait_for(writer.flush(), 5)
    assert writer.position(4) == 4
    assert (tmp_path / "quarantine" / "4-2.block").read_bytes() == damaged
    assert (tmp_path / "quarantine" / "4-4.block").read_bytes() == b""
    assert counters.snapshot()["history_blocks_quarantined"] == 2
    assert {time for _, time, _ in store.points()} == {1, 3}
    await writer.stop()


async def test_points_that_take_all_room_are_not_left_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "FLUSH_SECONDS", 600)
    monkeypatch.setattr(writer_module, "PENDING_BYTES", 1000)
    writer, _ = _writer(Store(), tmp_path)
    writer.start()
    for sequence in range(1, 100):
        await asyncio.wait_for(writer.add(0, [(sequence, _block(sequence))]), 10)
    await writer.stop()


async def test_memory_is_bounded_while_the_history_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "PENDING_POINTS", 10)
    store = Store()
    store.gate.clear()
    writer, _ = _writer(store, tmp_path)
    writer.start()
    sequence = 0

    async def feed() -> None:
        nonlocal sequence
        while sequence < 100:
            sequence += 1
            await writer.add(0, [(sequence, _block(sequence))])

    feeding = asyncio.create_task(feed())
    await asyncio.wait_for(store.called.wait(), 5)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert not feeding.done()
    assert writer.gauges["history_pending_points"] <= 2 * 10 + 4 + 4
    assert writer.gauges["history_lag_seconds"] > 0
    store.gate.set()
    await asyncio.wait_for(feeding, 10)
    await asyncio.wait_for(writer.stop(), 10)
    assert len(store.points()) == 400
    assert writer.gauges["history_pending_blocks"] == 0


async def test_stop_gives_up_in_time(tmp_path: Path) -> None:
    store = Store()
    store.gate.clear()
    writer, _ = _writer(store, tmp_path)
    writer.start()
    await writer.add(0, [(1, _block(1))])
    await asyncio.wait_for(writer.stop(0.05), 5)
    assert writer.position(0) == 0


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"positions": 1}', '{"positions": {"a": 1}}', '{"positions": {"0": null}}']
)
def test_a_damaged_position_file_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ValueError, match="not a position file"):
        PositionFile(tmp_path / "p.json").load()


def test_position_file_round_trip(tmp_path: Path) -> None:
    file = PositionFile(tmp_path / "p.json")
    assert file.load() == {}
    file.save({0: 5, 3: 2**60})
    assert file.load() == {0: 5, 3: 2**60}
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]
