"""Sparkplug values that are more than one number: template instances, data sets, arrays; and what deaths leave."""

import json
import math
import struct
from typing import Any

import pytest

from gongfu.ingest.columnise.sparkplug_schema import DataSet, DataType, Payload, Template
from gongfu.ingest.types import Form, Receipt
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import Quality
from tests.fixtures.telemetry import NOW, Telemetry, points_of

T = NOW // 1_000_000
EDGE = "a1/厂/边"


async def send(telemetry: Telemetry, kind: str, message: Any, where: str = "边") -> Receipt:
    message.timestamp = T
    return await telemetry.send(message.SerializeToString(), Form.SPARKPLUG, context=f"spBv1.0/厂/{kind}/{where}")


def motor(speed: float, *, typed: bool = True, definition: bool = False) -> Any:
    template = Template(template_ref="电机", version="1", is_definition=definition)
    template.parameters.add(name="index", type=DataType.INT32).int_value = 1
    member = template.metrics.add(name="转速")
    member.double_value = speed
    inner = Template(template_ref="轴承")
    temperature = inner.metrics.add(name="温度", timestamp=T - 5)
    temperature.float_value = speed / 10
    temperature.properties.keys.append("Quality")
    temperature.properties.values.add(type=3).int_value = 500
    if typed:
        member.datatype, temperature.datatype = DataType.DOUBLE, DataType.FLOAT
    nested = template.metrics.add(name="轴承", datatype=DataType.TEMPLATE)
    nested.template_value = inner.SerializeToString()
    return template


async def test_members_of_template_instances_become_points(telemetry: Telemetry) -> None:
    birth = Payload()
    for name, definition in (("_types_/电机", True), ("主泵", False)):
        metric = birth.metrics.add(name=name, datatype=DataType.TEMPLATE)
        metric.template_value = motor(1500.0, definition=definition).SerializeToString()
    plain = birth.metrics.add(name="plain", datatype=DataType.DOUBLE)
    plain.double_value = 1.0
    assert (await send(telemetry, "NBIRTH", birth)).accepted == 3
    data = Payload()
    metric = data.metrics.add(name="主泵", datatype=DataType.TEMPLATE)
    metric.template_value = motor(1490.0, typed=False).SerializeToString()
    assert (await send(telemetry, "NDATA", data)).accepted == 2
    stored = await telemetry.stored()
    assert set(stored) == {(EDGE, "主泵/转速"), (EDGE, "主泵/轴承/温度"), (EDGE, "plain")}
    assert [value for _, _, value in stored[EDGE, "主泵/转速"]][-1] == 1490.0
    assert {quality for _, quality, _ in stored[EDGE, "主泵/轴承/温度"]} == {Quality.BAD_STALE}


async def test_damaged_templates_are_refused_and_the_rest_is_taken(telemetry: Telemetry) -> None:
    deep = Template()
    deep.metrics.add(name="x", datatype=DataType.DOUBLE).double_value = 1.0
    for _ in range(20):
        outer = Template()
        metric = outer.metrics.add(name="in", datatype=DataType.TEMPLATE)
        metric.template_value = deep.SerializeToString()
        deep = outer
    nameless = Template()
    nameless.metrics.add(datatype=DataType.DOUBLE).double_value = 1.0
    for value in (deep.SerializeToString(), nameless.SerializeToString(), b"\xff\xff"):
        birth = Payload()
        birth.metrics.add(name="bad", datatype=DataType.TEMPLATE).template_value = value
        birth.metrics.add(name="good", datatype=DataType.DOUBLE).double_value = 2.0
        receipt = await send(telemetry, "NBIRTH", birth)
        assert (receipt.accepted, receipt.rejected) == (1, {"malformed_sparkplug": 1})


def table(names: list[str], types: list[int], rows: list[list[Any]]) -> Any:
    found = DataSet(num_of_columns=len(names), columns=names, types=types)
    for values in rows:
        row = found.rows.add()
        for value in values:
            cell = row.elements.add()
            if isinstance(value, str):
                cell.string_value = value
            elif isinstance(value, float):
                cell.double_value = value
            elif value is not None:
                cell.int_value = value & 0xFFFFFFFF
    return found


async def test_data_sets_are_kept_as_json(telemetry: Telemetry) -> None:
    birth = Payload()
    good = table(["批号", "n", "x"], [12, 3, 10], [["甲", -1, 1.5], ["乙", 2, math.nan], [None, 3, 0.0]])
    birth.metrics.add(name="表", datatype=DataType.DATASET).dataset_value = good.SerializeToString()
    assert (await send(telemetry, "NBIRTH", birth)).accepted == 1
    assert points_of(telemetry.engine)[EDGE, "表"].value_type is ValueType.JSON
    ((_, _, text),) = (await telemetry.stored())[EDGE, "表"]
    assert json.loads(str(text)) == {
        "columns": ["批号", "n", "x"],
        "types": ["STRING", "INT32", "DOUBLE"],
        "rows": [["甲", -1, 1.5], ["乙", 2, None], [None, 3, 0.0]],
    }
    short = table(["a", "b"], [3, 3], [[1, 2], [1]])
    uneven = table(["a", "b"], [3], [])
    odd = table(["a"], [19], [])
    miscounted = table(["a"], [3], [])
    miscounted.num_of_columns = 2
    for bad in (short, uneven, odd, miscounted):
        data = Payload()
        data.metrics.add(name="表", datatype=DataType.DATASET).dataset_value = bad.SerializeToString()
        assert (await send(telemetry, "NDATA", data)).rejected == {"malformed_sparkplug": 1}


@pytest.mark.parametrize(
    ("kind", "data", "values"),
    [
        (DataType.INT8ARRAY, struct.pack("<2b", -1, 2), [-1, 2]),
        (DataType.INT64ARRAY, struct.pack("<1q", -(2**63)), [-(2**63)]),
        (DataType.UINT16ARRAY, struct.pack("<2H", 1, 65535), [1, 65535]),
        (DataType.DOUBLEARRAY, struct.pack("<2d", 1.5, math.inf), [1.5, None]),
        (DataType.BOOLEANARRAY, struct.pack("<I", 10) + b"\x80\x40", [True, *[False] * 8, True]),
        (DataType.STRINGARRAY, "甲\0\0b\0".encode(), ["甲", "", "b"]),
        (DataType.DATETIMEARRAY, struct.pack("<1Q", T), [T]),
        (DataType.FLOATARRAY, b"", []),
    ],
)
async def test_arrays_are_kept_as_json(telemetry: Telemetry, kind: DataType, data: bytes, values: list[Any]) -> None:
    birth = Payload()
    birth.metrics.add(name="组", datatype=kind).bytes_value = data
    assert (await send(telemetry, "NBIRTH", birth)).accepted == 1
    ((_, _, text),) = (await telemetry.stored())[EDGE, "组"]
    assert json.loads(str(text)) == values


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (DataType.INT32ARRAY, b"123"),
        (DataType.BOOLEANARRAY, b"\x09\0\0\0\x80"),
        (DataType.BOOLEANARRAY, b"\x09"),
        (DataType.STRINGARRAY, b"abc"),
        (DataType.STRINGARRAY, b"\xff\0"),
    ],
)
async def test_damaged_arrays_are_refused(telemetry: Telemetry, kind: DataType, data: bytes) -> None:
    birth = Payload()
    birth.metrics.add(name="组", datatype=kind).bytes_value = data
    assert (await send(telemetry, "NBIRTH", birth)).rejected == {"malformed_sparkplug": 1}
