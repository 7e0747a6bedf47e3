from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gongfu.store.history.native import NativeError, decode_native, encode_native, varint

_INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.data())
def test_blocks_come_back_exactly(data: st.DataObject) -> None:
    blocks: list[dict[str, Any]] = []
    raw = b""
    for _ in range(data.draw(st.integers(1, 3))):
        n = data.draw(st.integers(1, 200))
        block: dict[str, Any] = {
            "series": data.draw(arrays("<u4", n)),
            "time": data.draw(arrays("<i8", n, elements=_INT64)),
            "value": data.draw(arrays("<f8", n)),
            "quality": data.draw(arrays("u1", n)),
            "text": data.draw(st.lists(st.text(max_size=200), min_size=n, max_size=n)),
        }
        types = ("UInt32", "DateTime64(9, 'UTC')", "Float64", "UInt8", "String")
        raw += encode_native([(name, kind, block[name]) for name, kind in zip(block, types, strict=True)])
        blocks.append(block)
    found = decode_native(raw)
    for name in ("series", "time", "value", "quality"):
        assert np.asarray(found[name]).tobytes() == b"".join(block[name].tobytes() for block in blocks)
    assert found["text"] == [text for block in blocks for text in block["text"]]


@given(st.integers(0, 2**63 - 1))
def test_varint_is_leb128(value: int) -> None:
    raw = varint(value)
    assert sum((byte & 0x7F) << (7 * i) for i, byte in enumerate(raw)) == value
    assert all(byte & 0x80 for byte in raw[:-1])
    assert not raw[-1] & 0x80


def test_nothing_is_no_columns() -> None:
    assert decode_native(b"") == {}


@given(st.integers(1, 60))
def test_truncation_is_an_error(cut: int) -> None:
    raw = encode_native([("a", "Int64", np.arange(5)), ("b", "String", ["中文", "", "x" * 200])])
    with pytest.raises(NativeError):
        decode_native(raw[:-cut])


def test_unknown_type_is_an_error() -> None:
    with pytest.raises(NativeError, match="Date"):
        decode_native(b"\x01\x01\x01a\x04Date\0\0")
