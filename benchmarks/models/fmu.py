"""FMU step + get through the platform (a confined process, columns, states) against FMPy's own calls in a loop.

Both run the same FMU, made by pythonfmu, for the same rows of 100 assets. "Bare" is setReal, doStep, getReal of FMPy in
one interpreter, with its instances ready. The platform's cost is the CPU time of both processes, the caller's and the
model's. Figures are CPU time; the two alternate, and the median of five ratios is told.
"""

import asyncio
import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ingest.report import Row, table
from gongfu.bus.ownership import Sole
from gongfu.kernel.block import Block, Columns
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.reason.models.inspecting import proposed
from gongfu.reason.models.placement import Placement
from gongfu.reason.models.sandbox.process import ModelProcess
from gongfu.reason.models.sandbox.types import HELD, Limits, Rows
from gongfu.reason.models.scopes import Scope
from gongfu.reason.models.streaming.run import ModelRun
from gongfu.reason.outputs import ModelOutputs

ASSETS = 100
BAR = 2.0
_SOURCE = '''
from pythonfmu import DefaultExperiment, Fmi2Causality, Fmi2Slave, Real

class Pump(Fmi2Slave):
    """Efficiency from flow, head and power, with a filter."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flow, self.head, self.power, self.efficiency = 0.0, 0.0, 1.0, 0.0
        self.default_experiment = DefaultExperiment(step_size=1.0)
        for name in ("flow", "head", "power"):
            self.register_variable(Real(name, causality=Fmi2Causality.input))
        self.register_variable(Real("efficiency", causality=Fmi2Causality.output))

    def do_step(self, current_time, step_size):
        now = 9806.65 * self.flow * self.head / self.power
        self.efficiency += (now - self.efficiency) * min(1.0, step_size / 10.0)
        return True
'''
_INPUTS = ("flow", "head", "power")


def build(folder: Path) -> Path:
    from pythonfmu.builder import FmuBuilder

    script = folder / "pump_of_the_benchmark.py"
    script.write_text(_SOURCE)
    with contextlib.redirect_stdout(io.StringIO()):
        FmuBuilder.build_FMU(script, dest=folder, canGetAndSetFMUstate=True, canSerializeFMUstate=True)
    return folder / "Pump.fmu"


class Bare:
    """FMPy as its documentation shows it."""

    def __init__(self, fmu: Path, folder: Path) -> None:
        from fmpy import extract, read_model_description
        from fmpy.fmi2 import FMU2Slave

        place = extract(str(fmu), str(folder / "bare"))
        described = read_model_description(place)
        by_name = {each.name: each.valueReference for each in described.modelVariables}
        self._in = [by_name[name] for name in _INPUTS]
        self._out = [by_name["efficiency"]]
        self._instances: list[Any] = []
        self._time = 0.0
        for index in range(ASSETS):
            instance = FMU2Slave(
                guid=described.guid,
                modelIdentifier=described.coSimulation.modelIdentifier,
                unzipDirectory=place,
                instanceName=f"pump{index}",
            )
            instance.instantiate()
            instance.setupExperiment(startTime=0.0)
            instance.enterInitializationMode()
            instance.exitInitializationMode()
            self._instances.append(instance)

    def run(self, table: list[list[float]]) -> float:
        """Give every instance these rows; return CPU seconds."""
        begin = time.process_time()
        for instance in self._instances:
            now = self._time
            for row in table:
                instance.setReal(self._in, row)
                instance.doStep(currentCommunicationPoint=now, communicationStepSize=1.0)
                instance.getReal(self._out)
                now += 1.0
        self._time += len(table)
        return time.process_time() - begin


def rows_of(table: np.ndarray, first: int, states: list[bytes | None]) -> Rows:
    n = len(table)
    times = np.tile((first + np.arange(n, dtype=np.int64)) * 10**9, ASSETS)
    columns = {name: np.tile(table[:, index], ASSETS) for index, name in enumerate(_INPUTS)}
    return Rows(np.arange(ASSETS), np.arange(ASSETS + 1) * n, times, columns, np.ones(n * ASSETS), states)


