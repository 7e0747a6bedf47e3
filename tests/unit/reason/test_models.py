"""Models: rows of inputs to points of outputs: quality, units, errors; declarations and bindings."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gongfu.appkit.catalogue import find_models, models_in
from gongfu.appkit.contract import Column, ModelDefinition, ModelDefinitionError, Port, model
from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from gongfu.kernel.times import SECOND
from gongfu.kernel.units import Conversion, check_unit
from gongfu.reason.models.binding import PointFound, check_inputs
from gongfu.reason.models.executor import InProcess
from gongfu.reason.models.placement import Placement
from gongfu.reason.models.rows import Routes, joined
from gongfu.reason.models.sampling import Sampler, Sampling
from gongfu.reason.models.sandbox.types import ModelFailure
from gongfu.reason.models.scopes import Scope
from gongfu.reason.models.spec import spec_of

SAME = Conversion(1.0, 0.0)


def declared(function: Any, tolerance_s: float = 0.0, outputs: tuple[str, ...] = ("sum",)) -> ModelDefinition:
    return model(
        id="test.sum",
        version="1.0.0",
        inputs=[Port("a", "K"), Port("b", "K")],
        outputs=[Port(name, "K") for name in outputs],
        tolerance_s=tolerance_s,
    )(function)


def add(columns: Mapping[str, Column], dt: Column) -> Mapping[str, Column]:
    return {"sum": columns["a"] + columns["b"]}


class Runner:
    """One model at one asset, as a run computes it, but in this process."""

    def __init__(self, definition: ModelDefinition, conversion: Conversion = SAME) -> None:
        self.sampler = Sampler(2, Sampling.of(spec_of(definition)))
        self.sampler.grow(1)
        results = [port.name for port in definition.outputs]
        self.routes = Routes([placement(conversion, len(results))], {7: 0}, ["a", "b"], results)
        self.executor = InProcess(definition)

    def run(self, block: Block) -> Columns | None:
        points = self.routes.points(block)
        sets = None if points is None else self.sampler.take(points)
        if sets is None:
            return None
        sets, order = joined([sets])
        assert order.tolist() == list(range(len(order)))
        outcome = asyncio.run(self.executor.evaluate(self.routes.rows(sets, [None])))
        return self.routes.outputs(sets, outcome.columns)


def runner(definition: ModelDefinition, conversion: Conversion = SAME) -> Runner:
    return Runner(definition, conversion)


def placement(conversion: Conversion, results: int) -> Placement:
    scope = Scope(1, 1, "test.sum", "", 7, "plant", "", "", {}, {}, False)
    return Placement(
        scope,
        np.array([7]),
        ["plant"],
        np.zeros(1, dtype=np.uint8),
        [""],
        "",
        np.array([0]),
        np.array([[10, 20]]),
        np.array([[30 + n for n in range(results)]]),
        np.array([[conversion.factor, 1.0]]),
        np.array([[conversion.offset, 0.0]]),
        np.ones((1, results)),
        np.zeros((1, results)),
    )


def block(*rows: tuple[int, int, float], quality: int = 0) -> Block:
    series, times, values = zip(*rows, strict=True)
    columns = Columns(
        np.array(series, dtype=np.uint32),
        np.array(times, dtype=np.int64),
        np.full(len(rows), quality, dtype=np.uint8),
        np.array(values, dtype=np.float64),
    )
    return Block(1, 0, {ValueType.DOUBLE: columns})


def told(columns: Columns | None) -> list[tuple[int, float]]:
    if columns is None:
        return []
    return list(zip(columns.times.tolist(), np.asarray(columns.values).tolist(), strict=True))


def test_a_set_is_complete_when_all_inputs_have_the_time() -> None:
    found = runner(declared(add))
    assert told(found.run(block((10, 1, 1.0), (10, 2, 2.0), (99, 1, 0.0), (5_000_000, 1, 0.0)))) == []
    assert told(found.run(block((20, 2, 20.0)))) == [(2, 22.0)]
    assert told(found.run(block((20, 1, 10.0)))) == []  # older than what was evaluated
    assert told(found.run(block((10, 3, 3.0), (20, 4, 40.0)))) == []
    assert told(found.run(block((20, 3, 30.0), (10, 4, 4.0)))) == [(3, 33.0), (4, 44.0)]
    assert found.sampler.incomplete.tolist() == [1]


def test_with_tolerance_the_last_known_sample_serves() -> None:
    found = runner(declared(add, tolerance_s=2.0))
    assert told(found.run(block((10, SECOND, 1.0)))) == []
    assert told(found.run(block((20, 2 * SECOND, 10.0), (20, 3 * SECOND, 20.0), (20, 4 * SECOND, 30.0)))) == [
        (2 * SECOND, 11.0),
        (3 * SECOND, 21.0),
    ]


def test_dt_is_the_time_between_sets() -> None:
    seen: list[float] = []

    def note(columns: Mapping[str, Column], dt: Column) -> Mapping[str, Column]:
        seen.extend(dt.tolist())
        return add(columns, dt)

    found = runner(declared(note))
    found.run(block((10, SECOND, 1.0), (20, SECOND, 1.0), (10, 3 * SECOND, 1.0), (20, 3 * SECOND, 1.0)))
    found.run(block((10, 4 * SECOND, 1.0), (20, 4 * SECOND, 1.0)))
    assert np.isnan(seen[0])
    assert seen[1:] == [2.0, 1.0]


def test_bad_in_bad_out_and_a_result_that_is_no_number() -> None:
    found = runner(declared(lambda columns, dt: {"sum": columns["a"] / columns["b"]}))
    found.run(block((20, 1, 1.0), (20, 2, 0.0), (20, 3, 1.0)))
    bad = found.run(block((10, 1, 1.0), quality=Quality.BAD_DEVICE))
    assert bad is not None
    assert bad.qualities.tolist() == [Quality.BAD]
    infinite = found.run(block((10, 2, 1.0)))
    assert infinite is not None
    assert infinite.qualities.tolist() == [Quality.BAD_NOT_A_NUMBER]
    uncertain = found.run(block((10, 3, 1.0), quality=Quality.UNCERTAIN_CLOCK))
    assert uncertain is not None
    assert uncertain.qualities.tolist() == [Quality.UNCERTAIN]


def test_units_are_converted_before_the_call() -> None:
    found = runner(declared(add), Conversion(1.0, 273.15))
    assert told(found.run(block((10, 1, 0.0), (20, 1, 0.0)))) == [(1, 273.15)]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda columns, dt: 1 / 0, "ZeroDivisionError"),
        (lambda columns, dt: None, "NoneType"),
        (lambda columns, dt: {"other": columns["a"]}, "no column sum"),
        (lambda columns, dt: {"sum": columns["a"][:0]}, "shape"),
        (lambda columns, dt: {"sum": 1.0}, "shape"),
        (lambda columns, dt: {"sum": ["x"]}, "ValueError"),
        (lambda columns, dt: columns["a"].sort(), "ValueError"),
    ],
)
def test_what_a_model_does_wrong_is_told(function: Any, words: str) -> None:
    with pytest.raises(ModelFailure, match=words):
        runner(declared(function)).run(block((10, 1, 1.0), (20, 1, 1.0)))


def test_a_declaration_that_makes_no_sense_says_why() -> None:
    with pytest.raises(ModelDefinitionError, match="twice"):
        model(id="a", version="1.0.0", inputs=[Port("x", "1"), Port("x", "1")], outputs=[Port("y", "1")])(add)
    with pytest.raises(ModelDefinitionError, match="version"):
        model(id="a", version="1", inputs=[Port("x", "1")], outputs=[Port("y", "1")])(add)
    with pytest.raises(ModelDefinitionError, match="pure number"):
        Port("x", "")


def test_inputs_are_checked_when_they_are_bound() -> None:
    definition = declared(add)
    found = {"a": PointFound(1, "Cel", ValueType.DOUBLE), "t": PointFound(2, "bar", ValueType.DOUBLE)}
    good = check_inputs(definition, {}, found, assume_units=False)
    assert (good.bound[0].conversion.offset, good.refused) == (273.15, [])
    assert good.missing == ["input b: there is no point 'b' yet"]
    bar = check_inputs(definition, {"b": "t"}, found, assume_units=False)
    assert len(bar.refused) == 1
    assert "bar cannot be converted to K" in bar.refused[0]
    found["b"] = PointFound(3, "", ValueType.DOUBLE)
    assert "declares no unit" in check_inputs(definition, {}, found, assume_units=False).refused[0]
    assert check_inputs(definition, {}, found, assume_units=True).bound[1].conversion.identity
    found["b"] = PointFound(3, "K", ValueType.STRING)
    assert "holds string" in check_inputs(definition, {}, found, assume_units=True).refused[0]


def test_models_of_the_node_have_ucum_units() -> None:
    models = find_models()
    assert models
    for definition in models.values():
        for port in (*definition.inputs, *definition.outputs):
            check_unit(port.unit)


def test_models_are_found_in_a_module() -> None:
    module = type(pytest)("module")
    module.one = declared(add)
    assert [definition.id for definition in models_in(module)] == ["test.sum"]
