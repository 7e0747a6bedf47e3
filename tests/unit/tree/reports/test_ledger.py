import random
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.tree.reports.applied import LedgerError, LedgerReason
from gongfu.tree.reports.cells import Cell, columns_of, concatenate, withdrawn
from gongfu.tree.reports.kinds import Form, Measure, ReportKind
from gongfu.tree.reports.ledger import Ledger
from gongfu.tree.reports.position import MAX_BEYOND
from gongfu.tree.reports.sketches import sketch_top
from gongfu.tree.reports.stream import Statement
from tests.unit.tree.reports.samples import KIND, MINUTE, PERIODIC, Facts, cells_of, content, recount

A, B, C = ("110000", "on"), ("440100", "on"), ("440100", "off")


def facts(**what: int) -> Facts:
    names = {"a": A, "b": B, "c": C}
    return {(0, names[name]): (number, frozenset(name)) for name, number in what.items()}


def said(
    sequence: int, cells: Facts, *, gone: tuple = (), complete: tuple[int, int] | None = None, epoch: int = 1
) -> Statement:
    columns = concatenate(KIND, [cells_of(KIND, cells), withdrawn(KIND, 0, list(gone))])
    return Statement(epoch, sequence, 100 * sequence, columns, complete, ((0, 1, 1),))


def ledger_of(*children: str) -> Ledger:
    ledger = Ledger(KIND, "me")
    for child in children:
        ledger.add_child(child)
    return ledger


def devices(ledger: Ledger) -> dict[tuple[str, ...], int]:
    cells = ledger.read(0)
    return dict(zip(cells.keys, cells.exact[0].tolist(), strict=True))


def test_totals_are_children_and_own() -> None:
    ledger = ledger_of("p", "q")
    ledger.apply("p", said(1, facts(a=3, b=4), complete=(0, 1)), 1)
    ledger.apply("q", said(1, facts(b=10), complete=(0, 1)), 1)
    ledger.state(0, cells_of(KIND, facts(b=100, c=7)), 5)
    assert devices(ledger) == {A: 3, B: 114, C: 7}
    assert content(ledger.read(0)) == recount(KIND, [facts(a=3, b=4), facts(b=10), facts(b=100, c=7)])
    ledger.state(0, cells_of(KIND, facts(b=1)), 6)
    assert devices(ledger) == {A: 3, B: 15}


def test_a_repeated_batch_changes_nothing() -> None:
    ledger = ledger_of("p")
    batch = said(1, facts(a=3), complete=(0, 1))
    ledger.apply("p", batch, 1)
    revision = ledger.revision
    assert ledger.apply("p", batch, 2).repeated
    assert ledger.revision == revision
    assert devices(ledger) == {A: 3}


def test_a_late_batch_says_what_is_not_known_better() -> None:
    ledger = ledger_of("p")
    ledger.apply("p", said(1, facts(a=1), complete=(0, 1)), 1)
    ledger.apply("p", said(3, facts(a=30)), 1)
    assert ledger.missing("p").ranges == ((2, 2),)
    applied = ledger.apply("p", said(2, facts(a=20, b=2)), 1)
    assert applied.outdated == 1
    assert devices(ledger) == {A: 30, B: 2}
    assert ledger.missing("p").ranges == ()


def test_a_withdrawn_cell_goes_and_does_not_come_back_by_a_late_batch() -> None:
    ledger = ledger_of("p")
    ledger.apply("p", said(1, facts(a=1, b=2), complete=(0, 1)), 1)
    ledger.apply("p", said(3, {}, gone=(A,)), 1)
    ledger.apply("p", said(2, facts(a=9)), 1)
    assert devices(ledger) == {B: 2}
    assert ledger.cell(0, A) is None
    # The parent is told so.
    cells = ledger.read(0, ledger.changed(0)[0])
    assert dict(zip(cells.keys, cells.present.tolist(), strict=True)) == {A: False, B: True}


