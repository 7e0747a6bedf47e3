"""Every aggregate against the slow reference, on arbitrary points, grids and configurations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.aggregates.process import process, values_at
from gongfu.kernel.aggregates.types import AggregateConfiguration, AggregateFunction, Bits, Grid, Points
from gongfu.kernel.quality import Quality, severity
from tests.unit.kernel.aggregates_reference import Raw, Reference

_CODES = {"good": Quality.GOOD, "uncertain": Quality.UNCERTAIN_CLOCK, "bad": Quality.BAD_DEVICE}
_MS = 1_000_000

values = st.one_of(st.sampled_from([0.0, 1.0, 2.0, math.nan]), st.integers(-1000, 1000).map(lambda n: n / 8))
raws = st.lists(
    st.builds(
        Raw, st.integers(0, 60).map(lambda n: n * _MS), values, st.sampled_from(["good", "good", "uncertain", "bad"])
    ),
    max_size=25,
    unique_by=lambda one: one.time,
).map(lambda held: sorted(held, key=lambda one: one.time))
configurations = st.builds(
    AggregateConfiguration,
    treat_uncertain_as_bad=st.booleans(),
    percent_data_bad=st.sampled_from([0, 1, 30, 50, 100]),
    percent_data_good=st.sampled_from([0, 50, 80, 100]),
    use_sloped_extrapolation=st.booleans(),
    stepped=st.booleans(),
    resolution=st.sampled_from([1, 1000, _MS]),
)
grids = st.builds(
    lambda start, length, step: Grid(start * _MS, (start + length) * _MS, step * _MS),
    st.integers(0, 50),
    st.integers(1, 40),
    st.integers(1, 17),
)


def points_of(raw: list[Raw], *, ends: bool = True) -> Points:
    return Points(
        np.array([one.time for one in raw], np.int64),
        np.array([one.value for one in raw], np.float64),
        np.array([_CODES[one.status] for one in raw], np.uint8),
        ends,
    )


def sparse(raw: list[Raw], grid: Grid, configuration: AggregateConfiguration) -> Points:
    """Return only what ``Points`` promises to hold."""
    reference = Reference(raw, configuration)
    usable = [one for one in raw if reference.status(one) != "bad"]
    inside = [one for one in raw if grid.start <= one.time < grid.end]
    before = [one for one in raw if one.time < grid.start][-1:]
    before += [one for one in usable if one.time < grid.start][-2:]
    after = [one for one in raw if one.time >= grid.end][:1] + [one for one in usable if one.time >= grid.end][:1]
    held = {one.time: one for one in before + inside + after}
    return points_of([held[time] for time in sorted(held)], ends=not after)


def check(function: AggregateFunction, raw: list[Raw], grid: Grid, configuration: AggregateConfiguration) -> None:
    # The reference sees all data; the kernel what a query fetches.
    reference = Reference(raw, configuration)
    found = process(function, sparse(raw, grid, configuration), grid, configuration)
    assert len(found.times) == len(grid)
    absolute = 1e-3 if "Duration" in function else 1e-9
    for i, (start, end) in enumerate(zip(grid.starts.tolist(), grid.ends.tolist(), strict=True)):
        expected = reference.ask(function, start, end)
        assert severity(int(found.qualities[i])) == expected.status, (function, i)
        if expected.value is None:
            assert math.isnan(found.values[i]), (function, i)
        else:
            assert found.values[i] == pytest.approx(expected.value, rel=1e-9, abs=absolute), (function, i)
            assert int(found.times[i]) == expected.time, (function, i)
        assert not found.bits[i] & Bits.EXTRA_DATA


@settings(max_examples=60)
@given(raw=raws, grid=grids, configuration=configurations)
def test_every_aggregate_is_what_its_definition_says(
    raw: list[Raw], grid: Grid, configuration: AggregateConfiguration
) -> None:
    for function in AggregateFunction:
        check(function, raw, grid, configuration)


@settings(max_examples=100)
@given(raw=raws, at=st.lists(st.integers(0, 70_000_000), max_size=20), configuration=configurations)
def test_values_at_given_times(raw: list[Raw], at: list[int], configuration: AggregateConfiguration) -> None:
    reference = Reference(raw, configuration)
    found = values_at(points_of(raw), np.array(at, np.int64), configuration)
    for time, value, quality in zip(at, found.values.tolist(), found.qualities.tolist(), strict=True):
        expected, status = reference.interpolated_bound(time, configuration.stepped)
        assert severity(quality) == status
        assert (expected is None and math.isnan(value)) or value == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60)
@given(raw=raws, grid=grids, configuration=configurations, function=st.sampled_from(list(AggregateFunction)))
def test_a_grid_may_be_cut_at_any_of_its_edges(
    raw: list[Raw], grid: Grid, configuration: AggregateConfiguration, function: AggregateFunction
) -> None:
    """Long ranges are computed piece by piece."""
    whole = process(function, sparse(raw, grid, configuration), grid, configuration)
    cut = grid.start + (len(grid) // 2) * grid.step
    if cut in (grid.start, grid.end):
        return
    halves = [Grid(grid.start, cut, grid.step), Grid(cut, grid.end, grid.step)]
    parts = [process(function, sparse(raw, half, configuration), half, configuration) for half in halves]
    for name in ("times", "values", "qualities", "bits"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(joined.astype(float), getattr(whole, name).astype(float), rtol=1e-12, atol=1e-9)


def test_stored_values_are_named_exactly() -> None:
    times = np.arange(4, dtype=np.int64) * _MS
    values = np.array([2**62 + 1, 2**62 + 3, 2**62 + 2, -(2**62) - 1], np.int64)
    points = Points(times, values, np.zeros(4, np.uint8), ends=True)
    grid = Grid(0, 4 * _MS, 4 * _MS)
    for function, expected in (
        (AggregateFunction.MAXIMUM, 1),
        (AggregateFunction.MINIMUM, 3),
        (AggregateFunction.END, 3),
    ):
        assert process(function, points, grid, AggregateConfiguration()).source.tolist() == [expected]


@pytest.mark.parametrize(("start", "end", "step"), [(0, 0, 1), (5, 4, 1), (0, 10, 0)])
def test_grids_have_a_length_and_a_step(start: int, end: int, step: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        Grid(start, end, step)
