"""The driver against an asyncua server: browsing, reading, subscribing, writing, methods."""

import math
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from gongfu.connect.kit.types import Address, DriverError, Reason
from gongfu.kernel.quality import Quality
from tests.contract.connect.opcua.plant import Recorder, connected, driver_of, serving, until
from tests.fixtures.nats import free_port

pytest.importorskip("asyncua", reason="the extra opcua is not installed")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant():
    """One server for this file: making one takes seconds of CPU."""
    async with serving(free_port()) as plant:
        yield plant


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def as_new(plant):
    for name, value in (("压力", 1.5), ("计数", 2**60), ("运行", True)):
        await plant.set(name, value)


async def test_discover_browse_read_write_call(tmp_path, plant):
    async with connected(tmp_path, plant.port) as driver:
        found = await driver.discover()
        assert found[0].options == {"security": "none"}
        assert "anonymous" in found[0].description

        top = await driver.browse("", 100)
        station = next(node for node in top.items if node.name == "泵站")
        assert station.has_children
        assert all(node.name != "Server" for node in top.items)
        pump = (await driver.browse(station.where, 100)).items[0]
        assert (pump.name, pump.kind) == ("1号泵", "object")
        first = await driver.browse(pump.where, 4)
        assert len(first.items) <= 4
        nodes, cursor = list(first.items), first.next
        while cursor:
            page = await driver.browse(pump.where, 4, cursor)
            nodes, cursor = nodes + list(page.items), page.next
        by_name = {node.name: node for node in nodes}
        assert {n: by_name[n].value_type for n in ("压力", "计数", "运行", "状态", "阵列", "字节")} == {
            "压力": "double", "计数": "int64", "运行": "boolean", "状态": "string", "阵列": "json", "字节": "int64",
        }  # fmt: skip
        assert by_name["压力"].unit == "bar"
        assert "range 0…16" in by_name["压力"].description
        assert by_name["压力"].writable
        assert not by_name["状态"].writable
        assert by_name["计数"].sample == 2**60
        assert by_name["加"].kind == "method"

        names = ["压力", "计数", "运行", "状态", "阵列"]
        addresses = [Address(point=n, where=by_name[n].where) for n in names]
        addresses.append(Address(point="x", where="ns=2;s=没有"))
        for _ in range(3):  # the third is by registered nodes
            readings = await driver.read(addresses)
            assert [r.value for r in readings] == [1.5, 2**60, True, "正常", [1.0, 2.0], None]
            assert [r.quality for r in readings] == [0, 0, 0, 0, 0, Quality.BAD_NO_DATA]
        uri = Address(point="p", where="nsu=urn:test:plant;s=泵站.压力")
        assert (await driver.read([uri]))[0].value == 1.5

        wrote = await driver.write(addresses[0], 2)
        assert (wrote.confirmed, wrote.read_back) == (True, 2.0)
        assert (await driver.write(addresses[1], -(2**62))).confirmed
        assert math.isnan((await driver.write(addresses[0], math.nan)).read_back)
        small = Address(point="b", where=plant.where("字节"))
        for address, value, reason in (
            (addresses[1], 1.5, Reason.TYPE_MISMATCH),
            (addresses[2], "an", Reason.TYPE_MISMATCH),
            (small, 256, Reason.RANGE),
            (addresses[3], "neu", Reason.CREDENTIALS),
            (addresses[5], 1, Reason.ADDRESS_UNKNOWN),
            (Address(point="y", where="Pump.1"), 1, Reason.ADDRESS_UNKNOWN),
        ):
            with pytest.raises(DriverError) as raised:
                await driver.write(address, value)
            assert raised.value.reason in (reason, Reason.UNSUPPORTED), raised.value
            assert raised.value.advice


async def test_methods_are_called_with_arguments_of_their_types(tmp_path, plant):
    async with connected(tmp_path, plant.port) as driver:
        pump, add, types = (plant.where(name) for name in ("1号泵", "加", "类型"))
        assert str(await driver.signature(add)) == "(a: Int64, b: Double) -> 和: Double"
        (output,) = await driver.call_method(pump, add, [4, 0.5])
        assert (output.name, output.value, output.type_name) == ("和", 4.5, "Double")
        (output,) = await driver.call_method("", add, [2**53, 0])  # the object that has it
        assert output.value == 2.0**53
        given = ["开", True, "2026-03-04T05:06:07Z", [1, 2, 3], "多语"]
        text, flag, time, numbers, words = [one.value for one in await driver.call_method(pump, types, given)]
        assert (text, flag, numbers, words) == ("开", True, [1, 2, 3], "多语")
        assert time.startswith("2026-03-04T05:06:07")
        for method, arguments, reason, words in (
            (add, [4], Reason.TYPE_MISMATCH, "takes 2 arguments, (a: Int64, b: Double)"),
            (add, [4.5, 1], Reason.TYPE_MISMATCH, "argument a: Int64"),
            (add, [2**63, 1], Reason.RANGE, "argument a: Int64"),
            (add, [[1], 1], Reason.TYPE_MISMATCH, "takes one value"),
            (types, ["开", 1, "2026-03-04T05:06:07Z", [1], "x"], Reason.TYPE_MISMATCH, "argument flag: Boolean"),
            (types, ["开", True, "gestern", [1], "x"], Reason.TYPE_MISMATCH, "argument time: DateTime"),
            (types, ["开", True, "2026-03-04T05:06:07Z", 1, "x"], Reason.TYPE_MISMATCH, "takes a list"),
            ("ns=2;s=没有", [], Reason.ADDRESS_UNKNOWN, "ns=2;s=没有"),
            (plant.where("压力"), [], Reason.ADDRESS_UNKNOWN, "is no method"),
        ):
            with pytest.raises(DriverError) as raised:
                await driver.call_method(pump, method, arguments)
            assert raised.value.reason in (reason, Reason.UNSUPPORTED), raised.value
            assert words in raised.value.what
            assert raised.value.advice


