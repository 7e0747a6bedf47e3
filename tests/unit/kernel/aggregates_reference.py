"""The aggregates of OPC 10000-13 written once more from their definitions, one interval and one value at a time.

Slow on purpose and without NumPy: it shares no code and no idea with gongfu/kernel/aggregates.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from gongfu.kernel.aggregates.types import AggregateConfiguration, AggregateFunction

F = AggregateFunction
GOOD, UNCERTAIN, BAD = "good", "uncertain", "bad"


@dataclass(frozen=True)
class Raw:
    """One stored value; ``status`` is its severity as it was stored."""

    time: int
    value: float
    status: str


@dataclass(frozen=True)
class Told:
    """What an aggregate says of one interval; ``value`` is None when the status is bad."""

    time: int
    value: float | None
    status: str


class Reference:
    """Aggregates of one series whose data ends with its last value."""

    def __init__(self, raw: list[Raw], configuration: AggregateConfiguration) -> None:
        self.raw = raw
        self.c = configuration

    def status(self, raw: Raw) -> str:
        """Return the severity with which a value takes part."""
        if raw.status == BAD or not math.isfinite(raw.value):
            return BAD
        if raw.status == UNCERTAIN:
            return BAD if self.c.treat_uncertain_as_bad else UNCERTAIN
        return GOOD

    def inside(self, start: int, end: int) -> list[Raw]:
        return [one for one in self.raw if start <= one.time < end]

    def before(self, at: int) -> Raw | None:
        return max((one for one in self.raw if one.time < at), key=lambda one: one.time, default=None)

    def after(self, at: int) -> Raw | None:
        return min((one for one in self.raw if one.time > at), key=lambda one: one.time, default=None)

    def at(self, time: int) -> Raw | None:
        return next((one for one in self.raw if one.time == time), None)

    def simple_bound(self, at: int) -> tuple[float | None, str]:
        """§3.1.9."""
        raw = self.at(at)
        if raw is not None:
            status = self.status(raw)
            return (None, BAD) if status == BAD else (raw.value, status)
        before, after = self.before(at), self.after(at)
        if before is None or after is None or self.status(before) == BAD:
            return None, BAD
        if self.c.stepped:
            return before.value, self.status(before)
        if self.status(after) == BAD:
            return before.value, UNCERTAIN
        value = before.value + (at - before.time) * (after.value - before.value) / (after.time - before.time)
        return value, GOOD if self.status(before) == GOOD and self.status(after) == GOOD else UNCERTAIN

    def interpolated_bound(self, at: int, stepped: bool) -> tuple[float | None, str]:
        """§3.1.8."""
        usable = [one for one in self.raw if self.status(one) != BAD]
        for one in usable:
            if one.time == at:
                return one.value, self.status(one)
        before = [one for one in usable if one.time < at]
        after = [one for one in usable if one.time > at]
        if not before:
            return None, BAD
        low = before[-1]
        if after and not stepped:
            high = after[0]
            skipped = any(low.time < one.time < high.time for one in self.raw if self.status(one) == BAD)
            value = low.value + (at - low.time) * (high.value - low.value) / (high.time - low.time)
            sure = not skipped and self.status(low) == GOOD and self.status(high) == GOOD
            return value, GOOD if sure else UNCERTAIN
        if stepped and at <= self.raw[-1].time:
            skipped = any(low.time < one.time < at for one in self.raw if self.status(one) == BAD)
            skipped = skipped or any(one.time == at for one in self.raw)
            return low.value, GOOD if not skipped and self.status(low) == GOOD else UNCERTAIN
        if self.c.use_sloped_extrapolation and len(before) > 1 and not after:
            second = before[-2]
            rise = (low.value - second.value) / (low.time - second.time)
            return low.value + rise * (at - low.time), UNCERTAIN
        return low.value, UNCERTAIN

    def percent(self, bad: float, good: float, whole: float) -> str:
        """§5.4.3.2.1."""
        if bad > 0 and 100 * bad / whole >= self.c.percent_data_bad:
            return BAD
        return GOOD if 100 * good / whole >= self.c.percent_data_good else UNCERTAIN

    def _stop(self, end: int) -> int:
        return min(end, self.raw[-1].time + self.c.resolution) if self.raw else 0

    def simple_regions(self, start: int, end: int) -> list[tuple[int, int, float | None, str]]:
        """Return (begin, finish, mean, status) of the regions with simple bounds."""
        stop = self._stop(end)
        if stop <= start:
            return []
        cuts = sorted({start, stop, *(one.time for one in self.raw if start < one.time < stop)})
        found = []
        for begin, finish in pairwise(cuts):
            at_or_before = self.at(begin) or self.before(begin)
            if at_or_before is None or self.status(at_or_before) == BAD:
                found.append((begin, finish, None, BAD))
                continue
            status = self.status(at_or_before)
            mean = at_or_before.value
            if not self.c.stepped:
                following = self.after(begin)
                if following is None or self.status(following) != GOOD:
                    status = UNCERTAIN
                if following is not None and self.status(following) != BAD:
                    slope = (following.value - at_or_before.value) / (following.time - at_or_before.time)
                    mean = at_or_before.value + slope * ((begin + finish) / 2 - at_or_before.time)
            found.append((begin, finish, mean, status))
        return found

    def time_status(self, start: int, end: int) -> str:
        regions = self.simple_regions(start, end)
        whole = sum(finish - begin for begin, finish, _, _ in regions)
        if not whole or all(status == BAD for *_, status in regions):
            return BAD
        bad = sum(finish - begin for begin, finish, _, status in regions if status == BAD)
        good = sum(finish - begin for begin, finish, _, status in regions if status == GOOD)
        return self.percent(bad, good, whole)

    def outside(self, start: int, end: int) -> bool:
        return not self.raw or end <= self.raw[0].time or start > self.raw[-1].time

    def ask(self, function: AggregateFunction, start: int, end: int) -> Told:
        """Return an aggregate of one interval."""
        value, status, time = self._ask(function, start, end)
        return Told(start if time is None else time, None if status == BAD else value, status)

    def _ask(self, f: AggregateFunction, start: int, end: int) -> tuple[float | None, str, int | None]:
        inside = self.inside(start, end)
        good = [one for one in inside if self.status(one) == GOOD]
        bad = [one for one in inside if self.status(one) == BAD]
        nothing = (None, BAD, None)
        if f is F.INTERPOLATIVE:
            return *self.interpolated_bound(start, self.c.stepped), None
        if f in (F.MINIMUM, F.MAXIMUM, F.MINIMUM_ACTUAL_TIME, F.MAXIMUM_ACTUAL_TIME):
            if not good:
                return nothing
            choose = min if f in (F.MINIMUM, F.MINIMUM_ACTUAL_TIME) else max
            best = choose(good, key=lambda one: one.value)
            rivals = [one.value for one in inside if self.status(one) == UNCERTAIN]
            beaten = any(choose(best.value, rival) != best.value for rival in rivals)
            actual = f in (F.MINIMUM_ACTUAL_TIME, F.MAXIMUM_ACTUAL_TIME)
            return best.value, UNCERTAIN if bad or beaten else GOOD, best.time if actual else None
        if f is F.RANGE:
            low, high = self._ask(F.MINIMUM, start, end), self._ask(F.MAXIMUM, start, end)
            if low[0] is None or high[0] is None:
                return nothing
            return high[0] - low[0], UNCERTAIN if UNCERTAIN in (low[1], high[1]) else GOOD, None
        if f is F.AVERAGE:
            if not good:
                return nothing
            return (
                math.fsum(one.value for one in good) / len(good),
                self.percent(len(bad), len(good), len(inside)),
                None,
            )
        if f in (
            F.VARIANCE_SAMPLE,
            F.VARIANCE_POPULATION,
            F.STANDARD_DEVIATION_SAMPLE,
            F.STANDARD_DEVIATION_POPULATION,
        ):
            if not good:
                return nothing
            mean = math.fsum(one.value for one in good) / len(good)
            free = len(good) - (f in (F.VARIANCE_SAMPLE, F.STANDARD_DEVIATION_SAMPLE))
            variance = math.fsum((one.value - mean) ** 2 for one in good) / max(free, 1)
            root = f in (F.STANDARD_DEVIATION_SAMPLE, F.STANDARD_DEVIATION_POPULATION)
            return math.sqrt(variance) if root else variance, GOOD if len(good) == len(inside) else UNCERTAIN, None
        if f is F.COUNT:
            if self.outside(start, end):
                return nothing
            return len(good), self.percent(len(bad), len(good), len(inside)) if inside else GOOD, None
        if f is F.NUMBER_OF_TRANSITIONS:
            if self.outside(start, end):
                return nothing
            usable = [one for one in self.raw if self.status(one) != BAD and one.time < end]
            changes = sum(
                1 for i, one in enumerate(usable) if one.time >= start and (i == 0 or usable[i - 1].value != one.value)
            )
            return changes, self.percent(len(bad), len(good), len(inside)) if inside else GOOD, None
        if f in (F.START, F.END):
            if not inside:
                return nothing
            one = inside[0] if f is F.START else inside[-1]
            return one.value, one.status if math.isfinite(one.value) else BAD, one.time
        if f is F.DELTA:
            if not good:
                return nothing
            sure = good[0] is inside[0] and good[-1] is inside[-1]
            return good[-1].value - good[0].value, GOOD if sure else UNCERTAIN, None
        if f is F.START_BOUND:
            return *self.simple_bound(start), None
        if f is F.END_BOUND:
            return *self.simple_bound(end), None
        if f is F.DELTA_BOUNDS:
            first, last = self.simple_bound(start), self.simple_bound(end)
            if first[0] is None or last[0] is None:
                return nothing
            return last[0] - first[0], GOOD if first[1] == last[1] == GOOD else UNCERTAIN, None
        if f in (F.WORST_QUALITY, F.WORST_QUALITY2):
            return self._worst(f, start, end, inside)
        if f in (F.TIME_AVERAGE2, F.TOTAL2):
            regions = [one for one in self.simple_regions(start, end) if one[3] != BAD]
            if not regions:
                return nothing
            integral = math.fsum((finish - begin) * (mean or 0.0) for begin, finish, mean, _ in regions)
            length = sum(finish - begin for begin, finish, *_ in regions)
            value = integral / 1e9 if f is F.TOTAL2 else integral / length
            return value, self.time_status(start, end), None
        if f in (F.TIME_AVERAGE, F.TOTAL):
            return self._time_average(f, start, end)
        if f in (F.MINIMUM2, F.MAXIMUM2, F.MINIMUM_ACTUAL_TIME2, F.MAXIMUM_ACTUAL_TIME2):
            return self._extreme2(f, start, end, inside)
        if f is F.RANGE2:
            low, high = self._extreme2(F.MINIMUM2, start, end, inside), self._extreme2(F.MAXIMUM2, start, end, inside)
            if low[0] is None or high[0] is None:
                return nothing
            return high[0] - low[0], low[1], None
        return self._durations(f, start, end)

    def _worst(self, f: AggregateFunction, start: int, end: int, inside: list[Raw]) -> tuple[float | None, str, None]:
        if self.outside(start, end):
            return None, BAD, None
        ranks = [one.status if math.isfinite(one.value) else BAD for one in inside]
        if f is F.WORST_QUALITY2 and self.at(start) is None:
            plain = Reference(self.raw, AggregateConfiguration(treat_uncertain_as_bad=False, stepped=self.c.stepped))
            ranks.append(plain.simple_bound(start)[1])
        if not ranks:
            return None, BAD, None
        code = 0x80000000 if BAD in ranks else 0x40000000 if UNCERTAIN in ranks else 0
        return code, GOOD, None

    def _time_average(self, f: AggregateFunction, start: int, end: int) -> tuple[float | None, str, None]:
        usable = [one for one in self.raw if self.status(one) != BAD]
        begin = max(start, usable[0].time) if usable else end
        if begin >= end:
            return None, BAD, None
        cuts = sorted({begin, end, *(one.time for one in usable if begin < one.time < end)})
        integral, sure = 0.0, begin == start
        for a, b in pairwise(cuts):
            # Inside of a piece the curve is a line: its middle is its mean.
            twice = Reference([Raw(2 * one.time, one.value, one.status) for one in self.raw], self.c)
            value, _ = twice.interpolated_bound(a + b, stepped=False)
            inner, _ = twice.interpolated_bound(2 * a + 1, stepped=False)
            assert value is not None
            assert inner is not None
            integral += (b - a) * value
            pair = [one for one in usable if one.time <= a][-1:] + [one for one in usable if one.time > a][:1]
            skipped = len(pair) == 2 and any(
                pair[0].time < one.time < pair[1].time for one in self.raw if self.status(one) == BAD
            )
            sure = sure and len(pair) == 2 and not skipped and all(self.status(one) == GOOD for one in pair)
        return integral / 1e9 if f is F.TOTAL else integral / (end - begin), GOOD if sure else UNCERTAIN, None

    def _extreme2(
        self, f: AggregateFunction, start: int, end: int, inside: list[Raw]
    ) -> tuple[float | None, str, int | None]:
        candidates = [(one.value, one.time) for one in inside if self.status(one) != BAD]
        first, last = self.simple_bound(start), self.simple_bound(end)
        if first[0] is not None and self.at(start) is None:
            candidates.insert(0, (first[0], start))
        if last[0] is not None and not self.c.stepped:
            candidates.append((last[0], end - self.c.resolution))
        if not candidates:
            return None, BAD, None
        choose = min if f in (F.MINIMUM2, F.MINIMUM_ACTUAL_TIME2) else max
        value, time = choose(candidates, key=lambda one: one[0])
        actual = f in (F.MINIMUM_ACTUAL_TIME2, F.MAXIMUM_ACTUAL_TIME2)
        status = self.time_status(start, end)
        return value, status, time if actual and status != BAD else None

    def _durations(self, f: AggregateFunction, start: int, end: int) -> tuple[float | None, str, None]:
        if self.outside(start, end):
            return None, BAD, None
        stop = self._stop(end)
        cuts = sorted({start, stop, *(one.time for one in self.raw if start < one.time < stop)})
        lengths = {GOOD: 0, UNCERTAIN: 0, BAD: 0}
        states = {True: 0, False: 0}
        for begin, finish in pairwise(cuts):
            raw = self.at(begin)
            if raw is not None:
                value, status = raw.value, self.status(raw)
            else:
                value, status = self.simple_bound(begin)
            lengths[status] += finish - begin
            if status == GOOD:
                states[value == 0] += finish - begin
        if f is F.DURATION_GOOD:
            return lengths[GOOD] / 1e6, GOOD, None
        if f is F.DURATION_BAD:
            return lengths[BAD] / 1e6, GOOD, None
        if f is F.PERCENT_GOOD:
            return 100 * lengths[GOOD] / (stop - start), GOOD, None
        if f is F.PERCENT_BAD:
            return 100 * lengths[BAD] / (stop - start), GOOD, None
        return states[f is F.DURATION_IN_STATE_ZERO] / 1e6, self.time_status(start, end), None
