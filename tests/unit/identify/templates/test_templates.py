"""Templates: what contradicts itself, what a record becomes, and what may follow what."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.handle.codes import Permission
from gongfu.identify.templates.types import (
    Attribute,
    DataType,
    Template,
    TemplateError,
    TemplateReason,
    TemplateState,
    become,
    check_template,
    next_version,
)
from gongfu.identify.templates.validation import Checker, ValueReason


def one(**fields: Any) -> Template:
    return Template(name="pump", attributes=(Attribute(**{"name": "a", "index": 2000, **fields}),))


PUMP = Template(
    name="pump-v",
    industry="C34",
    attributes=(
        Attribute(name="model", index=2001, required=True, pattern=r"P-[0-9]{3}", max_length=5),
        Attribute(name="power", index=2000, type=DataType.DECIMAL, minimum=0.1, maximum=500, unit="kW"),
        Attribute(name="made", index=2003, type=DataType.DATE),
        Attribute(name="class", index=2004, type=DataType.CHOICE, choices=("A", "B"), public=False),
    ),
)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (one(index=1999), TemplateReason.INDEX_OUT_OF_RANGE),
        (one(pattern="("), TemplateReason.PATTERN_WRONG),
        (one(pattern="(?=a)"), TemplateReason.PATTERN_WRONG),
        (one(pattern="a", type=DataType.DATE), TemplateReason.PATTERN_WRONG),
        (one(minimum=1), TemplateReason.LIMIT_WRONG),
        (one(minimum=2, maximum=1, type=DataType.INTEGER), TemplateReason.LIMIT_WRONG),
        (one(choices=("x",)), TemplateReason.CHOICES_WRONG),
        (one(type=DataType.CHOICE), TemplateReason.CHOICES_WRONG),
        (one(type=DataType.CHOICE, choices=("x", "x")), TemplateReason.CHOICES_WRONG),
        (Template(name="p", attributes=PUMP.attributes[:1] * 2), TemplateReason.NAME_REPEATED),
        (
            Template(name="p", attributes=(Attribute(name="a", index=2000), Attribute(name="b", index=2000))),
            TemplateReason.INDEX_REPEATED,
        ),
    ],
)
def test_contradictions(template: Template, reason: TemplateReason) -> None:
    with pytest.raises(TemplateError) as raised:
        check_template(template)
    assert raised.value.reason is reason


def test_fields_are_checked_too() -> None:
    with pytest.raises(msgspec.ValidationError):
        check_template(Template(name="Pump", attributes=PUMP.attributes))
    with pytest.raises(msgspec.ValidationError):
        check_template(Template(name="pump", attributes=()))


@pytest.mark.parametrize(
    "attribute",
    [Attribute(name="other", index=2001), Attribute(name="model", index=2009), Attribute(name="made", index=2003)],
)
def test_an_index_keeps_its_meaning(attribute: Attribute) -> None:
    later = msgspec.structs.replace(PUMP, version=2, attributes=(attribute,))
    with pytest.raises(TemplateError) as raised:
        check_template(later, PUMP)
    assert raised.value.reason is TemplateReason.INDEX_MEANS_ANOTHER


def test_a_later_version_may_drop_and_add() -> None:
    later = msgspec.structs.replace(
        PUMP, version=2, attributes=(*PUMP.attributes[1:], Attribute(name="new", index=2010))
    )
    assert check_template(later, PUMP) == later


def test_life() -> None:
    published = become(PUMP, TemplateState.PUBLISHED)
    withdrawn = become(published, TemplateState.WITHDRAWN)
    assert become(withdrawn, TemplateState.PUBLISHED) == published
    assert next_version(withdrawn) == msgspec.structs.replace(PUMP, version=2)
    for refused in (
        lambda: become(PUMP, TemplateState.WITHDRAWN),
        lambda: become(published, TemplateState.DRAFT),
        lambda: next_version(PUMP),
    ):
        with pytest.raises(TemplateError):
            refused()


def test_record() -> None:
    values, wrong = Checker(PUMP).check({"model": "P-001", "power": "1.50", "class": "A", "made": None}, 7)
    assert wrong == []
    assert [(value.index, value.type, value.data) for value in values] == [
        (2000, "power", b"1.50"),
        (2001, "model", b"P-001"),
        (2004, "class", b"A"),
    ]
    assert [bool(value.permissions & Permission.PUBLIC_READ) for value in values] == [True, True, False]
    assert {value.timestamp for value in values} == {7}


def test_all_that_is_wrong_is_said() -> None:
    values, wrong = Checker(PUMP).check({"power": 501, "class": "C", "made": "2026-02-30", "colour": "red"}, 7)
    assert values == []
    assert {(item.attribute, item.reason) for item in wrong} == {
        ("model", ValueReason.MISSING),
        ("power", ValueReason.TOO_LARGE),
        ("class", ValueReason.CHOICE),
        ("made", ValueReason.TYPE),
        ("colour", ValueReason.UNKNOWN),
    }


@pytest.mark.parametrize(
    ("kind", "given", "text"),
    [
        (DataType.TEXT, "泵/#%?", "泵/#%?"),
        (DataType.INTEGER, -5, "-5"),
        (DataType.INTEGER, "007", "7"),
        (DataType.DECIMAL, 0.1, "0.1"),
        (DataType.DECIMAL, "1e3", "1000"),
        (DataType.DECIMAL, 3, "3"),
        (DataType.BOOLEAN, True, "true"),
        (DataType.DATE, "2026-11-22", "2026-11-22"),
        (DataType.TIME, "2026-11-22T08:00:00+08:00", "2026-11-22T00:00:00Z"),
        (DataType.URL, "https://例子.cn/a?b#c", "https://例子.cn/a?b#c"),
        (DataType.IDENTIFIER, "99.1/工", "99.1/工"),
        (DataType.TEXT, 5, None),
        (DataType.TEXT, "\ud800", None),
        (DataType.INTEGER, 1.0, None),
        (DataType.INTEGER, True, None),
        (DataType.INTEGER, "1_0", None),
        (DataType.INTEGER, "٣", None),
        (DataType.DECIMAL, "NaN", None),
        (DataType.DECIMAL, "Infinity", None),
        (DataType.DECIMAL, "1e999999", None),
        (DataType.DECIMAL, "1_0", None),
        (DataType.DECIMAL, " 1", None),
        (DataType.BOOLEAN, 1, None),
        (DataType.DATE, "20261122", None),
        (DataType.TIME, "yesterday", None),
        (DataType.URL, "javascript:alert(1)", None),
        (DataType.URL, "https://", None),
        (DataType.URL, "https://a\nb", None),
        (DataType.IDENTIFIER, "99.1", None),
    ],
)
def test_forms(kind: DataType, given: Any, text: str | None) -> None:
    values, wrong = Checker(one(type=kind)).check({"a": given}, 0)
    if text is None:
        assert [item.reason for item in wrong] == [ValueReason.TYPE]
    else:
        assert [value.data.decode() for value in values] == [text]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from([kind for kind in DataType if kind is not DataType.CHOICE]), JSON)
def test_anything_is_a_value_or_wrong(kind: DataType, given: Any) -> None:
    checker = Checker(one(type=kind))
    values, wrong = checker.check({"a": given}, 0)
    assert (len(values) + len(wrong) == 1) is (given is not None)
    for value in values:
        # What a value became is taken again as the same value.
        assert checker.check({"a": value.data.decode()}, 0) == ([value], [])


def test_a_pattern_takes_no_time() -> None:
    checker = Checker(one(pattern="(a+)+$"))
    began = time.process_time()
    assert checker.check({"a": "a" * 4000 + "b"}, 0)[1][0].reason is ValueReason.PATTERN
    # A backtracking engine would take longer than the universe is old.
    assert time.process_time() - began < 30
