"""Stories of a target: effects in their order, crashes, revocations that meet a call on its way, restored backups."""

import msgspec
import pytest

from gongfu.tree.orders.admission import Standing
from gongfu.tree.orders.effects import AskOperator, CallDriver, Effect, Outcome, Send, TargetRecord, Wake
from gongfu.tree.orders.execution import accept, begin, finished, forgettable, receive, recover, remember, revoke, tick
from gongfu.tree.orders.types import Execution, Reason, State
from tests.unit.tree.orders.nodes import (
    CHAIN,
    DEADLINE,
    MEMBER,
    NATION,
    NOW,
    PROVINCE,
    SECOND,
    SITE,
    believed,
    believed_revocation,
    order,
    order_kind,
    revocation,
    standing,
)

HERE = standing()
CAREFUL = order_kind(idempotent=True, can_roll_back=True)
BACK = believed_revocation(revocation(), HERE)


def kept(outcome: Outcome) -> tuple[TargetRecord, Execution]:
    assert outcome.record is not None
    assert outcome.record.execution is not None
    return outcome.record, outcome.record.execution


def only(effects: tuple[Effect, ...], kind: type) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, kind)]


def accepted(at: Standing = HERE, not_before: int = NOW) -> TargetRecord:
    return kept(receive(None, believed(order(not_before=not_before), at), at, NOW))[0]


def executing(at: Standing = HERE) -> TargetRecord:
    return kept(begin(accepted(at), at, NOW))[0]


def test_an_order_from_receipt_to_effect() -> None:
    outcome = receive(None, believed(order(not_before=NOW + SECOND), HERE), HERE, NOW)
    record, execution = kept(outcome)
    # One register goes up for receipt and acceptance, with the revision of the second.
    assert [effect.execution.revision for effect in outcome.effects if isinstance(effect, Send)] == [2]
    assert only(outcome.effects, Wake) == [Wake(NOW + SECOND)]
    early = begin(record, HERE, NOW)
    assert (early.refused, early.effects) == (Reason.NOT_YET, (Wake(NOW + SECOND),))
    outcome = begin(record, HERE, NOW + SECOND)
    record, execution = kept(outcome)
    assert (execution.state, execution.attempt, execution.claim) == (State.EXECUTING, 1, 0)
    call = only(outcome.effects, CallDriver)
    assert call == [CallDriver(f"order-0001/{SITE.id}", "firewall", 1, order().payload)]
    assert outcome.effects[-1] == call[0]
    record, execution = kept(finished(record, 1, True, "rule 7", order_kind(), NOW + 2 * SECOND))
    assert (execution.state, execution.claim, execution.revision, execution.detail) == (State.EXECUTED, 4, 4, "rule 7")


def test_an_operator_is_asked_and_the_deadline_is_kept() -> None:
    at = standing(order_kind(accept="operator"))
    outcome = receive(None, believed(order(), at), at, NOW)
    assert outcome.effects[-2:] == (AskOperator("order-0001"), Wake(DEADLINE + 1))
    record, _ = kept(outcome)
    assert kept(accept(record, "li", DEADLINE))[1].state == State.ACCEPTED
    assert kept(tick(record, DEADLINE))[1].state == State.DELIVERED
    late, execution = kept(tick(record, DEADLINE + 1))
    assert execution.state == State.EXPIRED
    assert begin(late, at, DEADLINE + 2).refused == Reason.NOT_ACCEPTED


def test_what_was_accepted_in_time_executes_after_the_deadline_unless_the_kind_says_how_late() -> None:
    assert kept(begin(accepted(), HERE, DEADLINE + SECOND))[1].state == State.EXECUTING
    at = standing(order_kind(start_within=SECOND))
    record = accepted(at, not_before=NOW + SECOND)
    assert kept(begin(record, at, NOW + 2 * SECOND))[1].state == State.EXECUTING
    _, execution = kept(begin(record, at, NOW + 2 * SECOND + 1))
    assert (execution.state, execution.reason, execution.claim) == (State.FAILED, Reason.STARTED_TOO_LATE, 0)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (standing(chain={node: tier for node, tier in CHAIN.items() if node != NATION.id}), Reason.ISSUER_NOT_ANCESTOR),
        (standing(order_kind(allowed=False)), Reason.KIND_NOT_ALLOWED),
        (standing(order_kind(name="other")), Reason.KIND_UNKNOWN),
        (standing(active=False), Reason.NODE_SUSPENDED),
    ],
)
def test_what_has_changed_since_it_was_accepted_counts_when_it_starts(changed: Standing, reason: Reason) -> None:
    outcome = begin(accepted(), changed, NOW)
    _, execution = kept(outcome)
    assert (execution.state, execution.reason) == (State.REFUSED, reason)
    assert only(outcome.effects, CallDriver) == []


