"""Machine anomaly on two series of the Numenta Anomaly Benchmark, hour by hour as they would come, same settings.

A labelled window (``combined_windows.json``) counts as detected when an alarm begins in it; any number of alarms in it
count once. A false alarm is an alarm whose whole time touches no labelled window. A month has 30.44 days. The peer is
what is mostly configured: a limit of three standard deviations around the mean of the first week, hour by hour, with
the same rule for the end of an alarm.
"""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import process_time

import numpy as np

from benchmarks.ingest.report import Row
from gongfu.apps.machine_anomaly.baseline import WARM_UP
from gongfu.apps.machine_anomaly.detector import CALM, CALM_HOURS, Memory, judge

DATA = Path("/work/shared/data/nab")
SERIES = {"machine": "machine_temperature_system_failure", "ambient": "ambient_temperature_system_failure"}
HOURS_A_MONTH = 30.44 * 24


@dataclass(frozen=True, slots=True)
class Result:
    """What was found in a series.

    Attributes:
        windows: labelled windows.
        detected: of them, those in which an alarm began.
        false_alarms: alarms that touch no window.
        months: length of the series.
        delays: hours from the beginning of a detected window to the first alarm in it.
        us_an_hour: CPU time to judge an hour.
    """

    windows: int
    detected: int
    false_alarms: int
    months: float
    delays: tuple[float, ...]
    us_an_hour: float = 0.0

    @property
    def a_month(self) -> float:
        """False alarms a month."""
        return self.false_alarms / self.months


def hours(name: str) -> list[tuple[int, float]]:
    """Return number since 1970 and mean of each hour that has samples."""
    sums: dict[int, list[float]] = {}
    with (DATA / f"{name}.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            moment = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp()
            sums.setdefault(int(moment // 3600), []).append(float(row["value"]))
    return [(hour, sum(values) / len(values)) for hour, values in sorted(sums.items())]


def windows(name: str) -> list[tuple[float, float]]:
    """Return begin and end of the labelled windows, in hours since 1970."""
    document = json.loads((DATA / "combined_windows.json").read_text())
    return [(_hour(begin), _hour(end)) for begin, end in document[f"realKnownCause/{name}.csv"]]


def alarms(series: list[tuple[int, float]]) -> Iterator[tuple[int, int]]:
    """Yield hour of begin and end of each alarm; the last hour for one that still stands."""
    memory = Memory()
    standing: dict[str, int] = {}
    for hour, mean in series:
        judgement = judge(memory, hour, mean)
        for side in judgement.returned:
            yield standing.pop(side), hour
        standing.update(dict.fromkeys(judgement.raised, hour))
    for begun in standing.values():
        yield begun, series[-1][0]


def three_deviations(series: list[tuple[int, float]]) -> Iterator[tuple[int, int]]:
    """Yield the alarms of the peer."""
    first = series[0][0]
    week = np.array([mean for hour, mean in series if hour - first < WARM_UP])
    centre, limit = float(week.mean()), 3.0 * float(week.std())
    for sign in (-1.0, 1.0):
        begun = stirred = None
        for hour, mean in series:
            height = sign * (mean - centre) / limit if hour - first >= WARM_UP else 0.0
            if begun is None and height > 1.0:
                begun = stirred = hour
            elif begun is not None and stirred is not None:
                if height >= CALM:
                    stirred = hour
                elif hour - stirred >= CALM_HOURS:
                    yield begun, hour
                    begun = stirred = None
        if begun is not None:
            yield begun, series[-1][0]


def evaluate(name: str, method: Callable[[list[tuple[int, float]]], Iterator[tuple[int, int]]] = alarms) -> Result:
    """Judge a series."""
    series, labelled = hours(name), windows(name)
    begun = process_time()
    found = sorted(method(series))
    seconds = process_time() - begun
    # An hour is judged when it is over.
    delays = [
        next((alarm + 1 - begin for alarm, _ in found if begin <= alarm + 1 <= end), None) for begin, end in labelled
    ]
    false = sum(not any(alarm <= last and end >= first for first, last in labelled) for alarm, end in found)
    detected = tuple(delay for delay in delays if delay is not None)
    months = (series[-1][0] - series[0][0] + 1) / HOURS_A_MONTH
    return Result(len(labelled), len(detected), false, months, detected, seconds / len(series) * 1e6)


def rows() -> list[Row]:
    """Return the rows of the benchmark; none where the data is not there."""
    if not DATA.exists():
        return []
    found: list[Row] = []
    for key, name in SERIES.items():
        result, peer = evaluate(name), evaluate(name, three_deviations)
        # The bars of the issue are for the machine; the other series is a check that the settings were not made for it.
        asked = key == "machine"
        found += [
            Row(
                f"NAB {key}: labelled windows detected, of {result.windows}",
                result.detected,
                "",
                result.windows if asked else None,
                "higher",
            ),
            Row(f"NAB {key}: false alarms a month", result.a_month, "1/mo", 1.0 if asked else None),
            Row(f"NAB {key}: false alarms in {result.months:.1f} months", result.false_alarms, ""),
            *(Row(f"NAB {key}: window {n}: delay", delay, "h") for n, delay in enumerate(result.delays, 1)),
            Row(f"NAB {key}: judging an hour of a signal", result.us_an_hour, "CPU-us"),
            Row(f"NAB {key}: three deviations: windows detected", peer.detected, "", better="higher"),
            Row(f"NAB {key}: three deviations: false alarms a month", peer.a_month, "1/mo"),
        ]
    return found


def _hour(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() / 3600.0
