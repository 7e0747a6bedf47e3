"""Bounding values (OPC 10000-13 §3.1.7 to §3.1.9)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.aggregates.prepared import Prepared
from gongfu.kernel.aggregates.types import AggregateConfiguration
from gongfu.kernel.quality import Quality


@dataclass(frozen=True, slots=True)
class Bounds:
    """Values at some times.

    Attributes:
        values: ``float64[k]``, NaN where bad.
        qualities: ``uint8[k]``.
        raw: ``bool[k]``: a value is stored at the very time.
        source: ``int64[k]``: index of the stored value that this one is, -1 when it lies between two.
    """

    values: NDArray[np.float64]
    qualities: NDArray[np.uint8]
    raw: NDArray[np.bool_]
    source: NDArray[np.int64]

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Which have no value."""
        return self.qualities >= Quality.BAD

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which are good."""
        return self.qualities < Quality.UNCERTAIN


def _none(k: int) -> Bounds:
    return Bounds(
        np.full(k, np.nan), np.full(k, Quality.BAD_NO_DATA, np.uint8), np.zeros(k, bool), np.full(k, -1, np.int64)
    )


def _line(
    at: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return values on lines; an end that is met exactly gives its value exactly."""
    share = (at - before) / np.maximum(after - before, 1)
    # Not low + (high - low) * share: the difference of two large values may overflow.
    return low * (1.0 - share) + high * share


def simple_bounds(prepared: Prepared, at: NDArray[np.int64], configuration: AggregateConfiguration) -> Bounds:
    """Return Simple Bounding Values (§3.1.9): from the very neighbours, even if these are bad.

    Behind the last value of all data there is none: this server does not extrapolate simple bounds.
    """
    n = len(prepared)
    bounds = _none(len(at))
    if not n:
        return bounds
    place = np.searchsorted(prepared.times, at, side="right") - 1
    before = np.maximum(place, 0)
    after = np.minimum(before + 1, n - 1)
    exact = (place >= 0) & (prepared.times[before] == at)
    usable = (place >= 0) & ~prepared.bad[before]
    if prepared.last is not None:
        usable &= at <= prepared.last
    has_after = before + 1 < n
    values, qualities = bounds.values, bounds.qualities
    values[usable] = prepared.numbers[before[usable]]
    subnormal = prepared.uncertain[before]
    if not configuration.stepped:
        sloped = usable & ~exact & has_after
        line = sloped & ~prepared.bad[after]
        b, a = before[line], after[line]
        values[line] = _line(at[line], prepared.times[b], prepared.times[a], prepared.numbers[b], prepared.numbers[a])
        subnormal = subnormal | (sloped & ~prepared.good[after])
    qualities[usable] = np.where(subnormal[usable], Quality.UNCERTAIN_SUBNORMAL, Quality.GOOD)
    exact &= usable
    qualities[exact] = prepared.qualities[before[exact]]
    bounds.raw[:] = exact
    held = usable if configuration.stepped else exact
    bounds.source[held] = before[held]
    return bounds


def interpolated_bounds(prepared: Prepared, at: NDArray[np.int64], configuration: AggregateConfiguration) -> Bounds:
    """Return Interpolated Bounding Values (§3.1.8): from the nearest neighbours that are not bad."""
    bounds = _none(len(at))
    n = len(prepared.usable)
    if not n:
        return bounds
    place = np.searchsorted(prepared.usable_times, at, side="right") - 1
    known = place >= 0
    j = np.maximum(place, 0)
    before, has_after = prepared.usable[j], j + 1 < n
    after = prepared.usable[np.minimum(j + 1, n - 1)]
    exact = known & (prepared.times[before] == at)
    bounds.values[known] = prepared.numbers[before[known]]
    between = known & ~exact
    subnormal = prepared.uncertain[before]
    if configuration.stepped:
        reach = np.searchsorted(prepared.times, at, side="right")
        skipped = prepared.bad_before[reach] > prepared.bad_before[before + 1]
        subnormal = subnormal | skipped
        extrapolated = between & ~has_after
        if prepared.last is not None:
            extrapolated &= at > prepared.last
        else:
            extrapolated[:] = False
    else:
        line = between & has_after
        b, a = before[line], after[line]
        bounds.values[line] = _line(
            at[line], prepared.times[b], prepared.times[a], prepared.numbers[b], prepared.numbers[a]
        )
        skipped = prepared.bad_before[after] > prepared.bad_before[before + 1]
        subnormal = subnormal | (line & (prepared.uncertain[after] | skipped))
        extrapolated = between & ~has_after
    if configuration.use_sloped_extrapolation and n > 1 and extrapolated.any():
        last, second = prepared.usable[-1], prepared.usable[-2]
        span = prepared.times[last] - prepared.times[second]
        rise = prepared.numbers[last] - prepared.numbers[second]
        beyond = (at[extrapolated] - prepared.times[last]) / span
        bounds.values[extrapolated] = prepared.numbers[last] + rise * beyond
    subnormal = subnormal | extrapolated
    bounds.qualities[known] = np.where(subnormal[known], Quality.UNCERTAIN_SUBNORMAL, Quality.GOOD)
    bounds.qualities[exact] = prepared.qualities[before[exact]]
    bounds.raw[:] = exact
    held = known if configuration.stepped else exact
    bounds.source[held] = before[held]
    return bounds
