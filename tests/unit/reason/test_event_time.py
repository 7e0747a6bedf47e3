"""Every kind of rule: the same samples in any order within the lateness, cut into any blocks, with a checkpoint at any
place, give the same alarms, and those of the slow references."""

import itertools
import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.types import Kind, Priority, Rule, parse_condition
from gongfu.store.twins.latest import Twins
from tests.unit.reason import brute
from tests.unit.reason.reference import Latch

SERIES = (1, 2, 3, 4)
FAR = 10**18
DELAYS = {"deadband": 1.0, "delay_s": 2.0, "off_delay_s": 1.0}
LIMIT = {"direction": "above", "limit": 1.0}
Row = tuple[int, int, float]
Told = dict[tuple[int, int], list[tuple[bool, int, int]]]


def make(key: int, kind: Kind, lateness: float | None, **condition: Any) -> Rule:
    return Rule(
        id=key, tenant=1, name="", kind=kind, asset="a", point="", condition=parse_condition(kind, condition),
        priority=Priority.LOW, message="", enabled=True, lateness_s=lateness,
    )  # fmt: skip


def assign(rule: Rule) -> Assignment:
    ids = np.array(SERIES, dtype=np.uint32)
    if rule.kind is Kind.PATTERN:
        pairs = np.array([[1, 2], [3, 4]], dtype=np.uint32)
        return Assignment(rule, pairs[:, 0].copy(), members=pairs, factor=np.ones((2, 2)), offset=np.zeros((2, 2)))
    if rule.kind is Kind.DEVIATION:
        labels = np.array([7, 7, 7, 9], dtype=np.int64)
        return Assignment(rule, ids, labels=labels, factor=np.ones(4), offset=np.zeros(4))
    return Assignment(rule, ids)


CONDITIONS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "threshold": (Kind.THRESHOLD, LIMIT | DELAYS),
    "threshold, no delay": (Kind.THRESHOLD, {"direction": "below", "limit": 0.0}),
    "rate": (Kind.RATE, {"direction": "above", "per_s": 0.4, "window_s": 4.0, "delay_s": 1.0}),
    "absence": (Kind.ABSENCE, {"timeout_s": 6.0}),
    "tumbling": (Kind.WINDOW, {"window": "tumbling", "aggregate": "mean", "size_s": 5.0, **LIMIT, **DELAYS}),
    "tumbling count": (
        Kind.WINDOW,
        {"window": "tumbling", "aggregate": "count", "size_s": 4.0, "direction": "below", "limit": 2.0},
    ),
    "sliding": (Kind.WINDOW, {"window": "sliding", "aggregate": "stddev", "size_s": 6.0, "every_s": 2.0, **LIMIT}),
    "sliding delta": (
        Kind.WINDOW,
        {"window": "sliding", "aggregate": "delta", "size_s": 9.0, "every_s": 3.0, **LIMIT, **DELAYS},
    ),
    "session": (Kind.WINDOW, {"window": "session", "aggregate": "range", "gap_s": 4.0, **LIMIT}),
    "pattern": (Kind.PATTERN, {"expression": "a > 1 and b < a", "tolerance_s": 5.0, "delay_s": 1.0}),
    "sequence": (Kind.PATTERN, {"sequence": ["a > 1", "b < 0"], "within_s": 5.0, "tolerance_s": 5.0}),
    "deviation": (
        Kind.DEVIATION,
        {"against": "median", "direction": "either", "limit": 1.5, "every_s": 3.0, "tolerance_s": 7.0},
    ),
    "deviation of the mean": (
        Kind.DEVIATION,
        {"against": "mean", "direction": "above", "limit": 1.0, "every_s": 2.0, "at_least": 2, **DELAYS},
    ),
}
TOGETHER = [make(key, kind, 3.0, **condition) for key, (kind, condition) in enumerate(CONDITIONS.values(), start=1)]


@st.composite
def arrivals(draw: st.DrawFn, least: int = 0) -> list[Row]:
    """Samples (series, second, value), each series and second once, in order of time."""
    keys = draw(
        st.lists(st.tuples(st.integers(0, 45), st.sampled_from(SERIES)), min_size=least, max_size=50, unique=True)
    )
    values = st.one_of(st.integers(-3, 4).map(float), st.floats(-4, 4, allow_nan=False))
    return [(series, time, draw(values)) for time, series in sorted(keys)]


