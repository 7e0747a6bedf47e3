"""Sampling: rows do not depend on how points are cut into blocks, nor on restarts; against a slow reference."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.times import SECOND
from gongfu.reason.models import sampling
from gongfu.reason.models.moments import newest_rows
from gongfu.reason.models.sampling import Points, Sampler, Sampling, Sets

# (slot, port, time, value)
Point = tuple[int, int, int, float]
Row = tuple[int, int, tuple[float, ...], float]


def points(rows: list[Point], quality: int = 0) -> Points:
    slots, ports, times, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    whole = [np.array(column, dtype=np.int64) for column in (slots, ports, times)]
    qualities = np.full(len(rows), quality, dtype=np.uint8)
    return Points(whole[0], whole[1], whole[2], np.array(values, dtype=np.float64), qualities)


def told(sets: Sets | None) -> list[Row]:
    if sets is None:
        return []
    values = zip(*(column.tolist() for column in sets.columns), strict=True)
    dt = np.nan_to_num(sets.dt, nan=-1.0)
    return list(zip(sets.slots.tolist(), sets.times.tolist(), values, dt.tolist(), strict=True))


def sampler(how: Sampling, slots: int = 3, ports: int = 2) -> Sampler:
    made = Sampler(ports, how)
    made.grow(slots)
    return made


def by_slot(rows: list[Row]) -> dict[int, list[Row]]:
    return {slot: [row for row in rows if row[0] == slot] for slot in sorted({row[0] for row in rows})}


def cut(found: Sampler, rows: list[Point], at: list[int]) -> dict[int, list[Row]]:
    got: list[Row] = []
    bounds = [0, *sorted(set(at)), len(rows)]
    for start, end in pairwise(bounds):
        got += told(found.take(points(rows[start:end])))
    return by_slot(got)


def slow(how: Sampling, rows: list[Point], slots: int, ports: int) -> dict[int, list[tuple[int, tuple[float, ...]]]]:
    """All points known at once: what every cutting must give but for what is not decided at the end."""
    found: dict[int, list[tuple[int, tuple[float, ...]]]] = {}
    for slot in range(slots):
        series = [{time: value for s, p, time, value in rows if (s, p) == (slot, port)} for port in range(ports)]
        times = sorted({time for one in series for time in one})
        if not all(series):
            continue
        newest = [max(one) for one in series]
        limit = max(min(newest), max(newest) - how.wait)
        if how.step:
            times = list(range(-(-times[0] // how.step) * how.step, limit + 1, how.step))
        for time in times:
            held = [max((t for t in one if t <= time), default=None) for one in series]
            if time <= limit and all(t is not None and time - t <= how.tolerance for t in held):
                values = tuple(one[t] for one, t in zip(series, held, strict=True) if t is not None)
                found.setdefault(slot, []).append((time, values))
    return found


streams = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 25), st.floats(-9, 9)), min_size=1, max_size=60
)


@settings(deadline=None, max_examples=150)
@given(
    streams,
    st.lists(st.integers(1, 59), max_size=8),
    st.lists(st.integers(0, 7), min_size=60, max_size=60),
    st.sampled_from([(0, 0, 0), (5, 7, 0), (20, 7, 0), (9, 7, 3), (4, 7, 1)]).map(lambda how: Sampling(*how)),
)
def test_rows_are_the_same_however_the_points_are_cut(
    rows: list[Point], cuts: list[int], disorder: list[int], how: Sampling
) -> None:
    # Each series in order of time, without repeats; among series at most 7 out of order, or any with tolerance 0.
    unique = {(slot, port, time): value for slot, port, time, value in rows}
    ordered = sorted((slot, port, time, value) for (slot, port, time), value in unique.items())
    delay = {(slot, port): late for (slot, port, _), late in zip(unique, disorder, strict=False)}
    ordered.sort(key=lambda row: (row[2] + delay.get(row[:2], 0), row[2]))
    expected = cut(sampler(how), ordered, [])
    assert cut(sampler(how), ordered, [n for n in cuts if n < len(ordered)]) == expected
    assert cut(sampler(how), ordered, list(range(1, len(ordered)))) == expected
    got = {slot: [(time, values) for _, time, values, _ in found] for slot, found in expected.items()}
    assert got == slow(how, ordered, 3, 2)


@settings(deadline=None, max_examples=60)
@given(streams, st.integers(0, 60), st.sampled_from([Sampling(0, 0, 0), Sampling(3, 0, 0), Sampling(9, 2, 2)]))
def test_a_restart_changes_nothing_whatever_the_order(rows: list[Point], at: int, how: Sampling) -> None:
    whole, again = sampler(how), sampler(how)
    expected, got = [], []
    for number, row in enumerate(rows):
        if number == at:
            stored = again.snapshot()
            again = Sampler(2, how)
            again.restore(stored)
        expected += told(whole.take(points([row])))
        got += told(again.take(points([row])))
    assert got == expected
    for slot in range(3):
        times = [row[1] for row in got if row[0] == slot]
        assert times == sorted(set(times))
    assert whole.late.tolist() == again.late.tolist()


def test_a_late_point_is_counted_and_held_where_it_is_the_newest() -> None:
    found = sampler(Sampling(10, 0, 0), slots=1)
    assert [row[1:3] for row in told(found.take(points([(0, 0, 1, 1.0), (0, 1, 5, 2.0)])))] == [(5, (1.0, 2.0))]
    assert told(found.take(points([(0, 0, 4, 7.0)]))) == []
    assert found.late.tolist() == [1]
    assert [row[1:3] for row in told(found.take(points([(0, 1, 6, 3.0)])))] == [(6, (7.0, 3.0))]


def test_points_that_wait_for_an_input_that_never_comes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_WAITING", 5)
    found = sampler(Sampling(0, 0, 0), slots=1)
    found.take(points([(0, 0, time, 1.0) for time in range(12)]))
    assert found.waiting == 5
    assert found.incomplete.tolist() == [7]


def test_steps_hold_values_and_leave_out_what_is_too_old() -> None:
    found = sampler(Sampling(3 * SECOND, 0, SECOND), slots=1)
    rows = told(found.take(points([(0, 0, SECOND // 2, 1.0), (0, 1, SECOND, 2.0)])))
    assert [(row[1] // SECOND, row[2]) for row in rows] == [(1, (1.0, 2.0))]
    assert rows[0][3] == -1.0
    rows = told(found.take(points([(0, 1, 4 * SECOND + 1, 3.0)])))
    # The first input is held up to 3.5 s.
    assert [(row[1] // SECOND, row[2], row[3]) for row in rows] == [(2, (1.0, 2.0), 1.0), (3, (1.0, 2.0), 1.0)]
    assert found.incomplete.tolist() == [1]
    rows = told(found.take(points([(0, 0, 9 * SECOND, 5.0), (0, 1, 9 * SECOND, 6.0)])))
    assert [(row[1] // SECOND, row[2], row[3]) for row in rows] == [(9, (5.0, 6.0), 6.0)]


def test_of_too_many_rows_at_once_the_newest_are_made_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_ROWS", 1000)
    how = Sampling(10_000, 0, 1)
    sparse = [(slot, port, at * 10_000, float(at)) for at in range(1, 6) for slot in range(2) for port in range(2)]
    whole = sampler(how, slots=2)
    found = told(whole.take(points(sparse)))
    assert len(found) == 1000
    for slot in range(2):
        times = [time for place, time, _, _ in found if place == slot]
        # The newest, without a gap.
        assert times == list(range(50_000 - 499, 50_001))
    assert whole.shed.tolist() == [40_001 - 500] * 2
    assert whole.incomplete.tolist() == [0, 0]
    # It goes on after them as if nothing had been, and over a restart.
    again = sampler(how, slots=0)
    again.restore(whole.snapshot())
    after = [(slot, port, 50_003, 7.0) for slot in range(2) for port in range(2)]
    assert [row[1] for row in told(whole.take(points(after)))] == [50_001, 50_002, 50_003] * 2
    assert told(again.take(points(after)))[-1] == (1, 50_003, (7.0, 7.0), 1e-9)
    assert again.shed.tolist() == [39_501, 39_501]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=20), st.integers(1, 12))
def test_the_newest_rows_of_each_asset_are_those_of_a_recount(moments: list[tuple[int, int]], most: int) -> None:
    moments.sort(key=lambda one: one[0])
    slots, counts = (np.array(column, dtype=np.int64) for column in zip(*moments, strict=True))
    kept = newest_rows(slots, counts, most)
    for slot in set(slots.tolist()):
        rows = [at for at in np.flatnonzero(slots == slot).tolist() for _ in range(counts[at])][-most:]
        for at in np.flatnonzero(slots == slot).tolist():
            assert kept[at] == rows.count(at)
