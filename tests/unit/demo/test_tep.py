"""The demo plant: its variables, its rules over simulated faults, and the reactor model on published data."""

import gzip
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from demo.tep.plant import Plant
from demo.tep.rules import RULES
from demo.tep.variables import ASSETS, VARIABLES, Source
from gongfu.apps.tennessee_eastman.model import DESIGN_INLET_CEL, reactor_cooling
from gongfu.kernel.units import check_unit
from gongfu.reason.rules.types import RuleBody, check_body
from tests.unit.demo.evaluation import raises

SHARED = Path("/work/shared/data/tep")
HALF_SECOND = 500_000_000
PORTS = {port.name: port.point for port in reactor_cooling.inputs}

needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="shared data of the project is not on this machine")


def simulate(minutes: int, disturbance: int | None = None) -> list[dict[str, dict[str, float]]]:
    """Return a sample a minute of a plant that gets a disturbance after ten minutes."""
    plant = Plant()
    samples: list[dict[str, dict[str, float]]] = []
    for minute in range(minutes):
        if disturbance is not None and minute == 10:
            plant.set_disturbance(disturbance, True)
        samples.append(plant.step(60.0).values)
    reactor = {name: np.array([sample["reactor"][point] for sample in samples]) for name, point in PORTS.items()}
    outputs = reactor_cooling.function(reactor, np.full(minutes, 60.0))
    for port in reactor_cooling.outputs:
        for sample, value in zip(samples, outputs[port.name], strict=True):
            sample["reactor"][port.point] = float(value)
    return samples


def seconds_to_alarm(samples: list[dict[str, dict[str, float]]]) -> dict[str, float]:
    """Return when each rule first raises, in wall seconds after the disturbance."""
    first: dict[str, float] = {}
    for rule in RULES:
        asset = str(rule["asset"]).removeprefix("tep/")
        if rule["kind"] != "threshold":
            continue
        values = [sample[asset][rule["point"]] for sample in samples]
        found = raises(rule, [i * HALF_SECOND for i in range(len(values))], values, block=1)
        if found:
            first[rule["name"]] = found[0] / 1e9 - 5.0
    return first


def test_there_are_52_variables_with_ucum_units() -> None:
    assert len(VARIABLES) == 52
    assert [v.number for v in VARIABLES if v.source is Source.MEASUREMENT] == list(range(1, 42))
    assert [v.number for v in VARIABLES if v.source is Source.VALVE] == list(range(1, 12))
    assert len({(v.asset, v.name) for v in VARIABLES}) == 52
    assert {v.asset for v in VARIABLES} == set(ASSETS)
    for unit in {v.unit for v in VARIABLES}:
        check_unit(unit)


def test_rules_are_valid_and_watch_what_is_there() -> None:
    points = {(f"tep/{v.asset}", v.name) for v in VARIABLES} | {("tep", "simulated_hours")}
    points |= {("tep/reactor", port.point) for port in reactor_cooling.outputs}
    for rule in RULES:
        check_body(msgspec.convert(rule, RuleBody))
        assert (rule["asset"], rule["point"]) in points
    assert len({rule["name"] for rule in RULES}) == len(RULES)


def test_no_alarm_without_a_fault() -> None:
    assert seconds_to_alarm(simulate(600)) == {}


@pytest.mark.parametrize(
    ("disturbance", "rule", "within_s"),
    [
        (1, "TEP reactor pressure unsteady, high", 15.0),
        (4, "TEP reactor cooling residual high", 3.0),
        (6, "TEP A feed lost", 3.0),
        (7, "TEP A and C feed low", 3.0),
    ],
)
def test_fault_raises_its_alarm(disturbance: int, rule: str, within_s: float) -> None:
    first = seconds_to_alarm(simulate(60, disturbance))
    assert 0.0 <= first[rule] <= within_s


def test_lost_feed_trips_the_plant_and_restart_clears_it() -> None:
    plant = Plant()
    plant.set_disturbance(6, True)
    minutes = 0
    while not (sample := plant.step(60.0)).trip:
        minutes += 1
        assert minutes < 900
    assert "Shutting down" in sample.trip
    plant.restart()
    assert not any(plant.disturbances)
    again = plant.step(60.0)
    assert not again.trip
    assert again.hours == pytest.approx(1 / 60)


def test_model_reproduces_the_published_base_case() -> None:
    base = {"reactor": 120.40, "outlet": 94.599, "level": 75.0, "valve": 41.106}
    outputs = reactor_cooling.function({name: np.array([value]) for name, value in base.items()}, np.array([np.nan]))
    assert outputs["duty"][0] == pytest.approx(6468.7)
    assert outputs["inlet"][0] == pytest.approx(DESIGN_INLET_CEL)
    assert outputs["residual"][0] == pytest.approx(0.0, abs=1e-9)


def test_model_has_no_answer_with_the_valve_shut() -> None:
    columns = {"reactor": 120.0, "outlet": 94.0, "level": 75.0, "valve": 0.0}
    outputs = reactor_cooling.function({name: np.array([value]) for name, value in columns.items()}, np.array([60.0]))
    assert np.isnan(outputs["residual"][0])
    assert outputs["duty"][0] > 0.0


def published_residual(name: str) -> Any:
    with gzip.open(SHARED / f"{name}.dat.gz") as file:
        table = np.loadtxt(file)
    table = table.T if table.shape[0] == 52 else table
    columns = {"reactor": table[:, 8], "outlet": table[:, 20], "level": table[:, 7], "valve": table[:, 41 + 9]}
    return reactor_cooling.function(columns, np.full(len(table), 180.0))["residual"]


def in_a_row(residual: Any, limit: float = 2.5) -> Any:
    beyond = np.abs(residual) > limit
    return beyond[1:] & beyond[:-1]


@needs_shared
@pytest.mark.parametrize(
    "name", ["d00", "d00_te", "d01_te", "d02_te", "d03_te", "d05_te", "d08_te", "d10_te", "d12_te"]
)
def test_residual_stays_within_its_limit_on_published_data_without_a_cooling_fault(name: str) -> None:
    residual = published_residual(name)
    assert abs(residual.mean()) < 0.1
    assert not in_a_row(residual).any()


@needs_shared
@pytest.mark.parametrize(("name", "share"), [("d04_te", 1.0), ("d14_te", 0.75), ("d11_te", 0.45)])
def test_residual_finds_published_cooling_faults(name: str, share: float) -> None:
    residual = published_residual(name)
    assert not in_a_row(residual[:160]).any()
    assert in_a_row(residual[160:]).mean() >= share