def test_after_a_crash_only_an_idempotent_driver_is_called_again() -> None:
    plain = recover(executing(), order_kind(), NOW)
    _, execution = kept(plain)
    assert (execution.state, execution.reason, execution.claim) == (State.FAILED, Reason.INTERRUPTED, 4)
    assert only(plain.effects, CallDriver) == []
    again = recover(executing(standing(CAREFUL)), CAREFUL, NOW)
    record, execution = kept(again)
    assert (execution.state, execution.attempt) == (State.EXECUTING, 2)
    # The same key, so that the driver knows it.
    assert only(again.effects, CallDriver) == [CallDriver(f"order-0001/{SITE.id}", "firewall", 2, order().payload)]
    assert finished(record, 1, True, "", CAREFUL, NOW).refused == Reason.RESULT_STALE


def test_a_kind_that_is_gone_after_a_crash_is_not_called() -> None:
    _, execution = kept(recover(executing(standing(CAREFUL)), None, NOW))
    assert (execution.state, execution.reason) == (State.FAILED, Reason.INTERRUPTED)


def test_a_revocation_that_meets_a_call_takes_back_what_the_call_did() -> None:
    at = standing(CAREFUL)
    record, execution = kept(revoke(executing(at), BACK, at, NOW))
    assert (execution.state, execution.reason) == (State.EXECUTING, Reason.REVOKE_PENDING)
    outcome = finished(record, 1, True, "", CAREFUL, NOW)
    record, execution = kept(outcome)
    assert execution.state == State.ROLLING_BACK
    assert only(outcome.effects, CallDriver) == [
        CallDriver(f"order-0001/{SITE.id}/rollback", "firewall", 2, order().payload, rollback=True)
    ]
    _, execution = kept(finished(record, 2, True, "", CAREFUL, NOW))
    assert (execution.state, execution.claim) == (State.ROLLED_BACK, execution.revision)


def test_a_revocation_that_meets_a_call_of_a_driver_that_cannot_is_too_late() -> None:
    record, _ = kept(revoke(executing(), BACK, HERE, NOW))
    _, execution = kept(finished(record, 1, True, "", order_kind(), NOW))
    assert (execution.state, execution.reason) == (State.EXECUTED, Reason.REVOKE_TOO_LATE)
    # The claim is still the driver's answer: a verdict on it counts.
    assert execution.claim == execution.revision - 1


def test_a_revoked_call_is_not_called_again_after_a_crash() -> None:
    only_idempotent = order_kind(idempotent=True)
    record, _ = kept(revoke(executing(standing(only_idempotent)), BACK, HERE, NOW))
    outcome = recover(record, only_idempotent, NOW)
    assert kept(outcome)[1].state == State.FAILED
    assert only(outcome.effects, CallDriver) == []
    outcome = recover(record, CAREFUL, NOW)
    assert kept(outcome)[1].state == State.ROLLING_BACK
    assert [effect.rollback for effect in outcome.effects if isinstance(effect, CallDriver)] == [True]


def test_a_rollback_that_does_not_work_leaves_what_was_before() -> None:
    at = standing(CAREFUL)
    executed, _ = kept(finished(executing(at), 1, True, "", CAREFUL, NOW))
    rolling, _ = kept(revoke(executed, BACK, at, NOW))
    _, execution = kept(finished(rolling, 2, False, "no route", CAREFUL, NOW))
    assert (execution.state, execution.reason, execution.claim) == (State.EXECUTED, Reason.ROLLBACK_FAILED, 6)
    # An interrupted call, taken back and interrupted again, was never executed.
    failed, _ = kept(recover(executing(at), order_kind(can_roll_back=True), NOW))
    rolling, _ = kept(revoke(failed, BACK, at, NOW))
    _, execution = kept(recover(rolling, order_kind(can_roll_back=True), NOW))
    assert (execution.state, execution.reason) == (State.FAILED, Reason.ROLLBACK_INTERRUPTED)


def test_a_target_restored_from_a_backup_does_not_execute_twice() -> None:
    _, executed = kept(finished(executing(), 1, True, "", order_kind(), NOW))
    # Everything is lost: the parent tells first what had been said, and then the order comes again.
    outcome = remember(None, executed, HERE, NOW)
    outcome = receive(outcome.record, believed(order(), HERE), HERE, NOW)
    record, execution = kept(outcome)
    assert execution == executed
    assert only(outcome.effects, CallDriver) == only(outcome.effects, Wake) == []
    assert begin(record, HERE, NOW).refused == Reason.NOT_ACCEPTED
    # The backup is of when it had been accepted.
    assert kept(remember(accepted(), executed, HERE, NOW))[1] == executed


