"""Python models through the platform: point-evaluations per CPU second, of both processes together.

A point-evaluation is one input value of one row that goes through the model: a model with three inputs evaluated on
1,000 rows does 3,000. The model is a page of NumPy; what it would cost without the platform stands beside it.
"""

import asyncio
import importlib.util
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.ingest.report import Row, table
from gongfu.reason.models.sandbox.process import ModelProcess
from gongfu.reason.models.sandbox.types import HELD, Limits, Rows

BAR = 5.0
_STATELESS = """
from gongfu.appkit.contract import Port, model

@model(
    id="bench.pump", version="1.0.0",
    inputs=[Port("flow", "m3/s"), Port("head", "m"), Port("power", "W")],
    outputs=[Port("efficiency", "1")],
)
def f(columns, dt):
    return {"efficiency": 9806.65 * columns["flow"] * columns["head"] / columns["power"]}
"""
_STATEFUL = """
import numpy as np
from gongfu.appkit.contract import Port, model

@model(
    id="bench.total", version="1.0.0",
    inputs=[Port("flow", "m3/s"), Port("head", "m"), Port("power", "W")],
    outputs=[Port("energy", "J")],
)
def f(columns, dt, state):
    total = (0.0 if state is None else state) + np.cumsum(columns["power"] * np.nan_to_num(dt))
    return {"energy": total}, total[-1]
"""
_INPUTS = ("flow", "head", "power")


def rows_of(assets: int, rows: int, states: list[bytes | None]) -> Rows:
    n = assets * rows
    columns = {name: np.linspace(1.0, 2.0, n) for name in _INPUTS}
    times = np.tile(np.arange(rows, dtype=np.int64) * 10**9, assets)
    return Rows(np.arange(assets), np.arange(assets + 1) * rows, times, columns, np.ones(n), states)


async def measure(text: str, assets: int, rows: int, held: bool) -> float:
    """Return million point-evaluations per CPU second."""
    with tempfile.TemporaryDirectory() as name:
        artifact = Path(name) / "model"
        artifact.write_text(text)
        model = ModelProcess("python", artifact, Path(name) / "scratch", None, Limits(cpu_s=600.0, wall_s=600.0))
        await model.start()
        states: list[bytes | None] = [None] * assets
        found: list[float] = []
        for _ in range(9):
            given = rows_of(assets, rows, states)
            begin = time.process_time()
            outcome = await model.evaluate(given, states=not held)
            used = time.process_time() - begin + outcome.cpu_s
            states = [HELD] * assets if held else outcome.states
            found.append(assets * rows * len(_INPUTS) / used / 1e6)
        await model.close()
        return statistics.median(found)


def alone(assets: int, rows: int) -> float:
    """The same function called in this process."""
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "model_alone.py"
        script.write_text(_STATELESS)
        spec = importlib.util.spec_from_file_location("model_alone", script)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    given = rows_of(assets, rows, [])
    begin = time.process_time()
    for _ in range(9):
        module.f.function(given.columns, given.dt)
    return assets * rows * len(_INPUTS) * 9 / (time.process_time() - begin) / 1e6


def rows() -> list[Row]:
    """Return the figures of this area."""
    found: list[Row] = []

    def add(name: str, value: float, bar: float | None) -> None:
        found.append(Row(name, value, "M point-evaluations/CPU-s", bar, "higher"))

    add("Python model, 1,000 assets x 100 rows", asyncio.run(measure(_STATELESS, 1000, 100, False)), BAR)
    add("Python model, 10,000 assets x 1 row", asyncio.run(measure(_STATELESS, 10_000, 1, False)), BAR)
    add("Python model with state, 1,000 assets x 100 rows", asyncio.run(measure(_STATEFUL, 1000, 100, True)), None)
    add("Python model, same function without the platform", alone(1000, 100), None)
    return found


if __name__ == "__main__":
    print(table(rows()))
