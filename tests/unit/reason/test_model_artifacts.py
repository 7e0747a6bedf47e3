"""Every wrong artifact has a clear reason; units of FMUs; ONNX against NumPy; FMUs against FMPy's own simulation."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gongfu.reason.models.kinds.fmi.units import Definition, ucum
from gongfu.reason.models.kinds.loading import load
from gongfu.reason.models.kinds.types import KindError
from gongfu.reason.models.sandbox.checking import DescriptionError, checked
from gongfu.reason.models.sandbox.types import Description, PortFact, Rows
from tests.fixtures.fmus import Fmus

SECOND = 10**9


def rows(columns: dict[str, Any], times: Any) -> Rows:
    given = {name: np.asarray(column, dtype=float) for name, column in columns.items()}
    n = len(times)
    return Rows(np.array([1]), np.array([0, n]), np.asarray(times, dtype=np.int64), given, np.ones(n), [None])


def reason_of(kind: str, artifact: Path, tmp_path: Path, parameters: dict[str, float] | None = None) -> str:
    with pytest.raises(KindError) as caught:
        load(kind, artifact, parameters or {}, tmp_path / "scratch")
    assert caught.value.reason == "refused", caught.value.detail
    return caught.value.detail


def repacked(fmu: Path, target: Path, **changes: Any) -> Path:
    """Copy an FMU; ``changes``: members by name with bytes, or None to leave one out ("/" is written "__")."""
    with zipfile.ZipFile(fmu) as source, zipfile.ZipFile(target, "w") as out:
        for name in source.namelist():
            change = changes.get(name.replace("/", "__").replace(".", "_").replace("-", "_"), source.read(name))
            if change is not None:
                out.writestr(name, change(source.read(name)) if callable(change) else change)
    return target


def test_a_file_that_is_no_fmu(fmus: Fmus, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"MZ this is no zip")
    assert "no readable zip" in reason_of("fmu", wrong, tmp_path)
    with zipfile.ZipFile(wrong, "w") as out:
        out.writestr("readme.txt", "hello")
    assert "no modelDescription.xml" in reason_of("fmu", wrong, tmp_path)
    good = fmus("tank2")
    assert "cannot be read" in reason_of("fmu", repacked(good, wrong, modelDescription_xml=b"<a"), tmp_path)
    version = repacked(good, wrong, modelDescription_xml=lambda data: data.replace(b'"2.0"', b'"1.0"', 1))
    assert "FMI version '1.0'" in reason_of("fmu", version, tmp_path)
    invalid = repacked(good, wrong, modelDescription_xml=lambda data: data.replace(b"causality", b"casualty"))
    assert "not valid" in reason_of("fmu", invalid, tmp_path)
    bomb = repacked(good, wrong, modelDescription_xml=b'<!DOCTYPE x [<!ENTITY a "a">]><x>&a;</x>')
    assert "cannot be read" in reason_of("fmu", bomb, tmp_path)


def test_an_fmu_without_a_binary_that_runs_here(fmus: Fmus, tmp_path: Path) -> None:
    wrong, good = tmp_path / "wrong", fmus("tank2")
    assert "no binary for Linux" in reason_of("fmu", repacked(good, wrong, binaries__linux64__Tank_so=None), tmp_path)
    garbage = repacked(good, wrong, binaries__linux64__Tank_so=b"\x7fELF garbage")
    detail = reason_of("fmu", garbage, tmp_path)
    assert "cannot be loaded" in detail
    assert str(tmp_path) not in detail
    other = repacked(
        good, wrong, modelDescription_xml=lambda data: data.replace(b'modelIdentifier="Tank"', b'modelIdentifier="T"')
    )
    assert "no binaries/linux64/T.so" in reason_of("fmu", other, tmp_path)
    assert "no parameter 'volume'; it has area" in reason_of("fmu", good, tmp_path, {"volume": 1.0})
    assert "not there" in reason_of("fmu", tmp_path / "nowhere", tmp_path)


def test_variables_that_are_no_ports_and_names_that_are_no_identifiers(fmus: Fmus, tmp_path: Path) -> None:
    described = load("fmu", fmus("odd"), {}, tmp_path).description
    assert [port.name for port in described.inputs] == ["variable", "pump_1"]
    assert [port.name for port in described.outputs] == ["der_x"]
    assert "泵.流量" in described.inputs[0].description
    assert "input text (String), input many (array)" in described.warnings[0]


@pytest.mark.parametrize(
    ("name", "definition", "code", "warned"),
    [
        ("degC", Definition({"K": 1}, 1.0, 273.15), "Cel", False),
        ("rpm", None, "/min", False),
        ("m3/h", Definition({"m": 3, "s": -1}, 1 / 3600, 0.0), "m3/h", False),
        ("W/(m2.K)", Definition({"kg": 1, "s": -3, "K": -1}, 1.0, 0.0), "W/(m2.K)", False),
        ("m/s^2", Definition({"m": 1, "s": -2}, 1.0, 0.0), "m/s2", False),
        ("bar", Definition({"m": 1}, 1.0, 0.0), "m", True),
        ("metre", Definition({"m": 1}, 1.0, 0.0), "m", True),
        ("furlong per fortnight", Definition({"m": 1, "s": -1}, 1.66e-4, 0.0), "1", True),
        ("牛", None, "1", True),
        ("-", None, "1", False),
    ],
)
def test_units_of_fmus(name: str, definition: Definition | None, code: str, warned: bool) -> None:
    found, warning = ucum(name, definition)
    assert (found, bool(warning)) == (code, warned), warning


def test_a_description_is_bounded_and_its_units_are_ucum() -> None:
    wild = Description(kind="fmu", outputs=(PortFact("y", "furlongs", "x" * 9000),), name="n" * 9000)
    found = checked(wild)
    assert (found.outputs[0].unit, len(found.outputs[0].description), len(found.name)) == ("1", 300, 200)
    assert "furlongs" in found.warnings[0]
    for wrong in (
        Description(kind="python", outputs=(PortFact("y", "furlongs"),)),
        Description(kind="fmu", outputs=(PortFact("y y", "1"),)),
        Description(kind="fmu", outputs=(PortFact("y", "1"), PortFact("y", "1"))),
        Description(kind="fmu", outputs=tuple(PortFact(f"y{index}", "1") for index in range(501))),
        Description(kind="fmu"),
    ):
        with pytest.raises(DescriptionError):
            checked(wrong)


@pytest.mark.parametrize("name", ["tank2", "tank3"])
def test_an_fmu_gives_what_fmpy_gives(fmus: Fmus, tmp_path: Path, name: str) -> None:
    from fmpy import simulate_fmu

    n = 20
    inflow = np.where(np.arange(n) < 10, 1.0, 3.0)
    table = np.array(
        [(index * 0.5, value, False) for index, value in enumerate(inflow)],
        dtype=[("time", float), ("inflow", float), ("boost", bool)],
    )
    expected = simulate_fmu(
        str(fmus(name)), stop_time=n * 0.5, output_interval=0.5, input=table, start_values={"area": 1.5},
        output=["level", "high", "steps"],
    )  # fmt: skip
    model = load("fmu", fmus(name), {"area": 1.5}, tmp_path)
    times = np.arange(n) * SECOND // 2
    found = model.evaluate(rows({"inflow": inflow, "boost": np.zeros(n)}, times), False).columns
    # A row's inputs hold over the step that ends at the row; FMPy's over the step that begins at them.
    for port in ("level", "high", "steps"):
        np.testing.assert_allclose(found[port][:9], expected[port][1:10].astype(float), rtol=1e-12)
        np.testing.assert_allclose(found[port][-1], float(expected[port][n]), rtol=1e-12)


def test_model_exchange_follows_the_exact_solution_through_its_events(fmus: Fmus, tmp_path: Path) -> None:
    model = load("fmu", fmus("ball3"), {}, tmp_path)
    assert model.description.facts["interface"] == "model exchange"
    at = np.linspace(0, 0.9, 19)
    found = model.evaluate(rows({"push": np.zeros(19)}, (at * SECOND).astype(np.int64)), False).columns
    hit = np.sqrt(2 / 9.81)
    speed = 0.6 * 9.81 * hit
    expected = np.where(at < hit, 1 - 9.81 / 2 * at**2, speed * (at - hit) - 9.81 / 2 * (at - hit) ** 2)
    np.testing.assert_allclose(found["h"], expected, atol=1e-4)
    np.testing.assert_array_equal(found["bounces"], at > hit)


def test_a_row_with_a_nan_is_not_shown_to_an_fmu(fmus: Fmus, tmp_path: Path) -> None:
    model = load("fmu", fmus("tank2"), {}, tmp_path)
    inflow = [1.0, np.nan, 1.0, np.inf, 1.0]
    found = model.evaluate(rows({"inflow": inflow, "boost": np.zeros(5)}, np.arange(5) * SECOND), False).columns
    assert np.isnan(found["level"]).tolist() == [False, True, False, True, False]
    assert found["steps"][4] == 3


def onnx_file(path: Path, node: Any, inputs: list[Any], outputs: list[Any], **metadata: str) -> Path:
    onnx = pytest.importorskip("onnx", reason="the package onnx, which makes the models of the tests, is not installed")
    graph = onnx.helper.make_graph([node], "pump", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())
    return path


def test_onnx_by_columns_and_by_matrix(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    values = [helper.make_tensor_value_info(name, real, ["n", 1]) for name in "abc"]
    sums = onnx_file(
        tmp_path / "sum.onnx", helper.make_node("Add", ["a", "b"], ["c"]), values[:2], values[2:], units='{"a": "kW"}'
    )
    model = load("onnx", sums, {}, tmp_path)
    assert [(port.name, port.unit) for port in model.description.inputs] == [("a", "kW"), ("b", "1")]
    found = model.evaluate(rows({"a": [1, 2, np.nan], "b": [10, 20, 30]}, range(3)), False).columns["c"]
    np.testing.assert_array_equal(found, [11, 22, np.nan])
    wide = helper.make_tensor_value_info("x", onnx.TensorProto.DOUBLE, ["n", 3])
    out = helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, ["n", 3])
    named = onnx_file(
        tmp_path / "neg.onnx", helper.make_node("Neg", ["x"], ["y"]), [wide], [out], input_columns="flow, head, 泵"
    )
    model = load("onnx", named, {}, tmp_path)
    assert [port.name for port in model.description.inputs] == ["flow", "head", "column"]
    assert [port.name for port in model.description.outputs] == ["y_1", "y_2", "y_3"]
    found = model.evaluate(rows({"flow": [1, 2], "head": [3, 4], "column": [5, 6]}, range(2)), False).columns
    assert (found["y_1"].tolist(), found["y_3"].tolist()) == ([-1, -2], [-5, -6])


def test_wrong_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT

    def value(name: str, shape: list[Any], kind: int = real) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"\x00garbage")
    assert "not an ONNX model" in reason_of("onnx", wrong, tmp_path)

    def of(node: Any, inputs: list[Any], outputs: list[Any], **metadata: str) -> str:
        return reason_of("onnx", onnx_file(wrong, node, inputs, outputs, **metadata), tmp_path)

    negation = helper.make_node("Neg", ["x"], ["y"])
    unknown = helper.make_node("Frobnicate", ["x"], ["y"])
    assert "Frobnicate" in of(unknown, [value("x", ["n"])], [value("y", ["n"])])
    assert "shape" in of(negation, [value("x", ["n", 2, 3])], [value("y", ["n", 2, 3])])
    assert "not fixed" in of(negation, [value("x", ["n", "k"])], [value("y", ["n", "k"])])
    assert "7 rows at a time" in of(negation, [value("x", [7, 2])], [value("y", [7, 2])])
    assert "2 names" in of(negation, [value("x", ["n", 3])], [value("y", ["n", 3])], input_columns="a,b")
    text = onnx.TensorProto.STRING
    identity = helper.make_node("Identity", ["x"], ["y"])
    assert "type is tensor(string)" in of(identity, [value("x", ["n"], text)], [value("y", ["n"], text)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nothing_like_this", "ModuleNotFoundError"),
        ("x = 1\ndef f(:\n", "line 2"),
        ("x = 1", "declares no model"),
        (
            "from gongfu.appkit.contract import model\n@model(id='A', version='1', inputs=[], outputs=[])\ndef f(): 1",
            "wrongly",
        ),
        (
            "from gongfu.appkit.contract import model, Port\np = [Port('x', '1')]\n"
            "@model(id='a', version='1.0.0', inputs=p, outputs=p)\ndef f(columns): ...",
            "takes (columns, dt)",
        ),
        (
            "from gongfu.appkit.contract import model, Port\np = [Port('x', '1')]\n"
            "for i in 'ab':\n    globals()[i] = model(id=i, version='1.0.0', inputs=p, outputs=p)(lambda c, dt: c)",
            "2 models (a, b)",
        ),
    ],
)
def test_wrong_python(tmp_path: Path, text: str, reason: str) -> None:
    artifact = tmp_path / "model"
    artifact.write_text(text)
    assert reason in reason_of("python", artifact, tmp_path)


def test_a_python_model_may_be_a_zip_of_a_package(tmp_path: Path) -> None:
    artifact = tmp_path / "artifact"
    with zipfile.ZipFile(artifact, "w") as out:
        out.writestr("MODEL", "models/double.py\n")
        out.writestr("factor.py", "FACTOR = 2.0\n")
        out.writestr(
            "models/double.py",
            "from gongfu.appkit.contract import model, Port\nfrom ..factor import FACTOR\n"
            "@model(id='a', version='1.0.0', inputs=[Port('x', '1')], outputs=[Port('y', '1')])\n"
            "def f(columns, dt):\n    return {'y': columns['x'] * FACTOR}\n",
        )
    model = load("python", artifact, {}, tmp_path)
    assert model.evaluate(rows({"x": [1.0, 2.0]}, range(2)), False).columns["y"].tolist() == [2.0, 4.0]
    with zipfile.ZipFile(artifact, "w") as out:
        out.writestr("MODEL", "../../etc/passwd")
    assert "no Python file of the zip" in reason_of("python", artifact, tmp_path)
