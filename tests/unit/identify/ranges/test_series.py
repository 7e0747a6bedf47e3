"""Chunks and series against a dictionary that has every number."""

import time

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pyroaring import BitMap

from gongfu.identify.ranges.chunks import EMPTY, SIZE, Chunk, decode_chunk, encode_chunk
from gongfu.identify.ranges.pattern import Pattern, Span
from gongfu.identify.ranges.series import Registered, Series, pieces, register, remove

PATTERN = Pattern("M", 6)
# Around the border of two chunks.
NUMBERS = st.integers(SIZE - 30, SIZE + 30)
ALL = range(SIZE - 31, SIZE + 32)
CLASSES = st.integers(1, 3)
SPANS = st.tuples(NUMBERS, NUMBERS).map(lambda ends: Span(PATTERN, min(ends), max(ends)))


class AgainstDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.series = Series(PATTERN)
        self.ranged: dict[int, int] = {}
        self.overrides: set[int] = set()

    @rule(span=SPANS, of=CLASSES, move=st.booleans(), explicit=st.sets(NUMBERS, max_size=3), but=st.sets(NUMBERS))
    def register(self, span: Span, of: int, move: bool, explicit: set[int], but: set[int]) -> None:
        numbers = [number for number in range(span.first, span.last + 1) if number not in but]
        present = [number for number in numbers if number in self.ranged]
        moved = [number for number in present if self.ranged[number] != of] if move else []
        changed: dict[int, Chunk] = {}
        total = [0, 0, 0]
        for chunk, first, last in pieces(span):
            found, left_out = (
                BitMap([n - chunk * SIZE for n in given if n // SIZE == chunk]) for given in (explicit, but)
            )
            changed[chunk], done = register(
                self.series.chunk(chunk), first, last, of, move=move, explicit=found, but=left_out
            )
            total = [total[0] + done.new, total[1] + done.present, total[2] + done.moved]
        assert Registered(*total) == Registered(len(numbers) - len(present), len(present), len(moved))
        self.series.apply(changed)
        for number in numbers:
            if move or number not in self.ranged:
                self.ranged[number] = of
                self.overrides |= {number} & explicit

    @rule(span=SPANS)
    def remove(self, span: Span) -> None:
        self.series.apply({chunk: remove(self.series.chunk(chunk), *ends) for chunk, *ends in pieces(span)})
        for number in range(span.first, span.last + 1):
            self.ranged.pop(number, None)
            self.overrides.discard(number)

    @rule(number=NUMBERS, present=st.booleans())
    def record(self, number: int, present: bool) -> None:
        if number in self.ranged:
            chunk = self.series.chunk(number // SIZE)
            self.series.apply({number // SIZE: chunk.overridden(number % SIZE, present)})
            (self.overrides.add if present else self.overrides.discard)(number)

    @rule()
    def restart(self) -> None:
        again = Series(PATTERN)
        again.apply({number: decode_chunk(encode_chunk(chunk)) for number, chunk in self.series.chunks().items()})
        self.series = again

    @invariant()
    def equal(self) -> None:
        assert len(self.series) == len(self.ranged)
        assert {number: self.series.class_of(number) for number in ALL} == {n: self.ranged.get(n) for n in ALL}
        assert self.series.overrides == len(self.overrides)
        assert all((n % SIZE in self.series.chunk(n // SIZE).overrides) is (n in self.overrides) for n in ALL)
        counts = {of: list(self.ranged.values()).count(of) for of in set(self.ranged.values())}
        assert self.series.counts() == counts
        if self.ranged:
            assert self.series.span == Span(PATTERN, min(self.ranged), max(self.ranged))
        else:
            assert not self.series.chunks()


AgainstDictionary.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAgainstDictionary = AgainstDictionary.TestCase


def test_ten_thousand_million_are_small() -> None:
    began = time.process_time()
    series = Series(Pattern("", 18))
    span = Span(series.pattern, 10**17, 10**17 + 10**10 - 1)
    changed = {number: register(EMPTY, first, last, 1, move=False)[0] for number, first, last in pieces(span)}
    series.apply(changed)
    assert len(series) == 10**10
    assert sum(len(encode_chunk(chunk)) for chunk in changed.values()) < 5_000_000
    hole = 10**17 + 5
    series.apply({hole // SIZE: remove(series.chunk(hole // SIZE), hole % SIZE, hole % SIZE)})
    assert len(series) == 10**10 - 1
    assert [series.class_of(number) for number in (hole - 6, hole, hole + 1)] == [None, None, 1]
    assert series.span == span
    # A quarter of a second as a rule.
    assert time.process_time() - began < 20
