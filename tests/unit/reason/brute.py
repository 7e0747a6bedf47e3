"""Slow references of the kinds that look at more than one sample: from all samples, sorted, straight from the
definitions. What they give is a list of (time, value or None) for the reference latch."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

Sample = tuple[float, float]  # time in seconds, value
Evaluations = list[tuple[float, float | None]]

AGGREGATES: dict[str, Callable[[Sequence[float]], float | None]] = {
    "mean": lambda v: sum(v) / len(v) if v else None,
    "min": lambda v: min(v) if v else None,
    "max": lambda v: max(v) if v else None,
    "sum": lambda v: float(sum(v)),
    "count": lambda v: float(len(v)),
    "stddev": lambda v: statistics.stdev(v) if len(v) > 1 else None,
    "range": lambda v: max(v) - min(v) if v else None,
    "first": lambda v: v[0] if v else None,
    "last": lambda v: v[-1] if v else None,
    "delta": lambda v: v[-1] - v[0] if v else None,
}


def grid_windows(samples: Sequence[Sample], size: int, every: int, aggregate: str) -> Evaluations:
    """Tumbling and sliding windows: whole ones only, and one empty one after the last sample."""
    if not samples:
        return []
    first, last = samples[0][0], samples[-1][0]
    found: Evaluations = []
    end = (math.ceil(first / every) * every) + size
    while end <= (last // every) * every + size + every:
        inside = [value for time, value in samples if end - size <= time < end]
        found.append((end, AGGREGATES[aggregate](inside)))
        end += every
    return found


def sessions(samples: Sequence[Sample], gap: float, aggregate: str) -> Evaluations:
    """Samples less than a gap apart; each told at its last sample plus the gap."""
    found: Evaluations = []
    run: list[Sample] = []
    for sample in [*samples, (math.inf, 0.0)]:
        if run and sample[0] - run[-1][0] >= gap:
            found.append((run[-1][0] + gap, AGGREGATES[aggregate]([value for _, value in run])))
            run = []
        run.append(sample)
    return found


def instants(points: Mapping[str, Sequence[Sample]], tolerance: float) -> list[tuple[float, dict[str, float | None]]]:
    """The latest value of each point at every time at which one of them has a sample."""
    times = sorted({time for samples in points.values() for time, _ in samples})
    found: list[tuple[float, dict[str, float | None]]] = []
    for now in times:
        values: dict[str, float | None] = {}
        for name, samples in points.items():
            known = [(time, value) for time, value in samples if time <= now]
            values[name] = known[-1][1] if known and now - known[-1][0] <= tolerance else None
        found.append((now, values))
    return found


def sequence(first: Evaluations, then: Evaluations, within: float) -> Evaluations:
    """First true, then true later within a time; true until the second is false."""
    found: Evaluations = []
    holds = False
    for at, (now, second) in enumerate(then):
        began = [time for time, truth in first[:at] if truth == 1]
        came = second == 1 and bool(began) and now - began[-1] <= within
        if second == 0:
            holds = False
        elif came:
            holds = True
        found.append((now, None if second is None and not holds else float(holds)))
    return found


def deviations(
    points: Mapping[int, Sequence[Sample]], every: int, tolerance: float, least: int, median: bool
) -> dict[int, Evaluations]:
    """Each against the others, at the end of every step in which one has a sample."""
    ends = sorted({(time // every + 1) * every for samples in points.values() for time, _ in samples})
    found: dict[int, Evaluations] = {key: [] for key in points}
    for end in ends:
        values: dict[int, float] = {}
        for key, samples in points.items():
            known = [sample for sample in samples if sample[0] < end]
            if known and end - known[-1][0] <= tolerance:
                values[key] = known[-1][1]
        for key, value in values.items():
            others = [other for who, other in values.items() if who != key]
            if len(values) < least or not others:
                found[key].append((end, None))
                continue
            found[key].append((end, value - (statistics.median(others) if median else statistics.mean(others))))
    return found
