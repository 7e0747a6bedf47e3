"""Rebirth requests are throttled: a bounded rate, jitter, longer intervals to a node that does not listen."""

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.ingest.sparkplug.rebirths import Rebirths, Throttle

SECOND = 1_000_000_000


def test_ten_thousand_nodes_are_asked_at_a_bounded_rate() -> None:
    throttle = Throttle(rate=200, burst=50, jitter=1.0)
    rebirths: Rebirths[int] = Rebirths(throttle, random.Random(1).random)
    now = 10 * SECOND
    for node in range(10_000):
        assert rebirths.ask(node, now)
        assert not rebirths.ask(node, now)
    asked: list[int] = []
    steps = 0
    while at := rebirths.next_at(now):
        now = at
        found = rebirths.due(now)
        assert len(found) <= 50
        asked += found
        steps += 1
    assert sorted(asked) == list(range(10_000))
    assert asked != sorted(asked)  # no fixed order
    assert 49 * SECOND < now - 10 * SECOND < 52 * SECOND
    assert steps < 12_000


def test_a_birth_voids_the_request() -> None:
    rebirths: Rebirths[int] = Rebirths(Throttle(jitter=1.0), lambda: 0.5)
    rebirths.ask(1, 0)
    rebirths.born(1)
    assert rebirths.due(10 * SECOND) == []
    assert rebirths.next_at(10 * SECOND) == 0


def test_a_node_that_does_not_listen_is_asked_less_and_less_often() -> None:
    rebirths: Rebirths[int] = Rebirths(Throttle(jitter=0, first=5, longest=60), lambda: 0.0)
    times: list[float] = []
    for tick in range(4000):
        now = tick * SECOND // 10
        rebirths.ask(1, now)
        times += [now / SECOND for _ in rebirths.due(now)]
    gaps = [round(after - before) for before, after in pairwise(times)]
    assert gaps == [5, 10, 20, 40, 60, 60, 60, 60, 60]


def test_a_long_quiet_node_is_asked_soon_again() -> None:
    rebirths: Rebirths[int] = Rebirths(Throttle(jitter=0, first=5), lambda: 0.0)
    rebirths.ask(1, 0)
    assert rebirths.due(0) == [1]
    rebirths.ask(1, 100 * SECOND)
    assert rebirths.due(100 * SECOND) == [1]
    rebirths.ask(1, 101 * SECOND)
    assert rebirths.due(104 * SECOND) == []
    assert rebirths.due(105 * SECOND) == [1]


@given(st.lists(st.tuples(st.sampled_from(["ask", "born", "due"]), st.integers(0, 20)), max_size=300))
@settings(max_examples=50)
def test_memory_is_bounded_whatever_happens(steps: list[tuple[str, int]]) -> None:
    throttle = Throttle(rate=10, burst=3, jitter=1, pending=8)
    rebirths: Rebirths[int] = Rebirths(throttle, random.Random(0).random)
    now = 0
    total = 0
    for what, node in steps:
        now += SECOND // 20
        if what == "ask":
            rebirths.ask(node, now)
        elif what == "born":
            rebirths.born(node)
        else:
            total += len(rebirths.due(now))
        assert len(rebirths) <= 8
    assert total <= 3 + 10 * now / SECOND + 1


def test_asking_and_being_born_for_ever_does_not_grow() -> None:
    rebirths: Rebirths[int] = Rebirths(Throttle(jitter=1, longest=3600), lambda: 0.99)
    for tick in range(20_000):
        rebirths.ask(tick % 3, tick)
        rebirths.born(tick % 3)
    assert len(rebirths._order) < 2000  # pyright: ignore[reportPrivateUsage]
