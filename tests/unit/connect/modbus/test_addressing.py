"""Modbus addresses as text: what they mean, and what is said when they mean nothing."""

import pytest

from gongfu.connect.kit.types import DriverError, Reason
from gongfu.connect.modbus.addressing import parse, value_type_of


@pytest.mark.parametrize(
    ("where", "unit", "table", "start", "size", "kind", "order", "value_type"),
    [
        ("holding:100", 1, "holding", 100, 1, "uint16", "abcd", "double"),
        ("40101", 1, "holding", 100, 1, "uint16", "abcd", "double"),
        ("400101:float32", 1, "holding", 100, 2, "float32", "abcd", "double"),
        ("30001", 1, "input", 0, 1, "uint16", "abcd", "double"),
        ("10002", 1, "discrete", 1, 1, "bit", "abcd", "boolean"),
        ("00001", 1, "coil", 0, 1, "bit", "abcd", "boolean"),
        ("7/hr:5:int64:dcba", 7, "holding", 5, 4, "int64", "dcba", "int64"),
        ("IR:5:float64:CDAB", 1, "input", 5, 4, "float64", "cdab", "double"),
        ("holding:5:uint16.3", 1, "holding", 5, 1, "uint16", "abcd", "boolean"),
        ("holding:5:uint32.4-7", 1, "holding", 5, 2, "uint32", "abcd", "double"),
        ("holding:5:string7", 1, "holding", 5, 4, "string7", "abcd", "string"),
        ("holding:5:bcd32", 1, "holding", 5, 2, "bcd32", "abcd", "double"),
        ("di:65535", 1, "discrete", 65535, 1, "bit", "abcd", "boolean"),
    ],
)
def test_addresses(
    where: str, unit: int, table: str, start: int, size: int, kind: str, order: str, value_type: str
) -> None:
    spec = parse(where, 1, "abcd")
    assert (spec.unit, spec.table, spec.start, spec.size, spec.type, spec.order) == (
        unit, table, start, size, kind, order,
    )  # fmt: skip
    assert value_type_of(spec) == value_type


@pytest.mark.parametrize(
    ("where", "reason", "says"),
    [
        ("holdings:1", Reason.ADDRESS_UNKNOWN, "coil, discrete, input, holding"),
        ("holding", Reason.ADDRESS_UNKNOWN, "a number from 0"),
        ("holding:-1", Reason.ADDRESS_UNKNOWN, "a number from 0"),
        ("holding:1:float", Reason.ADDRESS_UNKNOWN, "float32"),
        ("holding:1:float32:acbd", Reason.ADDRESS_UNKNOWN, "abcd, badc, cdab, dcba"),
        ("holding:1:float32:abcd:x", Reason.ADDRESS_UNKNOWN, "more than type and order"),
        ("holding:1:uint16.16", Reason.ADDRESS_UNKNOWN, "0 to 15"),
        ("holding:1:uint16.5-3", Reason.ADDRESS_UNKNOWN, "lower one first"),
        ("coil:1:float32", Reason.ADDRESS_UNKNOWN, "coil holds bits"),
        ("300/holding:1", Reason.ADDRESS_UNKNOWN, "no unit id"),
        ("holding:65535:float32", Reason.RANGE, "65535 to 65536"),
        ("40000", Reason.RANGE, "40001 is holding:0"),
        ("holding:1:string0", Reason.ADDRESS_UNKNOWN, "1 to 250"),
        ("", Reason.ADDRESS_UNKNOWN, "none of"),
    ],
)
def test_what_means_nothing(where: str, reason: Reason, says: str) -> None:
    with pytest.raises(DriverError) as caught:
        parse(where, 1, "abcd")
    assert caught.value.reason is reason
    assert says in str(caught.value)
    assert caught.value.advice
