"""What is usual for a signal, from its last four weeks: robust level and spread of its means, and how far it strays.

Everything is made of hourly means. Two questions are asked of each new hour:

- **Level**: is the mean of the last day, or of the last two days, far from what such means were? A whole day has no
  daily cycle, and what a machine does for minutes hardly moves it. The modified z-score of B. Iglewicz, D. C. Hoaglin,
  How to Detect and Handle Outliers (ASQC 1993): (x - median) / (1.4826 MAD), far beyond their 3.5. Median and median
  absolute deviation bear that almost half of the four weeks were themselves unusual.
- **Extreme**: is the hour beyond what happens once in ``RETURN_MONTHS``? Peaks over a threshold (A. C. Davison,
  R. L. Smith, J. R. Stat. Soc. B 52 (1990) 393-442): the threshold is passed by a tenth of the hours (W. H. DuMouchel,
  Ann. Stat. 11 (1983) 1019-1031), hours beyond it less than a day apart are one peak, and the peaks' excesses are taken
  as exponential, which a few weeks can tell and a heavier tail's third parameter they cannot. The level is an estimate
  from a handful of peaks: where tails are heavy it is passed about twice as often as it says.

No number here was fitted on labels: days and weeks are the calendar's, 3.5 and the tenth are the cited ones, and
``RETURN_MONTHS`` follows from the one false alarm a month that people bear: half of them to each question.
Pure functions of arrays; scores do not depend on the unit of the signal.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Hours = NDArray[np.int64]

DAY = 24
MEMORY = 28 * DAY
WARM_UP = 7 * DAY
LEVEL_HOURS = (DAY, 2 * DAY)
LEVEL_LIMIT = 3.5
TAIL = 0.1
RETURN_MONTHS = 2.0
PEAK_GAP = DAY
HOURS_A_MONTH = 730.5
# A signal that never moved has no spread; its first move is as far as this.
FARTHEST = 100.0


def sliding_means(hours: Hours, means: Array, length: int) -> Array:
    """Return the mean over the last ``length`` hours, of each hour.

    Args:
        hours: ``int64[n]`` ascending numbers of hours; those without samples are left out.
        means: ``float64[n]`` hourly means.
        length: hours in a mean.

    Returns:
        ``float64[n]``; NaN where less than half of the hours have a mean.
    """
    first = np.searchsorted(hours, hours - length + 1)
    sums = np.concatenate([[0.0], np.cumsum(means)])
    counts = np.arange(1, len(hours) + 1) - first
    return np.where(counts * 2 >= length, (sums[1:] - sums[first]) / counts, np.nan)


def level_score(past: Array, now: float) -> tuple[float, float]:
    """Return the modified z-score of a value among past ones, and their median.

    Args:
        past: ``float64[n]`` past values, n >= 1.
        now: the value.

    Returns:
        The score, within ``FARTHEST`` either way, and the median.
    """
    median = _quantile(np.sort(past), 0.5)
    spread = 1.4826 * _quantile(np.sort(np.abs(past - median)), 0.5)
    apart = now - median
    if abs(apart) >= FARTHEST * spread:
        # Also for no spread; rounding is not a move.
        return (0.0 if abs(apart) <= 1e-9 * abs(median) else float(np.copysign(FARTHEST, apart))), median
    return apart / spread, median


def extreme_levels(hours: Hours, means: Array) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return, for the low and the high side, the threshold of peaks and the level passed once in ``RETURN_MONTHS``.

    Both sides together pass their levels once in ``RETURN_MONTHS``, so that each has twice as long.

    Args:
        hours: ``int64[n]`` ascending numbers of hours.
        means: ``float64[n]`` hourly means, n >= 1.
    """
    ordered = np.sort(means)
    low = _extreme(hours, -means, -_quantile(ordered, TAIL))
    return (-low[0], -low[1]), _extreme(hours, means, _quantile(ordered, 1.0 - TAIL))


def _extreme(hours: Hours, values: Array, threshold: float) -> tuple[float, float]:
    """Return threshold and return level of the upper side."""
    beyond = np.flatnonzero(values > threshold)
    if not len(beyond):
        return threshold, threshold
    at = hours[beyond]
    starts = np.concatenate([[0], np.flatnonzero(at[1:] - at[:-1] > PEAK_GAP) + 1])
    excesses = np.maximum.reduceat(values[beyond], starts) - threshold
    months = (hours[-1] - hours[0] + 1) / HOURS_A_MONTH
    peaks = len(excesses) / months * 2.0 * RETURN_MONTHS
    return threshold, threshold + float(excesses.mean()) * max(float(np.log(peaks)), 1.0)


def _quantile(ordered: Array, share: float) -> float:
    """Return a quantile of sorted values, interpolated between neighbours; NumPy's takes ten times as long."""
    place = share * (len(ordered) - 1)
    below = int(place)
    value = float(ordered[below])
    if place > below:
        value += (place - below) * (float(ordered[below + 1]) - value)
    return value
