"""A change of rules that is prepared while blocks are evaluated gives the alarms of one that stops the world."""

from collections import defaultdict
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.kernel.times import SECOND
from gongfu.reason.rules.engine import RuleEngine
from gongfu.reason.rules.instances import Assignment
from gongfu.reason.rules.succession import prepare
from gongfu.reason.rules.types import Kind, Rule
from gongfu.store.twins.latest import Twins
from tests.unit.reason.test_event_time import CONDITIONS, FAR, Row, Told, arrivals, assign, block, make, note

# Rules of all forms: some evaluate samples as they come, some wait for their watermark.
RULES = {
    key: make(key, kind, 3.0 if key % 2 else None, **condition)
    for key, (kind, condition) in enumerate(CONDITIONS.values(), start=1)
}
GROWING = [key for key, rule in RULES.items() if not rule.whole]
# A series that comes while a change is prepared.
NEW = 4


def without_new(item: Assignment) -> Assignment:
    return item if item.rule.whole else Assignment(item.rule, item.series[item.series != NEW])


def changed(draw: Any, rule: Rule) -> Rule | None:
    """Return what becomes of a rule: nothing, the same, another name, another meaning, or other points."""
    how = draw(st.sampled_from(["same", "same", "name", "meaning", "pattern", "gone"]))
    if how == "gone":
        return None
    if how == "name":
        return msgspec.structs.replace(rule, name="another")
    if how == "meaning":
        return msgspec.structs.replace(rule, lateness_s=5.0)
    return msgspec.structs.replace(rule, asset="other") if how == "pattern" and not rule.whole else rule


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_prepared_beside_the_feed_is_the_same(data: st.DataObject) -> None:
    rows = data.draw(arrivals(least=5))
    edges = sorted(data.draw(st.lists(st.integers(0, len(rows)), min_size=3, max_size=3)))
    grows = data.draw(st.booleans())
    before = data.draw(st.sets(st.sampled_from(sorted(RULES)), min_size=1))
    after = [rule for key in sorted(before) if (rule := changed(data.draw, RULES[key])) is not None]
    after += [RULES[key] for key in sorted(data.draw(st.sets(st.sampled_from(sorted(RULES)))) - before)]
    told: list[Told] = []
    engines: list[RuleEngine] = []
    for beside in (False, True):
        engine, twins, said = RuleEngine(10**6), Twins(), defaultdict[tuple[int, int], list[Any]](list)
        engine.assign([without_new(assign(RULES[key])) for key in sorted(before)], twins, 0)
        take(engine, twins, said, rows[: edges[0]])
        outlines = engine.outlines()
        known = [without_new(assign(rule)) for rule in after]
        succession = prepare(known, outlines) if beside else None
        take(engine, twins, said, rows[edges[0] : edges[1]])
        wanted: list[Assignment] = []
        if grows:
            ids = np.array([NEW], dtype=np.uint32)
            growing = [Assignment(RULES[key], ids) for key in sorted(before & set(GROWING))]
            note(said, engine.extend(growing, twins, SECOND))
            wanted = [Assignment(rule, ids) for rule in after if not rule.whole and rule.asset != "other"]
        take(engine, twins, said, rows[edges[1] : edges[2]])
        if succession is not None and engine.allows(succession):
            note(said, engine.take_over(succession, wanted, twins, 2 * SECOND))
        else:
            more = {item.rule.id for item in wanted}
            full = [assign(item.rule) if item.rule.id in more else item for item in known]
            note(said, engine.assign(full, twins, 2 * SECOND))
        take(engine, twins, said, rows[edges[2] :])
        note(said, engine.tick(FAR, 0))
        told.append(said)
        engines.append(engine)
    assert told[0] == told[1]
    assert engines[0].rules == engines[1].rules == {rule.id: rule for rule in after}
    assert engines[0].standing() == engines[1].standing()
    assert engines[0].status() == engines[1].status()
    assert [{key: sorted(ids.tolist()) for key, ids in one.every_series().items()} for one in engines[:1]] == [
        {key: sorted(ids.tolist()) for key, ids in one.every_series().items()} for one in engines[1:]
    ]


def take(engine: RuleEngine, twins: Twins, told: Told, rows: list[Row]) -> None:
    if rows:
        one = block(rows, rows[-1][1] * SECOND)
        twins.update(one)
        note(told, engine.evaluate(one))


def test_what_came_meanwhile_keeps_its_state() -> None:
    """An alarm that stands and a delay that runs, of a series that the engine got after the change was begun."""
    delayed = make(1, Kind.THRESHOLD, None, direction="above", limit=1.0, delay_s=2.0)
    at_once = make(2, Kind.THRESHOLD, None, direction="above", limit=1.0)
    third = make(3, Kind.THRESHOLD, None, direction="above", limit=1.0)
    other = make(3, Kind.THRESHOLD, None, direction="above", limit=2.0)
    old, new = np.array([1], dtype=np.uint32), np.array([NEW], dtype=np.uint32)
    engine, twins, told = RuleEngine(), Twins(), defaultdict[tuple[int, int], list[Any]](list)
    engine.assign([Assignment(rule, old) for rule in (delayed, at_once, third)], twins, 0)
    succession = prepare([Assignment(rule, old) for rule in (delayed, at_once, other)], engine.outlines())
    engine.extend([Assignment(rule, new) for rule in (delayed, at_once)], twins, 0)
    take(engine, twins, told, [(NEW, 1, 5.0)])
    take(engine, twins, told, [(NEW, 2, 5.0)])
    note(told, engine.take_over(succession, [Assignment(rule, new) for rule in (delayed, at_once)], twins, 2 * SECOND))
    take(engine, twins, told, [(NEW, 3, 5.0)])
    assert told == {(1, NEW): [(True, 3 * SECOND, 3 * SECOND)], (2, NEW): [(True, SECOND, SECOND)]}


def test_a_change_that_fails_leaves_what_ran_before() -> None:
    first = make(1, Kind.THRESHOLD, None, direction="above", limit=1.0)
    other = make(2, Kind.ABSENCE, None, timeout_s=5.0)
    old = np.array([1], dtype=np.uint32)
    engine, twins, told = RuleEngine(), Twins(), defaultdict[tuple[int, int], list[Any]](list)
    engine.assign([Assignment(rule, old) for rule in (first, other)], twins, 0)
    take(engine, twins, told, [(1, 1, 5.0)])
    more = make(3, Kind.THRESHOLD, None, direction="above", limit=2.0)
    succession = prepare([Assignment(rule, old) for rule in (first, other, more)], engine.outlines())
    heir = succession.heirs["threshold"].table
    assert heir is not None
    heir.series = old[:0]  # no longer as long as its columns
    with pytest.raises((ValueError, IndexError)):
        engine.take_over(succession, (), twins, 2 * SECOND)
    assert engine.rules.keys() == {1, 2}
    assert engine.standing() == {(1, 1)}
    assert engine.instances == 2
