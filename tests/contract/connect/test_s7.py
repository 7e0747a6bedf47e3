"""The S7 driver against python-snap7's own server."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snap7.server import Server
from snap7.type import SrvArea

from gongfu.connect.kit.loading import driver_of, make_driver
from gongfu.connect.kit.manifest import check_options
from gongfu.connect.kit.timing import SystemTiming
from gongfu.connect.kit.types import Address, Context, DriverError, Reason
from gongfu.connect.preview.looking import look
from gongfu.connect.s7.addressing import decode, encode, parse, plan, value_type_of
from gongfu.connect.s7.driver import S7Driver
from gongfu.kernel.quality import Quality
from tests.fixtures.nats import free_port

DEADLINE_S = 60.0


class Plc:
    """DB1 of 600 bytes and 100 bytes of flags."""

    def __init__(self) -> None:
        self.port = free_port()
        self.db = bytearray(600)
        self.flags = bytearray(100)
        struct.pack_into(">f", self.db, 4, 21.5)
        struct.pack_into(">h", self.db, 8, -7)
        self.db[10:32] = bytes((20, 5)) + b"PUMPE".ljust(20, b"\0")
        struct.pack_into(">q", self.db, 400, 2**60)
        self.db[0] = 0b0000_1000
        self._server = Server(log=False)
        self._server.register_area(SrvArea.DB, 1, self.db)
        self._server.register_area(SrvArea.MK, 0, self.flags)
        self._server.start_to("127.0.0.1", self.port)

    def close(self) -> None:
        self._server.stop()
        self._server.destroy()


@pytest.fixture
def plc() -> Iterator[Plc]:
    made = Plc()
    yield made
    made.close()


def make(port: int, **options: Any) -> S7Driver:
    available = driver_of("s7")
    checked = check_options(available.manifest, options)
    context = Context(f"s7://127.0.0.1:{port}/0/1", checked, "test", Path("/nonexistent"), SystemTiming())
    driver = make_driver(available, context)
    assert isinstance(driver, S7Driver)
    return driver


@contextlib.asynccontextmanager
async def opened(plc: Plc, **options: Any) -> AsyncIterator[S7Driver]:
    driver = make(plc.port, **options)
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()


def at(where: str) -> Address:
    return Address(point=where, where=where)


async def values(driver: S7Driver, *wheres: str) -> list[Any]:
    readings = {reading.address: reading for reading in await driver.read([at(where) for where in wheres])}
    return [readings[n].value for n in range(len(wheres))]


async def test_reads_types_in_few_requests(plc: Plc) -> None:
    async with opened(plc) as driver:
        got = await values(driver, "DB1,REAL4", "DB1,INT8", "DB1,X0.3", "DB1,X0.4", "DB1,S10.20", "DB1,LINT400", "MW20")
        assert got == [21.5, -7, True, False, "PUMPE", 2**60, 0]
        assert (await driver.health())["requests"] == 3


async def test_writes_are_read_back(plc: Plc) -> None:
    async with opened(plc) as driver:
        for where, value in (("DB1,REAL4", 0.5), ("DB1,S10.20", "VENTIL"), ("MW20", 500), ("DB1,X0.5", True)):
            result = await driver.write(at(where), value)
            assert (result.confirmed, result.read_back) == (True, value), where
        # The bits beside it stay.
        assert plc.db[0] == 0b0010_1000
        with pytest.raises(DriverError) as caught:
            await driver.write(at("MW20"), 70_000)
        assert caught.value.reason is Reason.TYPE_MISMATCH


async def test_what_is_not_there_hurts_no_other(plc: Plc) -> None:
    async with opened(plc) as driver:
        addresses = [at("DB1,REAL4"), at("DB7,REAL0"), at("DB1,INT8")]
        readings = sorted(await driver.read(addresses))
        assert [reading.value for reading in readings] == [21.5, None, -7]
        assert readings[1].quality == Quality.BAD_DEVICE
        hints = await driver.advise(addresses, readings)
        assert "Optimized block access" in hints[1] or "project" in hints[1]
        assert set(hints) == {1}


async def test_preview_of_a_layout(plc: Plc) -> None:
    rows = [
        {"name": "温度", "address": "DB1,REAL4", "unit": "Cel"},
        {"name": "on", "address": "DB1,X0.3", "asset": "泵", "writable": "yes"},
    ]
    async with opened(plc, variables=rows) as driver:
        proposal = await look(driver, SystemTiming(), name="plc", asset="", url="s7://h/0/1", options={})
    assert [(p.address.point, p.value, p.address.value_type, p.address.asset) for p in proposal.points] == [
        ("温度", 21.5, "double", ""),
        ("on", True, "boolean", "泵"),
    ]
    async with opened(plc) as driver:
        with pytest.raises(DriverError, match="layout"):
            await driver.browse("", 10)


async def test_discover(plc: Plc) -> None:
    found = await make(plc.port).discover()
    assert f"s7://127.0.0.1:{plc.port}/0/1" in [one.url for one in found]


async def test_an_unreachable_plc_says_what_to_do() -> None:
    with pytest.raises(DriverError) as caught:
        await make(free_port(), timeout=2).open()
    assert caught.value.reason in (Reason.REFUSED, Reason.UNREACHABLE)
    assert caught.value.advice


async def read_for_ever(driver: S7Driver) -> None:
    while True:
        await driver.read([at("DB1,REAL4")])


async def test_a_lost_plc_ends_wait(plc: Plc) -> None:
    async with opened(plc, timeout=2) as driver:
        task = asyncio.create_task(driver.wait())
        plc.close()
        async with asyncio.timeout(DEADLINE_S):
            # Nobody polls: the next request finds out.
            with pytest.raises(DriverError):
                await read_for_ever(driver)
            with pytest.raises(DriverError):
                await task


@pytest.mark.parametrize(
    "where",
    ["DB1", "DB1,Q4", "DB1,X0.8", "DB1,X0", "DB1,S10", "DB1,S10.255", "DB1,REAL4.2", "ZW4", "DB1,REAL99999", ""],
)
def test_what_means_nothing(where: str) -> None:
    with pytest.raises(DriverError, match="no S7 address"):
        parse(where)


@given(
    st.lists(
        st.builds(
            "{}{}{}".format,
            st.sampled_from(["DB1,", "DB2,", "M"]),
            st.sampled_from(["REAL", "INT", "B", "LINT", "DW"]),
            st.integers(0, 300),
        ),
        max_size=30,
    ),
    st.integers(0, 50),
)
def test_the_plan_brings_every_value_once_and_whole(wheres: list[str], gap: int) -> None:
    specs = [parse(where) for where in wheres]
    blocks = plan(specs, gap)
    assert sorted(index for *_, members in blocks for index in members) == list(range(len(specs)))
    for area, block, start, size, members in blocks:
        for index in members:
            spec = specs[index]
            assert (spec.area, spec.block) == (area, block)
            assert start <= spec.start
            assert spec.start + spec.size <= start + size


@given(st.integers(-(2**15), 2**15 - 1), st.floats(width=32, allow_nan=False), st.text("abcä", max_size=8))
def test_there_and_back(number: int, real: float, text: str) -> None:
    for where, value in (("DB1,INT0", number), ("DB1,REAL0", real), ("DB1,S0.8", text)):
        spec = parse(where)
        assert decode(spec, encode(spec, value), 0) == value


def test_types_of_points() -> None:
    kinds = {"DB1,X0.0": "boolean", "DB1,S0.5": "string", "DB1,LINT0": "int64", "DB1,REAL0": "double", "MB1": "double"}
    assert {where: value_type_of(parse(where)) for where in kinds} == kinds
