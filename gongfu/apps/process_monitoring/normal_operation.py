"""What normal operation of a plant looks like: centre, spread and relations of its variables over a few samples.

A sample vector holds the standardised variables now and at the ``lags`` samples before (dynamic PCA: W. Ku,
R. H. Storer, C. Georgakis, Chemom. Intell. Lab. Syst. 30 (1995) 179-196). Its distance from normal operation is

    D2 = sum_i y_i^2 / ((1 - a) w_i + a mean(w))          y = scores on the principal components, w = their variances

the Mahalanobis distance with a covariance shrunk by ``a`` towards a multiple of the unit matrix (O. Ledoit, M. Wolf,
J. Multivar. Anal. 88 (2004) 365-411), because a few hundred samples cannot tell the smallest variances. The first
components, that together have ``EXPLAINED`` of the variance, give Hotelling's T2; the others, each by its own variance,
give Q, the residual part. T2 + Q = D2: the combined index of H. H. Yue, S. J. Qin, Ind. Eng. Chem. Res. 40 (2001)
4403-4414, with every direction weighted. Pure functions of arrays; times are counted in samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Share of the variance that the components of T2 have.
EXPLAINED = 0.9


class TooLittleData(ValueError):
    """The data cannot tell what normal operation is; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class NormalOperation:
    """Normal operation of m variables over l lags, k = m * (l + 1).

    Attributes:
        centre: ``float64[m]`` means, in the units of the variables.
        spread: ``float64[m]`` standard deviations, in the same units, > 0.
        lags: l.
        shrinkage: a, above 0 and at most 1.
        components: ``float64[k, k]``, a principal component a column, by falling variance.
        variances: ``float64[k]`` shrunk variances of the scores.
        leading: number of components in T2.
    """

    centre: Array
    spread: Array
    lags: int
    shrinkage: float
    components: Array
    variances: Array
    leading: int

    @property
    def size(self) -> int:
        """Length k of a sample vector: the expected value of D2."""
        return len(self.variances)

    @property
    def precision(self) -> Array:
        """``float64[k, k]``: inverse of the shrunk covariance."""
        return (self.components / self.variances) @ self.components.T

    def standardise(self, samples: Array) -> Array:
        """Return ``float64[n, m]`` samples as deviations from the centre by the spread."""
        return (samples - self.centre) / self.spread

    def statistics(self, vectors: Array) -> tuple[Array, Array]:
        """Return T2 and Q, ``float64[n]`` each, of ``float64[n, k]`` sample vectors."""
        weighted = (vectors @ self.components) ** 2 / self.variances
        return weighted[:, : self.leading].sum(axis=1), weighted[:, self.leading :].sum(axis=1)


def sample_vectors(standardised: Array, lags: int, before: Array | None = None) -> Array:
    """Return ``float64[n, m * (lags + 1)]``: each sample with those before it, the newest first.

    Args:
        standardised: ``float64[n, m]`` samples in ascending time.
        lags: number of samples before.
        before: ``float64[lags, m]`` samples before the first; the first one repeated when not given.
    """
    if before is None:
        before = np.repeat(standardised[:1], lags, axis=0)
    whole = np.vstack([before, standardised])
    count = len(standardised)
    return np.hstack([whole[lags - lag : lags - lag + count] for lag in range(lags + 1)])


def spectrum(vectors: Array) -> tuple[Array, Array]:
    """Return variances ``float64[k]``, falling, and components ``float64[k, k]`` of centred sample vectors."""
    variances, components = np.linalg.eigh(vectors.T @ vectors / len(vectors))
    return np.maximum(variances[::-1], 0.0), np.ascontiguousarray(components[:, ::-1])


def shrunk(variances: Array, shrinkage: float) -> Array:
    """Return variances drawn to their mean by ``shrinkage``; all of them above 0."""
    return (1.0 - shrinkage) * variances + shrinkage * variances.mean()


def fit(pieces: list[Array], lags: int, shrinkage: float) -> NormalOperation:
    """Return normal operation from pieces of history, each ``float64[n, m]`` without gaps.

    Args:
        pieces: samples in ascending time, a piece for each stretch of time.
        lags: number of samples before that belong to a sample vector.
        shrinkage: above 0, at most 1.

    Raises:
        TooLittleData: fewer samples than variables, a variable that does not move, or values that are no numbers.
    """
    samples = np.vstack(pieces)
    if not np.isfinite(samples).all():
        raise TooLittleData("the period has values that are not numbers")
    if len(samples) <= samples.shape[1]:
        raise TooLittleData(f"{len(samples)} samples cannot tell the relations of {samples.shape[1]} variables")
    centre, spread = samples.mean(axis=0), samples.std(axis=0)
    # Relative to the size of the numbers: rounding makes a constant's spread not quite 0.
    still = np.flatnonzero(spread <= 1e-12 * np.maximum(np.abs(centre), 1e-300))
    if len(still):
        raise TooLittleData(f"variable {int(still[0]) + 1} does not move in the period; leave it out")
    vectors = np.vstack([sample_vectors((piece - centre) / spread, lags) for piece in pieces])
    variances, components = spectrum(vectors)
    leading = int(np.searchsorted(np.cumsum(variances) / variances.sum(), EXPLAINED)) + 1
    return NormalOperation(
        centre, spread, lags, shrinkage, components, shrunk(variances, shrinkage), min(leading, len(variances))
    )
