"""The pump's energy balance as Python and as FMU (FMI 2 and 3): stream, history and service come to equal outputs."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

import gongfu.apps.pump_condition as app
from gongfu.appkit.installed.artifacts import python_artifact
from gongfu.apps.pump_condition.fmu.build import OUTPUTS, build
from gongfu.apps.pump_condition.models.pump import pump
from gongfu.kernel.times import SECOND
from gongfu.reason.models.inspecting import proposed
from gongfu.reason.models.placement import Placement
from gongfu.reason.models.sandbox.process import ModelProcess
from gongfu.reason.models.spec import ModelSpec
from tests.contract.reason.test_model_modes import ASSETS, Found, filled, invoked, placed, streamed
from tests.unit.reason.test_model_streaming import Point

FOLDER = Path(app.__file__).parent
ROWS = 14
# Lowest and highest of each input: within what a pump does, so that no output is a NaN.
RANGES = {
    "flow": (1.0, 150.0),
    "suction": (-60.0, 300.0),
    "discharge": (310.0, 1500.0),
    "power": (0.5, 60.0),
    "temperature": (1.0, 95.0),
}


def operating_points(spec: ModelSpec, where: Placement) -> list[Point]:
    """Rows of each asset at times of its own; all inputs come together."""
    random = np.random.default_rng(11)
    found: list[Point] = []
    for asset in range(ASSETS):
        times = np.cumsum(random.choice([0.25, 0.5, 1.0], ROWS)) + 1.0 + asset
        for place, port in enumerate(spec.inputs):
            values = random.uniform(*RANGES[port.name], ROWS).tolist()
            series = int(where.inputs[asset, place])
            found += [(series, int(at * 1000) * SECOND // 1000, v) for at, v in zip(times, values, strict=True)]
    return sorted(found, key=lambda point: point[1])


def by_name(spec: ModelSpec, where: Placement, found: Found) -> dict[tuple[str, int, int], float]:
    """Return outputs by port, asset and time: series differ from kind to kind."""
    names = {
        int(where.outputs[asset, place]): (port.name, asset)
        for asset in range(ASSETS)
        for place, port in enumerate(spec.outputs)
    }
    return {(*names[series], at): value for series, at, value, _ in found}


async def test_python_and_both_fmus_are_equal_in_all_three_modes(tmp_path: Path) -> None:
    pytest.importorskip("fmpy", reason="the extra fmu is not installed")
    pytest.importorskip("pythonfmu", reason="pythonfmu, which makes the FMU, is not installed")
    pytest.importorskip("pythonfmu3", reason="pythonfmu3, which makes the FMU, is not installed")

    def read(name: str) -> bytes | None:
        file = FOLDER / name
        return file.read_bytes() if file.is_file() else None

    artifact = tmp_path / "pump"
    artifact.write_bytes(python_artifact("models/pump.py", read))
    kinds = {"python": artifact, "fmu 2": build(2, tmp_path / "two"), "fmu 3": build(3, tmp_path / "three")}
    answers: dict[str, dict[tuple[str, int, int], float]] = {}
    made = 0
    for name, file in kinds.items():

        def make(name: str = name, file: Path = file) -> ModelProcess:
            nonlocal made
            made += 1
            return ModelProcess(name.partition(" ")[0], file, tmp_path / f"scratch{made}")

        reader = make()
        # Blocks divide rows; with a tolerance a part of a row would be a row with what was known before.
        spec = msgspec.structs.replace(proposed(await reader.start(), "0" * 64), tolerance_s=0.0)
        await reader.close()
        assert {port.name for port in spec.inputs} == set(RANGES)
        assert {port.name for port in spec.outputs} == set(OUTPUTS)
        # Ports in one order, so that all kinds get the same samples.
        order = [port.name for port in pump.inputs]
        assert [port.name for port in spec.inputs] == order
        where = placed(spec)
        points = operating_points(spec, where)
        service = await invoked(spec, make, points, where)
        assert await filled(spec, make, points, where) == service
        assert await streamed(spec, make, points, where) == service
        answers[name] = by_name(spec, where, service)
    assert len(answers["python"]) == ASSETS * ROWS * len(OUTPUTS)
    for name in ("fmu 2", "fmu 3"):
        assert answers[name].keys() == answers["python"].keys()
        for key, value in answers["python"].items():
            assert answers[name][key] == pytest.approx(value, rel=1e-12, abs=0.0), (name, key)
