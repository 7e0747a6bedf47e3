"""Readings of drivers through the columniser: into blocks with type, quality and time; what does not fit is counted."""

import asyncio
import math

from gongfu.ingest.types import ReadingColumns, Receipt
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from tests.fixtures.telemetry import DEADLINE_S, Telemetry

TIME = 1_699_999_000_000_000_000


async def submit(telemetry: Telemetry, *columns: ReadingColumns) -> Receipt:
    future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
    telemetry.columniser.submit_columns(telemetry.writers[0], columns, telemetry.clock.now, future.set_result)
    return await asyncio.wait_for(future, DEADLINE_S)


def columns_of(value_type: ValueType, name: str, *values: object, child: str = "", quality: int = 0) -> ReadingColumns:
    n = len(values)
    times = [TIME + i for i in range(n)]
    return ReadingColumns(child, value_type, [name], [0] * n, list(values), times, [quality] * n)


async def test_all_types_arrive(telemetry: Telemetry) -> None:
    receipt = await submit(
        telemetry,
        columns_of(ValueType.DOUBLE, "温度", 1.5, math.inf),
        columns_of(ValueType.INT64, "n", 2**62 + 1, -5, child="泵 1"),
        columns_of(ValueType.BOOLEAN, "on", True, child="泵 1"),
        columns_of(ValueType.STRING, "s", "启动"),
        columns_of(ValueType.JSON, "j", "[1,2]"),
        columns_of(ValueType.DOUBLE, "lost", math.nan, quality=Quality.BAD_NO_DATA),
    )
    assert receipt == Receipt(8)
    stored = await telemetry.stored()
    assert stored["a1", "温度"] == [(TIME, 0, 1.5), (TIME + 1, Quality.BAD_NOT_A_NUMBER, math.inf)]
    assert stored["a1/泵 1", "n"] == [(TIME, 0, 2**62 + 1), (TIME + 1, 0, -5)]
    assert stored["a1/泵 1", "on"] == [(TIME, 0, True)]
    assert stored["a1", "s"] == [(TIME, 0, "启动")]
    assert stored["a1", "j"] == [(TIME, 0, "[1,2]")]
    ((_, quality, value),) = stored["a1", "lost"]
    assert quality == Quality.BAD_NO_DATA
    assert isinstance(value, float)
    assert math.isnan(value)


async def test_a_point_keeps_its_type(telemetry: Telemetry) -> None:
    await submit(telemetry, columns_of(ValueType.DOUBLE, "t", 1.0))
    receipt = await submit(telemetry, columns_of(ValueType.STRING, "t", "warm"), columns_of(ValueType.DOUBLE, "u", 2.0))
    assert (receipt.accepted, receipt.rejected) == (1, {"type_mismatch": 1})


async def test_the_future_is_refused_and_the_rest_is_kept(telemetry: Telemetry) -> None:
    late = telemetry.clock.now + 400_000_000_000
    columns = ReadingColumns("", ValueType.DOUBLE, ["t", "u"], [0, 1], [1.0, 2.0], [late, TIME], [0, 0])
    receipt = await submit(telemetry, columns)
    assert (receipt.accepted, receipt.rejected) == (1, {"timestamp_in_future": 1})


async def test_shed_readings_are_counted_for_the_device(telemetry: Telemetry) -> None:
    telemetry.columniser.shed_readings(telemetry.writers[0], 17, "saturated")
    assert telemetry.counters.snapshot()["points_shed.saturated"] == 17
