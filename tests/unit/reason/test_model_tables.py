"""Table models against slow references, and every wrong document with a clear reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.reason.models.kinds.loading import load
from gongfu.reason.models.kinds.tables.decision import DecisionTable
from gongfu.reason.models.kinds.tables.document import Axis, Decision, DecisionRule, Hit, Lookup, Method, Outside
from gongfu.reason.models.kinds.tables.lookup import LookupTable
from gongfu.reason.models.kinds.types import KindError
from gongfu.reason.models.sandbox.types import Rows

axis = st.lists(st.floats(-100, 100, width=16), min_size=2, max_size=5, unique=True).map(sorted)
number = st.floats(-150, 150, width=16)


def one_dimension(at: list[float], values: list[float], x: float, method: Method, outside: Outside) -> float:
    if x < at[0] or x > at[-1]:
        if outside is Outside.NAN:
            return float("nan")
        if outside is Outside.HOLD:
            x = min(max(x, at[0]), at[-1])
    if method is Method.LINEAR and outside is not Outside.EXTRAPOLATE:
        return float(np.interp(x, at, values))
    cell = max(index for index in range(len(at) - 1) if index == 0 or at[index] <= x)
    part = (x - at[cell]) / (at[cell + 1] - at[cell])
    if method is Method.PREVIOUS:
        return values[cell + (part >= 1)]
    if method is Method.NEAREST:
        return values[cell + (part >= 0.5)]
    return values[cell] + part * (values[cell + 1] - values[cell])


@given(axis, axis, st.data(), st.sampled_from(list(Method)), st.sampled_from(list(Outside)))
def test_a_look_up_in_two_dimensions_is_one_dimension_after_the_other(
    first: list[float], second: list[float], data: st.DataObject, method: Method, outside: Outside
) -> None:
    if outside is Outside.EXTRAPOLATE and method is not Method.LINEAR:
        outside = Outside.HOLD
    cells = st.lists(st.floats(-10, 10, width=16), min_size=len(second), max_size=len(second))
    values = data.draw(st.lists(cells, min_size=len(first), max_size=len(first)))
    asked = data.draw(st.lists(st.tuples(number, number), min_size=1, max_size=5))
    table = LookupTable(Lookup("z", [Axis("x", first), Axis("y", second)], values, outside, method))
    known = {"x": np.array([x for x, _ in asked]), "y": np.array([y for _, y in asked])}
    found = table.evaluate(known)["z"]
    for (x, y), result in zip(asked, found, strict=True):
        rows = [one_dimension(second, row, y, method, outside) for row in values]
        expected = one_dimension(first, rows, x, method, outside)
        assert result == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def test_a_look_up_with_a_hole_or_a_nan_says_nan_only_there() -> None:
    table = LookupTable(Lookup("z", [Axis("x", [0, 1, 2])], [1.0, 2.0, float("nan")], Outside.NAN))
    found = table.evaluate({"x": np.array([0.0, 1.0, 1.5, np.nan, 3.0])})["z"]
    assert found[:2].tolist() == [1.0, 2.0]
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize(
    ("hit", "expected"),
    [
        (Hit.FIRST, [1.0, 1.0, 2.0, 9.0]),
        (Hit.UNIQUE, [1.0, np.nan, 2.0, 9.0]),
        (Hit.SUM, [1.0, 3.0, 2.0, 9.0]),
        (Hit.MINIMUM, [1.0, 1.0, 2.0, 9.0]),
        (Hit.MAXIMUM, [1.0, 2.0, 2.0, 9.0]),
    ],
)
def test_a_decision_follows_its_hit_policy(hit: Hit, expected: list[float]) -> None:
    rules = [DecisionRule({"t": "0..<20"}, {"state": 1.0}), DecisionRule({"t": "10..30"}, {"state": 2.0})]
    table = DecisionTable(Decision(["state"], rules, {"state": 9.0}, hit))
    found = table.evaluate({"t": np.array([5.0, 15.0, 30.0, 31.0, np.nan])})["state"]
    np.testing.assert_array_equal(found, [*expected, np.nan])


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        *((">= 2", [2, 3]), ("<2", [0, 1]), ("!= 1", [0, 2, 3]), ("= 3", [3]), ([0, 3], [0, 3]), (1, [1])),
        *(("-", [0, 1, 2, 3]), ("1..2", [1, 2]), ("1..<2", [1])),
    ],
)
def test_conditions(text: Any, hits: list[int]) -> None:
    table = DecisionTable(Decision(["y"], [DecisionRule({"x": text}, {"y": 1.0})], {"y": 0.0}))
    found = table.evaluate({"x": np.arange(4.0)})["y"]
    assert np.flatnonzero(found).tolist() == hits


CSV = """\ufeff# outside: hold
# method: linear
in:flow [m3/h],in:speed [/min],out:head [m],out:power [kW]
0,1000,10,1
0,2000,40,2
10,1000,8,3
10,2000,32,4
"""


def test_a_csv_grid_becomes_a_look_up_for_each_output(tmp_path: Path) -> None:
    artifact = tmp_path / "pump.csv"
    artifact.write_text(CSV)
    model = load("table", artifact, {}, tmp_path)
    assert [(port.name, port.unit) for port in model.description.inputs] == [("flow", "m3/h"), ("speed", "/min")]
    columns = {"flow": np.array([5.0, 20.0]), "speed": np.array([1500.0, 1000.0])}
    rows = Rows(np.array([1]), np.array([0, 2]), np.arange(2), columns, np.ones(2), [None])
    found = model.evaluate(rows, False).columns
    assert found["head"].tolist() == [22.5, 8.0]
    assert found["power"].tolist() == [2.5, 3.0]


LOOKUP = {"table": "lookup", "gives": "y", "axes": [{"input": "x", "at": [0, 1]}], "values": [0, 1], "outside": "nan"}
DOCUMENT = {"inputs": [{"name": "x"}], "outputs": [{"name": "y"}], "tables": [LOOKUP]}


def changed(**members: Any) -> str:
    return json.dumps(DOCUMENT | {"tables": [LOOKUP | members]})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "neither JSON nor a CSV"),
        ("{", "no JSON"),
        ('{"inputs": 3}', "inputs"),
        (changed(values=[0, 1, 2]), "shape"),
        (changed(values=[[0], [1, 2]]), "no numbers"),
        (changed(axes=[{"input": "x", "at": [1, 0]}]), "ascending"),
        (changed(axes=[{"input": "q", "at": [0, 1]}]), "'q'"),
        (changed(outside="ask"), "outside"),
        (json.dumps(DOCUMENT | {"tables": [{k: v for k, v in LOOKUP.items() if k != "outside"}]}), "outside"),
        (changed(method="previous", outside="extrapolate"), "only method linear"),
        (json.dumps(DOCUMENT | {"tables": [LOOKUP, LOOKUP]}), "given by two tables"),
        (json.dumps(DOCUMENT | {"tables": []}), "no table gives"),
        (
            json.dumps(DOCUMENT | {"tables": [
                LOOKUP | {"axes": [{"input": "b", "at": [0, 1]}]},
                LOOKUP | {"gives": "b", "axes": [{"input": "y", "at": [0, 1]}]},
            ]}),
            "in a circle: y <- b <- y",
        ),
        (CSV.replace("10,2000,32,4\n", ""), "no full grid"),
        (CSV.replace("# outside: hold\n", ""), "outside"),
        (CSV.replace("32", "x"), "wrong"),
        (CSV.replace("in:flow", "flow"), "column"),
        (
            json.dumps(DOCUMENT | {"tables": [
                {"table": "decision", "gives": ["y"], "rules": [{"when": {"x": "hot"}, "then": {"y": 1}}]}
            ]}),
            "'hot'",
        ),
    ],
)  # fmt: skip
def test_a_wrong_document_is_refused_with_a_reason(tmp_path: Path, text: str, reason: str) -> None:
    artifact = tmp_path / "table"
    artifact.write_text(text)
    with pytest.raises(KindError) as caught:
        load("table", artifact, {}, tmp_path)
    assert caught.value.reason == "refused"
    assert reason in caught.value.detail
