"""Figures of a vibration signal: pure functions, without anything of the platform."""

import numpy as np
from numpy.typing import NDArray


def rms(values: NDArray[np.float64]) -> float:
    """Return the root mean square of ``float64[n]``, n >= 1, in the unit of the values."""
    return float(np.sqrt(np.mean(values**2)))


def kurtosis(values: NDArray[np.float64]) -> float:
    """Return the kurtosis (fourth standardised moment: 3 for noise, 1.5 for a sine); 0 for a constant signal."""
    deviation = values - values.mean()
    variance = float(np.mean(deviation**2))
    return float(np.mean(deviation**4)) / variance**2 if variance > 0 else 0.0
