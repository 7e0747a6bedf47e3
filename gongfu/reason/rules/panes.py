"""Panes: what is kept of the samples of a stretch of time. Folding a stretch in pieces gives what folding it at once
gives, to the last bit: sums are added up in order of time."""

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules.conditions import Aggregate

Fields = NDArray[np.float64]
# Columns of ``Fields``. The last two are sums of the differences to FIRST, and of their squares.
COUNT, SUM, MINIMUM, MAXIMUM, FIRST, LAST, SHIFTED, SQUARES = range(8)
FIELDS = 8


def empty(m: int) -> Fields:
    """Return m panes without samples."""
    return np.zeros((m, FIELDS))


def fold(values: NDArray[np.float64], starts: NDArray[np.intp], carry: Fields) -> Fields:
    """Return panes of consecutive values.

    Args:
        values: ``float64[n]`` in order of time, pane after pane.
        starts: ``intp[p]`` the first value of each pane; each has one at least.
        carry: ``float64[p, FIELDS]`` what the pane had before; COUNT 0 where it begins.
    """
    panes = np.empty((len(starts), FIELDS))
    if not len(starts):
        return panes
    number = np.zeros(len(values), dtype=np.intp)
    number[starts[1:]] = 1
    number = np.cumsum(number)
    begun = carry[:, COUNT] > 0
    ends = np.append(starts[1:], len(values)) - 1
    first = np.where(begun, carry[:, FIRST], values[starts])
    panes[:, COUNT] = ends - starts + 1 + carry[:, COUNT]
    lowest, highest = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    panes[:, MINIMUM] = np.where(begun, np.minimum(lowest, carry[:, MINIMUM]), lowest)
    panes[:, MAXIMUM] = np.where(begun, np.maximum(highest, carry[:, MAXIMUM]), highest)
    panes[:, FIRST], panes[:, LAST] = first, values[ends]
    # bincount adds one after the other, the carry first.
    where = np.concatenate([np.arange(len(starts)), number])
    shifted = values - first[number]
    for at, of in ((SUM, values), (SHIFTED, shifted), (SQUARES, shifted * shifted)):
        panes[:, at] = np.bincount(where, np.concatenate([carry[:, at], of]), len(starts))
    return panes


def merged(parts: list[tuple[Fields, NDArray[np.bool_]]], aggregate: Aggregate) -> NDArray[np.float64]:
    """Return the aggregate of windows made of panes.

    Args:
        parts: for each place in the window, newest first: ``float64[w, FIELDS]`` and ``bool[w]`` whether that window
            has a pane there.
        aggregate: what is wanted. Windows without samples are NaN, of count and sum 0.
    """
    w = len(parts[0][1])
    count, total = np.zeros(w), np.zeros(w)
    lowest, highest = np.full(w, np.inf), np.full(w, -np.inf)
    first, last, any_yet = np.full(w, np.nan), np.full(w, np.nan), np.zeros(w, dtype=np.bool_)
    mean, squares = np.zeros(w), np.zeros(w)
    for fields, there in parts:
        more = np.where(there, fields[:, COUNT], 0.0)
        total = np.where(there, total + fields[:, SUM], total)
        lowest = np.where(there, np.minimum(lowest, fields[:, MINIMUM]), lowest)
        highest = np.where(there, np.maximum(highest, fields[:, MAXIMUM]), highest)
        first = np.where(there, fields[:, FIRST], first)
        last = np.where(there & ~any_yet, fields[:, LAST], last)
        any_yet |= there
        if aggregate is Aggregate.STDDEV:
            # Chan, Golub, LeVeque 1979: the sums of squares of two parts.
            n = np.where(more > 0, more, 1.0)
            of_part = fields[:, FIRST] + fields[:, SHIFTED] / n
            inner = fields[:, SQUARES] - fields[:, SHIFTED] ** 2 / n
            both = np.where(count + more > 0, count + more, 1.0)
            delta = of_part - mean
            squares = np.where(there, squares + inner + delta * delta * count * more / both, squares)
            mean = np.where(there, mean + delta * more / both, mean)
        count = count + more
    some = np.where(any_yet, 1.0, np.nan)
    if aggregate is Aggregate.STDDEV:
        divisor = np.where(count > 1, count - 1, np.nan)
        return np.sqrt(np.maximum(squares, 0.0) / divisor)
    found = {
        Aggregate.COUNT: count,
        Aggregate.SUM: total,
        Aggregate.MEAN: total / np.where(count > 0, count, np.nan),
        Aggregate.MINIMUM: lowest * some,
        Aggregate.MAXIMUM: highest * some,
        Aggregate.RANGE: (highest - lowest) * some if w else lowest,
        Aggregate.FIRST: first,
        Aggregate.LAST: last,
        Aggregate.DELTA: last - first,
    }
    return found[aggregate]
