"""Arrow streams against a real log and registry."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gongfu.ingest.types import Form
from gongfu.kernel.points import ValueType
from tests.fixtures.telemetry import NOW, Telemetry, points_of

SECOND = 1_000_000_000


def stream(columns: dict[str, Any], compression: str | None = None, rows: int = 3) -> bytes:
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue().to_pybytes()


def times(n: int, unit: str = "ns") -> pa.Array:
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return pa.array([(NOW // SECOND - i) * factor for i in range(n)], pa.timestamp(unit, "UTC"))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
async def test_columns_of_several_assets(telemetry: Telemetry, unit: str) -> None:
    data = stream(
        {
            "time": times(5, unit),
            "name": ["a", "b", "a", "a", "b"],
            "value": [1.5, 2.5, 3.5, 4.5, 5.5],
            "asset": ["", "x", None, "x/y", "x"],
            "quality": pa.array([0, 0x40, 0x80, 0, None], pa.uint8()),
        }
    )
    receipt = await telemetry.send(data, Form.ARROW)
    assert (receipt.accepted, receipt.rejected) == (5, {})
    t = [NOW - i * SECOND for i in range(5)]
    assert await telemetry.stored() == {
        ("a1", "a"): [(t[2], 0x80, 3.5), (t[0], 0, 1.5)],
        ("a1/x", "b"): [(t[4], 0, 5.5), (t[1], 0x40, 2.5)],
        ("a1/x/y", "a"): [(t[3], 0, 4.5)],
    }


@pytest.mark.parametrize(
    ("values", "value_type", "stored"),
    [
        (pa.array([1.5, -0.0], pa.float64()), ValueType.DOUBLE, [1.5, -0.0]),
        (pa.array([0.5, 2.0], pa.float32()), ValueType.DOUBLE, [0.5, 2.0]),
        (pa.array(np.array([0.5, 2.0], np.float16)), ValueType.DOUBLE, [0.5, 2.0]),
        (pa.array([-5, 7], pa.int8()), ValueType.DOUBLE, [-5.0, 7.0]),
        (pa.array([5, 2**32 - 1], pa.uint32()), ValueType.DOUBLE, [5.0, 2.0**32 - 1]),
        (pa.array([5, 255], pa.uint8()), ValueType.DOUBLE, [5.0, 255.0]),
        (pa.array([-(2**63), 2**63 - 1], pa.int64()), ValueType.INT64, [-(2**63), 2**63 - 1]),
        (pa.array([5, 2**63 - 1], pa.uint64()), ValueType.INT64, [5, 2**63 - 1]),
        (pa.array([True, False]), ValueType.BOOLEAN, [True, False]),
        (pa.array(["跑", ""]), ValueType.STRING, ["跑", ""]),
        (pa.array(["跑", ""], pa.large_string()), ValueType.STRING, ["跑", ""]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
async def test_every_column_type(
    telemetry: Telemetry, values: pa.Array, value_type: ValueType, stored: list[Any]
) -> None:
    data = stream({"time": pa.array([1, 2]), "name": pa.array(["p", "p"]).dictionary_encode(), "value": values})
    assert (await telemetry.send(data, Form.ARROW)).accepted == 2
    assert points_of(telemetry.engine)["a1", "p"].value_type is value_type
    assert [value for _, _, value in (await telemetry.stored())["a1", "p"]] == stored


async def test_rows_are_judged_one_by_one(telemetry: Telemetry) -> None:
    data = stream(
        {
            "time": pa.array([None, -1, NOW + 10**15, 5, 6, 7, 8], pa.int64()),
            "name": ["a", "a", "a", None, "", "a", "a"],
            "value": [1.0, 1.0, 1.0, 1.0, 1.0, None, 2.0],
        }
    )
    receipt = await telemetry.send(data, Form.ARROW)
    assert receipt.accepted == 1
    assert receipt.rejected == {"timestamp_invalid": 2, "timestamp_in_future": 1, "name_invalid": 2, "null_value": 1}
    assert await telemetry.stored() == {("a1", "a"): [(8, 0, 2.0)]}


async def test_times_beyond_nanoseconds_spoil_only_their_rows(telemetry: Telemetry) -> None:
    data = stream({"time": pa.array([2**62, 1, -5], pa.timestamp("s")), "name": ["a"] * 3, "value": [1.0, 2.0, 3.0]})
    receipt = await telemetry.send(data, Form.ARROW)
    assert (receipt.accepted, receipt.rejected) == (1, {"timestamp_invalid": 2})


async def test_not_a_number_is_stored_as_bad(telemetry: Telemetry) -> None:
    data = stream({"time": [1, 2, 3], "name": ["a"] * 3, "value": [math.nan, math.inf, 1.0]})
    assert (await telemetry.send(data, Form.ARROW)).accepted == 3
    assert [quality for _, quality, _ in (await telemetry.stored())["a1", "a"]] == [0x81, 0x81, 0]


async def test_values_must_fit_the_type_of_the_point(telemetry: Telemetry) -> None:
    await telemetry.send('{"d":1.5,"i":9007199254740993,"b":true,"s":"x","j":{}}')
    names = ["d", "i", "b", "s", "j"]

    async def rejected(values: pa.Array) -> dict[str, int]:
        data = stream({"time": pa.array(range(1, 6)), "name": names, "value": values})
        return dict((await telemetry.send(data, Form.ARROW)).rejected)

    assert await rejected(pa.array([1.5, 2.5, 1.0, 1.0, 1.0])) == {"type_mismatch": 4}
    assert await rejected(pa.array([1, 2, 1, 1, 1], pa.int64())) == {"type_mismatch": 3}
    assert await rejected(pa.array([2**53 + 1, 2**53 + 1, 1, 1, 1])) == {"precision_loss": 1, "type_mismatch": 3}
    assert await rejected(pa.array([2**63, 2**63, 1, 1, 1], pa.uint64())) == {"integer_overflow": 2, "type_mismatch": 3}
    assert await rejected(pa.array([1.0, 2.0**60, 1.0, 1.0, 1.0])) == {"precision_loss": 1, "type_mismatch": 3}
    assert await rejected(pa.array([True] * 5)) == {"type_mismatch": 4}
    assert await rejected(pa.array([1] * 5, pa.uint8())) == {"type_mismatch": 3}
    assert await rejected(pa.array(["x"] * 5)) == {"type_mismatch": 4}


GOOD = {"time": pa.array([1]), "name": pa.array(["a"]), "value": pa.array([1.5])}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"time": pa.array([1]), "name": pa.array(["a"])}, "form_invalid"),
        (GOOD | {"extra": pa.array([1])}, "form_invalid"),
        (GOOD | {"time": pa.array([1.5])}, "form_invalid"),
        (GOOD | {"time": pa.array(["2023"])}, "form_invalid"),
        (GOOD | {"name": pa.array([1])}, "form_invalid"),
        (GOOD | {"value": pa.array([[1]])}, "form_invalid"),
        (GOOD | {"value": pa.array([b"x"])}, "form_invalid"),
        (GOOD | {"value": pa.array([None])}, "form_invalid"),
        (GOOD | {"quality": pa.array([1])}, "form_invalid"),
        (GOOD | {"asset": pa.array([1])}, "form_invalid"),
        (GOOD | {"asset": pa.array(["x//y"])}, "name_invalid"),
        ({name: pa.array(array.to_pylist() * 1001) for name, array in GOOD.items()}, "too_many_points"),
    ],
)
async def test_other_streams_are_refused(telemetry: Telemetry, columns: dict[str, Any], reason: str) -> None:
    receipt = await telemetry.send(stream(columns, rows=1000), Form.ARROW)
    assert (receipt.accepted, list(receipt.rejected)) == (0, [reason])


async def test_compressed_streams_are_refused(telemetry: Telemetry) -> None:
    receipt = await telemetry.send(stream(GOOD, "zstd"), Form.ARROW)
    assert receipt.rejected == {"form_invalid": 1}
    names = pa.array(["a"]).dictionary_encode()
    assert (await telemetry.send(stream(GOOD | {"name": names}, "lz4"), Form.ARROW)).rejected == {"form_invalid": 1}


async def test_damaged_streams_never_break_anything(telemetry: Telemetry) -> None:
    good = stream(GOOD | {"value": pa.array(["text"])})
    seen = set[str]()
    for position in range(0, len(good), 3):
        for bit in (1, 128):
            damaged = bytearray(good)
            damaged[position] ^= bit
            receipt = await telemetry.send(bytes(damaged), Form.ARROW)
            assert receipt.accepted + sum(receipt.rejected.values()) <= 1 + 1
            seen |= receipt.rejected.keys()
        receipt = await telemetry.send(good[:position], Form.ARROW)
        seen |= receipt.rejected.keys()
    assert "malformed_arrow" in seen
    assert (await telemetry.send(stream(GOOD | {"name": pa.array(["still works"])}), Form.ARROW)).accepted == 1