def test_a_target_restored_while_executing_recovers_what_it_had_said() -> None:
    _, said = kept(begin(accepted(), HERE, NOW))
    _, execution = kept(remember(accepted(), said, HERE, NOW))
    assert (execution.state, execution.reason) == (State.FAILED, Reason.INTERRUPTED)
    outcome = remember(None, said, HERE, NOW)
    _, execution = kept(receive(outcome.record, believed(order(), HERE), HERE, NOW))
    assert (execution.state, execution.reason) == (State.FAILED, Reason.INTERRUPTED)


def test_a_backup_of_while_it_was_executing_takes_the_end_over() -> None:
    record = executing()
    _, failed = kept(finished(record, 1, False, "", order_kind(), NOW))
    outcome = remember(record, failed, HERE, NOW)
    assert kept(outcome)[1] == failed
    assert only(outcome.effects, CallDriver) == []


def test_a_revocation_known_before_a_register_comes_back_is_not_forgotten() -> None:
    said = kept(finished(executing(), 1, True, "", order_kind(), NOW))[1]
    at = standing(CAREFUL)
    tombstone = revoke(None, BACK, at, NOW).record
    record = remember(tombstone, said, at, NOW).record
    _, execution = kept(receive(record, believed(order(), at), at, NOW))
    assert execution.state == State.ROLLING_BACK
    # Accepted, says the parent; revoked, knows the target: the driver is not called.
    revoked, _ = kept(revoke(accepted(), BACK, HERE, NOW))
    later = msgspec.structs.replace(kept(receive(None, believed(order(), HERE), HERE, NOW))[1], revision=9)
    _, execution = kept(remember(revoked, later, HERE, NOW))
    assert (execution.state, execution.revision) == (State.REVOKED, 10)


def test_a_call_on_its_way_goes_on_with_a_revision_the_parent_believes() -> None:
    record = executing()
    _, said = kept(finished(record, 1, True, "", order_kind(), NOW))
    said = msgspec.structs.replace(said, revision=9)
    outcome = remember(record, said, HERE, NOW, calling=True)
    assert kept(outcome)[1].state == State.EXECUTING
    assert kept(outcome)[1].revision == 10
    assert only(outcome.effects, Send) == [Send(kept(outcome)[1])]
    assert kept(finished(kept(outcome)[0], 1, True, "", order_kind(), NOW))[1].revision == 11


@pytest.mark.parametrize("changed", [{"target": PROVINCE.id}, {"signer": PROVINCE.id}])
def test_only_its_own_registers_are_taken_back(changed: dict[str, str]) -> None:
    _, executed = kept(finished(executing(), 1, True, "", order_kind(), NOW))
    record = accepted()
    outcome = remember(record, msgspec.structs.replace(executed, **changed), HERE, NOW)
    assert (outcome.record, outcome.refused) == (record, Reason.NOT_OWN)


def test_what_may_be_forgotten() -> None:
    day = 86_400 * SECOND
    over, _ = kept(finished(executing(), 1, True, "", order_kind(), NOW))
    assert not forgettable(over, DEADLINE + day, day)
    assert forgettable(over, DEADLINE + day + 1, day)
    for open_record in (accepted(), executing()):
        assert not forgettable(open_record, DEADLINE + 2 * day, day)
    tombstone = revoke(None, BACK, HERE, NOW).record
    assert tombstone is not None
    assert not forgettable(tombstone, DEADLINE + day, day)
    assert forgettable(tombstone, DEADLINE + day + 1, day)


def test_a_replayed_order_that_was_forgotten_is_expired_with_a_revision_that_loses() -> None:
    _, execution = kept(receive(None, believed(order(), HERE), HERE, DEADLINE + 1))
    assert (execution.state, execution.revision) == (State.EXPIRED, 1)


def test_long_words_of_a_driver_are_cut() -> None:
    outcome = finished(executing(), 1, False, "x" * 5000, order_kind(), NOW)
    assert len(kept(outcome)[1].detail) == 1000


def test_the_root_may_order_itself() -> None:
    root = standing(
        chain={NATION.id: "nation"}, member=msgspec.structs.replace(MEMBER, node=NATION.id, path=(), tier="site")
    )
    _, execution = kept(receive(None, believed(order(), root), root, NOW))
    assert (execution.state, execution.target) == (State.ACCEPTED, NATION.id)
