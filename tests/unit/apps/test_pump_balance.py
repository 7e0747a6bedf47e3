"""Pump and valve: known values, laws of physics, equal answers of Python and FMU, and faults that are told apart."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.apps.pump_condition.balance import (
    npsh_available,
    pump_efficiency,
    specific_energy,
    total_head,
    valve_kv,
    valve_sigma,
)
from gongfu.apps.pump_condition.demonstration import HEALTHY, Faults, operate
from gongfu.apps.pump_condition.diagnosis import State, diagnose, figures
from gongfu.apps.pump_condition.fmu.build import build
from gongfu.apps.pump_condition.models.pump import pump
from gongfu.apps.pump_condition.models.valve import valve
from gongfu.apps.pump_condition.nameplate import Nameplate
from gongfu.apps.pump_condition.water import density, vapour_pressure
from gongfu.reason.models.sandbox.process import ModelProcess
from gongfu.reason.models.sandbox.types import Limits, Rows

INPUTS = ("flow", "suction", "discharge", "power", "temperature")


def test_water_is_as_the_tables_say() -> None:
    # IAPWS-IF97, table 35; Kell 1975, table 3.
    for kelvin, mpa in ((300.0, 0.353658941e-2), (500.0, 0.263889776e1)):
        assert vapour_pressure(kelvin - 273.15) == pytest.approx(1000.0 * mpa, rel=1e-8)
    assert vapour_pressure(99.974) == pytest.approx(101.325, rel=1e-4)
    for celsius, kg in ((4.0, 999.972), (20.0, 998.206), (60.0, 983.196)):
        assert density(celsius) == pytest.approx(kg, abs=0.01)


@given(
    st.floats(1.0, 300.0), st.floats(-90.0, 500.0), st.floats(1.0, 2000.0), st.floats(0.1, 500.0), st.floats(1.0, 95.0)
)
@settings(max_examples=100, deadline=None)
def test_floats_and_columns_are_equal(flow: float, suction: float, rise: float, power: float, temp: float) -> None:
    columns = [np.array([value]) for value in (flow, suction, suction + rise, power, temp)]
    q, s, d, p, t = columns
    head = total_head(flow, suction, suction + rise, temp)
    assert total_head(q, s, d, t)[0] == pytest.approx(head, rel=1e-14)
    assert npsh_available(q, s, t)[0] == pytest.approx(npsh_available(flow, suction, temp), rel=1e-12, abs=1e-12)
    efficiency = pump_efficiency(flow, head, power, temp)
    assert pump_efficiency(q, total_head(q, s, d, t), p, t)[0] == pytest.approx(efficiency, rel=1e-14)
    assert valve_kv(q, d, s, t)[0] == pytest.approx(valve_kv(flow, suction + rise, suction, temp), rel=1e-14)


def test_energy_is_kept() -> None:
    """What the liquid gets is what the motor gives times both efficiencies; a kW.h is 3.6 MJ."""
    measured = operate(600.0, HEALTHY)
    found = figures(measured, Nameplate())
    assert found.head is not None
    assert found.energy == pytest.approx(specific_energy(measured["flow"], measured["power"]))
    lifted = density(measured["temperature"]) * 9.80665 * found.head / 3.6e6
    assert found.energy == pytest.approx(lifted / (found.efficiency or 0.0) / 0.94)


@given(st.floats(0.5, 1.2), st.floats(0.4, 1.4))
@settings(max_examples=40, deadline=None)
def test_affinity_laws(ratio: float, part: float) -> None:
    """At another speed flow goes by the speed, head and NPSH by its square, and the efficiency stays."""
    plate = Nameplate()
    flow = part * plate.flow
    moved = (flow * ratio, plate.speed * ratio)
    assert plate.expected_head(*moved) == pytest.approx(plate.expected_head(flow, plate.speed) * ratio**2)
    assert plate.required_npsh(*moved) == pytest.approx(plate.required_npsh(flow, plate.speed) * ratio**2)
    assert plate.expected_efficiency(*moved) == pytest.approx(plate.expected_efficiency(flow, plate.speed))


@given(st.floats(1.0, 50.0), st.floats(0.1, 20.0))
@settings(max_examples=40, deadline=None)
def test_kv_is_the_flow_at_one_bar(kv: float, bar: float) -> None:
    """IEC 60534-2-1: water of 1000 kg/m3 at 1 bar; the flow goes by the root of the pressure."""
    temperature = 20.0
    flow = kv * math.sqrt(bar * 1000.0 / density(temperature))
    assert valve_kv(flow, 100.0 * bar + 50.0, 50.0, temperature) == pytest.approx(kv)


def test_sigma_is_one_when_the_outlet_boils() -> None:
    temperature = 80.0
    boiling = vapour_pressure(temperature) - 101.325
    assert valve_sigma(300.0, boiling, temperature) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("faults", "keys"),
    [
        (HEALTHY, set()),
        (Faults(wear=0.1), {"wear"}),
        (Faults(friction=0.12), {"friction"}),
        (Faults(leak=0.08), {"leakage"}),
        (Faults(suction_lost=112.0), {"cavitation"}),
        (Faults(erosion=0.3), {"valve erosion"}),
        (Faults(erosion=-0.3), {"valve blockage"}),
        (Faults(wear=0.1, erosion=0.3), {"wear", "valve erosion"}),
    ],
)
def test_faults_are_told_apart_at_every_operating_point(faults: Faults, keys: set[str]) -> None:
    for begin in (0.0, 1500.0, 3000.0):
        state = State()
        found = set()
        for window in range(30):
            findings = diagnose(figures(operate(begin + 20.0 * window, faults), Nameplate()), state, Nameplate())
            found = {finding.key for finding in findings}
            assert all(finding.text for finding in findings)
        assert found == keys


def test_a_pump_at_rest_and_a_shut_valve() -> None:
    state = State()
    rest = {**operate(0.0, HEALTHY), "flow": 0.0, "power": 0.0, "speed": 0.0}
    passing = {**operate(0.0, HEALTHY), "valve position": 0.0, "flow": 5.0}
    for _ in range(10):
        assert diagnose(figures(rest, Nameplate()), state, Nameplate()) == []
    findings = [diagnose(figures(passing, Nameplate()), state, Nameplate()) for _ in range(40)][-1]
    assert [finding.key for finding in findings] == ["valve passes"]
    # At rest nothing is said of it: it stands.
    assert diagnose(figures(rest, Nameplate()), state, Nameplate()) == []
    assert state.standing == ["valve passes"]


def test_quotients_of_a_pump_at_rest_are_no_numbers() -> None:
    columns = {name: np.array([0.0]) for name in INPUTS}
    found = pump.function(columns, np.array([np.nan]))
    assert np.isnan(found["efficiency"][0])
    assert np.isnan(found["specific_energy"][0])
    same = {"flow": np.array([1.0]), "upstream": np.array([5.0]), "downstream": np.array([5.0])}
    assert np.isnan(valve.function({**same, "temperature": np.array([20.0])}, np.array([1.0]))["kv"][0])


def test_a_nameplate_is_checked() -> None:
    assert Nameplate.of({"speed": 1480, "head": [40, 0.001]}).head == (40.0, 0.001)
    for wrong in ({"sped": 1}, {"speed": "1480"}, {"head": [1]}, {"speed": 0}, {"efficiency": 1.2}, {"flow": True}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Nameplate.of(wrong)


def operating_points(count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    low, high = np.array([0.0, -80.0, 100.0, 0.0, 1.0]), np.array([150.0, 300.0, 1500.0, 60.0, 95.0])
    table = low + (high - low) * random.random((count, 5))
    return {name: table[:, place] for place, name in enumerate(INPUTS)}


@pytest.mark.parametrize("fmi", [2, 3])
async def test_the_fmu_answers_as_python_does(fmi: int, tmp_path: Path) -> None:
    """Through the platform's confined process, in groups of any size."""
    pytest.importorskip("fmpy", reason="the extra fmu is not installed")
    pytest.importorskip("pythonfmu" if fmi == 2 else "pythonfmu3", reason="what makes the FMU is not installed")
    columns = operating_points(60)
    expected = pump.function(columns, np.ones(60))
    process = ModelProcess("fmu", build(fmi, tmp_path), tmp_path / "scratch", None, Limits(wall_s=120.0))
    try:
        await process.start()
        state: bytes | None = None
        found: dict[str, list[float]] = {name: [] for name in expected}
        for begin, end in ((0, 1), (1, 8), (8, 60)):
            part = {name: column[begin:end] for name, column in columns.items()}
            times = np.arange(begin, end, dtype=np.int64) * 10**9
            offsets = np.array([0, end - begin])
            dt = np.where(np.arange(begin, end) == 0, np.nan, 1.0)
            outcome = await process.evaluate(Rows(np.array([1]), offsets, times, part, dt, [state]))
            (state,) = outcome.states
            for name in expected:
                found[name] += outcome.columns[name].tolist()
    finally:
        await process.close()
    for name, column in expected.items():
        assert np.allclose(np.array(found[name]), column, rtol=1e-12, atol=0.0, equal_nan=True), name
    assert np.isfinite(expected["efficiency"]).sum() > 50
