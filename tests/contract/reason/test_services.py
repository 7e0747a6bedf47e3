"""Rules as people write them, on both databases, through the routes."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Action, Subject
from gongfu.kernel.points import ValueType
from gongfu.reason.compiler import Compiler
from gongfu.reason.rules import api as rules_api
from gongfu.reason.rules.service import RuleChange, RuleService
from gongfu.reason.rules.types import Kind, RuleBody
from gongfu.reason.status import ReasonState, RuleState
from gongfu.rest.routing import Call
from tests.contract.reason.plant import Plant, body


class Stub:
    """The worker's answer, as a test wants it: the worker itself has its own tests."""

    answer: ReasonState | None = None

    async def state(self, rules: Any = None) -> ReasonState | None:
        return self.answer


class Office:
    def __init__(self, engine: Engine) -> None:
        self.plant = Plant(engine)
        self.changes: list[RuleChange] = []
        self.worker = Stub()
        self.rules = RuleService(engine, self.plant.clock, self.changes.append)
        self.compiler = Compiler(engine)
        routes: list[Any] = [
            *rules_api.routes(self.rules, self.worker),  # type: ignore[arg-type]
        ]
        self.routes = {(route.method, route.path): route for route in routes}

    async def call(
        self, method: str, path: str, subject: Subject | None = None, document: Any = None, **parameters: str
    ) -> Any:
        route = self.routes[method, path]
        request = document
        if route.request not in (None, bytes):
            request = msgspec.convert(document, type=route.request)
        query = parameters.pop("query", {})
        answer = await route.answer(Call(subject or self.plant.subject(), parameters, query, request))
        return msgspec.to_builtins(answer)


@pytest.fixture
def office(records: Engine) -> Office:
    return Office(records)


DOCUMENT = msgspec.to_builtins(body())


async def test_life_of_a_rule(office: Office) -> None:
    office.plant.point("plant/kiln", "temp")
    office.plant.point("plant/kiln/deep", "temp")
    office.plant.point("plant/kiln", "temp", of=2)
    made = await office.call("POST", "/rules", document=DOCUMENT)
    counts = dict.fromkeys(("active", "evaluated", "withheld", "late", "bad", "waiting"), 0)
    assert made["status"] == {"series": 1, "error": "", **counts}
    key = str(made["id"])
    got = await office.call("GET", "/rules/{id}", id=key)
    assert got["status"] is None
    assert got["condition"] == {
        "direction": "above",
        "limit": 10.0,
        "deadband": 0.0,
        "delay_s": 0.0,
        "off_delay_s": 0.0,
    }
    office.worker.answer = ReasonState({key: RuleState(1, 1, 5)})
    assert (await office.call("GET", "/rules"))["items"][0]["status"]["active"] == 1
    changed = await office.call("PUT", "/rules/{id}", id=key, document={**DOCUMENT, "asset": "plant/**"})
    assert changed["status"]["series"] == 2
    stranger = office.plant.subject(of=2)
    assert (await office.call("GET", "/rules", stranger))["items"] == []
    for method, document in (("GET", None), ("PUT", DOCUMENT), ("DELETE", None)):
        with pytest.raises(Problem, match=f"rule {key}"):
            await office.call(method, "/rules/{id}", stranger, document, id=key)
    await office.call("DELETE", "/rules/{id}", id=key)
    with pytest.raises(Problem):
        await office.call("GET", "/rules/{id}", id=key)
    assert [change.change for change in office.changes] == ["created", "updated", "deleted"]
    assert {route.action for route in office.routes.values() if route.method != "GET"} == {Action.RULE_WRITE}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"condition": {"direction": "above"}}, "limit"),
        ({"condition": {"direction": "over", "limit": 1}}, "direction"),
        ({"condition": {"direction": "above", "limit": "1"}}, "limit"),
        ({"condition": {"direction": "above", "limit": 1, "delay": 3}}, "delay"),
        ({"condition": {"direction": "above", "limit": 1, "delay_s": -3}}, "delay_s"),
        ({"condition": {"direction": "above", "limit": 1, "deadband": -3}}, "deadband"),
        ({"condition": {"direction": "above", "limit": float("nan")}}, "finite"),
        ({"kind": Kind.RATE, "condition": {"direction": "above", "per_s": -1, "window_s": 1}}, "positive"),
        ({"kind": Kind.ABSENCE, "condition": {"timeout_s": 0}}, "timeout_s"),
        ({"asset": "/plant"}, "slash"),
        ({"name": "a\nb"}, "control"),
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused_in_words(office: Office, changes: Any, words: str) -> None:
    with pytest.raises(Problem, match=words) as caught:
        await office.call("POST", "/rules", document={**DOCUMENT, **changes})
    assert caught.value.status == 400
    assert office.changes == []


async def test_a_rule_without_points_says_so(office: Office) -> None:
    made = await office.call("POST", "/rules", document=DOCUMENT)
    assert made["status"]["error"] == "matches no point yet: asset 'plant/*', point 'temp'"
    series = office.plant.point("plant/kiln", "temp", ValueType.STRING)
    program = office.compiler.rules()
    assert "hold text" in program.errors(None)[made["id"]]
    office.plant.delete_point(series)
    series = office.plant.point("plant/kiln", "temp")
    good = office.compiler.rules()
    assert good.errors(program) == {}
    office.plant.delete_point(series)
    assert "deleted" in office.compiler.rules().errors(good)[made["id"]]


@pytest.mark.parametrize(
    ("asset", "point", "expected"),
    [
        ("plant/a", "temp", {"plant/a/temp"}),
        ("plant/*", "*", {"plant/a/temp", "plant/a/a/b", "plant/%_/temp"}),
        ("plant/**", "temp", {"plant/a/temp", "plant/a/b/temp", "plant/%_/temp"}),
        ("plant/%_", "temp", {"plant/%_/temp"}),
        ("*", "temp", {"厂房/temp"}),
        ("?房", "t*p", {"厂房/temp"}),
        (r"plant/\*", "temp", set()),
        ("plant/a", "a/*", {"plant/a/a/b"}),
    ],
)
def test_patterns(office: Office, asset: str, point: str, expected: set[str]) -> None:
    names = {
        office.plant.point(path, name): f"{path}/{name}"
        for path, name in (
            ("plant/a", "temp"), ("plant/a", "a/b"), ("plant/a/b", "temp"), ("plant/%_", "temp"), ("厂房", "temp"),
        )
    }  # fmt: skip
    rule, state = office.rules.create(office.plant.subject(), body(asset=asset, point=point))
    found = office.compiler.rules().matches[rule.id].series
    assert {names[series] for series in found} == expected
    assert state.series == len(expected)


def test_body_refuses_members_it_does_not_know() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**DOCUMENT, "colour": "red"}, type=RuleBody)
