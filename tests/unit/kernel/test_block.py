"""Column block codec: exact round trip, and damage of any kind is an error, never wrong points."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.block import Block, BlockError, Columns, decode_block, encode_block, type_of_values
from gongfu.kernel.points import ValueType

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = {
    ValueType.DOUBLE: st.floats(allow_nan=True, allow_infinity=True),
    ValueType.INT64: INT64,
    ValueType.BOOLEAN: st.integers(0, 1),
    ValueType.STRING: st.text(max_size=20),
    ValueType.JSON: st.text(max_size=20),
}


@st.composite
def columns_of(draw: st.DrawFn, value_type: ValueType) -> Columns:
    n = draw(st.integers(0, 9))
    series = draw(st.lists(st.integers(0, 2**32 - 1), min_size=n, max_size=n))
    times = draw(st.lists(INT64, min_size=n, max_size=n))
    qualities = draw(st.lists(st.integers(0, 255), min_size=n, max_size=n))
    values = draw(st.lists(VALUES[value_type], min_size=n, max_size=n))
    dtype = type_of_values.get(value_type)
    return Columns(
        np.array(series, "<u4"),
        np.array(times, "<i8"),
        np.array(qualities, "u1"),
        values if dtype is None else np.array(values, dtype),
    )


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    types = draw(st.lists(st.sampled_from(list(ValueType)), unique=True))
    columns = {value_type: draw(columns_of(value_type)) for value_type in types}
    return Block(draw(st.integers(0, 2**32 - 1)), draw(INT64), columns)


def as_bytes(values: object) -> object:
    # NaN payloads and the sign of zero count too.
    return values.tobytes() if isinstance(values, np.ndarray) else list(values)  # type: ignore[call-overload]


@given(blocks())
@settings(max_examples=300)
def test_round_trip_is_exact(block: Block) -> None:
    data = encode_block(block)
    assert len(data) % 8 == 0
    back = decode_block(data)
    assert (back.tenant, back.ingested, list(back.columns)) == (block.tenant, block.ingested, list(block.columns))
    for value_type, columns in block.columns.items():
        for name in ("series", "times", "qualities", "values"):
            assert as_bytes(getattr(back.columns[value_type], name)) == as_bytes(getattr(columns, name)), name
    assert encode_block(back) == data


@given(blocks(), st.data())
@settings(max_examples=300)
def test_every_bit_flip_is_noticed(block: Block, data: st.DataObject) -> None:
    damaged = bytearray(encode_block(block))
    position = data.draw(st.integers(0, len(damaged) * 8 - 1))
    damaged[position // 8] ^= 1 << position % 8
    with pytest.raises(BlockError):
        decode_block(bytes(damaged))


@given(blocks(), st.data())
@settings(max_examples=300)
def test_every_truncation_and_extension_is_noticed(block: Block, data: st.DataObject) -> None:
    whole = encode_block(block)
    # A torn last block: the file ends early, or its end was never written and reads as zeros.
    cut = data.draw(st.integers(0, len(whole) - 1))
    torn = [whole[:cut], whole + data.draw(st.binary(min_size=1, max_size=16))]
    if any(whole[cut:]):
        torn.append(whole[:cut] + bytes(len(whole) - cut))
    for damaged in torn:
        with pytest.raises(BlockError):
            decode_block(damaged)


@given(st.binary(max_size=200))
def test_other_bytes_are_no_block(data: bytes) -> None:
    with pytest.raises(BlockError):
        decode_block(data)


@given(blocks(), st.binary(min_size=1, max_size=8), st.data())
@settings(max_examples=300)
def test_wrong_lengths_under_a_right_checksum_do_not_crash(block: Block, noise: bytes, data: st.DataObject) -> None:
    body = bytearray(encode_block(block)[:-8])
    position = data.draw(st.integers(4, len(body) - 1))
    body[position : position + len(noise)] = noise
    forged = bytes(body) + struct.pack("<II", zlib.crc32(body), 0)
    try:
        decoded = decode_block(forged)
    except BlockError:
        return
    for columns in decoded.columns.values():
        assert len(columns.series) == len(columns.times) == len(columns.qualities) == len(columns.values)
