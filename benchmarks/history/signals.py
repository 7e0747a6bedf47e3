"""The published signals as columns: NAB (5 min) and Tennessee Eastman (3 min), as doubles of the published text."""

import csv
import datetime as dt
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

START = 1_700_000_000_000_000_000
TEP_STEP = 180 * 1_000_000_000


@dataclass
class Signals:
    """Points of one source; series ascending, times ascending in each."""

    name: str
    series: np.ndarray[Any, Any]
    times: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]


def nab(folder: Path, name: str, series: int) -> Signals:
    with (folder / "nab" / f"{name}_temperature_system_failure.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    times = [int(dt.datetime.fromisoformat(row[0]).replace(tzinfo=dt.UTC).timestamp()) * 10**9 for row in rows]
    return Signals(
        f"NAB {name}", np.full(len(rows), series), np.array(times), np.array([float(row[1]) for row in rows])
    )


def tep(folder: Path) -> Signals:
    """All published runs, one behind the other; 52 series."""
    runs = []
    for file in sorted((folder / "tep").glob("d[0-9]*.dat.gz")):
        with gzip.open(file, "rt") as text:
            table = np.loadtxt(text)
        runs.append(table.T if table.shape[0] == 52 else table)
    whole = np.concatenate(runs)
    n = len(whole)
    times = START + np.arange(n) * TEP_STEP
    return Signals("TEP", np.repeat(np.arange(101, 153), n), np.tile(times, 52), whole.T.reshape(-1))


def entropy_bytes(signals: Signals) -> float:
    """Return bytes a value that a perfect coder of first differences, on the published grid of digits, would need.

    The differences of a series are a smooth density times a grid of width 10^-digits: h = differential entropy of the
    differences (Vasicek's spacing estimate, bits) + digits · log2(10). Where values repeat (few distinct ones), the
    plain entropy of differences is lower and is taken. An estimate of the floor, not a bound.
    """
    bits = 0.0
    for one in np.unique(signals.series):
        values = signals.values[signals.series == one]
        digits = _digits(values)
        difference = np.rint(np.diff(values) * 10.0**digits)
        _, counts = np.unique(difference, return_counts=True)
        share = counts / counts.sum()
        plain = float(-(share * np.log2(share)).sum())
        if counts.max() == 1 or len(counts) > len(difference) / 2:
            plain = _vasicek(difference)
        bits += plain * len(values)
    return bits / len(signals.values) / 8


def _digits(values: np.ndarray[Any, Any]) -> int:
    for digits in range(12):
        if (np.rint(values * 10.0**digits) / 10.0**digits == values).mean() > 0.9:
            return digits
    return 12


def _vasicek(sample: np.ndarray[Any, Any]) -> float:
    ordered = np.sort(sample)
    n = len(ordered)
    m = max(1, round(np.sqrt(n)))
    padded = np.concatenate([np.full(m, ordered[0]), ordered, np.full(m, ordered[-1])])
    spacing = np.maximum(padded[2 * m :] - padded[: -2 * m], 1e-300)
    return float(np.mean(np.log2(n / (2 * m) * spacing)))