async def measure(fmu: Path, folder: Path, rows: int, calls: int, held: bool) -> tuple[float, float]:
    """Return the median ratio, and CPU-µs a row through the platform."""
    bare = Bare(fmu, folder)
    model = ModelProcess("fmu", fmu, folder / "scratch", None, Limits(cpu_s=600.0, wall_s=600.0))
    await model.start()
    given_rows = np.column_stack([np.linspace(0.01, 0.05, rows), np.full(rows, 30.0), np.full(rows, 9000.0)])
    plain = given_rows.tolist()
    states: list[bytes | None] = [None] * ASSETS
    ratios: list[float] = []
    cost = 0.0
    first = 0
    for _ in range(5):
        alone = through = 0.0
        for _ in range(calls):
            # Call by call, so that both find the caches as the other left them.
            alone += bare.run(plain)
            # Rows are there: they come as columns from the block log in any case.
            given = rows_of(given_rows, first, states)
            begin = time.process_time()
            found = await model.evaluate(given, states=not held)
            through += time.process_time() - begin + found.cpu_s
            states = [HELD] * ASSETS if held else found.states
            first += rows
        ratios.append(through / alone)
        cost = through / calls / rows / ASSETS * 1e6
    await model.close()
    return statistics.median(ratios), cost


class Log:
    """Takes outputs as the block log does, and drops them."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    def append(
        self, partition: int, payload: bytes, since: float | None = None, message_id: str = ""
    ) -> "asyncio.Future[int]":
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(1)
        self.came.set()
        return done

    async def load(self) -> None:
        return None

    async def save(self, arrays: Any, document: Any) -> None:
        pass


async def streamed(fmu: Path, folder: Path, calls: int) -> tuple[float, float]:
    """As measure, one row of each asset in a block, from a block to the block with the outputs; checkpoints too."""
    bare = Bare(fmu, folder)
    model = ModelProcess("fmu", fmu, folder / "scratch", None, Limits(cpu_s=600.0, wall_s=600.0))
    spec = proposed(await model.start(), "0" * 64)
    n = np.arange(ASSETS)
    same = [(np.ones((ASSETS, each)), np.zeros((ASSETS, each))) for each in (len(_INPUTS), 1)]
    scope = Scope(1, 1, spec.id, "", 0, "", "", "**", {}, {}, False)
    inputs = np.arange(1, ASSETS * len(_INPUTS) + 1).reshape(ASSETS, len(_INPUTS))
    names = [f"p{one}" for one in n]
    state = np.zeros(ASSETS, dtype=np.uint8)
    where = Placement(scope, n, names, state, [""] * ASSETS, "", n, inputs, (n + 9000)[:, None], *same[0], *same[1])
    counters, log = Counters(), Log()
    run = ModelRun("m", 1, spec, model, ModelOutputs(log, counters, Sole()), log, counters)
    await run.bind([where], {})
    run.start()
    points = ASSETS * len(_INPUTS)
    values = np.tile([0.02, 30.0, 9000.0], ASSETS)
    ratios: list[float] = []
    cost, sequence = 0.0, 0
    for _ in range(5):
        alone, begin, before = 0.0, time.process_time(), model.cpu_s()
        for _ in range(calls):
            alone += bare.run([[0.02, 30.0, 9000.0]])
            sequence += 1
            times = np.full(points, sequence * 10**9)
            columns = Columns(inputs.ravel().astype(np.uint32), times, np.zeros(points, dtype=np.uint8), values)
            await run.take(0, sequence, Block(1, 0, {ValueType.DOUBLE: columns}), b"x" * 8000)
            await log.came.wait()
            log.came.clear()
        await run.checkpoint()
        used = time.process_time() - begin - alone + model.cpu_s() - before
        ratios.append(used / alone)
        cost = used / calls / ASSETS * 1e6
    await run.close()
    return statistics.median(ratios), cost


def rows() -> list[Row]:
    """Return the figures of this area."""
    found: list[Row] = []

    async def run() -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            fmu = build(folder)
            for title, count, calls, held, bar in (
                ("1 row of 100 assets a call", 1, 300, True, BAR),
                ("100 rows of 100 assets a call", 100, 3, True, BAR),
                ("1000 rows of 100 assets a call", 1000, 1, True, BAR),
                ("1 row of 100 assets a call, states out every call", 1, 100, False, None),
            ):
                ratio, cost = await measure(fmu, folder / str(len(found)), count, calls, held)
                found.append(Row(f"FMU through the platform / bare FMPy, {title}", ratio, "x", bar))
                found.append(Row(f"FMU through the platform, {title}", cost, "CPU-us/row"))
            title = "1 row of 100 assets a block, on the stream"
            ratio, cost = await streamed(fmu, folder / "stream", 200)
            found.append(Row(f"FMU from block to block / bare FMPy, {title}", ratio, "x"))
            found.append(Row(f"FMU from block to block, {title}", cost, "CPU-us/row"))

    asyncio.run(run())
    return found


if __name__ == "__main__":
    print(table(rows()))
