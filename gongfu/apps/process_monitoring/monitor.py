"""Evaluate samples against normal operation as they come. What is carried from sample to sample is small and plain."""

from dataclasses import dataclass

import numpy as np

from .contributions import Contributions, Reconstruction
from .normal_operation import Array, sample_vectors
from .training import WEIGHT, Trained, moving_average

# With more of the variables missing than this, a sample is not judged.
MOST_MISSING = 0.25


@dataclass(frozen=True, slots=True)
class Carried:
    """State between two calls of ``Monitor.evaluate``.

    Attributes:
        before: ``float64[lags, m]`` the last samples, standardised, the newest last; NaN where there is none.
        average: moving average of the distance.
        falls: ``float64[m]`` moving average of the contributions, of the same weight.
    """

    before: Array
    average: float
    falls: Array


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Statistics of n samples; NaN where a sample could not be judged.

    Attributes:
        t2: ``float64[n]`` part of the distance in the leading components.
        q: ``float64[n]`` part in the others.
        average: ``float64[n]`` moving average of ``t2 + q``.
        index: ``float64[n]`` the greater of both charts in parts of its limit: above 1 is an alarm.
        contributions: of each sample.
        falls: ``float64[n, m]`` contributions, averaged as ``average`` is.
    """

    t2: Array
    q: Array
    average: Array
    index: Array
    contributions: Contributions
    falls: Array


class Monitor:
    """Statistics of samples of m variables for one trained normal operation.

    Args:
        trained: what was learnt.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        self._reconstruction = Reconstruction(trained.normal)

    def begin(self) -> Carried:
        """Return the state before the first sample."""
        normal = self.trained.normal
        variables = len(normal.spread)
        return Carried(np.full((normal.lags, variables), np.nan), self.trained.usual, np.zeros(variables))

    def evaluate(self, samples: Array, carried: Carried) -> tuple[Evaluation, Carried]:
        """Return the statistics of ``float64[n, m]`` samples, n >= 1, and the state after them.

        A missing value (NaN), now or at a lag, is taken as what the values that are there expect: it neither raises nor
        hides anything. A sample that misses more than ``MOST_MISSING`` of its variables is not judged. Samples in
        groups of any size give equal answers.
        """
        normal, limits = self.trained.normal, self.trained.limits
        standardised = normal.standardise(samples)
        judged = np.isnan(standardised).mean(axis=1) <= MOST_MISSING
        vectors = sample_vectors(standardised, normal.lags, carried.before)[judged]
        self._complete(vectors)
        t2, q = normal.statistics(vectors)
        average = moving_average(t2 + q, carried.average)
        contributions = self._reconstruction.contributions(vectors)
        falls = _averages(contributions.fall, carried.falls)
        index = np.maximum((t2 + q) / limits.distance, average / limits.average)
        after = Carried(
            np.vstack([carried.before, standardised])[len(standardised) :],
            float(average[-1]) if len(average) else carried.average,
            falls[-1] if len(falls) else carried.falls,
        )
        if not judged.all():
            t2, q, average, index, falls = (_spread_out(a, judged) for a in (t2, q, average, index, falls))
            contributions = Contributions(
                _spread_out(contributions.fall, judged), _spread_out(contributions.departure, judged)
            )
        return Evaluation(t2, q, average, index, contributions, falls), after

    def _complete(self, vectors: Array) -> None:
        """Fill what is missing in ``float64[n, k]`` sample vectors, in place; rows that miss the same go together."""
        missing = np.isnan(vectors)
        rows = np.flatnonzero(missing.any(axis=1))
        if not len(rows):
            return
        patterns, which = np.unique(missing[rows], axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            same = rows[which.reshape(-1) == number]
            vectors[same] = self._reconstruction.complete(vectors[same], ~pattern)


def _averages(rows: Array, begin: Array) -> Array:
    """Return the moving averages of ``float64[n, m]`` rows, which begin at ``float64[m]``."""
    averages = np.empty_like(rows)
    now = begin
    for place, row in enumerate(rows):
        now = now + WEIGHT * (row - now)
        averages[place] = now
    return averages


def _spread_out(values: Array, judged: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Array:
    """Return values at the places that were judged, NaN at the others."""
    whole = np.full((len(judged), *values.shape[1:]), np.nan)
    whole[judged] = values
    return whole
