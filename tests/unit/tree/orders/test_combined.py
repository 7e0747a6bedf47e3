from itertools import permutations, product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.tree.orders.combined import (
    NOTHING,
    TERMINAL,
    Registers,
    Shown,
    given_up,
    merge,
    shown,
    terminal,
    with_execution,
    with_verdict,
)
from gongfu.tree.orders.types import Execution, Finding, Reason, State, Verdict
from tests.unit.tree.orders.nodes import ENTERPRISE, NOW, SITE

ENDS = {State.REFUSED, State.FAILED, State.EXPIRED, State.REVOKED, State.UNDELIVERABLE}


def execution(state: State, revision: int = 4, *, claim: int = 4, at: int = NOW, signer: str = SITE.id) -> Execution:
    return Execution("order-0001", SITE.id, state, revision, at, signer, 1, claim)


def verdict(finding: Finding, revision: int = 1, *, claim: int = 4, at: int = NOW) -> Verdict:
    return Verdict("order-0001", SITE.id, finding, revision, at, ENTERPRISE.id, claim)


@pytest.mark.parametrize(("state", "finding"), list(product(State, [None, *Finding])))
def test_what_is_shown_of_every_pair(state: State, finding: Finding | None) -> None:
    """The design: refused, failed, expired, revoked, undeliverable end it; executed and rolled back need a verdict."""
    registers = Registers(execution(state), None if finding is None else verdict(finding))
    found = shown(registers)
    assert terminal(registers) is (
        state in ENDS or (state in (State.EXECUTED, State.ROLLED_BACK) and finding is not None)
    )
    if finding is None or state not in (State.EXECUTED, State.ROLLED_BACK, State.FAILED):
        assert found.value == state.value
    elif finding is Finding.CONTRADICTED:
        assert found is Shown.CONTRADICTED
    elif state is State.FAILED:
        assert found is Shown.FAILED
    elif finding is Finding.UNVERIFIABLE:
        assert found is Shown.UNVERIFIABLE
    else:
        assert found is (Shown.VERIFIED if state is State.EXECUTED else Shown.ROLLED_BACK_VERIFIED)


def test_nothing_is_issued_whatever_a_verdict_says() -> None:
    assert shown(NOTHING) is Shown.ISSUED
    assert shown(Registers(None, verdict(Finding.VERIFIED))) is Shown.ISSUED
    assert Shown.ISSUED not in TERMINAL


def test_a_verdict_on_an_older_claim_does_not_count() -> None:
    rolled_back = execution(State.ROLLED_BACK, 6, claim=6)
    assert shown(Registers(rolled_back, verdict(Finding.VERIFIED, claim=4))) is Shown.ROLLED_BACK
    # Too late to revoke: another revision, the same claim.
    assert shown(Registers(execution(State.EXECUTED, 5, claim=4), verdict(Finding.VERIFIED))) is Shown.VERIFIED
    # A driver that was never called has made no claim.
    assert shown(Registers(execution(State.FAILED, claim=0), verdict(Finding.CONTRADICTED, claim=0))) is Shown.FAILED


executions = st.builds(
    execution,
    st.sampled_from(State),
    st.integers(1, 3),
    claim=st.integers(0, 1),
    at=st.integers(0, 1),
    signer=st.sampled_from([SITE.id, ENTERPRISE.id]),
)
verdicts = st.builds(
    verdict, st.sampled_from(Finding), st.integers(1, 3), claim=st.integers(0, 1), at=st.integers(0, 1)
)
pieces = st.one_of(executions, verdicts)


def put(registers: Registers, piece: Execution | Verdict) -> Registers:
    return with_execution(registers, piece) if isinstance(piece, Execution) else with_verdict(registers, piece)


def gathered(found: list[Execution | Verdict]) -> Registers:
    registers = NOTHING
    for piece in found:
        registers = put(registers, piece)
    return registers


reachable = st.lists(pieces, max_size=4).map(gathered)


@given(reachable, reachable, reachable)
def test_merging_is_commutative_associative_and_idempotent(
    left: Registers, middle: Registers, right: Registers
) -> None:
    assert merge(left, right) == merge(right, left)
    assert merge(merge(left, middle), right) == merge(left, merge(middle, right))
    assert merge(left, left) == left
    assert merge(left, NOTHING) == merge(NOTHING, left) == left


@given(st.lists(pieces, min_size=1, max_size=4), st.data())
def test_what_has_come_counts_and_not_in_which_order_or_how_often(
    found: list[Execution | Verdict], data: st.DataObject
) -> None:
    registers = gathered(found)
    for order in permutations(found):
        assert gathered(list(order)) == registers
    assert gathered([*found, *data.draw(st.lists(st.sampled_from(found), max_size=3))]) == registers
    split = data.draw(st.integers(0, len(found)))
    assert merge(gathered(found[:split]), gathered(found[split:])) == registers
    assert all(put(registers, piece) is registers for piece in found)
    executed = [piece for piece in found if isinstance(piece, Execution)]
    if executed:
        largest = max(piece.revision for piece in executed)
        last = {msgspec.json.encode(piece) for piece in executed if piece.revision == largest}
        assert registers.execution is not None
        assert registers.execution.revision == largest
        assert registers.execution_conflict is (len(last) > 1)


def test_a_conflict_is_flagged_until_a_larger_revision_ends_it() -> None:
    registers = gathered([execution(State.EXECUTED, 3), execution(State.FAILED, 3)])
    assert registers.execution_conflict
    assert registers.execution == execution(State.EXECUTED, 3)
    registers = with_execution(registers, execution(State.ROLLING_BACK, 4))
    assert not registers.execution_conflict


def test_of_a_target_and_its_parent_the_target_says_what_is_so() -> None:
    by_parent = execution(State.UNDELIVERABLE, 3, signer=ENTERPRISE.id)
    registers = gathered([by_parent, execution(State.ACCEPTED, 3)])
    assert registers.execution == execution(State.ACCEPTED, 3)
    assert registers.execution_conflict


@pytest.mark.parametrize(("state", "finding"), list(product([None, *State], [None, *Finding])))
def test_a_target_that_is_given_up_is_terminal(state: State | None, finding: Finding | None) -> None:
    registers = Registers(
        None if state is None else execution(state, claim=4), None if finding is None else verdict(finding)
    )
    after = given_up(registers, "order-0001", SITE.id, ENTERPRISE.id, Reason.TARGET_RETIRED, NOW)
    assert terminal(after)
    # It is a larger revision, so every level comes to it.
    assert merge(registers, after) == merge(after, registers) == after
    if terminal(registers):
        assert after == registers
    elif state in (State.EXECUTED, State.ROLLED_BACK):
        assert shown(after) is Shown.UNVERIFIABLE
    else:
        assert shown(after) is Shown.UNDELIVERABLE
        assert after.execution is not None
        assert after.execution.signer == ENTERPRISE.id
        assert after.execution.detail == f"was {state or State.ISSUED}"
