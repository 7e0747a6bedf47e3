"""Units of an OPC UA server: in browsing, when it is subscribed, and when they change."""

from gongfu.connect.kit.machine_units import UNITS, read
from gongfu.connect.kit.timing import SystemTiming
from gongfu.connect.kit.types import Address
from gongfu.connect.preview.looking import look
from tests.contract.connect.opcua.plant import Recorder, connected, serving, until


def eu(text: str, code: bytes = b""):
    from asyncua import ua

    unit = ua.EUInformation()
    unit.NamespaceUri = "http://www.opcfoundation.org/UA/units/un/cefact"
    unit.UnitId = int.from_bytes(code, "big") if code else -1
    unit.DisplayName = ua.LocalizedText(text)
    return unit


async def test_units_are_shown_told_and_followed(tmp_path, port):
    async with serving(port) as plant:
        odd = await plant.nodes["1号泵"].add_variable(plant.ns, "扬程", 3.0)
        await odd.add_property(0, "EngineeringUnits", eu("Klafter"))
        async with connected(tmp_path, plant.port, units=1.0) as driver:
            proposal = await look(
                driver, SystemTiming(), name="", asset="", url="", options={}, parent=plant.where("1号泵")
            )
            points = {point.address.point: point for point in proposal.points}
            assert (points["压力"].address.unit, points["压力"].hint) == ("bar", "")
            assert "range 0…16" in points["压力"].description
            assert points["扬程"].address.unit == ""
            assert "'Klafter'" in points["扬程"].hint
            sink = Recorder()
            addresses = [
                Address(point="压力", where=plant.where("压力"), unit="bar"),
                Address(point="扬程", where=odd.nodeid.to_string(), asset="x", scale=2.0),
                Address(point="状态", where=plant.where("状态"), value_type="string"),
            ]
            await driver.subscribe(addresses, sink)

            def said():
                return [read(detail) for kind, detail in sink.events if kind == UNITS]

            await until(said, "the units")
            first = {unit.point: unit for unit in said()[0]}
            assert set(first) == {"压力", "扬程"}
            assert (first["压力"].text, first["压力"].unit, first["压力"].low, first["压力"].high) == (
                "bar",
                "bar",
                0,
                16,
            )
            assert (first["扬程"].asset, first["扬程"].text, first["扬程"].unit) == ("x", "Klafter", "")
            assert (first["扬程"].scaled, first["压力"].scaled) == (True, False)
            unit = await plant.nodes["压力"].get_child("0:EngineeringUnits")
            await unit.write_value(eu("kPa", b"KPA"))
            await until(lambda: len(said()) > 1, "the new unit")
            assert [(item.point, item.unit) for item in said()[1]] == [("压力", "kPa")]


async def test_the_server_says_that_meanings_changed(tmp_path, port):
    from asyncua import ua

    async with serving(port) as plant, connected(tmp_path, plant.port, units=86400.0) as driver:
        sink = Recorder()
        await driver.subscribe([Address(point="压力", where=plant.where("压力"), every=0.1)], sink)
        await until(lambda: any(kind == UNITS for kind, _ in sink.events), "the units")
        unit = await plant.nodes["压力"].get_child("0:EngineeringUnits")
        await unit.write_value(eu("MPa", b"MPA"))
        await plant.set("压力", 2.5, StatusCode=ua.StatusCode(0x4000))
        await until(lambda: sum(kind == UNITS for kind, _ in sink.events) > 1, "the new unit")
        assert read(sink.events[-1][1])[0].unit == "MPa"
        assert (await driver.health())["semantics"] == 1
