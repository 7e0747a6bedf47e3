"""Machine anomaly: only the past counts, units do not, and the labelled failures of real machines are found."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.models import nab
from gongfu.apps.machine_anomaly.baseline import FARTHEST, WARM_UP, extreme_levels, level_score, sliding_means
from gongfu.apps.machine_anomaly.detector import Judgement, Memory, judge
from gongfu.apps.machine_anomaly.explanation import explain

needs_shared = pytest.mark.skipif(not nab.DATA.exists(), reason="shared data of the project is not on this machine")
START = 400_000


def run(values: list[float], memory: Memory | None = None, start: int = START) -> list[Judgement]:
    memory = Memory() if memory is None else memory
    return [judge(memory, start + place, value) for place, value in enumerate(values)]


def signal(count: int, seed: int = 0) -> list[float]:
    """Return hourly means with a daily cycle, slow drift and noise."""
    random = np.random.default_rng(seed)
    place = np.arange(count)
    drift = np.cumsum(random.standard_normal(count)) * 0.1
    return (80.0 + 5.0 * np.sin(place * 2 * np.pi / 24) + drift + random.standard_normal(count)).tolist()


def test_nothing_is_said_in_the_first_week_whatever_comes() -> None:
    judgements = run([*signal(WARM_UP - 10), *[-500.0] * 10])
    assert all(judgement.index == 0.0 and not judgement.raised for judgement in judgements)


def test_a_shift_of_a_day_is_told_with_side_and_reason_and_ends() -> None:
    values = signal(900)
    for place in range(600, 640):
        values[place] += 40.0
    judgements = run(values)
    raised = [judgement for judgement in judgements if "high" in judgement.raised]
    returned = [judgement for judgement in judgements if "high" in judgement.returned]
    assert len(raised) == len(returned) == 1
    assert 600 <= raised[0].hour - START < 615
    assert 660 <= returned[0].hour - START < 780
    text = explain("high", raised[0].findings, "Cel")
    assert "Cel" in text
    assert "above" in text or "beyond" in text


def test_the_sides_are_alarms_of_their_own() -> None:
    values = signal(900)
    for place in range(600, 640):
        values[place] += 40.0 if place < 620 else -80.0
    sides = [side for judgement in run(values) for side in judgement.raised]
    assert sides.count("high") == 1
    assert sides.count("low") == 1


@needs_shared
@pytest.mark.parametrize("name", nab.SERIES.values())
def test_what_comes_later_changes_nothing(name: str) -> None:
    """Cut anywhere, the series gives the same judgements up to there: no look-ahead."""
    series = nab.hours(name)[:600]
    memory = Memory()
    whole = [judge(memory, hour, mean) for hour, mean in series]
    for cut in (200, 450):
        again = Memory()
        assert [judge(again, hour, mean) for hour, mean in series[:cut]] == whole[:cut]


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.booleans())
@settings(max_examples=6, deadline=None)
def test_the_unit_changes_nothing_and_the_sign_swaps_the_sides(factor: float, offset: float, turn: bool) -> None:
    values = [*signal(260), 140.0, 150.0, *signal(10, 1), 20.0, 10.0]
    sign = -1.0 if turn else 1.0
    one = run(values)
    other = run([sign * factor * value + offset for value in values])
    swap = {"low": "high", "high": "low"} if turn else {"low": "low", "high": "high"}
    for a, b in zip(one, other, strict=True):
        assert b.index == pytest.approx(sign * a.index, rel=1e-6, abs=1e-6)
        assert sorted(swap[side] for side in a.raised) == sorted(b.raised)


def test_the_state_survives_as_plain_data_at_any_hour() -> None:
    values = signal(500)
    values[300:330] = [150.0] * 30
    whole = run(values)
    memory = Memory()
    for place, value in enumerate(values):
        memory = Memory.of(json.loads(json.dumps(memory.plain()))) if place % 37 == 0 else memory
        assert judge(memory, START + place, value) == whole[place]
    assert len(json.dumps(memory.plain())) < 40_000


def test_a_signal_that_never_moved_is_judged_when_it_moves() -> None:
    judgements = run([5.0] * 300)
    assert all(judgement.index == 0.0 for judgement in judgements)
    judgements = run([5.0] * 300 + [6.0] * 48)
    assert [side for judgement in judgements for side in judgement.raised] == ["high"]


def test_hours_go_forward_and_means_are_numbers() -> None:
    memory = Memory()
    judge(memory, START, 1.0)
    with pytest.raises(ValueError, match="ascending"):
        judge(memory, START, 1.0)
    with pytest.raises(ValueError, match="finite"):
        judge(memory, START + 1, float("nan"))
    assert memory.hours == [START]


def test_sliding_means_by_brute_force() -> None:
    random = np.random.default_rng(0)
    hours = np.unique(random.integers(0, 300, 150))
    means = random.standard_normal(len(hours))
    found = sliding_means(hours, means, 24)
    for place, hour in enumerate(hours):
        inside = means[: place + 1][hours[: place + 1] > hour - 24]
        expected = inside.mean() if len(inside) >= 12 else np.nan
        assert found[place] == pytest.approx(expected, nan_ok=True)


def test_the_level_score_is_that_of_iglewicz_and_hoaglin() -> None:
    past = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    assert level_score(past, 6.0) == (pytest.approx(3.0 / 1.4826), 3.0)
    assert level_score(np.full(5, 2.0), 2.0)[0] == 0.0
    assert level_score(np.full(5, 2.0), 3.0)[0] == FARTHEST


def test_the_return_level_is_passed_as_seldom_as_it_says() -> None:
    """Peaks of exponential height, ten a month: each side passes its level once in four months."""
    random = np.random.default_rng(3)
    months = 3000
    hours = np.arange(months * 10) * 73
    heights = random.exponential(1.0, len(hours))
    for sign in (1.0, -1.0):
        sides = extreme_levels(hours, sign * heights)
        level = sign * sides[1 if sign > 0 else 0][1]
        assert 0.2 < (heights > level).sum() / months < 0.3


@pytest.mark.parametrize("heavy", [False, True])
def test_false_alarms_of_a_normal_signal_are_about_one_a_month_at_most(heavy: bool) -> None:
    count = 730 * 3
    random = np.random.default_rng(5)
    noise = random.standard_t(3, count) if heavy else random.standard_normal(count)
    cycle = 5.0 * np.sin(np.arange(count) * 2 * np.pi / 24)
    raised = sum(len(judgement.raised) for judgement in run((80.0 + cycle + noise).tolist()))
    assert raised <= 4


@needs_shared
def test_every_labelled_failure_of_the_machine_and_one_false_alarm_a_month_at_most() -> None:
    result = nab.evaluate(nab.SERIES["machine"])
    assert result.detected == result.windows == 4
    assert result.a_month <= 1.0
    peer = nab.evaluate(nab.SERIES["machine"], nab.three_deviations)
    assert peer.a_month > result.a_month


@needs_shared
def test_the_same_settings_on_the_other_series() -> None:
    result = nab.evaluate(nab.SERIES["ambient"])
    assert result.detected == result.windows == 2
    assert result.a_month <= 1.0