@pytest.mark.parametrize("mode", ["subscribe", "poll"])
async def test_values_arrive_with_quality_and_source_time(tmp_path, plant, mode):
    from asyncua import ua

    async with connected(tmp_path, plant.port, mode=mode) as driver:
        sink = Recorder()
        names = ["压力", "计数", "运行", "状态", "阵列"]
        addresses = [Address(point=n, where=plant.where(n), every=0.05) for n in names]
        addresses.append(Address(point="x", where="ns=2;s=没有", every=0.05))
        await driver.subscribe(addresses, sink)
        await until(lambda: len({r.address for r in sink.readings}) == 6, "first values")
        assert [sink.last(n) for n in range(6)] == [1.5, 2**60, True, "正常", [1.0, 2.0], None]
        assert next(r.quality for r in sink.readings if r.address == 5) == Quality.BAD_NO_DATA

        at = datetime(2026, 3, 4, 5, 6, 7, 890000, UTC)
        await plant.set("压力", 7.25, at=at, StatusCode=ua.StatusCode(0x40950000))
        await plant.set("计数", -5)
        await until(lambda: sink.last(0) == 7.25 and sink.last(1) == -5, "changes")
        changed = next(r for r in sink.readings if r.value == 7.25)
        assert changed.quality == Quality.UNCERTAIN_SUBNORMAL
        assert changed.source_time == 1772600767_890000000
        await plant.set("压力", 8.0, StatusCode=ua.StatusCode(0x808C0000))
        await until(lambda: any(r.quality == Quality.BAD_DEVICE for r in sink.readings), "the broken sensor")
        assert sink.gaps == []
        figures = await driver.health()
        assert figures["open"]
        assert (figures["values"] > 0) == (mode == "subscribe")


@pytest.mark.parametrize("events", [True, False])
async def test_polling_goes_on_after_a_broken_line_and_says_so(tmp_path, plant, events):
    async with connected(tmp_path, plant.port, mode="poll", events=events, history=False) as driver:
        sink = Recorder()
        await driver.subscribe([Address(point="n", where=plant.where("计数"), every=0.05)], sink)
        await until(lambda: sink.last(0) == 2**60, "the first value")
        driver._session.client.uaclient.protocol.transport.abort()
        if not events:  # else the stream of events heals it before the next read: nothing is missed
            await until(lambda: bool(sink.gaps), "the gap")
            assert sink.gaps[0][0] == [0]
        await plant.set("计数", 5)
        await until(lambda: sink.last(0) == 5, "a value after it")
        assert not driver._session.lost.is_set()


async def test_deadband_of_the_server_and_queues(tmp_path, plant):
    """The deadband goes to the server when asked for; every value of a burst comes when the queue holds it."""
    async with connected(tmp_path, plant.port, server_deadband=True, queue=100) as driver:
        sink = Recorder()
        # 0.5 in the scaled unit is 5 in the machine's own.
        wanted = Address(point="p", where=plant.where("压力"), every=0.2, deadband=0.5, scale=0.1)
        mark = Address(point="n", where=plant.where("计数"), every=0.2)
        await driver.subscribe([wanted, mark], sink)
        await until(lambda: sink.last(0) == 1.5 and sink.last(1) == 2**60, "first values")
        for value in (5.0, 12.0):
            await plant.set("压力", value)
        for n in range(40):
            await plant.set("计数", n)
        await until(lambda: sink.last(1) == 39, "the last value")
        assert sink.values(0) == [1.5, 12.0]
        assert sink.values(1) == [2**60, *range(40)]


async def test_nothing_listens(tmp_path, port):
    driver = driver_of(tmp_path, port)
    with pytest.raises(DriverError) as raised:
        await driver.open()
    assert raised.value.reason is Reason.REFUSED
    assert str(port) in raised.value.what
    with pytest.raises(DriverError, match="is not open"):
        await driver.read([Address(point="p", where="i=1")])
    await driver.close()


async def test_not_an_opcua_server(tmp_path, port):
    import asyncio

    async def babble(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", port)
    async with server:
        driver = driver_of(tmp_path, port, timeout=2.0)
        with pytest.raises(DriverError) as raised:
            await driver.open()
        assert raised.value.reason in (Reason.PROTOCOL, Reason.UNREACHABLE, Reason.TIMEOUT)
        assert raised.value.advice
