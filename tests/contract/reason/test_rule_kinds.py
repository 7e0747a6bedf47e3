"""Rules that need several points or another unit: refused, taken and told at definition; owners; files."""

from typing import Any

import pytest
from sqlalchemy import Engine

from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.reason.compiler import Compiler
from gongfu.reason.rules.documents import write_rules
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.service import RuleService
from gongfu.reason.rules.types import Kind
from gongfu.store.twins.latest import Twins
from tests.contract.reason.plant import Plant, body

PATTERN = {"expression": 'temp > 1 and "pump/flow" < 2'}


@pytest.fixture
def plant(records: Engine) -> Plant:
    found = Plant(records)
    found.point("plant/kiln", "temp", unit="Cel")
    found.point("plant/kiln/pump", "flow", unit="m3/h")
    found.point("plant/mill", "temp", unit="K")
    found.point("plant/mill", "state", ValueType.STRING)
    return found


@pytest.fixture
def rules(plant: Plant) -> RuleService:
    return RuleService(plant.engine, plant.clock, lambda change: None)


def pattern(**changes: Any) -> Any:
    return body(kind=Kind.PATTERN, point="", condition=PATTERN, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"kind": Kind.PATTERN, "point": "", "condition": {"expression": "temp > 1 and level > 2"}},
            "no point 'level'",
        ),
        ({"kind": Kind.PATTERN, "point": "", "condition": {"expression": "state > 1"}}, "position 1: .* holds text"),
        (
            {"kind": Kind.PATTERN, "point": "", "condition": {"expression": 'temp > "pump/flow"'}},
            "position 6: 'temp' in",
        ),
        ({"kind": Kind.PATTERN, "point": "state", "condition": PATTERN}, "'state' is not in the pattern"),
        ({"unit": "bar"}, "cannot be converted"),
        ({"unit": "degrees"}, "UCUM"),
        ({"unit": "s", "kind": Kind.ABSENCE, "condition": {"timeout_s": 3}}, "no limit with a unit"),
        ({"point": ""}, "name a point"),
        ({"lateness_s": -1}, "lateness_s"),
    ],
)
def test_what_does_not_fit_is_refused(rules: RuleService, plant: Plant, changes: Any, words: str) -> None:
    with pytest.raises(Problem, match=words):
        rules.create(plant.subject(), body(**changes))


def test_what_fits_some_is_taken_and_tells_of_the_others(rules: RuleService, plant: Plant) -> None:
    made, state = rules.create(plant.subject(), pattern())
    assert state.series == 1
    assert "1 left out" in state.error
    assert "'plant/mill' has no point 'pump/flow'" in state.error
    program = Compiler(plant.engine).rules()
    assert program.errors(None)[made.id] == state.error
    (assignment,) = program.assignments()
    engine = RuleEngine()
    engine.assign([assignment], Twins(), 0)
    assert engine.status()[made.id].series == 1
    plant.delete_point(2)
    after = Compiler(plant.engine).rules()
    assert "points were deleted" in after.errors(program)[made.id]
    engine.assign(after.assignments(), Twins(), 0)
    assert engine.rules.keys() == {made.id}


def test_a_limit_in_another_unit(rules: RuleService, plant: Plant) -> None:
    _, state = rules.create(plant.subject(), body(unit="[degF]", condition={"direction": "above", "limit": 212}))
    assert (state.series, state.error) == (2, "")
    (assignment,) = Compiler(plant.engine).rules().assignments()
    assert assignment.factor is not None
    assert assignment.factor.tolist() == [pytest.approx(1.8), pytest.approx(1.8)]


def test_siblings_in_several_partitions_are_told(rules: RuleService, plant: Plant) -> None:
    for number in range(8):
        plant.point(f"line/m{number}", "speed", unit="/min")
    condition = {"against": "median", "direction": "above", "limit": 3}
    made, state = rules.create(
        plant.subject(), body(kind=Kind.DEVIATION, asset="line/*", point="speed", condition=condition)
    )
    assert state.series == 8
    errors = Compiler(plant.engine, 0, 4).rules().errors(None)
    assert "partitions above 1" in errors[made.id]


def test_rules_of_an_app(rules: RuleService, plant: Plant) -> None:
    subject = plant.subject()
    mine, _ = rules.create(subject, body())
    first, _ = rules.put(subject, body(), "app:pumps")
    assert (first.owner, first.id == mine.id) == ("app:pumps", False)
    again, _ = rules.put(subject, body(point="te*"), "app:pumps")
    assert (again.id, again.point) == (first.id, "te*")
    rules.put(subject, body(name="other"), "app:pumps")
    with pytest.raises(Problem, match="belongs to app:pumps"):
        rules.remove(subject, first.id)
    assert rules.remove_owned(subject, "app:pumps", keep={"other"}) == 1
    assert [rule.name for rule in rules.owned(subject, "app:pumps")] == ["other"]
    assert rules.get(subject, mine.id).owner == ""


def test_a_file_is_applied_whole_or_not_at_all(rules: RuleService, plant: Plant) -> None:
    subject = plant.subject()
    file = [body(), pattern(name="pattern")]
    dry = rules.apply(subject, file, dry_run=True)
    assert [item.change for item in dry.items] == ["created", "created"]
    assert rules.bodies(subject) == []
    assert [item.change for item in rules.apply(subject, file).items] == ["created", "created"]
    assert [item.change for item in rules.apply(subject, file).items] == ["unchanged", "unchanged"]
    file[0] = body(point="t*")
    assert [item.change for item in rules.apply(subject, file).items] == ["updated", "unchanged"]
    with pytest.raises(Problem, match="rule 'bad': unit"):
        rules.apply(subject, [body(point="temp"), body(name="bad", unit="bar")])
    assert rules.bodies(subject)[0].point == "t*"
    assert "pattern" in write_rules(rules.bodies(subject))
