"""How ranges are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.ranges.pattern import (
    Pattern,
    RangeError,
    RangeReason,
    Span,
    number_at,
    parse_range,
    shapes,
)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("M01{00000001..09999999}", Span(Pattern("M01", 8), 1, 9_999_999)),
        ("{5..5}", Span(Pattern("", 1), 5, 5)),
        ("批次/{01..99}#泵", Span(Pattern("批次/", 2, "#泵"), 1, 99)),
        ("{000000000000000000..009999999999}", None),
        ("{0000000000..9999999999}", Span(Pattern("", 10), 0, 10**10 - 1)),
    ],
)
def test_meaning(text: str, span: Span | None) -> None:
    if span is None:
        with pytest.raises(RangeError):
            parse_range(text)
    else:
        assert parse_range(text) == span


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", RangeReason.MALFORMED),
        ("M01", RangeReason.MALFORMED),
        ("a{1..2}b{3..4}", RangeReason.MALFORMED),
        ("{-1..2}", RangeReason.MALFORMED),
        ("{１..２}", RangeReason.MALFORMED),
        ("{1..2}" + "x" * 200, RangeReason.MALFORMED),
        ("{1..20}", RangeReason.WIDTHS_DIFFER),
        ("{2..1}", RangeReason.BACKWARDS),
        ("{0000000000000000001..0000000000000000002}", RangeReason.TOO_WIDE),
        ("{00000000000..10000000000}", RangeReason.TOO_LARGE),
    ],
)
def test_refused(text: str, reason: RangeReason) -> None:
    with pytest.raises(RangeError) as raised:
        parse_range(text)
    assert raised.value.reason is reason


@given(st.text(max_size=5), st.integers(1, 18), st.text(max_size=5), st.data())
def test_a_suffix_is_found_again(head: str, width: int, tail: str, data: st.DataObject) -> None:
    pattern = Pattern(head, width, tail)
    number = data.draw(st.integers(0, 10**width - 1))
    assert number_at(pattern.suffix(number), len(head), width) == (pattern, number)


@pytest.mark.parametrize(("suffix", "head", "width"), [("M12", 1, 3), ("M1x3", 1, 3), ("M１２３", 1, 3), ("M", 4, 1)])
def test_what_is_no_number(suffix: str, head: int, width: int) -> None:
    assert number_at(suffix, head, width) is None


def test_shapes() -> None:
    assert shapes([Pattern("a", 3), Pattern("b", 3), Pattern("", 2, "x")]) == ((0, 2), (1, 3))