def test_a_restored_child_restates_and_what_it_has_no_more_goes() -> None:
    ledger = ledger_of("p")
    ledger.apply("p", said(1, facts(a=1, b=2), complete=(0, 1)), 1)
    ledger.apply("p", said(2, facts(c=3)), 1)
    # Last week's backup: without c, and with another b.
    applied = ledger.apply("p", said(1, facts(a=1, b=5), complete=(0, 1), epoch=2), 2)
    assert applied.withdrawn == 1
    assert devices(ledger) == {A: 1, B: 5}
    late = ledger.apply("p", said(3, facts(c=99, b=99)), 3)
    assert late.outdated == 2
    assert devices(ledger) == {A: 1, B: 5}


def test_a_complete_statement_in_several_batches_in_any_order() -> None:
    parts = [said(1, facts(a=1)), said(2, facts(b=2)), said(3, facts(c=3), complete=(0, 1))]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]):
        ledger = ledger_of("p")
        for i in order:
            ledger.apply("p", parts[i], 1)
        assert devices(ledger) == {A: 1, B: 2, C: 3}
        missing = ledger.missing("p")
        assert (missing.complete, missing.ranges) == (False, ())


def test_a_complete_statement_in_several_batches_replaces_what_was_there_in_any_order() -> None:
    parts = [said(2, facts(a=1)), said(3, facts(b=2), complete=(0, 2))]
    for order in ([0, 1], [1, 0]):
        ledger = ledger_of("p")
        ledger.apply("p", said(1, facts(a=9, b=9, c=9), complete=(0, 1)), 1)
        for i in order:
            ledger.apply("p", parts[i], 1)
        assert devices(ledger) == {A: 1, B: 2}


def test_a_new_child_has_to_state_everything() -> None:
    ledger = ledger_of("p")
    assert ledger.missing("p").complete
    ledger.apply("p", said(1, facts(a=1)), 1)
    assert ledger.missing("p").complete
    ledger.apply("p", said(2, facts(a=1), complete=(0, 2)), 1)
    assert not ledger.missing("p").complete


def test_a_child_that_leaves_takes_its_cells_with_it_and_may_come_back() -> None:
    ledger = ledger_of("p", "q")
    ledger.apply("p", said(1, facts(a=1, b=2), complete=(0, 1)), 1)
    ledger.apply("q", said(1, facts(b=3), complete=(0, 1)), 1)
    ledger.remove_child("p")
    assert devices(ledger) == {B: 3}
    assert ledger.children == ["q"]
    with pytest.raises(LedgerError) as caught:
        ledger.apply("p", said(2, facts(a=1)), 2)
    assert caught.value.reason is LedgerReason.UNKNOWN_CHILD
    ledger.add_child("p")
    # What was on its way when it left says nothing any more.
    ledger.apply("p", said(2, facts(a=50)), 3)
    assert devices(ledger) == {B: 3}
    assert ledger.missing("p").complete
    ledger.apply("p", said(1, facts(a=7), complete=(0, 1), epoch=2), 4)
    assert devices(ledger) == {A: 7, B: 3}


def test_what_a_child_said_before_it_left_stays_true_of_that_time() -> None:
    ledger = Ledger(PERIODIC, "me")
    ledger.add_child("p")
    both = {(0, A): (1, frozenset("a")), (MINUTE, A): (2, frozenset("a"))}
    ledger.apply("p", Statement(1, 1, 1, cells_of(PERIODIC, both), (0, 1), ((0, 1, 1), (MINUTE, 1, 1))), 1)
    ledger.remove_child("p", MINUTE)
    assert ledger.read(0).exact[0].tolist() == [1]
    assert ledger.read(MINUTE).exact[0].tolist() == []


