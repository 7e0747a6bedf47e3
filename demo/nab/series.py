"""The recording and its labels. Pure apart from reading the two files that ship with the demo."""

import csv
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DATA = Path(__file__).parent / "data"
ASSET = "nab/machine"
POINT = "temperature"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One sample: time in ms since the epoch (UTC) and the recorded value."""

    time_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class Window:
    """A labelled failure of the machine: start and end, RFC 3339 UTC."""

    start: str
    end: str


def read_recording(path: Path = DATA / "machine_temperature_system_failure.csv") -> list[Recorded]:
    """Return the samples in the order of the file, which goes back by 55 minutes once.

    Raises:
        OSError: the file is not there.
        ValueError: a line is not a time and a number.
    """
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Recorded(
                round(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp() * 1000),
                float(row["value"]),
            )
            for row in csv.DictReader(file)
        ]


def read_windows(path: Path = DATA / "windows.json") -> list[Window]:
    """Return the labelled failures in order of time."""
    return [Window(start, end) for start, end in json.loads(path.read_text(encoding="utf-8"))]


def after(samples: list[Recorded], time_ms: int | None) -> list[Recorded]:
    """Return the samples that follow the first one at ``time_ms``, or all of them for None.

    Used to resume a replay: samples after the newest one that the node holds.
    """
    return samples if time_ms is None else [sample for sample in samples if sample.time_ms > time_ms]
