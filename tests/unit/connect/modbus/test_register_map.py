"""Register maps as data: CSV and YAML give the same; what is wrong is told by line and name."""

from pathlib import Path

import pytest

from gongfu.connect.kit.table_files import read_rows
from gongfu.connect.kit.types import DriverError
from gongfu.connect.modbus.register_map import nodes_of

CSV = """\ufeffname,table,address,type,order,bit,unit,scale,offset,writable,description,asset,register
温度,holding,0,float32,cdab,,Cel,,,,出口,,
Running,holding,4,,,3,,,,no,,泵 1,
Setpoint,,,,,,Cel,0.1,-40,yes,,泵 1,40011:int16
Energy,input,20,uint64,,,kW.h,0.001,,,,,
"""
YAML = """
registers:
  - {name: 温度, table: holding, address: 0, type: float32, order: cdab, unit: Cel, description: 出口}
  - {name: Running, table: holding, address: 4, bit: 3, writable: no, asset: 泵 1}
  - {name: Setpoint, register: "40011:int16", unit: Cel, scale: 0.1, offset: -40, writable: yes, asset: 泵 1}
  - {name: Energy, table: input, address: 20, type: uint64, unit: kW.h, scale: 0.001}
"""


@pytest.mark.parametrize(("name", "text"), [("map.csv", CSV), ("map.yaml", YAML)])
def test_csv_and_yaml_mean_the_same(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    found = nodes_of(read_rows(file), 1, "abcd")
    assert [address.where for address, _ in found] == [
        "holding:0:float32:cdab",
        "holding:4:uint16.3",
        "40011:int16",
        "input:20:uint64",
    ]
    assert [(address.point, address.asset, address.value_type) for address, _ in found] == [
        ("温度", "", "double"),
        ("Running", "泵 1", "boolean"),
        ("Setpoint", "泵 1", "double"),
        # A scaled 64-bit counter is a double; without scale it would be int64.
        ("Energy", "", "double"),
    ]
    setpoint = found[2][0]
    assert (setpoint.scale, setpoint.offset, setpoint.writable, setpoint.unit) == (0.1, -40.0, True, "Cel")
    assert found[0][1].description == "出口"
    assert found[1][1].path == ("泵 1",)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"name": "t", "adress": "1"}, "unknown column 'adress'"),
        ({"name": "t"}, "register, or table and address"),
        ({"register": "holding:1"}, "a name is needed"),
        ({"name": "t", "register": "holding:x"}, "a number from 0"),
        ({"name": "t", "register": "input:1", "writable": "yes"}, "input cannot be written"),
        ({"name": "t", "register": "holding:1", "scale": "ten"}, "scale must be a number"),
        ({"name": "t", "register": "holding:1", "writable": "maybe"}, "true or false"),
    ],
)
def test_a_wrong_row_is_named(row: dict[str, str], says: str) -> None:
    with pytest.raises(DriverError, match="register 2 of the map") as caught:
        nodes_of([{"name": "good", "register": "holding:0"}, row], 1, "abcd")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.yaml", b"a: [", "not YAML"),
        ("m.yml", b"registers: 5", "must be a list"),
        ("m.csv", b"\xff\xfe", "not UTF-8"),
        ("gone.csv", None, "No such file"),
    ],
)
def test_a_file_that_is_no_map(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DriverError, match=says):
        read_rows(tmp_path / name)
