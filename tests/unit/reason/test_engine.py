"""The rule engine over blocks: quality, several rules on one series, edits, floods, checkpoints."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from gongfu.kernel.times import SECOND
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.transitions import Transition
from gongfu.reason.rules.types import Kind, Priority, Rule, parse_condition
from gongfu.store.twins.latest import Twins

ARRAY_TYPES = {ValueType.DOUBLE: "<f8", ValueType.INT64: "<i8", ValueType.BOOLEAN: "u1"}


def rule(identifier: int, kind: Kind, **condition: Any) -> Rule:
    return Rule(
        id=identifier,
        tenant=1,
        name=f"rule {identifier}",
        kind=kind,
        asset="a",
        point="p",
        condition=parse_condition(kind, condition),
        priority=Priority.MEDIUM,
        message="",
        enabled=True,
    )


def above(identifier: int, limit: float, **condition: Any) -> Rule:
    return rule(identifier, Kind.THRESHOLD, direction="above", limit=limit, **condition)


def assign(engine: RuleEngine, *items: tuple[Rule, list[int]], now: int = 0) -> list[Transition]:
    assignments = [Assignment(item, np.array(series, dtype=np.uint32)) for item, series in items]
    return engine.assign(assignments, Twins(), now)


def block(
    rows: list[tuple[int, int, Any]],
    value_type: ValueType = ValueType.DOUBLE,
    quality: int = 0,
    ingested: int = 0,
) -> Block:
    series, times, values = zip(*rows, strict=True)
    columns = Columns(
        np.array(series, dtype=np.uint32),
        np.array(times, dtype=np.int64),
        np.full(len(rows), quality, dtype=np.uint8),
        np.array(values, dtype=ARRAY_TYPES[value_type]) if value_type in ARRAY_TYPES else list(values),
    )
    return Block(1, ingested, {value_type: columns})


def told(transitions: list[Transition]) -> list[tuple[int, int, bool, int]]:
    return sorted((item.rule, item.series, item.raised, item.time) for item in transitions)


def test_several_rules_and_series() -> None:
    engine = RuleEngine()
    below = rule(3, Kind.THRESHOLD, direction="below", limit=-5.0)
    assert assign(engine, (above(1, 10.0), [5, 7]), (above(2, 20.0), [7]), (below, [5])) == []
    got = engine.evaluate(block([(5, 1, 11.0), (6, 1, 99.0), (7, 1, 25.0), (5, 2, -6.0), (9_999, 1, 50.0)]))
    assert told(got) == [(1, 5, False, 2), (1, 5, True, 1), (1, 7, True, 1), (2, 7, True, 1), (3, 5, True, 2)]
    status = engine.status()
    assert (status[1].series, status[1].active, status[1].evaluated) == (2, 1, 3)


def test_integers_and_booleans_are_compared_as_numbers_and_texts_are_left_out() -> None:
    engine = RuleEngine()
    assign(engine, (above(1, 0.5), [1, 2, 3]))
    assert told(engine.evaluate(block([(1, 1, 2**60)], ValueType.INT64))) == [(1, 1, True, 1)]
    assert told(engine.evaluate(block([(2, 1, 1)], ValueType.BOOLEAN))) == [(1, 2, True, 1)]
    assert engine.evaluate(block([(3, 1, "1")], ValueType.STRING)) == []


def test_bad_quality_and_nan_neither_raise_nor_clear() -> None:
    engine = RuleEngine()
    assign(engine, (above(1, 10.0), [1]))
    assert engine.evaluate(block([(1, 1, 50.0)], quality=Quality.BAD)) == []
    assert told(engine.evaluate(block([(1, 2, 50.0)], quality=Quality.UNCERTAIN))) == [(1, 1, True, 2)]
    assert engine.evaluate(block([(1, 3, 0.0)], quality=Quality.BAD_DEVICE)) == []
    storm = [(1, time, value) for time, value in enumerate([np.nan, np.inf, -np.inf] * 1000, start=10)]
    assert engine.evaluate(block(storm)) == []
    assert engine.samples_bad == 3002
    assert told(engine.evaluate(block([(1, 10_000, 0.0)]))) == [(1, 1, False, 10_000)]


def test_absence_sees_texts_and_ignores_bad_samples() -> None:
    engine = RuleEngine()
    assign(engine, (rule(1, Kind.ABSENCE, timeout_s=10), [1]))
    assert engine.evaluate(block([(1, 0, "x")], ValueType.STRING)) == []
    assert engine.evaluate(block([(1, 9 * SECOND, "x")], ValueType.STRING, quality=Quality.BAD)) == []
    got = engine.evaluate(block([(1, 11 * SECOND, "x")], ValueType.STRING))
    assert told(got) == [(1, 1, False, 11 * SECOND), (1, 1, True, 10 * SECOND)]


def test_edit_keeps_the_state_of_what_stays_the_same() -> None:
    engine = RuleEngine()
    assign(engine, (above(1, 10.0), [1, 2]), (above(2, 10.0), [1]))
    engine.evaluate(block([(1, 5, 11.0), (2, 5, 11.0)]))
    got = assign(engine, (above(1, 10.0), [1, 3]), (above(2, 12.0), [1]), now=100)
    assert sorted((item.rule, item.series, item.raised, item.removed, item.raised_at) for item in got) == [
        (1, 2, False, True, 5),
        (2, 1, False, True, 5),
    ]
    assert all(item.time == 100 for item in got)
    assert told(engine.evaluate(block([(1, 6, 11.5)]))) == []
    assert assign(engine) != []
    assert engine.instances == 0


def test_new_threshold_looks_at_the_latest_value_at_once() -> None:
    twins = Twins()
    twins.update(block([(1, 7, 50.0), (2, 8, 50.0)]))
    twins.update(block([(2, 9, 50.0)], quality=Quality.BAD))
    engine = RuleEngine()
    got = engine.assign([Assignment(above(1, 10.0), np.array([1, 2, 3], dtype=np.uint32))], twins, 1000)
    assert told(got) == [(1, 1, True, 7)]


def test_flood_is_withheld_counted_and_raised_later_if_it_still_stands() -> None:
    engine = RuleEngine(max_raises_per_minute=10)
    assign(engine, (above(1, 10.0), list(range(1, 101))), (above(2, 10.0), [500]))
    got = engine.evaluate(block([(series, 1, 11.0) for series in range(1, 101)] + [(500, 1, 11.0)]))
    assert sum(item.raised for item in got if item.rule == 1) == 10
    assert sum(item.raised for item in got if item.rule == 2) == 1
    assert engine.alarms_withheld() == 90
    assert "flood" in engine.status()[1].error
    assert engine.tick(now=30 * SECOND, floor=0) == []
    got = engine.evaluate(block([(series, 2, 0.0) for series in range(1, 101)]))
    assert len(got) == 10
    assert not any(item.raised for item in got)
    engine.evaluate(block([(series, 3, 11.0) for series in range(1, 21)], ingested=70 * SECOND))
    assert engine.tick(now=80 * SECOND, floor=0) == []
    again = engine.tick(now=130 * SECOND, floor=0)
    assert told(again) == [(1, series, True, 3) for series in range(11, 21)]
    assert engine.status()[1].error == ""


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 60), st.floats(-5, 25)), min_size=1, max_size=60),
    st.data(),
)
def test_checkpoint_in_the_middle_changes_nothing(rows: list[tuple[int, int, float]], data: st.DataObject) -> None:
    assignments = [
        Assignment(above(1, 10.0, deadband=3.0, delay_s=2e-9), np.array([1, 2, 3], dtype=np.uint32)),
        Assignment(above(2, 10.0), np.array([1, 4, 6], dtype=np.uint32)),
        Assignment(rule(3, Kind.RATE, direction="above", per_s=2.0, window_s=4.0), np.array([1, 2], dtype=np.uint32)),
        Assignment(rule(4, Kind.ABSENCE, timeout_s=9), np.array([1, 2, 5], dtype=np.uint32)),
    ]
    rows = [(series, time * (SECOND if series < 3 else 1), value) for series, time, value in rows]
    whole, cut = RuleEngine(5), RuleEngine(5)
    for engine in (whole, cut):
        engine.assign(assignments, Twins(), 0)
    at = data.draw(st.integers(0, len(rows)))
    expected, got = [], []
    for number, row in enumerate(rows):
        if number == at:
            arrays, document = cut.snapshot()
            cut = RuleEngine(5)
            assert cut.restore(assignments, arrays, document, Twins(), 0) == []
        expected += whole.evaluate(block([row]))
        got += cut.evaluate(block([row]))
    assert got == expected
    assert whole.tick(10**18, 0) == cut.tick(10**18, 0)
