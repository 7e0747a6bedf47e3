"""Versions of points against the list of all that arrived: any order of inserts, resends, corrections and replays."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gongfu.kernel.points import ValueType
from gongfu.kernel.times import MAX_NS, MILLISECOND
from gongfu.store.history import insertion as insertion_module
from gongfu.store.history.client import ClickHouseHistory
from gongfu.store.history.types import Batch, HistoryError
from tests.contract.history.points import T0, batch, fresh_series, rows
from tests.contract.history.served import ServedHistory

Key = tuple[int, int]
Arrival = tuple[int, float, int, str]


@dataclass
class Model:
    """All that ever arrived, by (series, source time), as (ingest time, value, quality, author)."""

    arrived: dict[Key, list[Arrival]] = field(default_factory=dict)

    def add(self, key: Key, arrival: Arrival) -> None:
        self.arrived.setdefault(key, []).append(arrival)

    def versions(self, key: Key, as_of: int = MAX_NS) -> list[Arrival]:
        """By ingest time; of one ingest time the last; equal neighbours are one."""
        at: dict[int, Arrival] = {one[0]: one for one in self.arrived.get(key, []) if one[0] <= as_of}
        found: list[Arrival] = []
        for _, one in sorted(at.items()):
            if not found or found[-1][1:3] != one[1:3]:
                found.append(one)
        return found


class Versions(RuleBasedStateMachine):
    """Ingest times of a step are after those of the steps before, as those of blocks are; replays repeat old ones."""

    store: ClickHouseHistory
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.base = fresh_series()
        self.model = Model()
        self.now = T0
        self.log: list[Batch] = []

    def _do(self, action: Any) -> Any:
        return self.loop.run_until_complete(action)

    @rule(
        points=st.lists(
            st.tuples(
                st.integers(0, 2), st.integers(0, 4), st.sampled_from([0.0, -0.0, 1.0]), st.sampled_from([0, 64])
            ),
            min_size=1, max_size=8,
        )
    )  # fmt: skip
    def insert(self, points: list[tuple[int, int, float, int]]) -> None:
        self.now += MILLISECOND
        for series, time, value, quality in points:
            self.model.add((self.base + series, T0 + time), (self.now, _bits(value), quality, ""))
        one = batch(
            ValueType.DOUBLE, [self.base + p[0] for p in points], [T0 + p[1] for p in points], [p[2] for p in points],
            qualities=[p[3] for p in points], ingested=self.now,
        )  # fmt: skip
        self.log.append(one)
        self._do(self.store.insert([one]))

    @rule(since=st.integers(1, 4))
    def crash_and_replay(self, since: int) -> None:
        """A new process inserts the last blocks again: what it remembered is gone."""
        self.store.forget()
        for one in self.log[-since:]:
            self._do(self.store.insert([one]))

    @rule(series=st.integers(0, 2), time=st.integers(0, 4), value=st.sampled_from([0.0, 1.0, 2.0]))
    def correct(self, series: int, time: int, value: float) -> None:
        self.now += MILLISECOND
        key = (self.base + series, T0 + time)
        known = self.model.versions(key)
        changed = self._do(
            self.store.correct(
                ValueType.DOUBLE, batch(ValueType.DOUBLE, [key[0]], [key[1]], [value]).columns,
                corrected_by="operator", reason="a reason", ingested=self.now,
            )
        )  # fmt: skip
        differs = not known or known[-1][1:3] != (_bits(value), 0)
        assert changed == differs
        if differs:
            self.model.add(key, (self.now, _bits(value), 0, "operator"))

    @invariant()
    def reads_are_those_of_the_list(self) -> None:
        series = range(self.base, self.base + 3)
        found = self._do(self.store.query(ValueType.DOUBLE, series, 0, MAX_NS))
        keys = sorted(self.model.arrived)
        newest = [(*key, *self.model.versions(key)[-1][1:3]) for key in keys]
        assert [(s, t, _bits(v), q) for s, t, v, q in rows(found)] == newest
        as_of = T0 + (self.now - T0) // MILLISECOND // 2 * MILLISECOND
        before = self._do(self.store.query(ValueType.DOUBLE, series, 0, MAX_NS, as_of=as_of))
        known = [(*key, *self.model.versions(key, as_of)[-1][1:3]) for key in keys if self.model.versions(key, as_of)]
        assert [(s, t, _bits(v), q) for s, t, v, q in rows(before)] == known
        for key in keys[:2]:
            versions = self._do(self.store.versions(ValueType.DOUBLE, *key))
            told = [(one.ingested, _bits(float(one.value)), one.quality, one.corrected_by) for one in versions]
            assert told == self.model.versions(key)


def _bits(value: float) -> int:
    return int(np.float64(value).view("<i8"))


async def test_versions_are_those_of_all_that_arrived(served: ServedHistory) -> None:
    def check() -> None:
        Versions.store, Versions.loop = served.store(), asyncio.new_event_loop()
        try:
            run_state_machine_as_test(
                Versions,
                settings=settings(
                    max_examples=8, stateful_step_count=6, deadline=None, suppress_health_check=list(HealthCheck)
                ),
            )
        finally:
            Versions.loop.run_until_complete(Versions.store.close())
            Versions.loop.close()

    await asyncio.to_thread(check)


@pytest.mark.parametrize("value_type", [ValueType.INT64, ValueType.BOOLEAN, ValueType.STRING])
async def test_versions_of_other_types(served: ServedHistory, value_type: ValueType) -> None:
    store, series = served.store(), fresh_series()
    old, new = ("一", "二") if value_type is ValueType.STRING else (0, 1)
    await store.insert([batch(value_type, [series], [T0], [old], ingested=T0)])
    columns = batch(value_type, [series], [T0], [new]).columns
    assert await store.correct(value_type, columns, corrected_by="某人", reason="读错") == 1
    assert await store.correct(value_type, columns, corrected_by="某人", reason="读错") == 0
    versions = await store.versions(value_type, series, T0)
    assert [(one.value, one.corrected_by, one.reason) for one in versions] == [(old, "", ""), (new, "某人", "读错")]
    assert rows(await store.query(value_type, [series], 0, MAX_NS)) == [(series, T0, new, 0)]
    assert rows(await store.query(value_type, [series], 0, MAX_NS, as_of=T0)) == [(series, T0, old, 0)]
    assert rows(await store.query(value_type, [series], 0, MAX_NS, as_of=T0 - MILLISECOND)) == []
    for author, reason in (("", "x"), ("x", ""), ("x" * 201, "x"), ("x", "x" * 1001)):
        with pytest.raises(HistoryError, match="a correction has"):
            await store.correct(value_type, columns, corrected_by=author, reason=reason)
    await store.close()


async def test_a_correction_is_after_what_it_replaces_whatever_the_clock_says(served: ServedHistory) -> None:
    store, series = served.store(), fresh_series()
    ahead = 4_000_000_000 * 10**9
    await store.insert([batch(ValueType.DOUBLE, [series], [T0], [1.0], ingested=ahead)])
    columns = batch(ValueType.DOUBLE, [series], [T0], [2.0]).columns
    assert await store.correct(ValueType.DOUBLE, columns, corrected_by="me", reason="wrong") == 1
    assert rows(await store.query(ValueType.DOUBLE, [series], 0, MAX_NS)) == [(series, T0, 2.0, 0)]
    await store.close()


async def test_a_correction_that_a_crash_left_open_is_finished(
    served: ServedHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, series = served.store(), fresh_series()
    await store.insert([batch(ValueType.DOUBLE, [series] * 2, [T0, T0 + 1], [1.0, 5.0])])
    columns = batch(ValueType.DOUBLE, [series], [T0], [2.0]).columns

    def crash(*_: object) -> None:
        raise HistoryError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(insertion_module.Insertion, "_put", crash)
        with pytest.raises(HistoryError, match="killed"):
            await store.correct(ValueType.DOUBLE, columns, corrected_by="me", reason="wrong")
    statement = insertion_module.unfinished("point_double")
    for _ in range(2):
        await asyncio.to_thread(store.call, lambda client: client.command(statement))
        found = rows(await store.query(ValueType.DOUBLE, [series], 0, MAX_NS))
        assert found == [(series, T0, 2.0, 0), (series, T0 + 1, 5.0, 0)]
    stored = await asyncio.to_thread(
        store.call, lambda client: client.command(f"SELECT count() FROM gongfu.point_double WHERE series = {series}")
    )
    assert stored in (2, 3)
    assert len(await store.versions(ValueType.DOUBLE, series, T0)) == 2
    await store.close()