def test_a_silent_child_is_no_visibility_and_not_zero() -> None:
    ledger = ledger_of("p", "q", "r")
    ledger.apply("p", said(1, facts(a=1, b=2), complete=(0, 1)), 1_000)
    ledger.apply("q", replace(said(1, facts(b=3), complete=(0, 1)), as_of=5_000), 5_000)
    assert ledger.refresh(5_500, 4_000) == 2
    assert devices(ledger) == {A: 1, B: 5}
    cell = ledger.cell(0, B)
    assert cell is not None
    assert (cell.nodes, cell.silent, cell.as_of) == (2, 1, 100)
    coverage = ledger.coverage(0)
    assert (coverage.known, coverage.reported) == (3, 1)
    assert (coverage.silent, coverage.never) == (("p",), ("r",))
    assert ledger.as_of() == 5_000
    assert ledger.refresh(5_600, 4_000) == 0
    revision = ledger.revision
    ledger.apply("p", said(2, {}), 6_000)
    cell = ledger.cell(0, A)
    assert cell is not None
    assert (cell.nodes, cell.silent, cell.as_of) == (1, 0, 0)
    # Both times the parent is told of the cells.
    assert len(ledger.changed(revision)[0]) == 2
    assert ledger.coverage(0).reported == 2


def test_a_period_that_was_reported_stays_reported() -> None:
    ledger = Ledger(PERIODIC, "me")
    ledger.add_child("p")
    cells = cells_of(PERIODIC, {(0, A): (1, frozenset("a"))})
    ledger.apply("p", Statement(1, 1, 50, cells, (0, 1), ((0, 9, 10),)), 50)
    ledger.refresh(MINUTE * 5, MINUTE)
    assert ledger.coverage(0).reported == 9
    assert ledger.coverage(MINUTE).reported == 0
    assert ledger.coverage(MINUTE).known == 10
    cell = ledger.cell(0, A)
    assert cell is not None
    assert cell.silent == 0


def test_forgotten_periods_are_not_taken_back() -> None:
    ledger = Ledger(PERIODIC, "me")
    ledger.add_child("p")
    for i in range(3):
        cells = cells_of(PERIODIC, {(i * MINUTE, A): (i, frozenset("a"))})
        ledger.apply("p", Statement(1, i + 1, 1, cells), 1)
    ledger.forget(2 * MINUTE)
    assert ledger.periods == [2 * MINUTE]
    late = ledger.apply("p", Statement(1, 4, 1, cells_of(PERIODIC, {(0, A): (9, frozenset("a"))})), 1)
    assert late.outdated == 1
    assert ledger.periods == [2 * MINUTE]


def test_a_total_out_of_range_is_refused_and_nothing_changes() -> None:
    ledger = ledger_of("p", "q")
    huge = columns_of(KIND, [Cell(kind=KIND.name, keys=A, measures={"devices": 2**53 - 1})])
    ledger.apply("p", Statement(1, 1, 1, huge, (0, 1)), 1)
    revision = ledger.revision
    with pytest.raises(LedgerError) as caught:
        ledger.apply("q", Statement(1, 1, 1, huge, (0, 1)), 1)
    assert caught.value.reason is LedgerReason.RANGE
    assert ledger.revision == revision
    assert devices(ledger) == {A: 2**53 - 1}
    ledger.apply("q", said(1, facts(b=1), complete=(0, 1)), 1)
    assert devices(ledger)[B] == 1


def test_too_many_missing_batches_ask_for_a_complete_statement() -> None:
    ledger = ledger_of("p")
    empty = cells_of(KIND, {})
    for sequence in range(3, MAX_BEYOND + 3):
        ledger.apply("p", Statement(1, sequence, 1, empty), 1)
    with pytest.raises(LedgerError) as caught:
        ledger.apply("p", Statement(1, MAX_BEYOND + 3, 1, empty), 1)
    assert caught.value.reason is LedgerReason.GAP
    last = MAX_BEYOND + 4
    ledger.apply("p", Statement(1, last, 1, cells_of(KIND, facts(a=1)), (0, last)), 1)
    assert ledger.missing("p").ranges == ()
    assert devices(ledger) == {A: 1}


