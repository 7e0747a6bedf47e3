"""Rows of a column block grouped by key, in order of arrival: the base of everything that keeps state per series.

NumPy only. A loop in numba would be about ten times faster still, but importing it costs 100 MB and 1.5 s and the
first kernel another 45 MB and 0.3 s (measured, numba 0.68), against a budget of 120 MB for the whole worker.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_INDEX_MASK = np.uint64(0xFFFF_FFFF)
_SHIFT = np.uint64(32)

Index = NDArray[np.intp]
Times = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Groups:
    """A stable order of n rows by key.

    Attributes:
        order: ``intp[n]`` rows sorted by key, rows of one key in order of arrival; None when they are already.
        keys: ``uint32[n]`` keys in that order.
        first: ``bool[n]`` True at the first row of each group.
        starts: ``intp[g]`` positions of the first rows.
    """

    order: Index | None
    keys: NDArray[np.uint32]
    first: Flags
    starts: Index

    @property
    def single(self) -> bool:
        """True when every group has one row."""
        return len(self.starts) == len(self.keys)

    @property
    def last(self) -> Index:
        """``intp[g]`` positions of the last rows."""
        ends = np.empty(len(self.starts), dtype=np.intp)
        ends[:-1] = self.starts[1:] - 1
        ends[-1:] = len(self.keys) - 1
        return ends


def group(keys: NDArray[np.uint32]) -> Groups:
    """Return the rows grouped by key. n must be below 2**32."""
    n = len(keys)
    order: Index | None = None
    if n > 1 and bool((keys[1:] < keys[:-1]).any()):
        # Key and row number in one 64-bit word: an unstable (vectorised) sort of them is a stable one of the keys.
        words = (keys.astype(np.uint64) << _SHIFT) | np.arange(n, dtype=np.uint64)
        words.sort()
        order = (words & _INDEX_MASK).astype(np.intp)
        keys = (words >> _SHIFT).astype(np.uint32)
    first = np.ones(n, dtype=np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    return Groups(order, keys, first, np.flatnonzero(first))


def newest_before(times: Times, groups: Groups, initial: Times) -> Times:
    """Return for each row the newest time before it in its group, in order of arrival.

    Args:
        times: ``int64[n]`` in the order of ``groups``.
        groups: the grouping.
        initial: ``int64[g]`` the time of each group before its first row.
    """
    before = np.empty(len(times), dtype=np.int64)
    before[1:] = times[:-1]
    before[groups.starts] = initial
    if not bool((times < before).any()):
        return before
    # Something is out of order. A running maximum that restarts at each group: ranks, offset by group.
    ranked, rank = np.unique(before, return_inverse=True)
    offset = np.cumsum(groups.first).astype(np.int64) * len(ranked)
    return ranked[np.maximum.accumulate(rank + offset) - offset]


def fill_forward(values: NDArray[np.bool_], known: Flags) -> NDArray[np.bool_]:
    """Return values with every row that is not known replaced by the last known one; row 0 must be known."""
    rows = np.where(known, np.arange(len(values), dtype=np.intp), 0)
    return values[np.maximum.accumulate(rows)]
