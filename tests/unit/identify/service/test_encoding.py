"""The short way to a record gives the bytes of the long one, or leaves it to that."""

from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.records.form import StoredRecord, encode_record
from gongfu.identify.service.encoding import Encoder
from gongfu.identify.templates.types import Attribute, DataType, Template
from gongfu.identify.templates.validation import Checker

TEMPLATE = Template(
    name="all",
    attributes=(
        Attribute(name="text", index=2000, required=True, max_length=5),
        Attribute(name="model", index=2001, pattern="[A-Z]+[0-9]*"),
        Attribute(name="count", index=2002, type=DataType.INTEGER),
        Attribute(name="level", index=2003, type=DataType.INTEGER, minimum=-5, maximum=1000),
        Attribute(name="power", index=2004, type=DataType.DECIMAL, minimum=0.1),
        Attribute(name="valid", index=2005, type=DataType.BOOLEAN),
        Attribute(name="made", index=2006, type=DataType.DATE),
        Attribute(name="at", index=2007, type=DataType.TIME),
        Attribute(name="link", index=2008, type=DataType.URL),
        Attribute(name="part", index=2009, type=DataType.IDENTIFIER),
        Attribute(name="grade", index=2010, type=DataType.CHOICE, choices=("A", "B")),
        Attribute(name="long", index=2011),
        *(Attribute(name=f"more_{n}", index=3000 + n) for n in range(130)),
    ),
)
CHECKER = Checker(TEMPLATE)
ENCODER = Encoder(300, CHECKER)
TEXTS = st.one_of(
    st.sampled_from(["", "A", "AB12", "0", "007", "-0", "12", "-3", "1.50", "0.1", "0.09", "1e3", "true", "x" * 127]),
    st.sampled_from(
        ["2026-11-23", "2026-02-30", "2026-11-23T00:00:00Z", "https://a/泵", "99.1/x", "泵泵泵泵泵", "x" * 128]
    ),
    st.sampled_from(["1" * 16, "1" * 31, "٣", "\ud800", "\x00", "9" * 4097]),
    st.text(max_size=6),
)
GIVEN = st.dictionaries(
    st.sampled_from([attribute.name for attribute in TEMPLATE.attributes[:13]] + ["more_129", "unknown"]), TEXTS
)


@given(GIVEN, st.integers(0, 2**33))
def test_same_bytes_or_none(given: dict[str, str], now: int) -> None:
    made = ENCODER.encode(given, now)
    texts, wrong = CHECKER.texts(given)
    if made is None:
        # Left to the others: something is wrong, or it is long.
        assert wrong or any(len(text.encode()) > 127 for _, text in texts)
    else:
        attributes = tuple((ordinal, text.encode()) for ordinal, text in texts)
        assert wrong == []
        assert made == encode_record(StoredRecord(300, now, attributes))


def test_what_is_not_text_is_left_to_others() -> None:
    given: dict[str, str] = {"text": "a", "count": 5}  # pyright: ignore[reportAssignmentType]
    assert ENCODER.encode(given, 0) is None
    assert ENCODER.encode({"text": "a", "model": None}, 0) is None  # pyright: ignore[reportArgumentType]


def test_it_remembers_no_end_of_texts() -> None:
    checker = Checker(Template(name="m", attributes=(Attribute(name="model", index=2000, pattern="[a-z0-9]+"),)))
    encoder = Encoder(1, checker)
    for number in range(10_000):
        assert encoder.encode({"model": f"m{number}"}, 0) == encode_record(StoredRecord(1, 0, ((0, b"m%d" % number),)))
    assert encoder.encode({"model": "M"}, 0) is None
