"""Every state of a target against every event: each pair is a transition, nothing, or a refusal with a reason."""

from collections.abc import Callable

import pytest
from msgspec import Raw

from gongfu.tree.orders.effects import Audit, Outcome, Send, TargetRecord
from gongfu.tree.orders.execution import accept, begin, finished, receive, recover, refuse, revoke, tick
from gongfu.tree.orders.kinds import OrderKind
from gongfu.tree.orders.types import Reason, State
from tests.unit.tree.orders.nodes import (
    DEADLINE,
    NOW,
    SECOND,
    believed,
    believed_revocation,
    order,
    order_kind,
    revocation,
    standing,
)

PLAIN = order_kind(accept="operator")
CAREFUL = order_kind(accept="operator", idempotent=True, can_roll_back=True)
FIRST = revocation(reason="first")
SECOND_ONE = revocation(reason="second")
OTHER = order(payload=Raw(b'{"address":"192.0.2.2"}'))


def _attempt(record: TargetRecord) -> int:
    return 0 if record.execution is None else record.execution.attempt


EVENTS: dict[str, Callable[[TargetRecord, OrderKind], Outcome]] = {
    "same": lambda record, kind: receive(record, believed(order(), standing(kind)), standing(kind), NOW),
    "other": lambda record, kind: receive(record, believed(OTHER, standing(kind)), standing(kind), NOW),
    "revoke": lambda record, kind: revoke(record, believed_revocation(SECOND_ONE, standing(kind)), standing(kind), NOW),
    "accept": lambda record, kind: accept(record, "li", NOW),
    "late-accept": lambda record, kind: accept(record, "li", DEADLINE + 1),
    "refuse": lambda record, kind: refuse(record, "li", "no", DEADLINE),
    "begin": lambda record, kind: begin(record, standing(kind), NOW),
    "early": lambda record, kind: begin(record, standing(kind), NOW - 1),
    "done": lambda record, kind: finished(record, _attempt(record), True, "", kind, NOW),
    "failed": lambda record, kind: finished(record, _attempt(record), False, "", kind, NOW),
    "stale": lambda record, kind: finished(record, _attempt(record) - 1, True, "", kind, NOW),
    "tick": lambda record, kind: tick(record, DEADLINE),
    "late-tick": lambda record, kind: tick(record, DEADLINE + 1),
    "recover": lambda record, kind: recover(record, kind, NOW),
}


def record_in(name: str, kind: OrderKind) -> TargetRecord:
    """Bring a target into a state the way it gets there."""
    at = standing(kind)
    first = believed_revocation(FIRST, at)
    if name == "tombstone":
        return _kept(revoke(None, first, at, NOW))
    delivered = _kept(receive(None, believed(order(), at), at, NOW))
    if name == "delivered":
        return delivered
    if name == "refused":
        return _kept(refuse(delivered, "li", "no", NOW))
    if name == "expired":
        return _kept(tick(delivered, DEADLINE + 1))
    if name == "revoked":
        return _kept(revoke(delivered, first, at, NOW))
    accepted = _kept(accept(delivered, "li", NOW))
    if name == "accepted":
        return accepted
    executing = _kept(begin(accepted, at, NOW))
    if name == "executing":
        return executing
    pending = _kept(revoke(executing, first, at, NOW))
    if name == "pending":
        return pending
    if name == "failed":
        return _kept(finished(executing, 1, False, "", kind, NOW))
    if name == "interrupted":
        return _kept(recover(executing, None, NOW))
    executed = _kept(finished(executing, 1, True, "", kind, NOW))
    if name == "executed":
        return executed
    taken_back = _kept(revoke(executed, first, at, NOW))
    if name in ("late", "rolling_back"):
        return taken_back
    assert name in ("rolled_back", "unbroken")
    return _kept(finished(taken_back, 2, name == "rolled_back", "", kind, NOW))


def _kept(outcome: Outcome) -> TargetRecord:
    assert outcome.record is not None
    assert outcome.refused is None
    return outcome.record


