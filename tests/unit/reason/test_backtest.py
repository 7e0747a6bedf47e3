"""Back-tests without a history: what is left out changes nothing; sums against brute force."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.backtest import summary
from gongfu.reason.backtest.replay import Replay
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.types import Kind, Priority, Rule, parse_condition

CONDITIONS: list[tuple[Kind, dict[str, Any]]] = [
    (Kind.THRESHOLD, {"direction": "above", "limit": 1.0}),
    (Kind.THRESHOLD, {"direction": "below", "limit": -1.0, "deadband": 1.5, "delay_s": 3.0, "off_delay_s": 2.0}),
    (Kind.THRESHOLD, {"direction": "above", "limit": 0.0, "deadband": 2.0, "delay_s": 1.0}),
    (Kind.WINDOW, {"window": "tumbling", "aggregate": "max", "size_s": 4.0, "direction": "above", "limit": 1.0}),
    (Kind.ABSENCE, {"timeout_s": 6.0}),
]


def assignment(kind: Kind, condition: dict[str, Any]) -> Assignment:
    rule = Rule(
        id=1, tenant=1, name="", kind=kind, asset="a", point="p", condition=parse_condition(kind, condition),
        priority=Priority.LOW, message="", enabled=True,
    )  # fmt: skip
    return Assignment(rule, np.array([1, 2, 3], dtype=np.uint32))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(CONDITIONS),
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 60)), unique=True, max_size=60),
    st.data(),
)
def test_what_is_left_out_changes_nothing(
    condition: tuple[Kind, dict[str, Any]], keys: list[tuple[int, int]], data: st.DataObject
) -> None:
    keys.sort()
    choose = st.sampled_from([-3.0, -1.0, 0.5, 1.0, 2.0, float("nan"), -2.5])
    values = data.draw(st.lists(choose, min_size=len(keys), max_size=len(keys)))
    replays = [Replay(assignment(*condition), 0, whole=whole) for whole in (True, False)]
    cuts = sorted({0, len(keys), *data.draw(st.lists(st.integers(0, len(keys)), max_size=4))})
    for begin, end in itertools.pairwise(cuts):
        series = np.array([key[0] for key in keys[begin:end]], dtype=np.uint32)
        times = np.array([key[1] * SECOND for key in keys[begin:end]], dtype=np.int64)
        for replay in replays:
            replay.take(series, times, np.array(values[begin:end]), ValueType.DOUBLE)
    for replay in replays:
        replay.finish(70 * SECOND)
    plain, pruned = replays
    assert pruned.alarms == plain.alarms
    assert (pruned.raised, pruned.samples, pruned.left_out) == (plain.raised, plain.samples, plain.left_out)


def test_time_passes_to_the_end_of_the_range_and_not_beyond() -> None:
    condition = {"direction": "above", "limit": 1.0, "delay_s": 10.0}
    for end, expected in ((9, []), (10, [(1, 10 * SECOND, -1, 5.0)])):
        replay = Replay(assignment(Kind.THRESHOLD, condition), 0)
        replay.take(np.array([1], np.uint32), np.array([0]), np.array([5.0]), ValueType.DOUBLE)
        replay.finish(end * SECOND)
        assert replay.alarms == expected
    replay = Replay(assignment(Kind.ABSENCE, {"timeout_s": 5.0}), 100 * SECOND)
    replay.take(np.array([2], np.uint32), np.array([103 * SECOND]), np.array([1.0]), ValueType.DOUBLE)
    replay.finish(107 * SECOND)
    assert replay.alarms == [(1, 105 * SECOND, -1, None), (3, 105 * SECOND, -1, None)]


TIMES = st.lists(st.integers(0, 2000), max_size=40).map(sorted)


@settings(deadline=None, max_examples=60)
@given(TIMES, st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 300)), max_size=15))
def test_sums_are_those_of_brute_force(raised: list[int], real: list[tuple[int, int]]) -> None:
    times = [second * SECOND for second in raised]
    assert summary.peak(times) == max((sum(t - 600 < o <= t for o in raised) for t in raised), default=0)
    part = {
        at
        for first in range(len(raised) - 2)
        for at in range(first, first + 3)
        if raised[first + 2] - raised[first] <= 60
    }
    assert summary.chattering(times) == len(part)
    alarms = [(1, time, time + 30 * SECOND, 1.0) for time in times]
    theirs = [(1, begin * SECOND, (begin + length) * SECOND) for begin, length in real]
    found = summary.compare(alarms, theirs, 10**13)
    meet = [[a[1] <= r[2] and r[1] <= a[2] for r in theirs] for a in alarms]
    assert found.both == sum(any(row) for row in meet)
    assert found.new == len(alarms) - found.both
    assert found.missed == sum(not any(row[at] for row in meet) for at in range(len(theirs)))


def test_every_day_of_the_range_is_there() -> None:
    day = 86_400 * SECOND
    days = summary.days([(1, day + 5, -1, None), (1, day + 6, -1, None)], 0, 3 * day)
    assert [(one.day, one.raised) for one in days] == [("1970-01-01", 0), ("1970-01-02", 2), ("1970-01-03", 0)]
    lasted = summary.durations([(1, 0, 2 * SECOND, None), (1, 0, -1, None)], 10 * SECOND)
    assert lasted is not None
    assert (lasted.longest, lasted.total) == (10.0, 12.0)


@pytest.mark.parametrize("kind", [Kind.RATE])
def test_only_thresholds_are_thinned(kind: Kind) -> None:
    from gongfu.reason.backtest.replay import interesting

    item = assignment(kind, {"direction": "above", "per_s": 1.0, "window_s": 1.0})
    assert interesting(item, np.ones(3, np.uint32), np.zeros(3)) is None
