"""Events of assets with a thing model: judged, refused visibly and counted, on both databases."""

from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from gongfu.kernel.errors import Problem
from gongfu.registry import drop_records, drops
from gongfu.registry.assets import NewAsset
from gongfu.registry.events import Events, NewEvent
from gongfu.thing.conformity import Conformity
from gongfu.thing.instances import Instances, NewInstance, NewInstances
from gongfu.thing.service import ThingModels
from gongfu.thing.types import Event, Field, Model, Service, Validation
from tests.contract.records.conftest import Node

AT = "2023-11-14T22:13:20Z"
TRIP = Event(
    "fault", {"code": Field("int64", minimum=1, maximum=9, required=True), "heat": Field("double", maximum=90)}
)


@pytest.fixture
def counted() -> dict[str, int]:
    return {}


@pytest.fixture
def events(node: Node, counted: dict[str, int]) -> Events:
    def count(name: str, n: int) -> None:
        counted[name] = counted.get(name, 0) + n

    return Events(node.engine, node.clock, Conformity(node.engine, node.clock, count).check_event)


def bind(models: ThingModels, instances: Instances, node: Node, path: str, **rules: Any) -> None:
    model = Model("pump", events={"trip": TRIP}, validation=Validation(**rules))
    document, _ = models.create(node.admin, model, publish=True)
    instances.bind(node.admin, document.reference, NewInstances([NewInstance(path)]))


def note(events: Events, node: Node, kind: str, **fields: Any) -> str:
    """Note an event; return why it was refused, or "" when it was not."""
    try:
        made = events.create(node.admin, NewEvent(asset="hall/pump", kind=kind, from_=AT, fields=fields))
    except Problem as problem:
        return f"{problem.extra['reason']}" if problem.status == 400 else str(problem.status)
    assert made.fields == fields
    return ""


def dropped(node: Node) -> dict[tuple[str, str], tuple[int, str]]:
    documents, _ = drops.page(node.engine, node.admin, None, 100, None)
    return {(one.kind, one.reason): (one.count, one.last_detail) for one in documents}


def test_events_are_judged(
    node: Node, models: ThingModels, instances: Instances, events: Events, counted: dict[str, int]
) -> None:
    bind(models, instances, node, "hall/pump")
    assert note(events, node, "trip", code=3, heat=88.5) == ""
    assert note(events, node, "trip", code=3, extra="taken as it is") == ""
    assert note(events, node, "maintenance") == ""  # unknown ones are accepted by default
    assert note(events, node, "trip") == "model_field_missing"
    assert note(events, node, "trip", code=10) == "model_range"
    assert note(events, node, "trip", code="3") == "model_type"
    assert note(events, node, "trip", code=12, heat=99) == "model_range"
    stored, _ = events.page(node.admin, None, 10)
    assert sorted([(one.kind, one.fields) for one in stored], key=str) == [
        ("maintenance", {}),
        ("trip", {"code": 3, "extra": "taken as it is"}),
        ("trip", {"code": 3, "heat": 88.5}),
    ]
    found = dropped(node)
    assert {key: count for key, (count, _) in found.items()} == {
        ("rejected", "model_field_missing"): 1,
        ("rejected", "model_range"): 3,
        ("rejected", "model_type"): 1,
    }
    assert found["rejected", "model_field_missing"][1] == "hall/pump: event 'trip': 'code' is missing"
    assert counted == {
        "events_rejected.model_field_missing": 1,
        "events_rejected.model_range": 3,
        "events_rejected.model_type": 1,
    }
    assert drops.page(node.engine, node.other, None, 100, None)[0] == []


def test_the_policy_of_the_model_counts(
    node: Node, models: ThingModels, instances: Instances, events: Events, counted: dict[str, int]
) -> None:
    bind(models, instances, node, "hall/pump", range="uncertain", unknown="reject")
    assert note(events, node, "trip", code=99) == ""
    assert note(events, node, "trip", code=1, odd=1) == "model_unknown_field"
    assert note(events, node, "odd") == "model_unknown_event"
    assert {key: count for key, (count, _) in dropped(node).items()} == {
        ("marked", "model_range"): 1,
        ("rejected", "model_unknown_field"): 1,
        ("rejected", "model_unknown_event"): 1,
    }
    assert counted["events_marked.model_range"] == 1


def test_assets_without_a_model_take_everything(node: Node, events: Events) -> None:
    node.registry.assets.create(node.admin, NewAsset(path="hall/pump", type="pump"))
    assert note(events, node, "trip", code="anything") == ""
    with pytest.raises(Problem, match="at most"):
        events.create(node.admin, NewEvent(asset="hall/pump", kind="trip", from_=AT, fields={"text": "x" * 20_000}))


def test_what_a_machine_has_done_is_not_undone_by_records_that_do_not_answer(
    node: Node, models: ThingModels, instances: Instances, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(output={"ok": Field("boolean", required=True)})
    document, _ = models.create(node.admin, Model("pump", services={"start": service}), publish=True)
    instances.bind(node.admin, document.reference, NewInstances([NewInstance("hall/pump")]))
    conformity = Conformity(node.engine, node.clock)

    def away(*_: object) -> None:
        raise OperationalError("update", {}, Exception("database is locked"))

    monkeypatch.setattr(drop_records, "add", away)
    (fault,) = conformity.judge_outputs(1, 0, "hall/pump", "start", {"ok": 1})
    assert (fault.name, fault.policy) == ("ok", "reject")
    monkeypatch.setattr(conformity, "members", away)
    (fault,) = conformity.judge_outputs(1, 0, "hall/pump", "start", {"ok": 1})
    assert "not judged" in fault.text
