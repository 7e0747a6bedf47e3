"""How ranges are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.ranges.crossings import Crossings
from gongfu.identify.ranges.pattern import (
    MAX_WIDTH,
    Pattern,
    RangeError,
    RangeReason,
    Span,
    meeting,
    parse_range,
    readings,
)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("M{00000001..09999999}", Span(Pattern("M", 8), 1, 9_999_999)),
        # Digits before the number are of the number: the same range, however it is written.
        ("M01{00000001..09999999}", Span(Pattern("M", 10), 100_000_001, 109_999_999)),
        ("M{0100000001..0109999999}", Span(Pattern("M", 10), 100_000_001, 109_999_999)),
        ("{5..5}", Span(Pattern("", 1), 5, 5)),
        ("批次/{01..99}#泵", Span(Pattern("批次/", 2, "#泵"), 1, 99)),
        ("１{1..2}", Span(Pattern("１", 1), 1, 2)),
        ("{0000000000..9999999999}", Span(Pattern("", 10), 0, 10**10 - 1)),
        ("0109506000134352{01..99}", Span(Pattern("", 18), 10950600013435201, 10950600013435299)),
        ("010950600013435221{01..99}", Span(Pattern("01", 18), 95060001343522101, 95060001343522199)),
    ],
)
def test_meaning(text: str, span: Span) -> None:
    assert parse_range(text) == span
    assert parse_range(str(span)) == span


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
        ("{000000000000000000..009999999999}", RangeReason.WIDTHS_DIFFER),
        ("{2..1}", RangeReason.BACKWARDS),
        ("{0000000000000000001..0000000000000000002}", RangeReason.TOO_WIDE),
        ("{00000000000..10000000000}", RangeReason.TOO_LARGE),
        ("a{1..2}3", RangeReason.NOT_LAST_DIGITS),
    ],
)
def test_refused(text: str, reason: RangeReason) -> None:
    with pytest.raises(RangeError) as raised:
        parse_range(text)
    assert raised.value.reason is reason


# Those that ``parse_range`` gives, near each other.
PATTERNS = st.text(st.sampled_from("1a"), min_size=1, max_size=6).flatmap(
    lambda suffix: st.sampled_from([pattern for pattern, _ in readings(suffix)] or [Pattern("", 1)])
)
TEXT = st.text(st.sampled_from("01a工１"), max_size=24)


@given(TEXT)
def test_each_run_of_digits_is_read_once(suffix: str) -> None:
    found = list(readings(suffix))
    for pattern, number in found:
        assert pattern.suffix(number) == suffix
        assert pattern.number(suffix) == number
        assert parse_range(
            f"{pattern.head}{{{number:0{pattern.width}d}..{number:0{pattern.width}d}}}{pattern.tail}"
        ) == (Span(pattern, number, number))
    runs = "".join(character if character in "01" else " " for character in suffix).split()
    assert [len(run) for run in runs if len(run) < MAX_WIDTH] == [p.width for p, _ in found if p.width < MAX_WIDTH]


@given(st.text(st.sampled_from("01a"), max_size=7))
def test_what_two_patterns_have_in_common(suffix: str) -> None:
    found = [pattern for pattern, _ in readings(suffix)]
    for one in found:
        for other in found:
            assert one is other or meeting(one, other) == suffix


@given(
    *[st.builds(Pattern, st.text(st.sampled_from("1a"), max_size=3), st.integers(1, 2), st.text("1a", max_size=3))] * 2
)
def test_meeting_is_complete(one: Pattern, other: Pattern) -> None:
    def canonical(pattern: Pattern) -> bool:
        return not pattern.head.endswith("1") and not pattern.tail.startswith("1")

    if one != other and canonical(one) and canonical(other):
        shared = {one.suffix(n) for n in range(10**one.width)} & {other.suffix(n) for n in range(10**other.width)}
        found = meeting(one, other)
        assert shared == ({found} if found else set())
        assert meeting(other, one) == found


@pytest.mark.parametrize("suffix", ["M", "", "１２", "1" + "x" * 300])
def test_what_is_of_no_pattern(suffix: str) -> None:
    assert list(readings(suffix)) == []
    assert Pattern("M", 1).number(suffix) is None


@given(st.sets(PATTERNS, max_size=8), PATTERNS)
def test_crossings_find_the_same_as_comparing_with_all(patterns: set[Pattern], pattern: Pattern) -> None:
    wanted = {(other, meeting(pattern, other)) for other in patterns if other != pattern}
    assert set(Crossings(patterns).of(pattern)) == {(other, suffix) for other, suffix in wanted if suffix}
