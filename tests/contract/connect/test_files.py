"""A folder of files: backfill at the rows' own times, growth, restart without loss, and what is refused."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.connect.files.driver import FolderDriver
from gongfu.connect.files.folder import CONSENT
from gongfu.connect.files.tables import time_of, value_of
from gongfu.connect.kit.loading import driver_of, make_driver
from gongfu.connect.kit.manifest import check_options
from gongfu.connect.kit.timing import SystemTiming
from gongfu.connect.kit.types import Address, Context, DriverError, Reading, Reason
from gongfu.connect.preview.looking import look
from gongfu.kernel.times import SECOND
from tests.fixtures.processes import wait_until

DEADLINE_S = 60.0
T0 = 1_767_225_600 * SECOND


class Collecting:
    """A sink that keeps readings."""

    saturated = False

    def __init__(self) -> None:
        self.readings: list[Reading] = []

    def take(self, readings: Sequence[Reading], received: int) -> None:
        self.readings += readings

    def gap(self, addresses: Sequence[int], since: int, until: int, reason: str) -> None:
        raise AssertionError

    def event(self, kind: str, detail: Mapping[str, Any]) -> None:
        raise AssertionError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "exports"
    made.mkdir()
    (made / CONSENT).touch()
    return made


def make(folder: Path, **options: Any) -> FolderDriver:
    available = driver_of("files")
    checked = check_options(available.manifest, {"scan": 0.1, **options})
    context = Context(f"files://{folder}", checked, "test", folder.parent / "state", SystemTiming())
    driver = make_driver(available, context)
    assert isinstance(driver, FolderDriver)
    return driver


async def collect(folder: Path, names: list[str], wanted: int, **options: Any) -> list[Reading]:
    """Run a driver until it has brought so many readings, and a turn more."""
    driver = make(folder, **options)
    await driver.open()
    sink = Collecting()
    await driver.subscribe([Address(point=name, where=name) for name in names], sink)
    task = asyncio.create_task(driver.wait())
    await asyncio.to_thread(wait_until, lambda: len(sink.readings) >= wanted, "readings", DEADLINE_S)
    await asyncio.sleep(0.5)
    task.cancel()
    return sink.readings


async def test_backfill_growth_and_restart(folder: Path) -> None:
    file = folder / "a.csv"
    file.write_text("time,温度,on\n2026-01-01T00:00:00Z,1.5,true\n2026-01-01T00:00:01Z,,false\n", encoding="utf-8")
    first = await collect(folder, ["温度", "on"], 3)
    assert first == [Reading(0, 1.5, 0, T0), Reading(1, True, 0, T0), Reading(1, False, 0, T0 + SECOND)]
    with file.open("a", encoding="utf-8") as growing:
        growing.write("2026-01-01T00:00:02Z,2.5,true\n2026-01-01T00:0")
    assert await collect(folder, ["温度", "on"], 2) == [
        Reading(0, 2.5, 0, T0 + 2 * SECOND),
        Reading(1, True, 0, T0 + 2 * SECOND),
    ]
    with file.open("a", encoding="utf-8") as growing:
        growing.write("0:03Z,3.5,true\n")
    assert await collect(folder, ["温度"], 1) == [Reading(0, 3.5, 0, T0 + 3 * SECOND)]


async def test_parquet_in_long_form(folder: Path) -> None:
    times = [datetime(2026, 1, 1, 0, 0, n, tzinfo=UTC) for n in range(3)]
    table = pa.table({"ts": times, "tag": ["a", "b", "a"], "v": [1.0, 2.0, 3.0]})
    parquet.write_table(table, folder / "x.parquet", row_group_size=2)
    options = {"time_column": "ts", "name_column": "tag", "value_column": "v"}
    got = await collect(folder, ["a", "b"], 3, **options)
    assert got == [Reading(0, 1.0, 0, T0), Reading(1, 2.0, 0, T0 + SECOND), Reading(0, 3.0, 0, T0 + 2 * SECOND)]


async def test_preview_shows_the_columns(folder: Path) -> None:
    (folder / "a.csv").write_text("time;p;state\n2026-01-01 08:00:00;1;run\n", encoding="utf-8")
    driver = make(folder, delimiter=";", zone="Asia/Shanghai")
    await driver.open()
    proposal = await look(driver, SystemTiming(), name="x", asset="", url="files:///x", options={})
    assert [(p.address.point, p.value, p.address.value_type) for p in proposal.points] == [
        ("p", 1, "double"),
        ("state", "run", "string"),
    ]
    (reading, _) = await driver.read([Address(point="p", where="p"), Address(point="q", where="q")])
    assert reading.source_time == T0
    wrong = make(folder, delimiter=";", time_column="when")
    await wrong.open()
    with pytest.raises(DriverError, match="time_column"):
        await wrong.browse("", 10)


async def test_a_folder_that_does_not_consent_is_not_read(folder: Path) -> None:
    (folder / CONSENT).unlink()
    with pytest.raises(DriverError) as caught:
        await make(folder).open()
    assert caught.value.reason is Reason.REFUSED
    assert CONSENT in caught.value.advice
    with pytest.raises(DriverError, match="not a folder"):
        await make(folder / "gone").open()


async def test_links_out_of_the_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text("time,x\n2026-01-01T00:00:00Z,1\n")
    (folder / "b.csv").symlink_to(outside)
    driver = make(folder)
    await driver.open()
    assert (await driver.browse("", 10)).items == []


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_times_in_all_forms(moment: datetime) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    utc = moment.replace(tzinfo=UTC)
    exact = time_of(utc.isoformat().replace("+00:00", "Z"), zone)
    assert exact == time_of(utc, zone) == time_of(utc.astimezone(zone).isoformat(), zone)
    assert exact % SECOND == moment.microsecond * 1000
    milliseconds = exact // 1_000_000
    if milliseconds >= 10**10:
        assert time_of(milliseconds, zone) == milliseconds * 1_000_000 == time_of(str(milliseconds), zone)
    assert time_of(f"{exact // SECOND}.{exact % SECOND:09d}", zone) == exact


def test_cells() -> None:
    assert [value_of(text) for text in ("1", "1.5", " 2 ", "true", "FALSE", "on", "")] == [
        1, 1.5, 2, True, False, "on", None,
    ]  # fmt: skip
    assert time_of("yesterday", ZoneInfo("UTC")) == 0
