"""Events and calls against the fields of a model: which fault, and what becomes of it."""

from typing import Any

import pytest

from gongfu.thing.members import Members
from gongfu.thing.types import Event, Field, Model, Service, Validation

FIELDS = {
    "code": Field("int64", minimum=1, maximum=9, required=True),
    "level": Field("double", unit="Cel", minimum=-10.0),
    "on": Field("boolean"),
    "text": Field("string"),
    "more": Field("json"),
}


def members(**rules: Any) -> Members:
    service = Service(input=FIELDS, output={"ok": Field("boolean", required=True)})
    model = Model(
        "pump", events={"trip": Event("fault", FIELDS)}, services={"start": service}, validation=Validation(**rules)
    )
    return Members("pump@1", model)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"code": 3}, []),
        ({"code": 3.0, "level": 2, "on": False, "text": "", "more": []}, []),
        ({"code": 3, "level": None}, []),
        ({}, ["model_field_missing"]),
        ({"code": None}, ["model_field_missing"]),
        ({"code": 0}, ["model_range"]),
        ({"code": 10}, ["model_range"]),
        ({"code": True}, ["model_type"]),
        ({"code": 3.5}, ["model_type"]),
        ({"code": 2**63}, ["model_type"]),
        ({"code": 10**400}, ["model_type"]),
        ({"code": 3, "level": -(10**400)}, ["model_type"]),
        ({"code": "3"}, ["model_type"]),
        ({"code": 3, "level": float("nan")}, ["model_type"]),
        ({"code": 3, "level": float("inf")}, ["model_type"]),
        ({"code": 3, "level": -10.5}, ["model_range"]),
        ({"code": 3, "on": 1}, ["model_type"]),
        ({"code": 3, "text": 1}, ["model_type"]),
        ({"code": 3, "more": "x"}, ["model_type"]),
        ({"code": 3, "other": 1}, []),
    ],
)
def test_fields(given: dict[str, Any], expected: list[str]) -> None:
    for faults in (members().event("trip", given), members().inputs("start", given)):
        assert [fault.violation.value for fault in faults] == expected
        assert all(fault.policy == "reject" for fault in faults)


def test_policies() -> None:
    (fault,) = members(range="uncertain").event("trip", {"code": 99})
    assert (fault.policy, fault.name) == ("uncertain", "code")
    assert "99, above the maximum 9" in fault.text
    assert members(range="accept").event("trip", {"code": 99}) == []
    both = members(range="uncertain").event("trip", {"code": 99, "on": 7})
    assert [fault.policy for fault in both] == ["reject", "uncertain"]  # what is to be rejected comes first
    (fault,) = members(unknown="reject").event("trip", {"code": 3, "other": 1})
    assert (fault.violation.value, fault.name) == ("model_unknown_field", "other")


def test_what_the_model_does_not_have() -> None:
    assert members().event("odd", {"x": 1}) == []
    assert [fault.violation.value for fault in members(unknown="reject").event("odd", {})] == ["model_unknown_event"]
    assert [fault.violation.value for fault in members(unknown="uncertain").inputs("odd", {})] == [
        "model_unknown_service"
    ]
    # A model that declares neither leaves both alone.
    bare = Members("bare@1", Model("bare", validation=Validation(unknown="reject")))
    assert bare.event("odd", {}) == bare.inputs("odd", {}) == bare.outputs("odd", {}) == []
    assert [fault.violation.value for fault in members().outputs("start", {"ok": "yes"})] == ["model_type"]
    assert members().outputs("start", {"ok": True}) == []
