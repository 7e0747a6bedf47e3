import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.tree.reports.kinds import Form, Leaving, Measure, ReportKind
from gongfu.tree.reports.leaving import Departures, LeavingError, LeavingReason, Projection
from gongfu.tree.reports.ledger import Ledger
from gongfu.tree.reports.measures import merge
from gongfu.tree.reports.stream import Statement
from tests.unit.tree.reports.samples import KIND, Facts, cells_of, content, states_of

KEYS = [("110000", "on"), ("110100", "on"), ("110100", "off"), ("440100", "on")]


def test_keys_go_by_merging_and_measures_go() -> None:
    projection = Projection(KIND, "province")
    assert projection.kind.keys == ("region",)
    assert [m.name for m in projection.kind.measures] == ["devices", "machines", "energy", "hottest"]
    facts: Facts = {
        (0, KEYS[0]): (3, frozenset("ab")),
        (0, KEYS[1]): (4, frozenset("a")),
        (0, KEYS[2]): (16, frozenset("a")),
        (0, KEYS[3]): (7, frozenset("c")),
    }
    left = projection.project(cells_of(KIND, facts))
    by_key = {left.cell(i).keys: left.cell(i) for i in range(len(left))}
    assert set(by_key) == {("11",), ("44",)}
    merged = by_key["11",]
    assert merged.measures["devices"] == 23
    assert merged.measures["energy"] == 23_000 - 3 * 5000
    assert merged.measures["hottest"] == 16
    assert "coldest" not in merged.measures
    # Enterprise a is in three of the cells and counts once: two enterprises, not four.
    assert len(merged.contributors) == 2


def test_nothing_leaves_a_tier_that_has_no_rule() -> None:
    with pytest.raises(LeavingError) as caught:
        Projection(KIND, "enterprise")
    assert caught.value.reason is LeavingReason.TIER
    less = msgspec.structs.replace(
        KIND, leaving=(Leaving(tier="a", keys=(), measures=("gone",)),), measures=KIND.measures[:1]
    )
    with pytest.raises(LeavingError) as caught:
        Projection(less, "a")
    assert caught.value.reason is LeavingReason.MEASURES
    other = ReportKind(name="other", measures=(Measure(name="n", form=Form.COUNT),))
    with pytest.raises(LeavingError) as caught:
        Projection(KIND, "site").project(cells_of(other, {}))
    assert caught.value.reason is LeavingReason.KIND


def _expected(children: list[Facts]) -> dict[tuple[int, tuple[str, ...]], int]:
    out: dict[tuple[int, tuple[str, ...]], int] = {}
    for facts in children:
        for (period, keys), (number, _) in facts.items():
            out[period, (keys[0][:2],)] = out.get((period, (keys[0][:2],)), 0) + number
    return out


numbers = st.dictionaries(st.sampled_from(KEYS), st.integers(0, 300))


@given(st.lists(st.tuples(st.integers(0, 2), numbers), max_size=8), st.randoms())
@settings(max_examples=100, deadline=None)
def test_what_changed_leaves_and_adds_up_to_all_there_is(
    steps: list[tuple[int, dict[tuple[str, str], int]]], rnd: random.Random
) -> None:
    ledger = Ledger(KIND, "me")
    departures = Departures(ledger, Projection(KIND, "province"))
    for child in "012":
        ledger.add_child(child)
    parent: dict[tuple[int, tuple[str, ...]], object] = {}
    latest: list[Facts] = [{}, {}, {}]
    sent = 0
    for i, (child, now) in enumerate(steps):
        latest[child] = {(0, keys): (number, frozenset({str(child)})) for keys, number in now.items()}
        ledger.apply(str(child), Statement(1, i + 1, 1, cells_of(KIND, latest[child]), (0, i + 1)), 1)
        if rnd.random() < 0.6:
            changes = departures.since(sent)
            sent = ledger.revision
            for row in range(len(changes)):
                cell = changes.cell(row)
                parent.pop((cell.period, cell.keys), None)
                if cell.present:
                    parent[cell.period, cell.keys] = cell.measures["devices"]
            assert parent == _expected(latest)
    everything = Departures(ledger, Projection(KIND, "province")).since(0)
    found = content(everything)
    assert {name: said[0]["devices"] for name, said in found.items()} == _expected(latest)
    assert found == content(Projection(KIND, "province").project(ledger.read(0)))
    for (_, keys), said in found.items():
        parts = [
            states_of(number)["machines"]
            for facts in latest
            for (_, k), (number, _) in facts.items()
            if k[0][:2] == keys[0]
        ]
        assert said[0].get("machines", b"") == merge(KIND.measures[1], parts)
