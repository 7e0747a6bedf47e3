"""Twins against a dictionary that takes one point at a time."""

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.store.twins import latest as latest_module
from gongfu.store.twins.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from gongfu.store.twins.latest import MAX_SERIES, Twins

TYPE_OF_SERIES = {
    0: ValueType.DOUBLE,
    1: ValueType.INT64,
    2: ValueType.BOOLEAN,
    3: ValueType.STRING,
    4: ValueType.JSON,
}
VALUES: dict[ValueType, st.SearchStrategy[Any]] = {
    ValueType.DOUBLE: st.floats(allow_nan=False),
    ValueType.INT64: st.integers(-(2**63), 2**63 - 1),
    ValueType.BOOLEAN: st.booleans(),
    ValueType.STRING: st.text("aß中𝄞", max_size=3),
    ValueType.JSON: st.just("{}"),
}
ARRAY_TYPES = {ValueType.DOUBLE: "<f8", ValueType.INT64: "<i8", ValueType.BOOLEAN: "u1"}


@st.composite
def points(draw: st.DrawFn) -> tuple[int, int, int, Any]:
    series = draw(st.one_of(st.integers(1, 12), st.integers(1, 5000)))
    value = draw(VALUES[TYPE_OF_SERIES[series % 5]])
    return series, draw(st.integers(0, 20)), draw(st.sampled_from([0, 0x40, 0x80])), value


def block_of(rows: list[tuple[int, int, int, Any]], ingested: int) -> Block:
    columns = {}
    for value_type in ValueType:
        of_type = [row for row in rows if TYPE_OF_SERIES[row[0] % 5] is value_type]
        if of_type:
            series, times, qualities, values = zip(*of_type, strict=True)
            columns[value_type] = Columns(
                np.array(series, dtype=np.uint32),
                np.array(times, dtype=np.int64),
                np.array(qualities, dtype=np.uint8),
                np.array(values, dtype=ARRAY_TYPES[value_type]) if value_type in ARRAY_TYPES else list(values),
            )
    return Block(1, ingested, columns)


class Model:
    """One point at a time."""

    def __init__(self) -> None:
        self.latest: dict[int, tuple[Any, int, int, int]] = {}
        self.late = 0

    def take(self, series: int, time: int, quality: int, value: Any, ingested: int) -> None:
        if series in self.latest and time < self.latest[series][2]:
            self.late += 1
        else:
            self.latest[series] = (value, quality, time, ingested)


def check(twins: Twins, model: Model) -> None:
    assert twins.late == model.late
    assert len(twins) == len(model.latest)
    for series, expected in model.latest.items():
        got = twins.get(series)
        assert got is not None
        assert (got.value, got.quality, got.time, got.ingested) == expected
        assert type(got.value) is type(expected[0])


@settings(deadline=None)
@given(st.lists(st.lists(points(), max_size=30), max_size=6))
def test_twins_equal_a_dictionary(blocks: list[list[tuple[int, int, int, Any]]]) -> None:
    twins, model = Twins(capacity=4), Model()
    for ingested, rows in enumerate(blocks, start=1):
        twins.update(block_of(rows, ingested))
        for row in rows:
            model.take(*row, ingested)
        check(twins, model)
    assert twins.get(0) is None
    assert twins.get(9999) is None
    arrays, document = twins.snapshot()
    check(Twins.restore(arrays, document), model)


def test_checkpoint_file_gives_the_twins_back(tmp_path: Path) -> None:
    twins = Twins()
    twins.update(block_of([(5, 7, 0, 1.5), (3, 8, 0x80, "läuft"), (1, 9, 0, -(2**63))], 11))
    path = tmp_path / "checkpoint"
    assert read_checkpoint(path) is None
    arrays, document = twins.snapshot()
    write_checkpoint(path, arrays, {"positions": {"0": 12}, "twins": document})
    read = read_checkpoint(path)
    assert read is not None
    restored = Twins.restore(read[0], read[1]["twins"])
    assert read[1]["positions"] == {"0": 12}
    assert [restored.get(series) for series in (1, 3, 5)] == [twins.get(series) for series in (1, 3, 5)]
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_damaged_checkpoint_is_told_apart(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint"
    write_checkpoint(path, {"time": np.arange(1000)}, {"a": 1})
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[len(data) // 2] ^= 1
    else:
        data = bytearray() if damage == "empty" else bytearray(b"not a checkpoint")
    path.write_bytes(data)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


def test_a_numeric_series_takes_at_most_40_bytes() -> None:
    for n in (1_000, 100_001, 1_000_003):
        twins = Twins()
        for start in range(1, n, 50_000):
            series = np.arange(start, min(start + 50_000, n + 1), dtype=np.uint32)
            columns = Columns(
                series, np.ones(len(series), dtype=np.int64), np.zeros(len(series), dtype=np.uint8), series.astype("f8")
            )
            twins.update(Block(1, 1, {ValueType.DOUBLE: columns}))
        assert twins.nbytes / n <= 40


def test_a_series_id_out_of_all_bounds_is_counted_not_stored() -> None:
    twins = Twins()
    twins.update(block_of([(5, 1, 0, 1.0), (MAX_SERIES, 1, 0, 2.0), (MAX_SERIES + 5, 1, 0, 2.0)], 1))
    assert twins.refused == 2
    assert len(twins) == 1


def test_texts_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest_module, "MAX_TEXT_CHARACTERS", 10)
    twins = Twins()
    twins.update(block_of([(3, 1, 0, "123456"), (8, 1, 0, "123456")], 1))
    kept, dropped = twins.get(3), twins.get(8)
    assert kept is not None
    assert dropped is not None
    assert (kept.value, dropped.value, twins.texts_dropped) == ("123456", None, 1)
    twins.update(block_of([(3, 2, 0, "1"), (8, 2, 0, "12345")], 1))
    later = twins.get(8)
    assert later is not None
    assert later.value == "12345"


def test_what_was_seen_can_be_asked_in_a_thread_while_series_come() -> None:
    twins, last, ended = Twins(), 60_000, threading.Event()
    failed: list[Exception] = []

    def ask() -> None:
        while not ended.is_set():
            try:
                seen = twins.seen_since(1)
                assert len(seen) <= last + 1
            except Exception as error:
                failed.append(error)
                return

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for series in range(1, last, 20):
            twins.update(block_of([(series, 1, 0, 1.0)], 5))
    finally:
        ended.set()
        asking.join()
        sys.setswitchinterval(interval)
    assert not failed
    assert int(twins.seen_since(1).sum()) == len(range(1, last, 20))
