"""SQL models by the clock: what a binding leaves out has its default, and what came of the statements is told."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from gongfu.bus.ownership import Sole
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SECOND
from gongfu.reason.models.sandbox.types import Column
from gongfu.reason.models.spec import Kind, ModelSpec, Parameter
from gongfu.reason.models.sql.runner import PeriodicModels, Periods, SqlModels
from gongfu.reason.models.sql.statement import bound_statement, columns_of, statement_of
from gongfu.reason.models.streaming.telling import period_state
from gongfu.reason.models.types import Port
from gongfu.reason.outputs import ModelOutputs
from tests.unit.reason.test_model_streaming import Keep, placement

SPEC = ModelSpec(
    id="test.sql",
    version="1.0.0",
    kind=Kind.SQL,
    outputs=(Port("sum", "K"), Port("rate", "K/s")),
    parameters=(Parameter(name="limit", default=3.0),),
    step_s=10.0,
)
TEXT = "SELECT :limit AS sum, null AS rate FROM points WHERE asset = :asset"


class Answers(SqlModels):
    """A history in which p1 has no column ``rate``, and all others have one row."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ask(
        self, tenant: int, spec: ModelSpec, parameters: Mapping[str, float], asset: str, time_from: int, time_to: int
    ) -> tuple[Any, dict[str, Column]]:
        self.asked.append(bound_statement(spec, TEXT, asset, time_from, time_to, parameters))
        names = ["sum"] if asset == "p1" else ["sum", "rate"]
        return columns_of(spec, names, [[parameters["limit"], None]], time_to)


class Hand:
    """A clock that is set by hand."""

    now = 5 * SECOND

    def now_ns(self) -> int:
        return self.now


async def test_a_binding_has_the_defaults_and_tells_what_came_of_its_statements() -> None:
    keep, clock, counters, answers = Keep(), Hand(), Counters(), Answers()
    outputs = ModelOutputs(keep, counters, Sole())
    models = PeriodicModels(answers, outputs, create_engine("sqlite://"), 1, counters, clock)
    bound = {1: (SPEC, placement())}
    await models.run(bound)
    assert answers.asked == []
    clock.now = 11 * SECOND
    await models.run(bound)
    await outputs.settle()
    assert answers.asked[0] == "SELECT 3.0 AS sum, null AS rate FROM points WHERE asset = 'p0'"
    assert [(series, time, value) for series, time, value, _ in keep.points() if series in (51, 53, 55)] == [
        (51, 10 * SECOND, 3.0),
        (55, 10 * SECOND, 3.0),
    ]
    state = period_state(SPEC, placement(), models.periods[1])
    assert (state.status, state.evaluated, state.failed, state.not_numbers) == ("failing", 2, 1, 2)
    assert "p1" in state.error
    assert "no column 'rate'" in state.error
    assert (state.assets["failing"], state.version, state.last_at) == (1, "1.0.0", 10 * SECOND)
    await models.run({})
    assert models.periods == {}


def test_a_binding_whose_statements_are_not_due_yet_runs() -> None:
    state = period_state(SPEC, placement(), Periods())
    assert (state.status, state.error, state.evaluated) == ("running", "", 0)


def test_a_statement_is_text() -> None:
    assert statement_of(SPEC, b"SELECT 1") == "SELECT 1"
    with pytest.raises(Problem, match="not UTF-8"):
        statement_of(SPEC, b"\xff\xfe")
    assert np.isnan(columns_of(SPEC, ["sum", "rate"], [[1, None]], 0)[1]["rate"]).all()
