"""A rule engine that grows against one that is made at once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.block import Block, Columns
from gongfu.kernel.points import ValueType
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.types import Kind, Priority, Rule, parse_condition
from gongfu.store.twins.latest import Twins


def rule(key: int, limit: float) -> Rule:
    condition = parse_condition(Kind.THRESHOLD, {"direction": "above", "limit": limit})
    return Rule(
        id=key, tenant=1, name="", kind=Kind.THRESHOLD, asset="**", point="*", condition=condition,
        priority=Priority.LOW, message="", enabled=True,
    )  # fmt: skip


RULES = (rule(1, 1.0), rule(2, 2.0))
series_sets = st.sets(st.integers(1, 12))


@settings(deadline=None)
@given(series_sets, series_sets, st.lists(st.sets(st.integers(1, 20)), max_size=3))
def test_growing_gives_the_same(one: set[int], two: set[int], more: list[set[int]]) -> None:
    twins, grown, whole = Twins(), RuleEngine(), RuleEngine()

    def assignment(at: int, ids: set[int]) -> Assignment:
        return Assignment(RULES[at], np.array(sorted(ids), dtype=np.uint32))

    grown.assign([assignment(0, one), assignment(1, two)], twins, 0)
    wanted = [set(one), set(two)]
    for number, ids in enumerate(more):
        grown.extend([assignment(number % 2, ids)], twins, 0)
        wanted[number % 2] |= ids
    whole.assign([assignment(0, wanted[0]), assignment(1, wanted[1])], twins, 0)
    for key, ids in zip((1, 2), wanted, strict=True):
        assert sorted(grown.series_of(key).tolist()) == sorted(ids)
    for step, values in enumerate((0.0, 1.5, 3.0, 0.5), start=1):
        ids = np.arange(1, 25, dtype=np.uint32)
        columns = Columns(ids, np.full(24, step), np.zeros(24, np.uint8), np.full(24, values))
        block = Block(1, step, {ValueType.DOUBLE: columns})
        told = [
            sorted((item.rule, item.series, item.raised, item.time) for item in engine.evaluate(block))
            for engine in (grown, whole)
        ]
        assert told[0] == told[1]
