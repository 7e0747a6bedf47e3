"""Units in births: which metric says what."""

from gongfu.ingest.columnise.sparkplug_schema import DataType, Payload, Template
from gongfu.ingest.sparkplug.units import UnitFollower, stated_units
from gongfu.ingest.types import Receipt, Writer
from gongfu.registry.source_units import StatedUnit, Statement

WRITER = Writer(1, 7, "machine", 3, "machine")


def birth(*units: tuple[str, str], low: int | None = None) -> bytes:
    message = Payload(timestamp=1, seq=0)
    for name, text in units:
        metric = message.metrics.add(name=name, datatype=DataType.DOUBLE, double_value=1.0)
        metric.properties.keys.append("engUnit")
        metric.properties.values.add(type=DataType.STRING, string_value=text)
        if low is not None:
            metric.properties.keys.append("engLow")
            metric.properties.values.add(type=DataType.INT32, int_value=low % 2**32)
            metric.properties.keys.append("engHigh")
            metric.properties.values.add(type=DataType.DOUBLE, double_value=float("nan"))
    return message.SerializeToString()


def test_units_and_ranges_of_metrics_and_of_members_of_templates() -> None:
    message = Payload.FromString(birth(("t", "°C"), ("bare", " "), low=-40))
    template = Template(template_ref="motor")
    member = template.metrics.add(name="speed", datatype=DataType.DOUBLE, double_value=1.0)
    member.properties.keys.append("EngUnit")
    member.properties.values.add(type=DataType.STRING, string_value="rpm")
    message.metrics.add(name="motor 1", datatype=DataType.TEMPLATE, template_value=template.SerializeToString())
    message.metrics.add(name="plain", datatype=DataType.DOUBLE, double_value=1.0)
    assert list(stated_units(message.SerializeToString(), "a/b")) == [
        StatedUnit(asset="a/b", point="t", text="°C", low=-40.0),
        StatedUnit(asset="a/b", point="motor 1/speed", text="rpm"),
    ]
    assert list(stated_units(b"\x12\xff", "a")) == []


def test_a_birth_is_told_after_its_points_and_once() -> None:
    told: list[Statement] = []
    follower = UnitFollower(told.append)
    receipts: list[Receipt] = []

    def born(payload: bytes) -> None:
        done = follower.watch(WRITER, "g/e", payload, receipts.append)
        assert done is not None
        before = len(told)
        assert len(told) == before  # the points are not there yet
        done(Receipt(1))

    born(birth(("t", "bar")))
    born(birth(("t", "bar")))
    assert [[item.text for item in statement.units] for statement in told] == [["bar"]]
    assert told[0].units[0].asset == "machine/g/e"
    born(birth(("t", "mbar")))
    born(birth(("t", "bar")))
    assert [statement.units[0].text for statement in told] == ["bar", "mbar", "bar"]
    follower.again(told[-1])
    born(birth(("t", "bar")))
    assert len(told) == 4
    assert len(receipts) == 5
    # A birth without units is not touched.
    assert follower.watch(WRITER, "g/e", birth(), receipts.append) == receipts.append
    assert follower.watch(WRITER, "g/e", birth(), None) is None
