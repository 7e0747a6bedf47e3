"""Registers and values: every type in every order, there and back; hints when the order looks wrong."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.connect.kit.types import DriverError
from gongfu.connect.modbus.addressing import FORMATS, ORDERS, parse
from gongfu.connect.modbus.advice import order_hint
from gongfu.connect.modbus.values import BlockBytes, decode, encode, replace_field


def registers_of(kind: str, value: float, order: str) -> list[int]:
    """Return registers the slow way: bytes a b c d as they stand in the order's name, word by word for 8 bytes."""
    raw = struct.pack(">" + FORMATS[kind][0], value)
    words = [raw[i : i + 2] for i in range(0, len(raw), 2)]
    if order in ("cdab", "dcba"):
        words.reverse()
    if order in ("badc", "dcba"):
        words = [word[::-1] for word in words]
    return [int.from_bytes(word, "big") for word in words]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=15, deadline=None)
@given(raw=st.binary(min_size=8, max_size=8), before=st.integers(0, 5))
def test_every_type_in_every_order(kind: str, order: str, raw: bytes, before: int) -> None:
    letter, size = FORMATS[kind]
    (value,) = struct.unpack(">" + letter, raw[: 2 * size])
    registers = registers_of(kind, value, order)
    spec = parse(f"holding:{before}:{kind}:{order}", 1, "abcd")
    got = decode(spec, BlockBytes([7] * before + registers + [9]), before)
    assert got == value or (math.isnan(value) and isinstance(got, float) and math.isnan(got))
    if not math.isnan(value):
        assert encode(spec, got) == registers


def test_names_of_the_orders() -> None:
    # 0x41AC0000 is 21.5.
    registers = {"abcd": [0x41AC, 0], "cdab": [0, 0x41AC], "badc": [0xAC41, 0], "dcba": [0, 0xAC41]}
    for order, words in registers.items():
        assert decode(parse(f"holding:0:float32:{order}", 1, "abcd"), BlockBytes(words), 0) == 21.5


@given(st.integers(0, 0xFFFF), st.integers(0, 15), st.data())
def test_bit_fields(word: int, low: int, data: st.DataObject) -> None:
    high = data.draw(st.integers(low, 15))
    spec = parse(f"holding:0:uint16.{low}-{high}", 1, "abcd")
    value = decode(spec, BlockBytes([word]), 0)
    assert value == (word >> low) & ((1 << (high - low + 1)) - 1)
    other = data.draw(st.integers(0, spec.mask))
    (changed,) = replace_field(spec, [word], other)
    assert decode(spec, BlockBytes([changed]), 0) == other
    assert (changed ^ word) & ~(spec.mask << low) == 0


def test_text_and_bcd() -> None:
    spec = parse("holding:0:string6", 1, "abcd")
    assert encode(spec, "泵A") == [0xE6B3, 0xB541, 0]
    assert decode(spec, BlockBytes([0xE6B3, 0xB541, 0]), 0) == "泵A"
    swapped = parse("holding:0:string4:badc", 1, "abcd")
    assert decode(swapped, BlockBytes(encode(swapped, "WXYZ")), 0) == "WXYZ"
    assert encode(swapped, "WXYZ") == [0x5857, 0x5A59]
    bcd = parse("holding:0:bcd16", 1, "abcd")
    assert decode(bcd, BlockBytes([0x1234]), 0) == 1234
    assert encode(bcd, 1234) == [0x1234]
    assert decode(bcd, BlockBytes([0x12AB]), 0) is None


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("holding:0", 65536),
        ("holding:0:int16", -32769),
        ("holding:0", 1.5),
        ("holding:0", True),
        ("holding:0", "7"),
        ("holding:0:float32", 1e300),
        ("holding:0:bcd16", 10_000),
        ("holding:0:string2", "abc"),
        ("holding:0:string2", 5),
    ],
)
def test_what_does_not_fit(where: str, value: object) -> None:
    with pytest.raises(DriverError) as caught:
        encode(parse(where, 1, "abcd"), value)  # pyright: ignore[reportArgumentType]
    assert caught.value.reason == "type-mismatch"


@pytest.mark.parametrize("right", ORDERS)
@pytest.mark.parametrize("value", [21.5, 1.8, 230.1, -40.25, 1450.0])
def test_a_wrong_order_is_noticed(right: str, value: float) -> None:
    registers = registers_of("float32", value, right)
    wrong = [order for order in ORDERS if order != right]
    told = 0
    for order in wrong:
        spec = parse(f"holding:0:float32:{order}", 1, "abcd")
        hint = order_hint(spec, decode(spec, BlockBytes(registers), 0))
        told += right in hint
    assert told >= 2
    spec = parse(f"holding:0:float32:{right}", 1, "abcd")
    assert order_hint(spec, decode(spec, BlockBytes(registers), 0)) == ""


def test_exchanged_words_of_an_integer_are_noticed() -> None:
    spec = parse("holding:0:uint32", 1, "abcd")
    assert "cdab" in order_hint(spec, 21 << 16)
    assert order_hint(spec, 21) == ""
    assert order_hint(spec, 1_376_257) == ""
    assert order_hint(parse("holding:0", 1, "abcd"), 4096) == ""
