"""Records in bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.records.form import StoredRecord, decode_record, encode_record
from tests.unit.identify.handle.messages import VALUES

RECORDS = st.builds(
    StoredRecord,
    template=st.integers(0, 2**32),
    timestamp=st.integers(0, 2**40),
    attributes=st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=200)), max_size=5).map(tuple),
    values=st.lists(VALUES, max_size=2).map(tuple),
    of=st.integers(0, 2**32),
)


@given(RECORDS)
def test_round_trip(record: StoredRecord) -> None:
    assert decode_record(encode_record(record)) == record


@given(RECORDS, st.data())
def test_damage(record: StoredRecord, data: st.DataObject) -> None:
    encoded = bytearray(encode_record(record))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = decode_record(bytes(encoded[: data.draw(st.integers(0, len(encoded)))]))
    except MalformedError:
        return
    assert decode_record(encode_record(read)) == read


def test_what_the_template_says_is_not_written() -> None:
    record = StoredRecord(300, 1_700_000_000, ((0, b"A1"), (6, b"x")))
    assert encode_record(record) == bytes.fromhex("d804" + "80e2cfaa06" + "02" + "0002" + "4131" + "0601" + "78")
    assert encode_record(StoredRecord(300, 1_700_000_000, (), of=5)) == bytes.fromhex(
        "d904" + "05" + "80e2cfaa06" + "00"
    )
    with pytest.raises(MalformedError):
        decode_record(bytes.fromhex("00" + "00" + "ff" * 10 + "01"))
    assert decode_record(encode_record(StoredRecord(values=(HandleValue(1, "URL", b"u"),)))).values[0].type == "URL"
