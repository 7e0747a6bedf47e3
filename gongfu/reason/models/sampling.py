"""Sampling: from points as they come to rows of inputs, for all assets of a model at once. Pure.

What it gives depends only on the points and their order, not on how they are cut into blocks, as long as

- the points of each series come in the order of their times, and
- points of other series that come after newer ones are at most ``wait_s`` older than those; or ``tolerance_s`` is 0.

So a replay from a checkpoint gives the same rows again, and so does a back-fill of the same points.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.quality import SEVERITY_MASK
from gongfu.kernel.times import SECOND
from gongfu.reason.models.moments import Held, Moments, Points, last_of_each, newest_rows, no_points, ordered_points
from gongfu.reason.models.spec import ModelSpec
from gongfu.reason.models.types import Column
from gongfu.store.twins.latest import NEVER

Integers = NDArray[np.int64]
Slots = NDArray[np.int64]

# Points of one input of one asset that wait for the others; beyond it the oldest are given up, counted as incomplete.
MAX_WAITING = 4096
# Points that wait in all; beyond it each asset may have fewer.
MAX_WAITING_IN_ALL = 2_000_000
_LEAST_WAITING = 16
# Rows that one taking of points makes at most, of all assets, and their values; beyond it the oldest of each asset are
# shed. A point alone may be held for 10,000 steps, and there may be 100,000 of them in a block.
MAX_ROWS = 2_000_000
MAX_ROW_VALUES = 8_000_000


class Sets(NamedTuple):
    """Rows for a model, ordered by slot and then time.

    Attributes:
        slots: int64[n].
        times: int64[n], source times, UTC ns.
        columns: one float64[n] for each input port.
        quality: uint8[n], worst severity of the inputs.
        dt: float64[n], seconds since the row before of the same asset; NaN for its first.
    """

    slots: Slots
    times: Integers
    columns: list[Column]
    quality: NDArray[np.uint8]
    dt: Column


@dataclass(frozen=True, slots=True)
class Sampling:
    """Times of a model in nanoseconds; see ``ModelSpec``. ``step`` 0: a row wherever inputs have samples."""

    tolerance: int
    wait: int
    step: int

    @classmethod
    def of(cls, spec: ModelSpec) -> "Sampling":
        """Return those of a version."""
        step = spec.step_s or 0.0
        tolerance = spec.hold_s if step else spec.tolerance_s
        return cls(round(tolerance * SECOND), round(spec.wait_s * SECOND), round(step * SECOND))


class Sampler:
    """Samples of the inputs of all assets, by slot. One thread at a time.

    Attributes:
        last: int64[s], time of the last row; NEVER before the first.
        incomplete: int64[s], times for which some input had no sample.
        late: int64[s], points that came after a row at or after their time.
        shed: int64[s], rows that were not made because there would have been too many at once.
        shed_rows: of all assets, since it was made.
    """

    def __init__(self, ports: int, sampling: Sampling) -> None:
        self._sampling = sampling
        self._ports = ports
        self.last: Integers = np.zeros(0, dtype=np.int64)
        # What is decided: no row comes at or before it any more.
        self._horizon: Integers = np.zeros(0, dtype=np.int64)
        self.incomplete: Integers = np.zeros(0, dtype=np.int64)
        self.late: Integers = np.zeros(0, dtype=np.int64)
        self.shed: Integers = np.zeros(0, dtype=np.int64)
        self.shed_rows = 0
        self._newest: Integers = np.zeros((0, ports), dtype=np.int64)
        # Newest sample of each input at or before the horizon.
        self._times: Integers = np.zeros((0, ports), dtype=np.int64)
        self._values: Column = np.zeros((0, ports))
        self._qualities: NDArray[np.uint8] = np.zeros((0, ports), dtype=np.uint8)
        self._waiting = no_points()

    def __len__(self) -> int:
        return len(self.last)

    @property
    def waiting(self) -> int:
        """Points that wait for others."""
        return len(self._waiting.slots)

    def grow(self, slots: int) -> None:
        """Have at least so many slots."""
        more = slots - len(self.last)
        if more <= 0:
            return

        def longer(array: NDArray[Any], value: Any) -> NDArray[Any]:
            return np.concatenate([array, np.full((more, *array.shape[1:]), value, dtype=array.dtype)])

        self.last, self._horizon = longer(self.last, NEVER), longer(self._horizon, NEVER)
        self.incomplete, self.late = longer(self.incomplete, 0), longer(self.late, 0)
        self.shed = longer(self.shed, 0)
        self._newest, self._times = longer(self._newest, NEVER), longer(self._times, NEVER)
        self._values, self._qualities = longer(self._values, np.nan), longer(self._qualities, 0)

    def forget(self, slots: Slots) -> None:
        """Begin some slots anew: their points are others now."""
        self.last[slots] = self._horizon[slots] = NEVER
        self.incomplete[slots] = self.late[slots] = self.shed[slots] = 0
        self._newest[slots] = self._times[slots] = NEVER
        self._waiting = self._waiting.of(~np.isin(self._waiting.slots, slots))

    def take(self, points: Points) -> Sets | None:
        """Take points in order of arrival and return the rows that they complete, None when there are none."""
        if not len(points.slots):
            return None
        passed = points.times <= self._horizon[points.slots]
        if bool(passed.any()):
            self._amend(points.of(passed))
            points = points.of(~passed)
            if not len(points.slots):
                return None
        np.maximum.at(self._newest, (points.slots, points.ports), points.times)
        if self.waiting:
            touched = np.zeros(len(self.last), dtype=np.bool_)
            touched[points.slots] = True
            mine = touched[self._waiting.slots]
            rest = self._waiting.of(~mine)
            earlier = self._waiting.of(mine)
            points = earlier.then(points)
        else:
            rest = self._waiting
        points = ordered_points(points)
        sets, left = (self._stepped if self._sampling.step else self._gathered)(points)
        self._keep(rest, left)
        return sets

    def _amend(self, late: Points) -> None:
        """Points at or before the horizon make no row; they may still be the newest of their input."""
        np.add.at(self.late, late.slots, 1)
        np.maximum.at(self._newest, (late.slots, late.ports), late.times)
        ordered = ordered_points(late)
        fresh = ordered.of(ordered.times >= self._times[ordered.slots, ordered.ports])
        # Of several for one place the last one stays, which is the newest.
        place = (fresh.slots, fresh.ports)
        self._times[place], self._values[place], self._qualities[place] = fresh.times, fresh.values, fresh.qualities

    def _limit(self, slots: Slots) -> Integers:
        """Return up to which time rows may be made: every input is past it, or none can come that is older."""
        newest = self._newest[slots]
        high = newest.max(axis=1)
        return np.maximum(newest.min(axis=1), np.where(high == NEVER, NEVER, high - self._sampling.wait))

    def _gathered(self, points: Points) -> tuple[Sets | None, Points]:
        """Rows where all inputs have samples."""
        moments = Moments(points)
        slots, times = moments.slots, moments.times
        chosen = [self._held(moments, port) for port in range(self._ports)]
        complete = times <= self._limit(slots)
        for held in chosen:
            complete &= held.known & (times - np.where(held.known, held.times, times) <= self._sampling.tolerance)
        if not bool(complete.any()):
            return None, points
        done = np.full(len(self.last), NEVER, dtype=np.int64)
        done[slots[complete]] = times[complete]
        np.add.at(self.incomplete, slots[~complete & (times < done[slots])], 1)
        found = self._rows(slots[complete], times[complete], [held.of(complete) for held in chosen])
        at = last_of_each(slots, complete)
        self._advance(slots[at], times[at], [held.of(at) for held in chosen])
        return found, points.of(points.times > self._horizon[points.slots])

    def _stepped(self, points: Points) -> tuple[Sets | None, Points]:
        """Rows at whole multiples of the step, with what is then held."""
        step, hold = self._sampling.step, self._sampling.tolerance
        touched = np.unique(points.slots)
        before = self._times[touched].max(axis=1)
        begun = before != NEVER
        # A moment for what is held from before, so that the steps up to the first new point find it.
        opening = touched[begun]
        none = np.full(len(opening), self._ports, dtype=np.int64)
        zero = np.zeros(len(opening))
        held_from = Points(opening, none, before[begun], zero, zero.astype(np.uint8))
        moments = Moments(ordered_points(held_from.then(points)))
        slots, times = moments.slots, moments.times
        limit, horizon = self._limit(slots), self._horizon[slots]
        low = -(-times // step)
        low = np.where(horizon == NEVER, low, np.maximum(low, horizon // step + 1))
        high = np.minimum(limit, times + hold) // step
        same = np.append(slots[1:] == slots[:-1], False)
        following = np.append(times[1:], 0)
        high = np.where(same, np.minimum(high, (following - 1) // step), high)
        counts = np.maximum(high - low + 1, 0)
        if int(counts.sum()) > (most := max_rows(self._ports)):
            kept = newest_rows(slots, counts, max(most // len(touched), 1))
            np.add.at(self.shed, slots, counts - kept)
            self.shed_rows += int((counts - kept).sum())
            low, counts = low + counts - kept, kept
        which = np.repeat(np.arange(len(slots)), counts)
        within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        at, grid = slots[which], (low[which] + within) * step
        chosen = [self._held(moments, port).of(which) for port in range(self._ports)]
        complete = np.ones(len(grid), dtype=np.bool_)
        for held in chosen:
            complete &= held.known & (grid - np.where(held.known, held.times, grid) <= hold)
        np.add.at(self.incomplete, at[~complete], 1)
        found = (
            self._rows(at[complete], grid[complete], [held.of(complete) for held in chosen])
            if bool(complete.any())
            else None
        )
        # All that is decided is folded into what is held.
        ends = self._limit(touched) // step * step
        decided = points.times <= ends[np.searchsorted(touched, points.slots)]
        folded = points.of(decided)
        place = (folded.slots, folded.ports)
        self._times[place], self._values[place] = folded.times, folded.values
        self._qualities[place] = folded.qualities
        self._horizon[touched] = np.maximum(self._horizon[touched], ends)
        return found, points.of(~decided)

    def _held(self, moments: Moments, port: int) -> Held:
        row = moments.latest(port)
        inside = row >= 0
        slots = moments.slots
        points = moments.points
        row = np.where(inside, row, 0)
        times = np.where(inside, points.times[row], self._times[slots, port])
        values = np.where(inside, points.values[row], self._values[slots, port])
        qualities = np.where(inside, points.qualities[row], self._qualities[slots, port])
        return Held(times != NEVER, times, values, qualities)

    def _rows(self, slots: Slots, times: Integers, chosen: list[Held]) -> Sets:
        quality = np.zeros(len(slots), dtype=np.uint8)
        for held in chosen:
            np.maximum(quality, held.qualities & SEVERITY_MASK, out=quality)
        first = np.append(True, slots[1:] != slots[:-1])
        before = np.empty_like(times)
        before[1:] = times[:-1]
        before[first] = self.last[slots[first]]
        dt = np.where(before == NEVER, np.nan, (times - np.where(before == NEVER, 0, before)) / SECOND)
        self.last[slots] = times
        return Sets(slots, times, [held.values for held in chosen], quality, dt)

    def _advance(self, slots: Slots, times: Integers, chosen: list[Held]) -> None:
        self._horizon[slots] = times
        for port, held in enumerate(chosen):
            self._times[slots, port], self._values[slots, port] = held.times, held.values
            self._qualities[slots, port] = held.qualities

    def _keep(self, rest: Points, left: Points) -> None:
        """Keep what waits; the oldest of too many are given up."""
        share = MAX_WAITING_IN_ALL // max(len(self.last) * self._ports, 1)
        bound = min(MAX_WAITING, max(share, _LEAST_WAITING))
        if len(left.slots) > bound:
            key = left.slots * self._ports + left.ports
            order = np.argsort(key, kind="stable")
            ordered = key[order]
            ends = np.searchsorted(ordered, ordered, side="right")
            keep = np.zeros(len(key), dtype=np.bool_)
            keep[order] = ends - np.arange(len(key)) <= bound
            if not bool(keep.all()):
                np.add.at(self.incomplete, left.slots[~keep], 1)
                left = left.of(keep)
        self._waiting = rest.then(left) if len(rest.slots) else left

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return copies of the state, for ``restore``."""
        arrays: dict[str, NDArray[Any]] = {
            "last": self.last.copy(),
            "horizon": self._horizon.copy(),
            "newest": self._newest.copy(),
            "times": self._times.copy(),
            "values": self._values.copy(),
            "qualities": self._qualities.copy(),
            "incomplete": self.incomplete.copy(),
            "late": self.late.copy(),
            "shed": self.shed.copy(),
        }
        # Points that wait are never written to.
        arrays |= {f"waiting.{name}": column for name, column in zip(Points._fields, self._waiting, strict=True)}
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over a snapshot.

        Raises:
            KeyError, ValueError: it is not one of a sampler with as many ports.
        """
        slots = len(arrays["last"])
        if arrays["newest"].shape != (slots, self._ports):
            raise ValueError("the state is of another model")
        self.last, self._horizon = arrays["last"], arrays["horizon"]
        self._newest, self._times = arrays["newest"], arrays["times"]
        self._values, self._qualities = arrays["values"], arrays["qualities"]
        self.incomplete, self.late = arrays["incomplete"], arrays["late"]
        # Snapshots of before had none.
        self.shed = arrays.get("shed", np.zeros(slots, dtype=np.int64))
        waiting = [arrays[f"waiting.{name}"] for name in Points._fields]
        self._waiting = Points(waiting[0], waiting[1], waiting[2], waiting[3], waiting[4])


def max_rows(ports: int) -> int:
    """Return how many rows of so many inputs are made at once at most."""
    return min(MAX_ROWS, MAX_ROW_VALUES // max(ports, 1))