def shuffled(data: st.DataObject, rows: list[Row], lateness: int) -> list[Row]:
    """An order of arrival in which nothing comes more than the lateness after something newer."""
    delays = data.draw(st.lists(st.integers(0, lateness * 10), min_size=len(rows), max_size=len(rows)))
    keyed = [(row[1] * 10 + delay, number) for number, (row, delay) in enumerate(zip(rows, delays, strict=True))]
    return [rows[number] for _, number in sorted(keyed)]


def block(rows: list[Row], ingested: int = 0) -> Block:
    columns = Columns(
        np.array([row[0] for row in rows], dtype=np.uint32),
        np.array([row[1] * SECOND for row in rows], dtype=np.int64),
        np.zeros(len(rows), dtype=np.uint8),
        np.array([row[2] for row in rows], dtype=np.float64),
    )
    return Block(1, ingested, {ValueType.DOUBLE: columns})


def run(rules: list[Rule], rows: list[Row], cuts: list[int], restart: int | None = None) -> tuple[Told, RuleEngine]:
    engine = RuleEngine(10**6)
    assignments = [assign(rule) for rule in rules]
    engine.assign(assignments, Twins(), 0)
    told: Told = defaultdict(list)
    edges = sorted({0, *cuts, len(rows)})
    for number, (begin, end) in enumerate(itertools.pairwise(edges)):
        if number == restart:
            arrays, document = engine.snapshot()
            engine = RuleEngine(10**6)
            assert engine.restore(assignments, arrays, document, Twins(), 0) == []
        note(told, engine.evaluate(block(rows[begin:end])))
    note(told, engine.tick(FAR, 0))
    return told, engine


def note(told: Told, transitions: list[Any]) -> None:
    for item in transitions:
        told[item.rule, item.series].append((item.raised, item.time, item.raised_at))


@settings(deadline=None, max_examples=35)
@given(arrivals(), st.data())
def test_any_order_any_blocks_and_a_restart_give_the_same_alarms(rows: list[Row], data: st.DataObject) -> None:
    expected, engine = run(TOGETHER, rows, [])
    assert all(status.late == 0 for status in engine.status().values())
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=8))
    got, engine = run(TOGETHER, shuffled(data, rows, 3), cuts, data.draw(st.integers(0, 8)))
    assert got == expected
    assert all((status.late, status.waiting) == (0, 0) for status in engine.status().values())


@settings(deadline=None, max_examples=20)
@given(arrivals(), st.data())
def test_restart_at_every_cut_without_lateness(rows: list[Row], data: st.DataObject) -> None:
    rules = [make(key, kind, 0.0, **condition) for key, (kind, condition) in enumerate(CONDITIONS.values(), start=1)]
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=6))
    expected, _ = run(rules, rows, [])
    whole, _ = run(TOGETHER, rows, [])
    got, _ = run(rules, rows, cuts, data.draw(st.integers(0, 6)))
    assert got == expected
    # What comes in order needs no waiting.
    assert got == whole


def latched(condition: dict[str, Any], evaluations: brute.Evaluations) -> list[tuple[bool, int, int]]:
    """Transitions of evaluations, and those that follow when nothing more comes."""
    reference = Latch(
        condition.get("direction", "above") != "below",
        condition.get("limit", 0.5),
        condition.get("deadband", 0.0),
        int(condition.get("delay_s", 0) * SECOND),
        int(condition.get("off_delay_s", 0) * SECOND),
    )
    for time, value in evaluations:
        reference.take(int(time * SECOND), value)
    reference.elapse(FAR)
    return reference.transitions


def both(points: dict[str, list[brute.Sample]], test: Any, tolerance: float) -> brute.Evaluations:
    found: brute.Evaluations = []
    for time, values in brute.instants(points, tolerance):
        truth = test(values["a"], values["b"])
        found.append((time, None if truth is None else float(truth)))
    return found


