"""Learn normal operation and its limits from one period of history, by cross-validation within that period alone.

- **Lags and shrinkage** are those under which samples that were held out are most likely, given the samples just before
  them (Gaussian predictive likelihood). Nothing but normal operation is needed for the choice.
- **Limits** come from the statistics of the held-out samples too: in the samples that were fitted the distance is too
  small, the more so the fewer they are. Their cube roots are close to normal (E. B. Wilson, M. M. Hilferty, PNAS 17
  (1931) 684-688), so mean and standard deviation of the cube roots give the limit that a share ``false_alarms`` of the
  samples exceeds, also where the period is too short to count so few.
- Held-out samples are whole stretches of time, not single ones: neighbours are alike, and would give the answer away.

Two charts are kept, each with half of the false alarms: D2 of the sample, which sees what is sudden and great, and its
exponentially weighted moving average, which sees what is small and stays (S. W. Roberts, Technometrics 1 (1959)
239-250; weight 0.2 as D. C. Montgomery, Introduction to Statistical Quality Control, recommends for general use).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from .normal_operation import Array, NormalOperation, TooLittleData, fit, sample_vectors, shrunk, spectrum

FOLDS = 5
LAGS = (0, 1, 2, 3)
SHRINKAGES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
# Half of one per cent: of the 1 % that people bear.
FALSE_ALARMS = 0.005
WEIGHT = 0.2
FEWEST_SAMPLES = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper limits: of the distance of a sample, of its moving average, and for people of T2 and Q by themselves."""

    distance: float
    average: float
    t2: float
    q: float


@dataclass(frozen=True, slots=True)
class Trained:
    """What was learnt.

    Attributes:
        normal: normal operation.
        limits: upper limits.
        usual: mean distance of held-out samples, where the moving average begins.
        samples: how many samples it was learnt from.
        false_alarms: share of normal samples that was meant to exceed a limit.
        likelihoods: predictive log-likelihood a sample, by (lags, shrinkage).
    """

    normal: NormalOperation
    limits: Limits
    usual: float
    samples: int
    false_alarms: float
    likelihoods: dict[tuple[int, float], float]


def train(samples: Array, false_alarms: float = FALSE_ALARMS) -> Trained:
    """Learn from ``float64[n, m]`` samples of normal operation, evenly spaced in time.

    Args:
        samples: in ascending time.
        false_alarms: share of normal samples that may exceed a limit, 0.0001 to 0.1.

    Raises:
        TooLittleData: fewer than ``FEWEST_SAMPLES``, or than 1.5 for each variable; or see ``fit``.
        ValueError: ``false_alarms`` is out of range.
    """
    if not 0.0001 <= false_alarms <= 0.1:
        raise ValueError("false_alarms is a share from 0.0001 to 0.1")
    needed = max(FEWEST_SAMPLES, int(1.5 * samples.shape[1]))
    if len(samples) < needed:
        raise TooLittleData(f"the period has {len(samples)} samples; at least {needed} are needed")
    if not np.isfinite(samples).all():
        raise TooLittleData("the period has values that are not numbers")
    likelihoods = {
        (lags, shrinkage): value for lags in LAGS for shrinkage, value in _likelihoods(samples, lags).items()
    }
    lags, shrinkage = max(likelihoods, key=lambda key: likelihoods[key])
    held_out = [_held_out_statistics(kept, held, lags, shrinkage) for kept, held in _folds(samples)]
    usual = float(np.concatenate([t2 + q for t2, q in held_out]).mean())
    t2 = np.concatenate([pair[0] for pair in held_out])
    q = np.concatenate([pair[1] for pair in held_out])
    averages = np.concatenate([moving_average(t2 + q, usual) for t2, q in held_out])
    limits = Limits(
        distance=upper_limit(t2 + q, false_alarms / 2.0),
        average=upper_limit(averages, false_alarms / 2.0),
        t2=upper_limit(t2, false_alarms),
        q=upper_limit(q, false_alarms),
    )
    return Trained(fit([samples], lags, shrinkage), limits, usual, len(samples), false_alarms, likelihoods)


def upper_limit(values: Array, share: float) -> float:
    """Return what a share of values like these exceeds; the values are sums of squares.

    Args:
        values: ``float64[n]``, not negative.
        share: between 0 and 1.
    """
    roots = np.cbrt(values)
    return float((roots.mean() + NormalDist().inv_cdf(1.0 - share) * roots.std()) ** 3)


def moving_average(values: Array, begin: float, weight: float = WEIGHT) -> Array:
    """Return the exponentially weighted moving average of ``float64[n]`` values, which begins at ``begin``."""
    averages = np.empty_like(values)
    now = begin
    for place, value in enumerate(values.tolist()):
        now += weight * (value - now)
        averages[place] = now
    return averages


def _folds(samples: Array) -> Iterator[tuple[list[Array], Array]]:
    """Yield the pieces that are kept and the stretch that is held out, ``FOLDS`` times."""
    edges = np.linspace(0, len(samples), FOLDS + 1).astype(int).tolist()
    for begin, end in pairwise(edges):
        yield [piece for piece in (samples[:begin], samples[end:]) if len(piece)], samples[begin:end]


def _held_out_statistics(kept: list[Array], held: Array, lags: int, shrinkage: float) -> tuple[Array, Array]:
    """Return T2 and Q of the held-out samples that have all their lags."""
    normal = fit(kept, lags, shrinkage)
    t2, q = normal.statistics(sample_vectors(normal.standardise(held), lags)[lags:])
    return t2, q


def _likelihoods(samples: Array, lags: int) -> dict[float, float]:
    """Return, by shrinkage, the mean predictive log-likelihood of held-out samples given the ``lags`` before them."""
    sums = dict.fromkeys(SHRINKAGES, 0.0)
    count = 0
    for kept, held in _folds(samples):
        together = np.vstack(kept)
        centre, spread = together.mean(axis=0), together.std(axis=0)
        if not (spread > 0.0).all():
            raise TooLittleData("a variable does not move in four fifths of the period; leave it out")
        # The same samples for every number of lags, else they could not be compared.
        first = max(LAGS)
        count += len(held) - first
        # p(now | before) = p(now, before) / p(before)
        for size, sign in ((lags, 1.0), (lags - 1, -1.0)):
            if size < 0:
                continue
            variances, components = spectrum(
                np.vstack([sample_vectors((piece - centre) / spread, size) for piece in kept])
            )
            vectors = sample_vectors((held - centre) / spread, size)
            # p(before) is of the vector one sample earlier.
            vectors = vectors[first:] if sign > 0 else vectors[first - 1 : -1]
            squares = (vectors @ components) ** 2
            for shrinkage in SHRINKAGES:
                narrowed = shrunk(variances, shrinkage)
                logs = (squares / narrowed).sum(axis=1) + np.log(narrowed).sum()
                sums[shrinkage] -= sign * 0.5 * float(logs.sum())
    return {shrinkage: value / count for shrinkage, value in sums.items()}
