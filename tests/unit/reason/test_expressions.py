"""The language of patterns: against Python's own evaluation, and what is wrong, in words."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.errors import Problem
from gongfu.kernel.points import ValueType
from gongfu.reason.rules.expressions import compile_steps
from gongfu.reason.rules.records import PointRow
from gongfu.reason.rules.resolving import resolve
from gongfu.reason.rules.types import Kind, Priority, Rule, parse_condition

NUMBERS = st.recursive(
    st.sampled_from(["a", '"b c"', "0", "1", "2.5"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda text: f"abs(-{text})"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
    ),
    max_leaves=5,
)
TRUTHS = st.recursive(
    st.tuples(NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS).map(" ".join),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        inner.map(lambda text: f"not ({text})"),
    ),
    max_leaves=4,
)


def scalar(text: str, a: float, b: float) -> float | None:
    """Python's own answer; None where a division by 0 decides nothing."""
    try:
        return float(eval(text.replace('"b c"', "b"), {"__builtins__": {}}, {"a": a, "b": b, "abs": abs, "max": max}))
    except ZeroDivisionError:
        return None


@settings(deadline=None, max_examples=80)
@given(TRUTHS, st.sampled_from([-1.0, 0.0, 1.0, 2.5]), st.sampled_from([-2.0, 0.0, 1.0]))
def test_as_python_would(text: str, a: float, b: float) -> None:
    text = f"({text}) and a == a or ({text})"
    program = compile_steps((text,))
    values = [np.array([a if slot.text == "a" else b]) for slot in program.slots]
    with np.errstate(all="ignore"):
        got = program.steps[0]((values, [np.array([number]) for number in program.numbers]))[0]
    expected = scalar(text, a, b)
    if expected is not None:
        assert got == expected or math.isnan(got)
        if "/" not in text:
            assert got == expected


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("a > 1 and b > 1", {(2, None): None, (0, None): 0, (None, 0): 0, (2, 2): 1}),
        ("a > 1 or b > 1", {(2, None): 1, (0, None): None, (None, 2): 1, (0, 0): 0}),
        ("not a", {(None, 0): None, (0, 0): 1, (3, 0): 0}),
        ("known(a) and b", {(None, 1): 0, (1, 1): 1, (0, None): None}),
        ("0 < a < 3 and b == b", {(1, 1): 1, (3, 1): 0}),
        ("a / b > 1", {(1, 0): None, (3, 1): 1}),
    ],
)
def test_what_is_not_known(text: str, truth: dict[tuple[Any, Any], Any]) -> None:
    program = compile_steps((text,))
    for given_, expected in truth.items():
        named = dict(zip("ab", given_, strict=True))
        values = [np.array([math.nan if named[slot.text] is None else named[slot.text]]) for slot in program.slots]
        got = program.steps[0]((values, [np.array([number]) for number in program.numbers]))[0]
        assert (None if math.isnan(got) else got) == expected, (text, given_)


def test_rules_that_differ_in_numbers_and_names_have_one_shape() -> None:
    one, other = compile_steps(('"p" < 2 and q > 80',)), compile_steps(("(x<3) and y > 1e3",))
    assert one.shape == other.shape
    assert (one.numbers, other.numbers) == ((2.0, 80.0), (3.0, 1000.0))


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"expression": "a <"}, "condition.expression: position 4: the expression ends"),
        ({"expression": "foo(a)"}, "position 1: there is no function 'foo'"),
        ({"expression": "a < 2 b"}, "position 7: 'b' is not expected"),
        ({"expression": 'a > 1 and "b'}, "position 11: the quotation mark"),
        ({"expression": "__import__('os')"}, 'position 12: "\'" has no meaning'),
        ({"expression": "a.b > 1"}, r"position 2: '\.' has no meaning"),
        ({"expression": "1 < 2"}, "names no point"),
        ({"expression": "(" * 60 + "a" + ")" * 60}, "levels of parentheses"),
        ({"expression": " and ".join(f"p{n} > 1" for n in range(20))}, "more than 16 points"),
        ({"expression": 'to(a, "degrees") > 1'}, "position 7: 'degrees' is not a UCUM unit"),
        ({"expression": "min(a) > 1"}, "min takes 2 to 8 arguments"),
        ({"expression": "a > 1e999"}, "too large"),
        ({"sequence": ["a > 1", "b >"], "within_s": 3}, r"condition.sequence\[1\]: position 4"),
        ({"sequence": ["a > 1", "b > 1"]}, "within_s"),
        ({"expression": "a > 1", "sequence": ["a > 1", "b > 1"]}, "either expression or sequence"),
        ({"expression": "a > 1", "tolerance_s": 0}, "tolerance_s"),
    ],
)
def test_what_is_wrong_is_told_with_member_and_position(condition: dict[str, Any], words: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_condition(Kind.PATTERN, condition)
    import re

    assert re.search(words, caught.value.detail or str(caught.value)), str(caught.value)


def rule(expression: str, asset: str = "plant/*", **more: Any) -> Rule:
    return Rule(
        id=1, tenant=1, name="", kind=Kind.PATTERN, asset=asset, point=more.pop("point", ""), message="", enabled=True,
        condition=parse_condition(Kind.PATTERN, {"expression": expression, **more}), priority=Priority.LOW,
    )  # fmt: skip


def points(*rows: tuple[str, str, str]) -> list[PointRow]:
    return [
        PointRow(number, 1, path, name, ValueType.DOUBLE, unit, hash(path) & 0xFF)
        for number, (path, name, unit) in enumerate(rows, start=1)
    ]


PLANT = points(
    ("plant/p1", "pressure", "bar"), ("plant/p1/motor", "current", "A"), ("plant/p1", "outlet", "kPa"),
    ("plant/p2", "pressure", "bar"), ("plant/p2/motor", "current", "A"), ("plant/p3", "pressure", "bar"),
)  # fmt: skip


def test_points_of_the_asset_and_of_those_below() -> None:
    found = resolve(rule('pressure < 2 and "motor/current" > 80'), PLANT)
    assert found.assignment is not None
    assert found.assignment.members is not None
    assert found.assignment.members.tolist() == [[1, 2], [4, 5]]
    assert found.assignment.series.tolist() == [1, 4]
    assert found.left_out == 1
    assert "position 18: asset 'plant/p3' has no point 'motor/current'" in found.reason
    shown = resolve(rule('pressure < 2 and "motor/current" > 80', point="motor/current"), PLANT)
    assert shown.assignment is not None
    assert shown.assignment.series.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("pressure > outlet", "position 10: 'pressure' in bar and 'outlet' in kPa are compared"),
        ("pressure > outlet", 'write to\\("outlet", "bar"\\)'),
        ('pressure + "motor/current" > 3', "current"),
        ('to(pressure, "Cel") > 1', "pressure is not|cannot be converted"),
        ("missing > 1 and pressure > 1", "position 1: asset 'plant/p1' has no point 'missing'"),
    ],
)
def test_what_does_not_fit_is_told(expression: str, words: str) -> None:
    import re

    found = resolve(rule(expression, "plant/p1"), PLANT)
    assert found.assignment is None
    assert re.search(words, found.reason), found.reason


def test_a_point_in_another_unit() -> None:
    found = resolve(rule('pressure > to(outlet, "bar")', "plant/p1"), PLANT)
    assert found.assignment is not None
    assert found.assignment.factor is not None
    assert found.assignment.factor.tolist() == [[1.0, pytest.approx(0.01)]]
