"""Rate of change: each instance keeps at most ``KEPT`` samples of its window, whatever the sampling rate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.times import SECOND
from gongfu.reason.rules.kernels import in_order, latch
from gongfu.reason.rules.state import Changes, LatchState, Limits, Samples
from gongfu.store.twins.grouping import Groups, group
from gongfu.store.twins.latest import NEVER

SLOTS = 16
# The slots a window can touch (one more when it is no multiple of 16 ns), and the sample at or before its beginning.
KEPT = SLOTS + 3


@dataclass(slots=True)
class Windows:
    """Samples kept for m instances: the first of each slot of ``window / SLOTS`` (on a fixed grid of source time).

    Attributes:
        times: ``int64[m, KEPT]`` ascending, ``NEVER`` after the last.
        values: ``float64[m, KEPT]``.
    """

    times: NDArray[np.int64]
    values: NDArray[np.float64]


def empty_windows(m: int) -> Windows:
    """Return the windows of m instances that have seen nothing."""
    return Windows(np.full((m, KEPT), NEVER, dtype=np.int64), np.zeros((m, KEPT)))


def evaluate_rate(state: LatchState, windows: Windows, limits: Limits, samples: Samples) -> tuple[Changes, int]:
    """Evaluate rates of change; changes ``state`` and ``windows`` in place.

    Returns:
        the transitions (their values are rates in units a second), and how many samples were out of order.
    """
    rows, groups, ignored = in_order(samples, state.last_time)
    rates = _rates(state, windows, limits, rows, groups)
    return latch(state, limits, rows, groups, rates), ignored


def _rates(state: LatchState, windows: Windows, limits: Limits, rows: Samples, groups: Groups) -> NDArray[np.float64]:
    """Return the rate at each row, NaN where the window is not filled yet, and keep what the next rows need."""
    if not len(rows):
        return np.zeros(0)
    window = limits.window[limits.of(rows.instances)]
    if groups.single and bool((window > 0).all()):
        return _rates_of_single(state, windows, window, rows)
    touched = rows.instances[groups.starts]
    number = (np.cumsum(groups.first) - 1).astype(np.uint32)
    slot_length = np.maximum(window // SLOTS, 1)
    before = np.empty_like(rows.times)
    before[1:] = rows.times[:-1]
    before[groups.starts] = state.last_time[touched]
    keep = (before == NEVER) | (rows.times // slot_length != before // slot_length)

    # All samples that can be a reference: those kept earlier, then the new ones that are kept; by group, ascending.
    stored = windows.times[touched] != NEVER
    of_group = np.concatenate([np.repeat(np.arange(len(touched), dtype=np.uint32), stored.sum(1)), number[keep]])
    kept_times = np.concatenate([windows.times[touched][stored], rows.times[keep]])
    kept_values = np.concatenate([windows.values[touched][stored], rows.values[keep]])
    kept = group(of_group)
    if kept.order is not None:
        kept_times, kept_values = kept_times[kept.order], kept_values[kept.order]

    # One search for all rows: times as ranks, offset by group.
    wanted = rows.times - window
    ranked, rank = np.unique(np.concatenate([kept_times, wanted]), return_inverse=True)
    span = len(ranked)
    haystack = kept.keys.astype(np.int64) * span + rank[: len(kept_times)]
    needle = number.astype(np.int64) * span + rank[len(kept_times) :]
    reference = np.searchsorted(haystack, needle, side="right") - 1
    found = (reference >= 0) & (kept.keys[reference] == number)
    elapsed = (rows.times - kept_times[reference]) / SECOND
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rates = np.where(found, (rows.values - kept_values[reference]) / elapsed, np.nan)

    _store(windows, touched, kept, kept_times, kept_values, np.where(found, reference, -1)[groups.last])
    return rates


def _rates_of_single(
    state: LatchState, windows: Windows, window: NDArray[np.int64], rows: Samples
) -> NDArray[np.float64]:
    """Do the same for rows of as many instances, without sorting what is kept.

    What is kept may begin with samples older than the reference; they go when there is no room for a new one. They
    change nothing: the reference is the newest sample that is old enough.
    """
    who, times, values = rows.instances.astype(np.intp), rows.times, rows.values
    kept = windows.times.take(who, axis=0)
    # The last column ends the search where all of a row are like that.
    empty = np.ones((len(who), KEPT + 1), dtype=np.bool_)
    np.equal(kept, NEVER, out=empty[:, :KEPT])
    count = empty.argmax(axis=1)
    younger = np.ones((len(who), KEPT + 1), dtype=np.bool_)
    np.greater(kept, (times - window)[:, None], out=younger[:, :KEPT])
    younger |= empty
    reference = younger.argmax(axis=1) - 1
    found = reference >= 0
    at = who * KEPT + np.maximum(reference, 0)
    flat_times, flat_values = windows.times.reshape(-1), windows.values.reshape(-1)
    elapsed = (times - flat_times[at]) / SECOND
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rates = np.where(found, (values - flat_values[at]) / elapsed, np.nan)

    before = state.last_time[who]
    slot_length = np.maximum(window // SLOTS, 1)
    keep = (before == NEVER) | (times // slot_length != before // slot_length)
    full = np.flatnonzero(keep & (count == KEPT))
    if len(full):
        # At least the oldest goes; of the rest whatever is older than the reference.
        gone = np.maximum(reference[full], 1)
        source = np.arange(KEPT) + gone[:, None]
        inside = source < KEPT
        source = np.minimum(source, KEPT - 1)
        rows_of, place = who[full][:, None], source
        windows.times[who[full]] = np.where(inside, windows.times[rows_of, place], NEVER)
        windows.values[who[full]] = windows.values[rows_of, place]
        count[full] -= gone
    target = who[keep] * KEPT + count[keep]
    flat_times[target] = times[keep]
    flat_values[target] = values[keep]
    return rates


def _store(
    windows: Windows,
    touched: NDArray[np.uint32],
    kept: Groups,
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    reference: NDArray[np.intp],
) -> None:
    """Keep, for each group, the reference of its last row and everything after it."""
    # Every group has a kept sample: its first row ever begins a slot.
    begin = np.where(reference >= 0, reference, kept.starts)
    begin = np.maximum(begin, kept.last + 1 - KEPT)
    row_of_group = np.arange(len(times), dtype=np.intp) - begin[kept.keys]
    chosen = row_of_group >= 0
    windows.times[touched] = NEVER
    at = touched[kept.keys[chosen]]
    windows.times[at, row_of_group[chosen]] = times[chosen]
    windows.values[at, row_of_group[chosen]] = values[chosen]
