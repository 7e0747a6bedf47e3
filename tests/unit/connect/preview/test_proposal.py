"""What is proposed from nodes and first values, and the thing models of it. Pure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.connect.kit.types import Address, Node, Reading
from gongfu.connect.preview.modelling import models_of
from gongfu.connect.preview.proposal import address_of, clean_name, name_of_url, propose
from gongfu.connect.preview.types import Proposal, ProposedPoint
from gongfu.kernel.quality import Quality
from gongfu.thing.types import check_model


def proposal_of(nodes: list[Node], readings: list[Reading], **more: Any) -> Proposal:
    addresses = [address_of(node, 1.0) for node in nodes]
    given = {"name": "", "asset": "", "url": "x://host:5/1", "protocol": "x", "options": {}, "hints": {}, **more}
    return propose(addresses=addresses, nodes=nodes, readings=readings, **given)


def test_folders_become_assets_and_values_give_types() -> None:
    nodes = [
        Node(where="a", name="温度", path=("Line 1", "泵/2"), unit="Cel"),
        Node(where="b", name="on"),
        Node(where="c", name="count", value_type="int64", writable=True),
        Node(where="d", name="big"),
        Node(where="e", name="list"),
        Node(where="f", name="text"),
    ]
    values = [21.5, True, 5, 2**60, [1, 2], "x"]
    proposal = proposal_of(nodes, [Reading(n, value) for n, value in enumerate(values)])
    kinds = [point.address.value_type for point in proposal.points]
    assert kinds == ["double", "boolean", "int64", "int64", "json", "string"]
    assert proposal.points[0].address.asset == "Line 1/泵∕2"
    assert proposal.points[2].address.writable
    assert (proposal.name, proposal.asset, proposal.model) == ("x-host-5-1",) * 3
    assert proposal.warnings == []


def test_names_that_come_twice_are_told_apart() -> None:
    nodes = [Node(where=str(n), name="value") for n in range(3)]
    proposal = proposal_of(nodes, [Reading(n, 1.0) for n in range(3)])
    assert [point.address.point for point in proposal.points] == ["value", "value (2)", "value (3)"]


def test_what_cannot_be_read_is_left_out_and_told() -> None:
    nodes = [Node(where="a", name="a"), Node(where="b", name="b"), Node(where="c", name="c")]
    readings = [Reading(0, 1.0), Reading(1, None, Quality.BAD_DEVICE)]
    proposal = proposal_of(nodes, readings, hints={0: "odd"})
    assert [point.include for point in proposal.points] == [True, False, False]
    assert proposal.points[0].hint == "odd"
    assert proposal.points[1].hint
    assert proposal.warnings == ["2 of 3 points could not be read and are left out"]


def test_a_unit_that_is_none_is_left_out_and_told() -> None:
    nodes = [Node(where="a", name="a", unit="Umdrehungen"), Node(where="b", name="b", unit="Cel")]
    proposal = proposal_of(nodes, [Reading(0, 1.0), Reading(1, 1.0)])
    assert [point.address.unit for point in proposal.points] == ["", "Cel"]
    assert "UCUM" in proposal.points[0].hint


def test_a_machine_that_shows_nothing() -> None:
    assert "no variables" in proposal_of([], []).warnings[0]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("modbus://10.0.0.5:502/1", "modbus-10.0.0.5-502-1"),
        ("opc.tcp://plc.local:4840/a/b/c", "opc.tcp-plc.local-4840-c"),
        ("x://[::1]:5/", "x-1-5"),
        ("recording:///tmp/s 1.ndjson", "recording-s-1.ndjson"),
    ],
)
def test_a_name_from_the_url(url: str, name: str) -> None:
    assert name_of_url(url) == name


@given(st.text(max_size=300))
def test_any_text_becomes_a_name(text: str) -> None:
    name = clean_name(text, "fallback")
    assert 1 <= len(name) <= 200
    assert name == name.strip()


def point(asset: str, name: str, **more: Any) -> ProposedPoint:
    return ProposedPoint(address=Address(point=name, where=name, asset=asset, **more))


def test_assets_with_the_same_points_are_of_one_model() -> None:
    points = [
        point("", "speed", unit="/min"),
        point("pump 1", "flow", unit="L/min"),
        point("pump 2", "flow", unit="L/min"),
        point("fan", "flow", unit="m3/h"),
    ]
    found = {model.name: children for model, children in models_of("line", points)}
    assert found == {"line": [""], "line fan": ["fan"], "line pump 1": ["pump 1", "pump 2"]}
    for model, _ in models_of("line", points):
        check_model(model)


def test_the_only_model_has_the_name() -> None:
    assert [model.name for model, _ in models_of("泵", [point("p/1", "t"), point("p/2", "t")])] == ["泵"]
    names = [model.name for model, _ in models_of("a@b/c", [point("", "t"), point("x/1", "u"), point("y/1", "v")])]
    assert names == ["a-b-c", "a-b-c 1", "a-b-c 1 2"]
