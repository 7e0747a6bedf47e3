"""Process monitoring: what was promised of its statistics, on made-up plants and on the Tennessee Eastman plant."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.models import tep
from gongfu.apps.process_monitoring.contributions import Reconstruction
from gongfu.apps.process_monitoring.explanation import causes, explain
from gongfu.apps.process_monitoring.monitor import Evaluation, Monitor
from gongfu.apps.process_monitoring.normal_operation import Array, TooLittleData, sample_vectors
from gongfu.apps.process_monitoring.training import Trained, train, upper_limit

NAMES = [f"variable {number}" for number in range(6)]


def plant(count: int, seed: int) -> Array:
    """Return ``float64[count, 6]``: two slow sources, seen by six variables with noise."""
    random = np.random.default_rng(seed)
    sources = random.standard_normal((count, 2))
    for row in range(1, count):
        sources[row] += 0.7 * sources[row - 1]
    mixing = np.random.default_rng(1).standard_normal((2, 6))
    return 50.0 + sources @ mixing + 0.3 * random.standard_normal((count, 6))


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(plant(800, 0))


def whole(trained: Trained, samples: Array) -> Evaluation:
    monitor = Monitor(trained)
    return monitor.evaluate(samples, monitor.begin())[0]


def test_false_alarms_are_as_many_as_asked_for(trained: Trained) -> None:
    share = np.mean([(whole(trained, plant(2000, seed)).index > 1).mean() for seed in range(1, 11)])
    assert 0.001 < share < 0.01


def test_t2_and_q_add_up_to_the_mahalanobis_distance(trained: Trained) -> None:
    normal = trained.normal
    vectors = sample_vectors(normal.standardise(plant(50, 3)), normal.lags)
    t2, q = normal.statistics(vectors)
    assert np.allclose(t2 + q, np.einsum("ni,ij,nj->n", vectors, normal.precision, vectors), rtol=1e-10)


@given(
    place=st.integers(0, 5),
    factor=st.floats(1e-6, 1e6),
    offset=st.floats(-1e4, 1e4),
)
@settings(max_examples=10, deadline=None)
def test_units_of_the_variables_change_nothing(place: int, factor: float, offset: float) -> None:
    scale, shift = np.ones(6), np.zeros(6)
    scale[place], shift[place] = factor, offset * factor
    history, later = plant(300, 0), plant(60, 4)
    later[30:, 2] += 3.0
    one, other = train(history), train(history * scale + shift)
    assert (one.normal.lags, one.normal.shrinkage) == (other.normal.lags, other.normal.shrinkage)
    a, b = whole(one, later), whole(other, later * scale + shift)
    assert np.allclose(a.index, b.index, rtol=1e-5)
    assert np.allclose(a.contributions.departure * scale, b.contributions.departure, rtol=1e-4, atol=1e-6 * factor)


def test_a_fault_in_one_variable_is_put_down_to_it(trained: Trained) -> None:
    samples = plant(400, 5)
    for place in range(6):
        faulty = np.array(samples)
        faulty[200:, place] += 4.0
        found = whole(trained, faulty)
        assert (found.index[201:] > 1).all()
        assert (np.argmax(found.falls[205:], axis=1) == place).all()
        # What is said to be the departure is what was added, give or take the noise.
        assert abs(found.contributions.departure[210:, place].mean() - 4.0) < 0.7


def test_what_a_variable_contributes_is_what_the_best_replacement_takes_away(trained: Trained) -> None:
    normal = trained.normal
    reconstruction = Reconstruction(normal)
    vectors = sample_vectors(normal.standardise(plant(20, 6)), normal.lags)
    fall = reconstruction.contributions(vectors).fall
    before = sum(normal.statistics(vectors))
    for place in range(6):
        known = np.arange(normal.size) % 6 != place
        replaced = reconstruction.complete(vectors, known)
        after = sum(normal.statistics(replaced))
        assert np.allclose(before - after, fall[:, place], rtol=1e-8, atol=1e-8)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_grouping_of_the_samples_changes_nothing(groups: list[int], holes: int) -> None:
    learnt = train(plant(300, 0))
    samples = plant(sum(groups), 7)
    random = np.random.default_rng(holes)
    for _ in range(holes * 5):
        samples[random.integers(len(samples)), random.integers(6)] = np.nan
    together = whole(learnt, samples)
    monitor = Monitor(learnt)
    carried, parts, begin = monitor.begin(), [], 0
    for size in groups:
        found, carried = monitor.evaluate(samples[begin : begin + size], carried)
        parts.append(found.index)
        begin += size
    assert np.allclose(np.concatenate(parts), together.index, rtol=1e-12, equal_nan=True)


def test_a_missing_value_is_no_alarm_and_a_missing_plant_is_not_judged(trained: Trained) -> None:
    samples = plant(300, 8)
    samples[100:200, 3] = np.nan
    samples[250, :] = np.nan
    found = whole(trained, samples)
    assert (found.index[100:200] < 1).all()
    assert np.flatnonzero(np.isnan(found.index)).tolist() == [250]


def test_what_cannot_be_learnt_from_is_refused() -> None:
    history = plant(300, 0)
    with pytest.raises(TooLittleData, match="at least 100"):
        train(history[:60])
    history[:, 4] = 7.0
    with pytest.raises(TooLittleData, match="does not move"):
        train(history)
    history[5, 4] = np.nan
    with pytest.raises(TooLittleData, match="not numbers"):
        train(history)
    with pytest.raises(ValueError, match="share"):
        train(plant(300, 0), false_alarms=0.5)


def test_a_limit_is_passed_by_the_share_it_is_for() -> None:
    squares = (np.random.default_rng(0).standard_normal((200_000, 30)) ** 2).sum(axis=1)
    assert abs((squares > upper_limit(squares[:500], 0.005)).mean() - 0.005) < 0.003


def test_the_explanation_names_the_variable_with_value_and_unit(trained: Trained) -> None:
    samples = plant(50, 9)
    samples[40:, 2] -= 6.0
    found = whole(trained, samples)
    text = explain(
        float(found.index[49]), causes(NAMES, ["kPa"] * 6, found.falls[49], found.contributions.departure[49])
    )
    assert text.startswith(f"{found.index[49]:.1f} times the limit; variable 2 ")
    assert "kPa against the others" in text
    assert "(-" in text.split(",")[0]


@pytest.mark.skipif(not tep.DATA.exists(), reason="shared data of the project is not on this machine")
def test_the_tennessee_eastman_plant_within_the_bars() -> None:
    result = tep.evaluate()
    assert result.false_alarms <= 0.01
    assert result.before_faults <= 0.01
    rates = [rate for fault, rate in result.detected.items() if fault not in tep.APART]
    assert np.mean(rates) >= 0.97
    assert min(rates) >= 0.9
    # The peer: static PCA, as it is mostly done.
    assert (
        np.mean(rates) > np.mean([rate for fault, rate in result.static_pca.items() if fault not in tep.APART]) + 0.05
    )


@pytest.mark.skipif(not tep.DATA.exists(), reason="shared data of the project is not on this machine")
@pytest.mark.parametrize(("fault", "variable"), [(4, 50), (6, 43), (14, 20)])
def test_the_cause_of_a_fault_is_named(fault: int, variable: int) -> None:
    """IDV(4), IDV(14): cooling water of the reactor, its valve XMV(10) or outlet XMEAS(21); IDV(6): A feed, XMV(3)."""
    found = whole(train(tep.load("d00")), tep.load(f"d{fault:02d}_te")[:240])
    assert int(np.argmax(found.falls[170:240].mean(axis=0))) == variable
