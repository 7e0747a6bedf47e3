"""Records in columns have the bytes of records one by one."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.identify.records.columns import encode_columns
from gongfu.identify.records.form import StoredRecord, encode_record

TEXTS = st.none() | st.text(max_size=3) | st.sampled_from(["x" * 127, "x" * 128, "泵" * 100, "y" * 20_000])


@settings(deadline=None)
@given(st.integers(1, 10), st.data(), st.integers(0, 2**20), st.integers(0, 300), st.integers(0, 2**33))
def test_same_bytes(count: int, data: st.DataObject, template: int, of: int, timestamp: int) -> None:
    ordinals = data.draw(st.lists(st.sampled_from([0, 1, 127, 128, 199]), unique=True).map(sorted))
    columns = {ordinal: data.draw(st.lists(TEXTS, min_size=count, max_size=count)) for ordinal in ordinals}
    arrays = [(ordinal, pa.array(texts, pa.string())) for ordinal, texts in columns.items()]
    encoded = encode_columns(template, timestamp, arrays, count, of=of).to_pylist()
    for row in range(count):
        given_here = [(ordinal, texts[row]) for ordinal, texts in columns.items()]
        attributes = tuple((ordinal, text.encode()) for ordinal, text in given_here if text is not None)
        assert encoded[row] == encode_record(StoredRecord(template, timestamp, attributes, of=of))
