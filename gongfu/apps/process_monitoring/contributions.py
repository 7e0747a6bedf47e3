"""Which variables a distance from normal operation comes from: reconstruction-based contributions.

The contribution of a variable is by how much D2 falls when its values are replaced by those that fit the others best
(C. F. Alcala, S. J. Qin, Automatica 45 (2009) 1593-1600). For a fault in one variable alone, that variable has the
greatest contribution for certain, which the older plots of T2 and SPE do not promise. Here a variable's values at all
lags are replaced together. What was replaced tells also how far the variable is from where the others expect it.
"""

from dataclasses import dataclass

import numpy as np

from .normal_operation import Array, NormalOperation


@dataclass(frozen=True, slots=True)
class Contributions:
    """Parts of the variables, m of them, in the distance of n sample vectors.

    Attributes:
        fall: ``float64[n, m]`` by how much D2 falls, 0 to D2.
        departure: ``float64[n, m]`` newest value minus what the other variables expect, in the variable's unit.
    """

    fall: Array
    departure: Array


class Reconstruction:
    """Replaces one variable at a time; made once for a normal operation.

    Args:
        normal: m variables, k values in a sample vector.
    """

    def __init__(self, normal: NormalOperation) -> None:
        self._precision = normal.precision
        self._spread = normal.spread
        variables = len(normal.spread)
        # Places of a variable in a sample vector: one for each lag.
        self._places = np.arange(normal.size).reshape(normal.lags + 1, variables).T
        blocks = self._precision[self._places[:, :, None], self._places[:, None, :]]
        self._inverses = np.linalg.inv(blocks)

    def contributions(self, vectors: Array) -> Contributions:
        """Return the contributions to D2 of ``float64[n, k]`` sample vectors."""
        slopes = (vectors @ self._precision)[:, self._places]
        departures = np.einsum("vab,nvb->nva", self._inverses, slopes)
        fall = np.einsum("nva,nva->nv", slopes, departures)
        return Contributions(np.maximum(fall, 0.0), departures[:, :, 0] * self._spread)

    def complete(self, vectors: Array, known: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Array:
        """Return ``float64[n, k]`` sample vectors whose unknown values are those that the known ones expect.

        Args:
            vectors: values where ``known``; the others are not looked at.
            known: ``bool[k]``.
        """
        unknown = ~known
        whole = np.where(known, vectors, 0.0)
        across = whole[:, known] @ self._precision[np.ix_(known, unknown)]
        whole[:, unknown] = -np.linalg.solve(self._precision[np.ix_(unknown, unknown)], across.T).T
        return whole