def evaluations(name: str, rows: list[Row]) -> dict[int, brute.Evaluations]:
    kind, condition = CONDITIONS[name]
    of = {series: [(float(time), value) for who, time, value in rows if who == series] for series in SERIES}
    if kind is Kind.WINDOW:
        if condition["window"] == "session":
            return {key: brute.sessions(own, condition["gap_s"], condition["aggregate"]) for key, own in of.items()}
        size = int(condition["size_s"])
        every = int(condition.get("every_s", size))
        return {key: brute.grid_windows(own, size, every, condition["aggregate"]) for key, own in of.items()}
    if kind is Kind.DEVIATION:
        arguments = (int(condition["every_s"]), condition.get("tolerance_s", 60.0), condition.get("at_least", 3))
        found = brute.deviations({key: of[key] for key in (1, 2, 3)}, *arguments, condition["against"] == "median")
        if condition["direction"] == "either":
            found = {key: [(t, None if v is None else abs(v)) for t, v in own] for key, own in found.items()}
        return found
    result: dict[int, brute.Evaluations] = {}
    for one, other in ((1, 2), (3, 4)):
        points = {"a": of[one], "b": of[other]}
        if name == "pattern":
            result[one] = both(points, _pattern, 5.0)
        else:
            first = both(points, lambda a, b: None if a is None else a > 1, 5.0)
            then = both(points, lambda a, b: None if b is None else b < 0, 5.0)
            result[one] = brute.sequence(first, then, 5.0)
    return result


def _pattern(a: float | None, b: float | None) -> bool | None:
    if a is not None and a <= 1:
        return False
    return None if a is None or b is None else b < a


@pytest.mark.parametrize("name", [name for name, (kind, _) in CONDITIONS.items() if kind in tuple(Kind)[3:]])
@settings(deadline=None, max_examples=20)
@given(rows=arrivals(), data=st.data())
def test_references(name: str, rows: list[Row], data: st.DataObject) -> None:
    rows = [(series, time, float(math.floor(value * 4) / 4)) for series, time, value in rows]
    kind, condition = CONDITIONS[name]
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=4))
    got, _ = run([make(1, kind, data.draw(st.sampled_from([None, 0.0, 3.0])), **condition)], rows, cuts)
    for series, expected in evaluations(name, rows).items():
        assert got[1, series] == latched(condition, expected), series


def test_late_samples_are_counted_whatever_the_blocks() -> None:
    rows = [(1, 100, 0.0), (1, 96, 5.0), (1, 97, 5.0), (1, 120, 0.0), (1, 110, 9.0)]
    rule = make(1, Kind.THRESHOLD, 3.0, **LIMIT)
    for cuts in ([], [1, 2, 3, 4]):
        told, engine = run([rule], rows, cuts)
        assert told[1, 1] == [(True, 97 * SECOND, 97 * SECOND), (False, 100 * SECOND, 97 * SECOND)]
        assert engine.status()[1].late == 2


def test_bad_samples_are_counted_by_rule() -> None:
    engine = RuleEngine()
    engine.assign([assign(make(1, Kind.WINDOW, 0.0, **CONDITIONS["tumbling"][1]))], Twins(), 0)
    engine.evaluate(block([(1, number, math.nan) for number in range(500)]))
    assert (engine.status()[1].bad, engine.status()[1].evaluated) == (500, 0)


def test_too_many_waiting_samples_are_evaluated_early_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gongfu.reason.rules.held.MAX_HELD", 10)
    engine = RuleEngine()
    engine.assign([assign(make(1, Kind.THRESHOLD, 1000.0, **LIMIT))], Twins(), 0)
    for number in range(40):
        engine.evaluate(block([(1, number, 5.0)]))
    status = engine.status()[1]
    assert status.waiting <= 10
    assert "before their time" in status.error


def test_nothing_more_comes_and_time_passes() -> None:
    """The clock closes what waits, once its lateness has passed, and does not make the next sample late."""
    rule = make(1, Kind.WINDOW, 2.0, **CONDITIONS["tumbling count"][1])
    engine = RuleEngine()
    engine.assign([assign(rule)], Twins(), 0)
    start = 1000 * SECOND
    engine.evaluate(block([(1, number, 1.0) for number in range(12)], ingested=start))
    told: Told = defaultdict(list)
    for second in range(1, 8):
        note(told, engine.tick(start + second * SECOND, 0))
        if second == 2:
            assert not told
    assert told[1, 1] == [(True, 16 * SECOND, 16 * SECOND)]
    note(told, engine.evaluate(block([(1, 20 + number, 1.0) for number in range(8)], ingested=start + 9 * SECOND)))
    assert engine.status()[1].late == 0
