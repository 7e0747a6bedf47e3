"""Units that machines say: taken once, told when they change, never a reason to rescale. On both databases."""

import json

from gongfu.kernel.permissions import Subject
from gongfu.registry.source_units import Outcome, StatedUnit, Statement
from gongfu.registry.tables import asset, event, point
from tests.contract.records.conftest import Node


def made(node: Node) -> Subject:
    """Make the asset ``hall/pump`` with points; two of them have a unit."""
    with node.engine.begin() as connection:
        key = connection.execute(
            asset.insert()
            .values(tenant_id=1, name="pump", path="hall/pump", type="", attributes={}, created_at=0)
            .returning(asset.c.id)
        ).scalar_one()
        units = {"flow": "", "speed": "", "temp": "Cel", "way": "m"}
        rows = [
            {"tenant_id": 1, "asset_id": key, "name": name, "value_type": 1, "unit": unit, "created_at": 0}
            for name, unit in units.items()
        ]
        connection.execute(point.insert(), rows)
    return node.admin


def say(node: Node, **units: str | tuple[str, float, float]) -> Outcome:
    stated = [
        StatedUnit(asset="hall/pump", point=name, text=said)
        if isinstance(said, str)
        else StatedUnit(asset="hall/pump", point=name, text=said[0], low=said[1], high=said[2])
        for name, said in units.items()
    ]
    return node.registry.source_units.state(Statement(tenant=1, source="sparkplug edge", units=stated))


def unit(node: Node, name: str) -> str:
    with node.engine.connect() as connection:
        return connection.execute(point.select().where(point.c.name == name)).one().unit


def noted(node: Node) -> list[tuple[str, list[str]]]:
    with node.engine.connect() as connection:
        rows = connection.execute(event.select().order_by(event.c.time_from, event.c.kind)).all()
    return [(row.kind, [item["point"] for item in json.loads(row.text)["first"]]) for row in rows]


def test_what_is_said_first_is_taken_or_told(node: Node) -> None:
    subject = made(node)
    outcome = say(node, flow=("m³/h", 0.0, 120.0), speed="Umdrehungen", temp="°F", way="m", nothing="bar")
    assert outcome == Outcome(taken=1, unknown=1, differs=1, missing=1)
    assert (unit(node, "flow"), unit(node, "speed"), unit(node, "temp"), unit(node, "way")) == ("m3/h", "", "Cel", "m")
    assert sorted(noted(node)) == [("unit.differs", ["temp"]), ("unit.unknown", ["speed"])]
    documents, _ = node.registry.source_units.page(subject, None, 10)
    assert [(one.name, one.text, one.ucum, one.unit, one.low, one.high) for one in documents] == [
        ("flow", "m³/h", "m3/h", "m3/h", 0.0, 120.0),
        ("speed", "Umdrehungen", "", "", None, None),
        ("temp", "°F", "[degF]", "Cel", None, None),
        ("way", "m", "m", "m", None, None),
    ]
    # The same again is nothing new.
    assert say(node, flow=("m³/h", 0.0, 120.0), speed="Umdrehungen", temp="°F", way="m") == Outcome()
    assert len(noted(node)) == 2


def test_a_change_is_told_and_counted_and_rescales_nothing(node: Node) -> None:
    subject = made(node)
    say(node, flow="m³/h", way="m")
    assert say(node, flow="l/min", way="m") == Outcome(changed=1)
    assert say(node, flow="cubits per fortnight") == Outcome(changed=1)
    # Other words for the same unit are no change of it.
    assert say(node, flow="l/min", way="m ") == Outcome(changed=1)
    assert say(node, flow="L/min") == Outcome()
    assert unit(node, "flow") == "m3/h"
    changed, _ = node.registry.source_units.page(subject, None, 10, state="changed")
    assert [(one.name, one.text, one.ucum, one.unit, one.changes) for one in changed] == [
        ("flow", "L/min", "L/min", "m3/h", 3)
    ]
    assert [kind for kind, _ in noted(node)] == ["unit.changed"] * 3
    differing, after = node.registry.source_units.page(subject, None, 1, path="hall", state="differs")
    assert ([one.name for one in differing], after) == (["flow"], None)
    assert node.registry.source_units.page(subject, None, 10, path="hal") == ([], None)


def test_points_that_are_scaled_have_units_of_their_own(node: Node) -> None:
    made(node)
    scaled = [StatedUnit(asset="hall/pump", point=name, text="mm", scaled=True) for name in ("way", "flow")]
    assert node.registry.source_units.state(Statement(tenant=1, source="s", units=scaled)) == Outcome()
    assert (unit(node, "way"), unit(node, "flow")) == ("m", "")
    # Another tenant cannot say anything of it.
    other = Statement(tenant=2, source="s", units=[StatedUnit(asset="hall/pump", point="flow", text="bar")])
    assert node.registry.source_units.state(other) == Outcome(missing=1)


def test_a_name_or_code_that_no_record_takes_costs_nobody_else_the_unit(node: Node) -> None:
    made(node)
    code = ".".join(["kg"] * 20)  # UCUM, and longer than the unit of a point may be
    stated = [
        StatedUnit(asset="hall/pump", point="fl\0ow", text="bar"),
        StatedUnit(asset="hall/pump", point="speed", text=code),
        StatedUnit(asset="hall/pump", point="way", text="long", unit=code),
        StatedUnit(asset="hall/pump", point="flow", text="L/min"),
    ]
    statement = Statement(tenant=1, source="s", units=stated)
    assert node.registry.source_units.state(statement) == Outcome(taken=1, unknown=2, left_out=1)
    assert (unit(node, "flow"), unit(node, "speed"), unit(node, "way")) == ("L/min", "", "m")
    assert node.registry.source_units.state(statement) == Outcome(left_out=1)
    assert len(noted(node)) == 1
