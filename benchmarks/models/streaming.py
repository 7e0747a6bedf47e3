"""A Python model on the stream, as the role ``models`` runs it: blocks in, rows, its process, blocks out.

Told apart: CPU time of the model's process (the bar: 5 million point-evaluations a CPU second), and of the host around
it, which decodes blocks, finds the points, makes rows of them, and encodes the outputs. The block log itself is left
out; it costs the same for any block.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ingest.report import Row, table
from gongfu.bus.ownership import Sole
from gongfu.kernel.block import Block, Columns, decode_block, encode_block
from gongfu.kernel.counters import Counters
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.reason.models.placement import Placement
from gongfu.reason.models.sandbox.process import ModelProcess
from gongfu.reason.models.sandbox.types import Limits
from gongfu.reason.models.scopes import Scope
from gongfu.reason.models.spec import Kind, ModelSpec
from gongfu.reason.models.streaming.run import ModelRun
from gongfu.reason.models.types import Port
from gongfu.reason.outputs import ModelOutputs

BAR = 5.0
_MODEL = """
from gongfu.appkit.contract import Port, model

@model(
    id="bench.pump", version="1.0.0",
    inputs=[Port("flow", "m3/s"), Port("head", "m"), Port("power", "W")],
    outputs=[Port("efficiency", "1")],
)
def f(columns, dt):
    return {"efficiency": 9806.65 * columns["flow"] * columns["head"] / columns["power"]}
"""
_INPUTS = ("flow", "head", "power")


class _Log:
    """Takes output blocks and keeps none."""

    def __init__(self) -> None:
        self.points = 0

    def append(
        self, partition: int, payload: bytes, since: float | None = None, message_id: str = ""
    ) -> "asyncio.Future[int]":
        self.points += len(decode_block(payload))
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(1)
        return done


class _Nowhere:
    """Keeps no checkpoint."""

    async def load(self) -> None:
        return None

    async def save(self, arrays: Any, document: Any) -> None:
        pass


def _placement(assets: int) -> Placement:
    n, p = np.arange(assets), len(_INPUTS)
    inputs = np.stack([p * n + k + 1 for k in range(p)], axis=1)
    scope = Scope(1, 1, "bench.pump", "", 0, "", "", "**", {}, {}, False)
    return Placement(
        scope, n + 1, [f"pump {k}" for k in range(assets)], np.zeros(assets, dtype=np.uint8), [""] * assets, "", n,
        inputs, (p * assets + n + 1)[:, None], np.ones((assets, p)), np.zeros((assets, p)), np.ones((assets, 1)),
        np.zeros((assets, 1)),
    )  # fmt: skip


def _blocks(assets: int, rows: int, blocks: int) -> list[bytes]:
    """Return blocks in which every asset sends ``rows`` samples of its three points."""
    found: list[bytes] = []
    for number in range(blocks):
        moments = np.arange(number * rows, (number + 1) * rows) * SECOND
        series = np.tile(np.arange(1, 3 * assets + 1), rows)
        times = np.repeat(moments, 3 * assets)
        values = np.linspace(1.0, 2.0, len(series))
        columns = Columns(series.astype(np.uint32), times, np.zeros(len(series), dtype=np.uint8), values)
        found.append(encode_block(Block(1, number, {ValueType.DOUBLE: columns})))
    return found


async def measure(assets: int, rows: int, blocks: int) -> tuple[float, float]:
    """Return million point-evaluations per CPU second of the model's process, and of the host."""
    given = _blocks(assets, rows, blocks)
    limits = Limits(cpu_s=600.0, wall_s=600.0)
    spec = ModelSpec(
        id="bench.pump", version="1.0.0", kind=Kind.PYTHON, limits=limits,
        inputs=tuple(Port(name, "1") for name in _INPUTS), outputs=(Port("efficiency", "1"),),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        artifact = Path(name) / "model"
        artifact.write_text(_MODEL)
        process, log = ModelProcess("python", artifact, Path(name) / "scratch", None, limits), _Log()
        await process.start()
        counters = Counters()
        run = ModelRun("bench", 1, spec, process, ModelOutputs(log, counters, Sole()), _Nowhere(), counters)
        await run.bind([_placement(assets)], {})
        run.start()
        begin, before = time.process_time(), run.figures.cpu_s
        for sequence, data in enumerate(given, 1):
            await run.take(0, sequence, decode_block(data), data)
        for _ in range(100_000):
            if run.done(0) == len(given):
                break
            await asyncio.sleep(0.001)
        host, inside = time.process_time() - begin, run.figures.cpu_s - before
        await run.close()
    evaluations = assets * rows * blocks * len(_INPUTS)
    assert log.points == assets * rows * blocks, log.points
    return evaluations / inside / 1e6, evaluations / host / 1e6


def rows() -> list[Row]:
    """Return what this part measures; see benchmarks/models/__main__.py."""
    found: list[Row] = []
    for assets, per_block, blocks in ((1000, 10, 40), (100_000, 1, 8), (100, 10, 200)):
        inside, host = asyncio.run(measure(assets, per_block, blocks))
        where = f"{assets:,} assets, {per_block} rows each a block"
        unit = "M point-evaluations/CPU-s"
        found.append(Row(f"Python model on the stream, {where}: its process", inside, unit, BAR, "higher"))
        found.append(Row(f"Python model on the stream, {where}: the host adds", 1.0 / host, "CPU-us/point"))
    return found


if __name__ == "__main__":
    print(table(rows()))
