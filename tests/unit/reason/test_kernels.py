"""Vectorised kernels against the scalar reference, over any cutting of a stream into blocks."""

import itertools
from collections import defaultdict
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.reason.rules.kernels import evaluate_absence, evaluate_threshold, tick, tick_absence
from gongfu.reason.rules.rate import empty_windows, evaluate_rate
from gongfu.reason.rules.state import Changes, LatchState, Limits, Samples, empty_state
from tests.unit.reason.reference import Absence, Latch, Rate, Transition

INSTANCES = 4
VALUES = st.one_of(st.integers(-3, 3).map(float), st.floats(-4, 4, allow_nan=False))


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[tuple[int, int, float]], list[int]]:
    """Rows (instance, time, value), mostly but not always in order of time, and where they are cut into blocks."""
    rows: list[tuple[int, int, float]] = []
    clock = [0] * INSTANCES
    for _ in range(draw(st.integers(0, 40))):
        who = draw(st.integers(0, INSTANCES - 1))
        clock[who] = max(0, clock[who] + draw(st.integers(-2, 8)))
        rows.append((who, clock[who], draw(VALUES)))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    return rows, cuts


@st.composite
def parameters(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [
        {
            "above": draw(st.booleans()),
            "limit": float(draw(st.integers(-2, 2))),
            "deadband": draw(st.sampled_from([0.0, 0.5, 2.0])),
            "on_delay": draw(st.sampled_from([0, 1, 5, 20])),
            "off_delay": draw(st.sampled_from([0, 1, 5, 20])),
        }
        for _ in range(INSTANCES)
    ]


def limits_of(rules: list[dict[str, Any]], window: int = 0) -> Limits:
    sign = np.array([1.0 if rule["above"] else -1.0 for rule in rules])
    limit = sign * np.array([rule["limit"] for rule in rules])
    return Limits(
        sign,
        limit,
        limit - np.array([rule["deadband"] for rule in rules]),
        np.array([rule["on_delay"] for rule in rules], dtype=np.int64),
        np.array([rule["off_delay"] for rule in rules], dtype=np.int64),
        np.full(len(rules), window, dtype=np.int64),
        np.arange(len(rules), dtype=np.int32),
    )


def blocks_of(rows: list[tuple[int, int, float]], cuts: list[int], scale: int = 1) -> list[Samples]:
    edges = [0, *cuts, len(rows)]
    return [
        Samples(
            np.array([row[0] for row in rows[a:b]], dtype=np.uint32),
            np.array([row[1] * scale for row in rows[a:b]], dtype=np.int64),
            np.array([row[2] for row in rows[a:b]], dtype=np.float64),
            ingested=number,
        )
        for number, (a, b) in enumerate(itertools.pairwise(edges), start=1)
    ]


def collect(into: dict[int, list[Transition]], changes: Changes) -> None:
    for who, raised, time, raised_at in zip(
        changes.instances.tolist(), changes.raised.tolist(), changes.times.tolist(), changes.raised_at.tolist(),
        strict=True,
    ):  # fmt: skip
        into[who].append((raised, time, raised_at))


def settle(state: LatchState, limits: Limits, got: dict[int, list[Transition]]) -> None:
    """Much later, with no further sample."""
    collect(got, tick(state, limits, now=10**15, floor=0))


@settings(deadline=None)
@given(parameters(), streams())
def test_threshold(rules: list[dict[str, Any]], stream: tuple[list[tuple[int, int, float]], list[int]]) -> None:
    rows, cuts = stream
    references = [Latch(**rule) for rule in rules]
    for who, time, value in rows:
        references[who].take(time, value)
    state, limits = empty_state(INSTANCES), limits_of(rules)
    got: dict[int, list[Transition]] = defaultdict(list)
    ignored = 0
    for samples in blocks_of(rows, cuts):
        changes, late = evaluate_threshold(state, limits, samples)
        collect(got, changes)
        ignored += late
    assert [got[who] for who in range(INSTANCES)] == [reference.transitions for reference in references]
    assert ignored == sum(reference.ignored for reference in references)
    assert state.active.tolist() == [reference.active for reference in references]
    settle(state, limits, got)
    for reference in references:
        reference.elapse(10**15)
    assert [got[who] for who in range(INSTANCES)] == [reference.transitions for reference in references]


@settings(deadline=None)
@given(parameters(), streams(), st.sampled_from([16, 37, 160]))
def test_rate(
    rules: list[dict[str, Any]], stream: tuple[list[tuple[int, int, float]], list[int]], window_s: int
) -> None:
    rows, cuts = stream
    second = 10**9
    window = window_s * second // 4
    for rule in rules:
        rule["limit"] = abs(rule["limit"]) / 10
        rule["deadband"] /= 10
        rule["on_delay"] *= second
        rule["off_delay"] *= second
    references = [Rate(Latch(**rule), window) for rule in rules]
    for who, time, value in rows:
        references[who].take(time * second, value)
    state, limits, windows = empty_state(INSTANCES), limits_of(rules, window), empty_windows(INSTANCES)
    got: dict[int, list[Transition]] = defaultdict(list)
    for samples in blocks_of(rows, cuts, second):
        changes, _ = evaluate_rate(state, windows, limits, samples)
        collect(got, changes)
    assert [got[who] for who in range(INSTANCES)] == [reference.latch.transitions for reference in references]


@settings(deadline=None, max_examples=30)
@given(parameters(), st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 40]))
def test_rate_over_many_blocks(rules: list[dict[str, Any]], seed: int, most: int) -> None:
    """Windows fill up and are shifted; with at most one row a block each instance is alone in it."""
    choose, second = np.random.default_rng(seed), 10**9
    window = 16 * second
    for rule in rules:
        rule["limit"], rule["deadband"] = abs(rule["limit"]) / 10, rule["deadband"] / 10
        rule["on_delay"], rule["off_delay"] = rule["on_delay"] * second, rule["off_delay"] * second
    clock, rows = [0] * INSTANCES, []
    for who in choose.integers(0, INSTANCES, 400).tolist():
        clock[who] += int(choose.choice([1, 1, 1, 2, 5, 40, -1]))
        rows.append((who, max(clock[who], 0), float(choose.normal() * 3)))
    references = [Rate(Latch(**rule), window) for rule in rules]
    for who, time, value in rows:
        references[who].take(time * second, value)
    state, limits, windows = empty_state(INSTANCES), limits_of(rules, window), empty_windows(INSTANCES)
    got: dict[int, list[Transition]] = defaultdict(list)
    cuts = list(range(1, len(rows), most)) if most < 40 else sorted(set(choose.integers(1, 400, 40).tolist()))
    for samples in blocks_of(rows, cuts, second):
        collect(got, evaluate_rate(state, windows, limits, samples)[0])
    assert [got[who] for who in range(INSTANCES)] == [reference.latch.transitions for reference in references]


