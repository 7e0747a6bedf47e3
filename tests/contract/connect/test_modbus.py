"""The Modbus driver against pymodbus' own server, over TCP and RTU framing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gongfu.connect.kit.loading import driver_of, make_driver
from gongfu.connect.kit.manifest import check_options
from gongfu.connect.kit.timing import SystemTiming
from gongfu.connect.kit.types import Address, Context, DriverError, Reading, Reason
from gongfu.connect.modbus.driver import ModbusDriver
from gongfu.connect.preview.looking import look
from gongfu.connect.preview.recording import parse_recording
from gongfu.kernel.quality import Quality
from tests.fixtures.modbus_machine import ModbusMachine, float_words, modbus_machine
from tests.fixtures.nats import free_port

DEADLINE_S = 60.0


@pytest.fixture(scope="module", params=["tcp", "rtu"])
def machine(request: pytest.FixtureRequest) -> Iterator[tuple[ModbusMachine, str]]:
    rtu = request.param == "rtu"
    with modbus_machine(rtu=rtu) as one:
        yield one, "modbus+rtu" if rtu else "modbus"


def make(url: str, **options: Any) -> ModbusDriver:
    available = driver_of("modbus")
    checked = check_options(available.manifest, options)
    driver = make_driver(available, Context(url, checked, "test", Path("/nonexistent"), SystemTiming()))
    assert isinstance(driver, ModbusDriver)
    return driver


@contextlib.asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[ModbusDriver]:
    driver = make(url, **options)
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()


class Collecting:
    """A sink that keeps readings."""

    saturated = False

    def __init__(self, wanted: int) -> None:
        self.readings: list[Reading] = []
        self.enough = asyncio.Event()
        self._wanted = wanted

    def take(self, readings: Sequence[Reading], received: int) -> None:
        self.readings += readings
        if len(self.readings) >= self._wanted:
            self.enough.set()

    def gap(self, addresses: Sequence[int], since: int, until: int, reason: str) -> None:
        raise AssertionError

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        raise AssertionError


def at(where: str, **more: Any) -> Address:
    return Address(point=where, where=where, **more)


async def values(driver: ModbusDriver, *wheres: str) -> list[Any]:
    readings = await driver.read([at(where) for where in wheres])
    found = {reading.address: reading.value for reading in readings}
    return [found[n] for n in range(len(wheres))]


async def test_reads_all_tables_in_few_requests(machine: tuple[ModbusMachine, str]) -> None:
    server, scheme = machine
    server.set(10, [*float_words(21.5), *reversed(float_words(-7.25))])
    async with opened(f"{scheme}://127.0.0.1:{server.port}/1") as driver:
        got = await values(
            driver, "holding:10:float32", "holding:12:float32:cdab", "holding:199", "40002", "input:7", "30002",
            "discrete:3", "discrete:4", "coil:0", "2/holding:5", "holding:100:uint16.2",
        )  # fmt: skip
        assert got == [21.5, -7.25, 1199, 1001, 7, 1, True, False, False, 2005, bool(1100 >> 2 & 1)]
        # Holding of unit 1 in two (a gap of more than 16), of unit 2, input, discrete, coil.
        assert (await driver.health())["requests"] <= 7


async def test_writes_are_read_back(machine: tuple[ModbusMachine, str]) -> None:
    server, scheme = machine
    async with opened(f"{scheme}://127.0.0.1:{server.port}/1", order="cdab") as driver:
        for where, value in (
            ("holding:30", 77), ("holding:31:float32", 0.5), ("holding:33:int64:abcd", -(2**40)),
            ("holding:40:string8", "泵 1"), ("coil:3", True),
        ):  # fmt: skip
            result = await driver.write(at(where), value)
            assert (result.confirmed, result.read_back) == (True, value), where
        assert server.get(31, 2) == list(reversed(float_words(0.5)))
        server.set(50, [0b1010_1010])
        assert (await driver.write(at("holding:50:uint16.0-1"), 1)).confirmed
        assert server.get(50) == [0b1010_1001]
        with pytest.raises(DriverError) as caught:
            await driver.write(at("input:1"), 5)
        assert caught.value.reason is Reason.UNSUPPORTED
        with pytest.raises(DriverError) as caught:
            await driver.write(at("holding:199:float32"), 5.0)
        assert caught.value.reason is Reason.ADDRESS_UNKNOWN
        with pytest.raises(DriverError) as caught:
            await driver.write(at("holding:1"), 70_000)
        assert caught.value.reason is Reason.TYPE_MISMATCH


async def test_a_register_out_of_range_hurts_no_other(machine: tuple[ModbusMachine, str]) -> None:
    server, scheme = machine
    async with opened(f"{scheme}://127.0.0.1:{server.port}/1") as driver:
        addresses = [at(f"holding:{n}") for n in (195, 196, 198, 199, 201, 205)]
        for turn in range(3):
            before = (await driver.health())["requests"]
            readings = sorted(await driver.read(addresses))
            assert [reading.value for reading in readings[:4]] == [1195, 1196, 1198, 1199]
            assert [reading.quality for reading in readings] == [0, 0, 0, 0, Quality.BAD_DEVICE, Quality.BAD_DEVICE]
            requests = (await driver.health())["requests"] - before
            # Once it is known what the device refuses it is not asked for that all the time.
            assert turn == 0 or requests <= 3
        assert (await driver.health())["addresses_refused"] == 2


async def test_a_silent_unit_hurts_no_other(machine: tuple[ModbusMachine, str]) -> None:
    server, scheme = machine
    async with opened(f"{scheme}://127.0.0.1:{server.port}/1", timeout=0.3, retries=0) as driver:
        readings = sorted(await driver.read([at("holding:1"), at("9/holding:1"), at("2/holding:1")]))
        assert [reading.value for reading in readings] == [1001, None, 2001]
        assert readings[1].quality == Quality.BAD_NO_DATA
        with pytest.raises(DriverError) as caught:
            await driver.read([at("9/holding:1")])
        assert caught.value.reason is Reason.TIMEOUT
        assert "unit 9" in caught.value.what


async def test_discover_finds_the_units(machine: tuple[ModbusMachine, str]) -> None:
    server, scheme = machine
    driver = make(f"{scheme}://127.0.0.1:{server.port}")
    async with asyncio.timeout(DEADLINE_S):
        found = await driver.discover()
    assert [one.url for one in found] == [f"{scheme}://127.0.0.1:{server.port}/{unit}" for unit in (1, 2)]


async def test_polls_at_the_rate(machine: tuple[ModbusMachine, str]) -> None:
    server, scheme = machine
    async with opened(f"{scheme}://127.0.0.1:{server.port}/1") as driver:
        sink = Collecting(10)
        await driver.subscribe([at("holding:150", every=0.05), at("holding:151", every=30.0)], sink)
        task = asyncio.create_task(driver.wait())
        async with asyncio.timeout(DEADLINE_S):
            await sink.enough.wait()
        task.cancel()
        assert {reading.value for reading in sink.readings} == {1150, 1151}
        assert sum(reading.address == 1 for reading in sink.readings) == 1


MAP = [
    {"name": "温度", "register": "holding:60:float32", "unit": "Cel"},
    {"name": "Speed", "register": "holding:62", "asset": "泵 1", "writable": True},
    {"name": "Gone", "register": "holding:5000"},
]


async def test_preview_proposes_the_map_with_values_and_hints(machine: tuple[ModbusMachine, str]) -> None:
    server, scheme = machine
    server.set(60, list(reversed(float_words(21.5))))
    server.set(62, [1450])
    url = f"{scheme}://127.0.0.1:{server.port}/1"
    async with opened(url, registers=MAP) as driver:
        options: dict[str, Any] = {"registers": MAP}
        proposal = await look(driver, SystemTiming(), name="", asset="", url=url, options=options)
    temperature, speed, gone = proposal.points
    # The words are in the other order: it says which is right.
    assert "cdab" in temperature.hint
    assert "21.5" in temperature.hint
    assert (speed.value, speed.hint, speed.address.asset, speed.address.writable) == (1450, "", "泵 1", True)
    assert not gone.include
    assert gone.hint
    assert proposal.name == f"{scheme.replace('+', '-')}-127.0.0.1-{server.port}-1"
    async with opened(url, registers=MAP, order="cdab") as driver:
        proposal = await look(driver, SystemTiming(), name="p", asset="a/b", url=url, options={})
    assert (proposal.points[0].value, proposal.points[0].hint) == (21.5, "")
    assert (proposal.name, proposal.asset) == ("p", "a/b")


async def test_without_a_map_the_first_registers_are_shown(machine: tuple[ModbusMachine, str]) -> None:
    server, scheme = machine
    url = f"{scheme}://127.0.0.1:{server.port}/2"
    async with opened(url) as driver:
        proposal = await look(driver, SystemTiming(), name="", asset="", url=url, options={}, limit=1000)
    wheres = {point.address.where: point for point in proposal.points}
    assert len([where for where in wheres if where.startswith("holding:")]) == 100
    assert wheres["holding:7:uint16"].value == 2007
    assert wheres["discrete:3"].address.value_type == "boolean"
    # There are 20 of each of the others, fewer than what is asked for at once.
    assert len([where for where in wheres if where.startswith("input:")]) == 20


async def test_a_session_is_recorded_and_replayed(machine: tuple[ModbusMachine, str], tmp_path: Path) -> None:
    server, scheme = machine
    url = f"{scheme}://127.0.0.1:{server.port}/1"
    rows = [{"name": f"r{n}", "register": f"holding:{n}"} for n in range(100, 103)]
    async with opened(url, registers=rows) as driver:
        proposal = await look(driver, SystemTiming(), name="", asset="", url=url, options={}, record=0.5, every=0.1)
    recording = parse_recording(proposal.recording.encode(), "r")
    assert [address.where for address in recording.header.addresses] == ["holding:100", "holding:101", "holding:102"]
    file = tmp_path / "session.ndjson"
    file.write_text(proposal.recording)
    available = driver_of("recording")
    options = check_options(available.manifest, {"speed": 0})
    replay = make_driver(available, Context(f"recording://{file}", options, "r", tmp_path, SystemTiming()))
    await replay.open()
    nodes = (await replay.browse("", 10)).items
    addresses = [at(node.where) for node in nodes]
    first = [reading.value for reading in await replay.read(addresses)]
    assert first == server.get(100, 3)
    recorded = sum(len(line.readings or ()) for line in recording.lines)
    sink = Collecting(recorded)
    await replay.subscribe(addresses, sink)
    async with asyncio.timeout(DEADLINE_S):
        await sink.enough.wait()
    await replay.close()
    assert len(sink.readings) == recorded


async def test_an_unreachable_host_says_what_to_do() -> None:
    driver = make(f"modbus://127.0.0.1:{free_port()}/1", timeout=2)
    with pytest.raises(DriverError) as caught:
        await driver.open()
    assert caught.value.reason is Reason.REFUSED
    assert "port" in caught.value.advice
    driver = make("modbus://host.invalid/1", timeout=5)
    with pytest.raises(DriverError) as caught:
        await driver.open()
    assert caught.value.reason is Reason.UNREACHABLE
    assert caught.value.advice


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("modbus://127.0.0.1/300", {}, "unit id"),
        ("modbus:///1", {}, "no host"),
        ("modbus://127.0.0.1/1", {"registers": [{"name": "x", "register": "holdings:1"}]}, "register 1 of the map"),
    ],
)
async def test_a_wrong_configuration_is_told_before_anything_is_opened(
    url: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(DriverError, match=says):
        await make(url, **options).open()


async def test_a_lost_line_ends_wait() -> None:
    with modbus_machine() as server:
        async with opened(f"modbus://127.0.0.1:{server.port}/1", timeout=1, retries=0) as driver:
            sink = Collecting(1)
            await driver.subscribe([at("holding:1", every=0.05)], sink)
            task = asyncio.create_task(driver.wait())
            async with asyncio.timeout(DEADLINE_S):
                await sink.enough.wait()
                server.stop()
                with pytest.raises(DriverError) as caught:
                    await task
            assert caught.value.reason in (Reason.UNREACHABLE, Reason.TIMEOUT)
