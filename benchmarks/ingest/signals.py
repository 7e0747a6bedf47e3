"""Real signals for the disk measurement: NAB temperatures and the Tennessee Eastman plant's 52 variables."""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from demo.nab.series import read_recording
from demo.tep.variables import VARIABLES, Source

SHARED = Path("/work/shared/data")
TEP_START_MS = 1_577_836_800_000
TEP_STEP_MS = 180_000
SIMULATED_MINUTES = 4_320

Rows = list[dict[str, object]]


def signals() -> Iterator[tuple[str, Rows, int]]:
    """Yield (asset, samples of form B, number of distinct points) of every recording.

    Without the project's shared data the plant's signals are simulated, three days at one sample a minute.
    """
    machine = read_recording()
    distinct = {sample.time_ms: sample.value for sample in machine}
    yield "machine", [{"ts": s.time_ms, "values": {"temperature": s.value}} for s in machine], len(distinct)
    ambient = SHARED / "nab" / "ambient_temperature_system_failure.csv"
    if ambient.exists():
        values = _read_nab(ambient)
        yield "ambient", [{"ts": t, "values": {"temperature": v}} for t, v in values], len(dict(values))
    files = sorted((SHARED / "tep").glob("d*.dat.gz"))
    for path in files:
        with gzip.open(path) as file:
            table = np.loadtxt(file)
        table = table.T if table.shape[0] == len(VARIABLES) else table
        yield path.name.split(".")[0], _tep_rows(table.tolist(), TEP_STEP_MS), table.size
    if not files:
        table = _simulate()
        yield "simulated", _tep_rows(table, 60_000), len(table) * len(VARIABLES)


def _read_nab(path: Path) -> list[tuple[int, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [
            (
                round(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp() * 1000),
                float(row["value"]),
            )
            for row in csv.DictReader(file)
        ]


def _tep_rows(table: list[list[float]], step_ms: int) -> Rows:
    names = [
        f"xmeas_{v.number}" if v.source is Source.MEASUREMENT else f"xmv_{v.number}"
        for v in sorted(VARIABLES, key=lambda v: (v.source is Source.VALVE, v.number))
    ]
    return [
        {"ts": TEP_START_MS + i * step_ms, "values": dict(zip(names, row, strict=True))} for i, row in enumerate(table)
    ]


def _simulate() -> list[list[float]]:
    from demo.tep.plant import Plant

    plant = Plant()
    order = sorted(VARIABLES, key=lambda v: (v.source is Source.VALVE, v.number))
    table: list[list[float]] = []
    for _ in range(SIMULATED_MINUTES):
        sample = plant.step(60.0)
        table.append([sample.values[v.asset][v.name] for v in order])
    return table