# "=" nothing changes and nothing is wrong; a word is the state of a new register; a word after ! is a refusal.
COLUMNS = tuple(EVENTS)
PLAIN_TABLE = """
tombstone   revoked revoked = !d !d !d !a !a !x !x !x = = =
delivered   = !o revoked accepted expired refused !a !a !x !x !x = expired =
accepted    = !o revoked !d !d !d executing !y !x !x !x = = =
executing   = !o executing !d !d !d !a !a executed failed !s = = failed
pending     = !o executing !d !d !d !a !a executed failed !s = = failed
executed    = !o executed !d !d !d !a !a !x !x !x = = =
late        = !o executed !d !d !d !a !a !x !x !x = = =
failed      = !o !v !d !d !d !a !a !x !x !x = = =
interrupted = !o !v !d !d !d !a !a !x !x !x = = =
refused     = !o !v !d !d !d !a !a !x !x !x = = =
expired     = !o !v !d !d !d !a !a !x !x !x = = =
revoked     = !o !v !d !d !d !a !a !x !x !x = = =
"""
CAREFUL_TABLE = """
tombstone    revoked revoked = !d !d !d !a !a !x !x !x = = =
delivered    = !o revoked accepted expired refused !a !a !x !x !x = expired =
accepted     = !o revoked !d !d !d executing !y !x !x !x = = =
executing    = !o executing !d !d !d !a !a executed failed !s = = executing
pending      = !o executing !d !d !d !a !a rolling_back failed !s = = rolling_back
executed     = !o rolling_back !d !d !d !a !a !x !x !x = = =
rolling_back = !o !v !d !d !d !a !a rolled_back executed !s = = rolling_back
unbroken     = !o rolling_back !d !d !d !a !a !x !x !x = = =
rolled_back  = !o !v !d !d !d !a !a !x !x !x = = =
failed       = !o !v !d !d !d !a !a !x !x !x = = =
interrupted  = !o rolling_back !d !d !d !a !a !x !x !x = = =
refused      = !o !v !d !d !d !a !a !x !x !x = = =
expired      = !o !v !d !d !d !a !a !x !x !x = = =
revoked      = !o !v !d !d !d !a !a !x !x !x = = =
"""
REASONS = {
    "o": Reason.ORDER_ID_REUSED,
    "d": Reason.NOT_DELIVERED,
    "a": Reason.NOT_ACCEPTED,
    "y": Reason.NOT_YET,
    "x": Reason.NOT_EXECUTING,
    "s": Reason.RESULT_STALE,
    "v": Reason.ALREADY_OVER,
}


def _pairs(kind: OrderKind, table: str) -> list[tuple[OrderKind, str, str, str]]:
    rows = [line.split() for line in table.strip().splitlines()]
    return [(kind, row[0], event, cell) for row in rows for event, cell in zip(COLUMNS, row[1:], strict=True)]


@pytest.mark.parametrize(
    ("kind", "state", "event", "expected"), [*_pairs(PLAIN, PLAIN_TABLE), *_pairs(CAREFUL, CAREFUL_TABLE)]
)
def test_pair(kind: OrderKind, state: str, event: str, expected: str) -> None:
    record = record_in(state, kind)
    outcome = EVENTS[event](record, kind)
    sent = [effect.execution for effect in outcome.effects if isinstance(effect, Send)]
    if expected.startswith("!"):
        assert outcome.refused == REASONS[expected[1:]]
        assert outcome.record == record
        assert sent == []
        audited = [effect.reason for effect in outcome.effects if isinstance(effect, Audit)]
        assert audited == ([] if expected == "!y" else [outcome.refused])
    elif expected == "=":
        assert outcome.refused is None
        assert sent == []
        assert outcome.record is not None
        # A second revocation of an order that has not come replaces the first; nothing else changes anything.
        assert outcome.record == record or (state, event) == ("tombstone", "revoke")
    else:
        assert outcome.refused is None
        assert outcome.record is not None
        execution = outcome.record.execution
        assert execution is not None
        assert execution.state == expected
        assert execution.signer == execution.target == record.target
        assert sent[-1] == execution
        before = 0 if record.execution is None else record.execution.revision
        assert execution.revision > before
        assert any(isinstance(effect, Audit) for effect in outcome.effects)


def test_all_states_that_a_target_can_be_in_are_in_a_table() -> None:
    tables = PLAIN_TABLE + CAREFUL_TABLE
    states = {row.split()[0] for row in tables.strip().splitlines() if row}
    reached = {
        record.execution.state
        for kind, table in ((PLAIN, PLAIN_TABLE), (CAREFUL, CAREFUL_TABLE))
        for row in table.strip().splitlines()
        if (record := record_in(row.split()[0], kind)).execution is not None
    }
    assert reached == set(State) - {State.ISSUED, State.UNDELIVERABLE}
    assert states >= {state.value for state in reached}


@pytest.mark.parametrize("state", ["revoked", "pending", "executed", "rolled_back"])
def test_the_same_revocation_again_does_nothing(state: str) -> None:
    at = standing(CAREFUL)
    record = record_in(state, CAREFUL)
    if state == "executed":
        record = record_in("rolling_back", CAREFUL)
    outcome = revoke(record, believed_revocation(FIRST, at), at, NOW + SECOND)
    assert (outcome.record, outcome.effects, outcome.refused) == (record, (), None)
