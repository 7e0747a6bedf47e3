"""Compression: the error is never larger than promised, order is kept, and silence is told from a steady value."""

import bisect
import itertools
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.connect.kit.compression import Deadband, Point, SwingingDoor, compression_of
from gongfu.kernel.quality import Quality
from gongfu.kernel.times import SECOND

_START = 1_700_000_000 * SECOND
_HOLD = 60 * SECOND

_steps = st.integers(min_value=1, max_value=100 * SECOND)
_values = st.one_of(
    st.floats(min_value=-1e6, max_value=1e6, allow_nan=False),
    st.integers(min_value=-5, max_value=5).map(float),
)
_qualities = st.sampled_from([Quality.GOOD] * 9 + [Quality.UNCERTAIN])
_series = st.lists(st.tuples(_steps, _values, _qualities), min_size=1, max_size=40)
_errors = st.floats(min_value=1e-3, max_value=1e5)


def points_of(series: list[tuple[int, float, Quality]]) -> list[Point]:
    times = itertools.accumulate((step for step, _, _ in series), initial=_START)
    next(times)
    return [Point(time, value, quality) for time, (_, value, quality) in zip(times, series, strict=True)]


def rounding(points: list[Point]) -> float:
    """A few operations on doubles of this size."""
    return 16 * sys.float_info.epsilon * max(1.0, *(abs(point.value) for point in points))


@settings(max_examples=100, deadline=None)
@given(_series, _errors)
def test_swinging_door_never_errs_by_more(series: list[tuple[int, float, Quality]], error: float) -> None:
    points = points_of(series)
    door = SwingingDoor(error, _HOLD)
    kept = [one for point in points for one in door.feed(point)] + list(door.flush())
    times = [one.time for one in kept]
    assert times == sorted(set(times))
    assert set(kept) <= set(points)
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    for point in points:
        after = bisect.bisect_left(times, point.time)
        if times[after] == point.time:
            assert kept[after] == point
            continue
        left, right = kept[after - 1], kept[after]
        assert left.quality == point.quality == right.quality
        share = (point.time - left.time) / (right.time - left.time)
        line = left.value + (right.value - left.value) * share
        assert abs(line - point.value) <= error + rounding(points)


@settings(max_examples=100, deadline=None)
@given(_series, _errors)
def test_deadband_never_errs_by_more(series: list[tuple[int, float, Quality]], width: float) -> None:
    points = points_of(series)
    band = Deadband(width, _HOLD)
    kept: list[Point] = []
    for point in points:
        kept += band.feed(point)
        assert abs(kept[-1].value - point.value) <= width
        assert kept[-1].quality == point.quality
        assert point.time - kept[-1].time < _HOLD


def test_a_straight_line_is_its_two_ends() -> None:
    door = SwingingDoor(0.001, _HOLD)
    points = [Point(_START + n * SECOND, 2.0 * n, Quality.GOOD) for n in range(50)]
    kept = [one for point in points for one in door.feed(point)] + list(door.flush())
    assert kept == [points[0], points[-1]]


def test_a_jump_keeps_the_value_before_it() -> None:
    door = SwingingDoor(0.5, _HOLD)
    points = [Point(_START + n * SECOND, 0.0 if n < 10 else 100.0, Quality.GOOD) for n in range(20)]
    kept = [one for point in points for one in door.feed(point)] + list(door.flush())
    assert kept == [points[0], points[9], points[10], points[19]]


def test_a_held_value_is_kept_when_its_time_has_come() -> None:
    door = SwingingDoor(0.5, _HOLD)
    first, second = Point(_START, 1.0, Quality.GOOD), Point(_START + SECOND, 1.1, Quality.GOOD)
    assert door.feed(first) == (first,)
    assert door.feed(second) == ()
    assert door.due(second.time + _HOLD - 1) == ()
    assert door.due(second.time + _HOLD) == (second,)
    assert door.due(second.time + 2 * _HOLD) == ()


@pytest.mark.parametrize("kind", ["deadband", "door"])
def test_a_steady_value_is_kept_once_a_hold(kind: str) -> None:
    compression = compression_of(1.0, 0.0, _HOLD) if kind == "deadband" else compression_of(0.0, 1.0, _HOLD)
    assert compression is not None
    points = [Point(_START + n * SECOND, 5.0, Quality.GOOD) for n in range(301)]
    kept = [one for point in points for one in compression.feed(point)]
    gaps = [later.time - earlier.time for earlier, later in itertools.pairwise(kept)]
    assert 5 <= len(kept) <= 7
    assert max(gaps) <= _HOLD


def test_without_a_bound_nothing_is_left_out() -> None:
    assert compression_of(0.0, 0.0, _HOLD) is None
