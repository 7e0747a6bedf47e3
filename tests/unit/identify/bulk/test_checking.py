"""Columns are judged as single values are."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.identify.bulk.checking import check_column
from gongfu.identify.templates.types import Attribute, DataType, Template
from gongfu.identify.templates.validation import Checker

ATTRIBUTES = (
    Attribute(name="text", index=2000, max_length=5),
    Attribute(name="pattern", index=2001, pattern="A|B[0-9]+|C.*$"),
    Attribute(name="integer", index=2002, type=DataType.INTEGER),
    Attribute(name="limited", index=2003, type=DataType.INTEGER, minimum=-5, maximum=1000),
    Attribute(name="decimal", index=2004, type=DataType.DECIMAL),
    Attribute(name="power", index=2005, type=DataType.DECIMAL, minimum=0, maximum=0.1),
    Attribute(name="boolean", index=2006, type=DataType.BOOLEAN),
    Attribute(name="date", index=2007, type=DataType.DATE),
    Attribute(name="time", index=2008, type=DataType.TIME),
    Attribute(name="url", index=2009, type=DataType.URL, max_length=40),
    Attribute(name="identifier", index=2010, type=DataType.IDENTIFIER),
    Attribute(name="choice", index=2011, type=DataType.CHOICE, choices=("red", "blue")),
)
CHECKER = Checker(Template(name="all", attributes=ATTRIBUTES))
TEXTS = [
    *(
        "",
        "abcde",
        "abcdef",
        "泵泵泵泵泵",
        "泵泵泵泵泵泵",
        "A",
        "B1",
        "B",
        "AB1",
        "A\n",
        "0",
        "-0",
        "00",
        "007",
        "-5",
        "-6",
        "1000",
    ),
    *(
        "1001",
        "1e3",
        "1.50",
        "-1.5",
        ".5",
        "0.1",
        "0.10000000000000000001",
        "0.0999999999999999999999",
        "0.10000",
        "123456789012345678",
    ),
    *("9" * 30, "9" * 31, "true", "false", "True", "2026-02-28", "2026-02-29", "20260228", "2026-11-22T10:00:00Z"),
    *(
        "2026-11-22T10:00:00+08:00",
        "2026-11-22",
        "http://a.b/c",
        "https://a",
        "ftp://a",
        "http://",
        "https://泵.example/x",
    ),
    *(
        "http://a b",
        "http://a:b/",
        "http://a.b/" + "x" * 40,
        "http://a[b]/",
        "http://-",
        "99.1/x",
        "99..1/x",
        "x",
        "99.1/泵 1",
        "99.1/",
    ),
    *("red", "blue", "green", " red", "１２", "1_0"),
]


def expected(name: str, value: Any) -> str | None:
    texts, wrong = CHECKER.texts({name: value}, partial=True)
    assert len(texts) + len(wrong) == (value is not None)
    return texts[0][1] if texts else None


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(ATTRIBUTES), st.lists(st.none() | st.sampled_from(TEXTS) | st.text(max_size=8), max_size=12))
def test_texts(attribute: Attribute, values: list[str | None]) -> None:
    column = check_column(CHECKER, attribute, pa.array(values, pa.string()))
    assert column.texts.to_pylist() == [expected(attribute.name, value) for value in values]
    assert set(column.wrong) == {
        row for row, value in enumerate(values) if value is not None and expected(attribute.name, value) is None
    }


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda attribute: attribute.name)
def test_all_texts(attribute: Attribute) -> None:
    column = check_column(CHECKER, attribute, pa.array(TEXTS))
    assert column.texts.to_pylist() == [expected(attribute.name, text) for text in TEXTS]
    for row, wrong in column.wrong.items():
        assert [wrong] == CHECKER.texts({attribute.name: TEXTS[row]}, partial=True)[1]


@pytest.mark.parametrize(
    ("name", "values", "texts"),
    [
        ("integer", pa.array([1, None, 3]), ["1", None, "3"]),
        ("limited", pa.array([1, 5000, 3]), ["1", None, "3"]),
        ("decimal", pa.array([1.5, 1e-7, 3.0]), ["1.5", "0.0000001", "3.0"]),
        ("boolean", pa.array([True, False]), ["true", "false"]),
        ("date", pa.array([20_000]).cast(pa.int32()).cast(pa.date32()), ["2024-10-04"]),
        ("time", pa.array([1_700_000_000], pa.timestamp("s", "UTC")), ["2023-11-14T22:13:20Z"]),
        ("text", pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        ("text", pa.nulls(2), [None, None]),
        ("text", pa.array([1, 2]), [None, None]),
    ],
)
def test_columns_of_other_types(name: str, values: pa.Array, texts: list[str | None]) -> None:
    attribute = next(attribute for attribute in ATTRIBUTES if attribute.name == name)
    assert check_column(CHECKER, attribute, values).texts.to_pylist() == texts