@settings(deadline=None)
@given(st.lists(st.integers(1, 15), min_size=INSTANCES, max_size=INSTANCES), streams())
def test_absence(timeouts: list[int], stream: tuple[list[tuple[int, int, float]], list[int]]) -> None:
    rows, cuts = stream
    references = [Absence(timeout) for timeout in timeouts]
    for who, time, _ in rows:
        references[who].take(time)
    state, timeout = empty_state(INSTANCES), np.array(timeouts, dtype=np.int64)
    got: dict[int, list[Transition]] = defaultdict(list)
    ignored = 0
    for samples in blocks_of(rows, cuts):
        changes, late = evaluate_absence(state, timeout, samples)
        collect(got, changes)
        ignored += late
    assert [got[who] for who in range(INSTANCES)] == [reference.transitions for reference in references]
    assert ignored == sum(reference.ignored for reference in references)
    collect(got, tick_absence(state, timeout, now=10**15, floor=0))
    for reference in references:
        reference.raise_at((reference.last or 0) + reference.timeout)
    assert [got[who][-1] for who in range(INSTANCES)] == [reference.transitions[-1] for reference in references]
    assert state.active.all()


def one(above: bool = True, limit: float = 10.0, deadband: float = 2.0, on: int = 0, off: int = 0) -> Limits:
    return limits_of([{"above": above, "limit": limit, "deadband": deadband, "on_delay": on, "off_delay": off}])


def feed(state: LatchState, limits: Limits, rows: list[tuple[int, float]], ingested: int = 0) -> list[Transition]:
    got: dict[int, list[Transition]] = defaultdict(list)
    samples = blocks_of([(0, time, value) for time, value in rows], [])[0]
    samples = Samples(samples.instances, samples.times, samples.values, ingested)
    collect(got, evaluate_threshold(state, limits, samples)[0])
    return got[0]


def test_value_within_the_deadband_keeps_the_alarm() -> None:
    got = feed(empty_state(1), one(), [(1, 9.0), (2, 11.0), (3, 9.0), (4, 8.0), (5, 9.9), (6, 10.1)])
    assert got == [(True, 2, 2), (False, 4, 2), (True, 6, 6)]


def test_raise_after_a_delay_bears_the_time_at_which_the_delay_ended() -> None:
    assert feed(empty_state(1), one(on=5), [(1, 11.0), (3, 12.0), (9, 12.0)]) == [(True, 6, 6)]
    assert feed(empty_state(1), one(on=5), [(1, 11.0), (3, 0.0), (9, 12.0)]) == []


def test_tick_assumes_that_the_source_clock_went_on_since_its_last_sample() -> None:
    state, limits = empty_state(1), one(on=50)
    assert feed(state, limits, [(100, 11.0)], ingested=1_000_000) == []
    assert len(tick(state, limits, now=1_000_049, floor=0)) == 0
    assert len(tick(state, limits, now=1_000_060, floor=1_000_020)) == 0
    changes = tick(state, limits, now=1_000_050, floor=0)
    assert changes.times.tolist() == [150]
    assert len(tick(state, limits, now=2_000_000, floor=0)) == 0


def test_sample_that_comes_after_the_tick_returns_no_earlier_than_the_raise() -> None:
    state, limits = empty_state(1), one(on=50)
    feed(state, limits, [(100, 11.0)])
    tick(state, limits, now=10**9, floor=0)
    assert feed(state, limits, [(120, 0.0)]) == [(False, 150, 150)]


def test_held_back_data_returns_an_absence_no_earlier_than_it_was_raised() -> None:
    state, timeout = empty_state(1), np.array([10], dtype=np.int64)
    first = blocks_of([(0, 100, 1.0)], [])[0]
    evaluate_absence(state, timeout, first)
    assert tick_absence(state, timeout, now=50, floor=0).times.tolist() == [110]
    changes, _ = evaluate_absence(state, timeout, blocks_of([(0, 101, 1.0)], [])[0])
    assert (changes.times.tolist(), changes.raised.tolist()) == ([110], [False])


def test_absence_of_a_series_never_seen_counts_from_its_definition() -> None:
    state, timeout = empty_state(1), np.array([10], dtype=np.int64)
    state.seen[:] = 1000
    assert len(tick_absence(state, timeout, now=1009, floor=0)) == 0
    assert tick_absence(state, timeout, now=1010, floor=0).times.tolist() == [1010]
