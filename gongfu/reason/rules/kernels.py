"""Kernels: samples and state of many instances in, transitions out. NumPy only; no clock, no I/O.

All of them follow the same rules, so that the same samples cut into other blocks give the same transitions:

- Samples of an instance count in order of arrival. One that is not newer (by source time) than the newest before it is
  ignored and counted as out of order; a correction or repetition of a sample therefore changes no alarm.
- Samples of bad quality and values that are not finite are left out by the caller: they neither raise nor clear.
- Delays run on source time. Between samples the last one holds: when a condition has held for its delay by the time of
  the next sample, the transition bears the time at which the delay ended. ``tick`` does the same when no further sample
  comes, on the assumption that the source's clock went on at the pace of ours since its last sample.

Why NumPy and not numba: see ``gongfu.store.twins.grouping``. A later kernel needs only these signatures.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.rules.state import NO_CHANGES, Changes, LatchState, Limits, Samples
from gongfu.store.twins.grouping import Flags, Groups, fill_forward, group, newest_before
from gongfu.store.twins.latest import NEVER

_PART = 1 << 18
# Gives the source time (UTC ns) that has passed for instances.
SourceClock = Callable[[NDArray[Any]], NDArray[np.int64]]


def in_order(samples: Samples, last_time: NDArray[np.int64]) -> tuple[Samples, Groups, int]:
    """Return the samples that count, grouped by instance, and how many were out of order."""
    groups = group(samples.instances)
    times, values = samples.times, samples.values
    if groups.order is not None:
        times, values = times[groups.order], values[groups.order]
    newer = times > newest_before(times, groups, last_time[groups.keys[groups.starts]])
    kept = int(np.count_nonzero(newer))
    ignored = len(times) - kept
    if ignored:
        groups = group(groups.keys[newer])
        times, values = times[newer], values[newer]
    return Samples(groups.keys, times, values, samples.ingested), groups, ignored


def evaluate_threshold(state: LatchState, limits: Limits, samples: Samples) -> tuple[Changes, int]:
    """Evaluate thresholds; changes ``state`` in place.

    Returns:
        the transitions, and how many samples were out of order.
    """
    rows, groups, ignored = in_order(samples, state.last_time)
    return latch(state, limits, rows, groups, rows.values), ignored


def latch(state: LatchState, limits: Limits, rows: Samples, groups: Groups, values: NDArray[np.float64]) -> Changes:
    """Apply deadband and delays to values that may be NaN where they are not known; changes ``state`` in place."""
    if not len(rows):
        return NO_CHANGES
    instances, first = rows.instances, groups.first
    touched = instances[groups.starts]
    rule = limits.of(instances)
    signed = values * limits.sign[rule]
    over = signed > limits.raise_above[rule]
    under = signed <= limits.return_at[rule]
    before = state.latched[touched]
    hold = ~(over | under)
    if bool(hold.any()):
        # What a group begins with: its first sample if that decides, else the state.
        over[groups.starts] |= before & hold[groups.starts]
        condition = fill_forward(over, ~hold | first) if not groups.single else over
    else:
        condition = over
    previous = np.empty_like(condition)
    previous[1:] = condition[:-1]
    previous[groups.starts] = before
    turned = np.flatnonzero(condition != previous)
    last = groups.last
    newest = rows.times[last]
    pending = before != state.active[touched]
    changes = NO_CHANGES
    if len(turned) or bool(pending.any()):
        changes = _delay(state, limits, rows, groups, values, condition, turned, pending)
    state.last_time[touched] = newest
    state.seen[touched] = rows.ingested
    return changes


def _delay(
    state: LatchState,
    limits: Limits,
    rows: Samples,
    groups: Groups,
    values: NDArray[np.float64],
    condition: Flags,
    turned: NDArray[np.intp],
    pending: Flags,
) -> Changes:
    """Cut the condition into runs of one value and let each run that lasts as long as its delay take effect."""
    number = np.cumsum(groups.first) - 1
    busy = pending.copy()
    busy[number[turned]] = True
    begun = np.flatnonzero(busy)
    touched = groups.keys[groups.starts]
    # Runs of each busy group: the one its state is in, then one from each turn on.
    place = np.concatenate([2 * groups.starts[begun], 2 * turned + 1])
    order = np.argsort(place)
    instances = np.concatenate([touched[begun], rows.instances[turned]])[order]
    value = np.concatenate([state.latched[touched[begun]], condition[turned]])[order]
    start = np.concatenate([state.since[touched[begun]], rows.times[turned]])[order]
    start_value = np.concatenate([state.since_value[touched[begun]], values[turned]])[order]
    opening = np.concatenate([np.ones(len(begun), dtype=np.bool_), np.zeros(len(turned), dtype=np.bool_)])[order]
    openings = np.flatnonzero(opening)
    closing = np.append(openings[1:], len(order)) - 1
    end = np.empty_like(start)
    end[:-1] = start[1:]
    end[closing] = rows.times[groups.last[begun]]

    rule = limits.of(instances)
    delay = np.where(value, limits.on_delay[rule], limits.off_delay[rule])
    lasted = end - start >= delay
    was_active = state.active[instances]
    effect = fill_forward(np.where(lasted, value, was_active), lasted | opening)
    earlier = np.empty_like(effect)
    earlier[1:] = effect[:-1]
    earlier[openings] = was_active[openings]
    hit = np.flatnonzero(effect != earlier)

    times = start[hit] + delay[hit]
    raised = effect[hit]
    who = instances[hit]
    raised_at = np.where(raised, times, state.raised_at[who])
    follows = np.zeros(len(hit), dtype=np.bool_)
    follows[1:] = who[1:] == who[:-1]
    # Transitions of an instance alternate, so the one before a return is its raise.
    after_raise = np.flatnonzero(follows & ~raised)
    raised_at[after_raise] = times[after_raise - 1]
    # A tick may have raised later than a sample that arrived after it.
    times = np.maximum(times, raised_at)

    state.latched[instances[closing]] = value[closing]
    state.since[instances[closing]] = start[closing]
    state.since_value[instances[closing]] = start_value[closing]
    state.active[instances[closing]] = effect[closing]
    state.raised_at[who[raised]] = times[raised]
    return Changes(who, raised, times, raised_at, start_value[hit])


def _equal(one: Flags, other: Flags) -> bool:
    """Return whether two columns are equal; in parts that stay in the cache, for this is asked every second."""
    return all(
        np.array_equal(one[start : start + _PART], other[start : start + _PART]) for start in range(0, len(one), _PART)
    )


def tick(state: LatchState, limits: Limits, now: int, floor: int, clock: SourceClock | None = None) -> Changes:
    """Let delays end for which no further sample came; changes ``state`` in place.

    Args:
        state: the instances.
        limits: their parameters.
        now: UTC ns of our clock.
        floor: UTC ns before which silence does not count: when the worker had read all that was in the log.
        clock: gives the time that has passed for instances, where it does not follow from their last samples.
    """
    if _equal(state.latched, state.active):
        return NO_CHANGES
    waiting = np.flatnonzero(state.latched != state.active)
    rising = state.latched[waiting]
    rule = limits.of(waiting)
    due = state.since[waiting] + np.where(rising, limits.on_delay[rule], limits.off_delay[rule])
    if clock is None:
        silence = np.maximum(now - np.maximum(state.seen[waiting], floor), 0)
        fired = state.last_time[waiting] + silence >= due
    else:
        fired = clock(waiting) >= due
    who, raised = waiting[fired], rising[fired]
    times = np.where(raised, due[fired], np.maximum(due[fired], state.raised_at[who]))
    state.active[who] = raised
    state.raised_at[who[raised]] = times[raised]
    return Changes(who.astype(np.uint32), raised, times, state.raised_at[who], state.since_value[who])


def evaluate_absence(state: LatchState, timeout: NDArray[np.int64], samples: Samples) -> tuple[Changes, int]:
    """Find gaps longer than the time-out and end absences; changes ``state`` in place.

    Args:
        state: the instances; ``latched`` and ``since`` are not used.
        timeout: ``int64[m]`` ns.
        samples: usable samples; their values do not matter.

    Returns:
        the transitions, and how many samples were out of order.
    """
    rows, groups, ignored = in_order(samples, state.last_time)
    if not len(rows):
        return NO_CHANGES, ignored
    instances, times = rows.instances, rows.times
    touched = instances[groups.starts]
    before = np.empty_like(times)
    before[1:] = times[:-1]
    before[groups.starts] = state.last_time[touched]
    due = before + timeout[instances]
    gap = (before != NEVER) & (times > due)
    was_active = np.zeros(len(times), dtype=np.bool_)
    was_active[groups.starts] = state.active[touched]
    raising = np.flatnonzero(gap & ~was_active)
    returning = np.flatnonzero(gap | was_active)
    changes = NO_CHANGES
    if len(returning):
        raised_at = np.where(was_active, state.raised_at[instances], due)
        place = np.concatenate([2 * raising, 2 * returning + 1])
        order = np.argsort(place)
        rows_of = (place >> 1)[order]
        raised = (place & 1)[order] == 0
        began = raised_at[rows_of]
        # Data that was held back may bear times before the moment at which its absence was noticed.
        at = np.where(raised, began, np.maximum(times[rows_of], began))
        changes = Changes(instances[rows_of], raised, at, began, np.full(len(order), np.nan))
        state.raised_at[instances[rows_of[raised]]] = began[raised]
        state.active[touched] = False
    state.last_time[touched] = times[groups.last]
    state.seen[touched] = rows.ingested
    return changes, ignored


def tick_absence(
    state: LatchState, timeout: NDArray[np.int64], now: int, floor: int, clock: SourceClock | None = None
) -> Changes:
    """Raise what has been silent for its time-out; changes ``state`` in place. See ``tick`` for the arguments."""
    if clock is None:
        who = np.flatnonzero(~state.active & (now - np.maximum(state.seen, floor) >= timeout))
    else:
        # What came and waits is no silence, and what was seen was seen when it came.
        who = np.flatnonzero(~state.active)
        unseen = now - np.maximum(state.seen[who], floor)
        last = state.last_time[who]
        known = np.where(last == NEVER, 0, last)
        silence = np.where(last == NEVER, unseen, clock(who) - known)
        who = who[silence >= timeout[who]]
    if not len(who):
        return NO_CHANGES
    last = state.last_time[who]
    times = np.where(last == NEVER, state.seen[who], last) + timeout[who]
    state.active[who] = True
    state.raised_at[who] = times
    raised: NDArray[Any] = np.ones(len(who), dtype=np.bool_)
    return Changes(who.astype(np.uint32), raised, times, times, np.full(len(who), np.nan))
