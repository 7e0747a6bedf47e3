"""Every file of the corpora is judged as its name says, and as the published schema does, but where we say why."""

import copy
import json
import random
from typing import Any

import jsonschema_rs
import pytest

from gongfu.identify.epcis.documents import findings
from gongfu.identify.epcis.findings import errors
from tests.unit.identify.epcis.corpora import FILES, SCHEMA, documents, events_of, needs_corpora

pytestmark = needs_corpora


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_judged_as_its_name_says(path: Any) -> None:
    found = findings(json.loads(path.read_text()))
    wrong = errors(found)
    assert bool(wrong) == ("Invalid" in path.name), wrong
    assert all(finding.reason for finding in found)


def test_a_wrong_place_is_named() -> None:
    by_name = dict(documents(valid=False))
    found = errors(findings(by_name["Capture__Invalid__ObjectEvent_with_non_standard_bizStep_in_second_event.json"]))
    assert [(finding.path, "transforming" in finding.reason) for finding in found] == [
        ("/epcisBody/eventList/1/bizStep", True)
    ]
    found = errors(findings(by_name["Capture__Invalid__Combination_of_multiple_invalid_fields.json"]))
    assert {finding.path.rsplit("/", 1)[-1] for finding in found} == {
        "bizStep",
        "disposition",
        "type",
        "materialType",
        "eventTime",
        "action",
    }


def test_where_we_accept_more_than_the_schema_it_is_said() -> None:
    schema = jsonschema_rs.Draft7Validator(json.loads(SCHEMA.read_text()), validate_formats=True)
    more = {
        name: {finding.reason.partition(":")[0].partition(" is not")[0] for finding in findings(value)}
        for name, value in documents(valid=True)
        if "type" in value and not schema.is_valid(value)
    }
    assert more == {
        "Query__SensorData_with_combined_events.json": {
            "'Molar_concentration'",
            "'EffectiveDoseRate'",
            "type is missing",
        }
    }


VALUES: list[Any] = [
    None,
    True,
    0,
    -1.5,
    "",
    "x",
    "a:b",
    "urn:epc:id:sgtin:4012345.011111.9876",
    "https://id.gs1.org/01/09521141012345/21/%zz",
    "https://example.com/a b",
    "http://[::1]:80/x?y#z",
    "mailto:",
    "2024-02-30T00:00:00Z",
    "2024-02-29T00:00:00Z",
    "2024-02-29T00:00:00",
    "2024-02-29T24:00:00Z",
    "2016-12-31T23:59:60Z",
    "+14:00",
    "+14:01",
    "urn:epcglobal:cbv:bizstep:shipping",
    "shipping",
    "ADD",
    "DELETE",
    "https://gs1.org/voc/Temperature",
    "gs1:Temperature",
    [],
    [[]],
    ["a:b"],
    ["a:b", "a:b"],
    {},
    {"id": "a:b"},
    {"id": 5},
    {"set": ["active"]},
    "中:文",
]
KEYS = [
    "epcList",
    "bizStep",
    "unknown",
    "a:b",
    "@context",
    "type",
    "eventID",
    "ilmd",
    "parentID",
    "transformationID",
    "action",
    "persistentDisposition",
    "errorDeclaration",
    "sensorElementList",
    "certificationInfo",
    "bizTransactionList",
]


def _places(value: Any) -> list[tuple[Any, Any]]:
    found = list[tuple[Any, Any]]()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict | list):
            for key, inner in item.items() if isinstance(item, dict) else enumerate(item):
                found.append((item, key))
                waiting.append(inner)
    return found


def test_mutations_are_judged_as_by_the_schema() -> None:
    """Strictly, our judgement is the schema's: of valid documents and of ones with one thing changed."""
    schema = jsonschema_rs.Draft7Validator(json.loads(SCHEMA.read_text()), validate_formats=True)
    chance = random.Random(2)
    # One event of each document, so that a mutation is seen among few others.
    sources = list[dict[str, Any]]()
    for _, value in documents(valid=True):
        if "type" not in value:
            continue
        context = value["@context"]
        sources += [{**event, "@context": context} for event in events_of(value)[:2]]
        head = copy.deepcopy(value)
        del events_of(head)[1:]
        sources.append(head)
    judged = {True: 0, False: 0}
    for _ in range(4000):
        value = copy.deepcopy(chance.choice(sources))
        holder, key = chance.choice(_places(value))
        way = chance.random()
        if way < 0.3:
            del holder[key]
        elif way < 0.8 or not isinstance(holder, dict):
            holder[key] = chance.choice(VALUES)
        else:
            holder[chance.choice(KEYS)] = chance.choice(VALUES)
        if not isinstance(value.get("type"), str):
            continue
        ours = not errors(findings(value), strict=True)
        theirs = schema.is_valid(value)
        judged[theirs] += 1
        assert ours == theirs, (json.dumps(value, ensure_ascii=False), findings(value), list(schema.iter_errors(value)))
    assert min(judged.values()) > 300
