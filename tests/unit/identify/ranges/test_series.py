"""Ranges against a dictionary that has every number."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pyroaring import BitMap64

from gongfu.identify.ranges.pattern import Pattern, Span
from gongfu.identify.ranges.series import Registered, Series

PATTERN = Pattern("M", 6)
NUMBERS = st.integers(0, 60)
CLASSES = st.integers(1, 3)
SPANS = st.tuples(NUMBERS, NUMBERS).map(lambda ends: Span(PATTERN, min(ends), max(ends)))


class AgainstDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.series = Series(PATTERN)
        self.ranged: dict[int, int] = {}
        # Records of their own, of numbers that are in a range and of others.
        self.explicit: set[int] = set()

    @rule(span=SPANS, of=CLASSES, move=st.booleans())
    def register(self, span: Span, of: int, move: bool) -> None:
        numbers = range(span.first, span.last + 1)
        present = [number for number in numbers if number in self.ranged]
        moved = [number for number in present if self.ranged[number] != of] if move else []
        explicit = BitMap64(self.explicit & set(numbers))
        answer = self.series.register(span, of, move=move, explicit=explicit)
        assert answer == Registered(len(numbers) - len(present), len(present), len(moved))
        for number in numbers:
            if move or number not in self.ranged:
                self.ranged[number] = of

    @rule(span=SPANS)
    def remove(self, span: Span) -> None:
        gone = [number for number in range(span.first, span.last + 1) if number in self.ranged]
        assert self.series.remove(span) == len(gone)
        for number in gone:
            del self.ranged[number]

    @rule(number=NUMBERS, present=st.booleans())
    def record(self, number: int, present: bool) -> None:
        assert self.series.override(number, present) is (number in self.ranged)
        (self.explicit.add if present else self.explicit.discard)(number)

    @rule()
    def restart(self) -> None:
        self.series = Series.from_bytes(self.series.to_bytes())

    @invariant()
    def equal(self) -> None:
        assert len(self.series) == len(self.ranged)
        assert {number: self.series.class_of(number) for number in range(62)} == {
            number: self.ranged.get(number) for number in range(62)
        }
        both = self.explicit & set(self.ranged)
        assert self.series.overrides == len(both)
        assert all(self.series.overridden(number) is (number in both) for number in range(62))
        counts = {of: list(self.ranged.values()).count(of) for of in set(self.ranged.values())}
        assert self.series.counts() == counts


AgainstDictionary.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAgainstDictionary = AgainstDictionary.TestCase


def test_a_range_of_ten_thousand_million_is_small() -> None:
    series = Series(Pattern("", 18))
    assert series.register(Span(series.pattern, 10**17, 10**17 + 10**10 - 1), 1).new == 10**10
    series.remove(Span(series.pattern, 10**17 + 5, 10**17 + 5))
    assert len(series) == 10**10 - 1
    assert series.class_of(10**17 + 5) is None
    assert series.class_of(10**17 + 6) == 1
    assert series.class_of(10**17 - 1) is None
    assert len(series.to_bytes()) < 5_000_000