def test_a_child_without_a_measure_does_not_make_it_zero() -> None:
    ledger = ledger_of("p", "q")
    bare = columns_of(KIND, [Cell(kind=KIND.name, keys=A, measures={"devices": 2})])
    ledger.apply("p", Statement(1, 1, 1, bare, (0, 1)), 1)
    assert "energy" not in msgspec.structs.asdict(ledger.read(0).cell(0))["measures"]
    ledger.apply("q", said(1, facts(a=9), complete=(0, 1)), 1)
    assert ledger.read(0).cell(0).measures["energy"] == 4000
    ledger.apply("q", said(2, {}, gone=(A,)), 1)
    assert ledger.read(0).cell(0).measures == {"devices": 2}


def test_a_ledger_comes_back_from_what_was_stored() -> None:
    ledger = ledger_of("p", "q")
    ledger.apply("p", said(1, facts(a=1, b=2), complete=(0, 1)), 1_000)
    ledger.apply("q", said(1, facts(b=3), complete=(0, 1)), 5_000)
    ledger.apply("p", said(3, {}, gone=(A,)), 1_500)
    ledger.state(0, cells_of(KIND, facts(c=8)), 5)
    ledger.refresh(5_600, 4_000)
    back = Ledger(KIND, "me")
    for child in ("me", "p", "q"):
        position, parts = ledger.stored(child)
        packed = msgspec.msgpack.encode(position)
        back.restore(child, msgspec.msgpack.decode(packed, type=type(position)), parts)
    assert content(back.read(0)) == content(ledger.read(0))
    assert back.coverage(0) == ledger.coverage(0)
    for one in (ledger, back):
        one.apply("p", said(2, facts(a=99, c=1)), 6_000)
        one.state(0, cells_of(KIND, facts(c=9)), 6)
    assert devices(back) == devices(ledger) == {B: 5, C: 10}
    assert back.missing("p") == ledger.missing("p")


numbers = st.dictionaries(st.sampled_from([A, B, C]), st.integers(0, 200), max_size=3)


@given(st.lists(st.lists(numbers, min_size=1, max_size=5), min_size=1, max_size=3), st.randoms(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_order_and_repetition_of_batches_comes_to_the_same(
    histories: list[list[dict[tuple[str, str], int]]], rnd: random.Random, restores: bool
) -> None:
    ledger = ledger_of(*(str(i) for i in range(len(histories))))
    mail: list[tuple[str, Statement]] = []
    final: list[Facts] = []
    for i, history in enumerate(histories):
        before: dict[tuple[str, str], int] = {}
        epoch, sequence = 1, 0
        for step, now in enumerate(history):
            sequence += 1
            restored = restores and step and rnd.random() < 0.4
            if restored:
                epoch, sequence = epoch + 1, 1
            complete = (0, sequence) if restored or not step or rnd.random() < 0.2 else None
            changed = {k: n for k, n in now.items() if complete or before.get(k) != n}
            stated = {(0, k): (n, frozenset({f"{i}{k}"})) for k, n in changed.items()}
            gone = tuple(k for k in before if k not in now) if complete is None else ()
            mail.append((str(i), said(sequence, stated, gone=gone, complete=complete, epoch=epoch)))
            before = now
        final.append({(0, k): (n, frozenset({f"{i}{k}"})) for k, n in before.items()})
    mail += rnd.sample(mail, rnd.randint(0, len(mail)))
    rnd.shuffle(mail)
    for child, statement in mail:
        ledger.apply(child, statement, 1)
        if rnd.random() < 0.3:
            ledger.read(0)
    assert content(ledger.read(0)) == recount(KIND, final)


def test_a_hostile_sketch_cannot_keep_other_figures_from_being_read() -> None:
    kind = ReportKind(
        name="x", measures=(Measure(name="n", form=Form.COUNT), Measure(name="top", form=Form.TOP, size=3))
    )
    ledger = Ledger(kind, "me")
    for child in "pq":
        ledger.add_child(child)
        state = sketch_top(kind.measures[1], [("x", 2**53 - 1)])
        cells = columns_of(kind, [Cell(kind="x", measures={"n": 2, "top": state})])
        ledger.apply(child, Statement(1, 1, 1, cells, (0, 1)), 1)
    assert ledger.read(0).cell(0).measures == {"n": 4}
    assert np.array_equal(ledger.read(0).exact, [[4]])
