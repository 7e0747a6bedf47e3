"""Documents that come to a site: which are believed, and which are obeyed."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gongfu.tree.orders.admission import SKEW, Believed, Disbelief, Standing, believe_order, believe_revocation
from gongfu.tree.orders.effects import Audit
from gongfu.tree.orders.execution import disbelieved, receive, revoke
from gongfu.tree.orders.selection import Listed, Query
from gongfu.tree.orders.types import (
    MAX_BODY,
    Approval,
    OrderDocument,
    Reason,
    Signed,
    State,
    content_digest,
    encode_document,
    order_message,
)
from tests.unit.tree.orders.nodes import (
    CHAIN,
    DEADLINE,
    ENTERPRISE,
    NATION,
    NOW,
    PROVINCE,
    SIBLING,
    SITE,
    Node,
    believed,
    believed_revocation,
    order,
    order_kind,
    revocation,
    standing,
)

HERE = standing()


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        (SIBLING.sign_order(order(issuer=SIBLING.id)), Reason.ISSUER_NOT_ANCESTOR),
        (SIBLING.sign_order(order()), Reason.SIGNATURE_BAD),
        (Signed(NATION.sign_order(order()).body, b""), Reason.SIGNATURE_BAD),
        (
            Signed(encode_document(order(deadline=DEADLINE + 1)), NATION.sign_order(order()).signature),
            Reason.SIGNATURE_BAD,
        ),
        (Signed(b"{", b""), Reason.DOCUMENT_MALFORMED),
        (Signed(b"[" * 100_000, b""), Reason.DOCUMENT_MALFORMED),
        (Signed(encode_document(order()).replace(b"order-0001", b"order-\xb0\xb0"), b""), Reason.DOCUMENT_MALFORMED),
        (Signed(b"{}", b""), Reason.DOCUMENT_MALFORMED),
        (Signed(encode_document(order())[:-1] + b',"more":1}', b""), Reason.DOCUMENT_MALFORMED),
        (Signed(encode_document(revocation()), b""), Reason.DOCUMENT_MALFORMED),
        (Signed(b" " * (MAX_BODY + 1), b""), Reason.DOCUMENT_TOO_LARGE),
    ],
)
def test_what_is_not_believed_leaves_an_audit_entry_and_nothing_else(signed: Signed, reason: Reason) -> None:
    found = believe_order(signed, HERE)
    assert isinstance(found, Disbelief)
    assert found.reason == reason
    outcome = disbelieved(found, NOW)
    assert outcome.record is None
    assert outcome.refused == reason
    assert [(type(effect), getattr(effect, "reason", None)) for effect in outcome.effects] == [(Audit, reason)]


def test_a_signature_of_an_order_is_none_of_a_revocation() -> None:
    body = encode_document(revocation())
    found = believe_revocation(Signed(body, NATION.key.sign(order_message(body))), HERE)
    assert isinstance(found, Disbelief)
    assert found.reason == Reason.SIGNATURE_BAD
    assert isinstance(believe_revocation(NATION.sign_revocation(revocation()), HERE), Believed)


@given(st.data())
def test_no_changed_bit_is_believed(data: st.DataObject) -> None:
    signed = NATION.sign_order(order())
    whole = bytearray(signed.body + signed.signature)
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[place // 8] ^= 1 << place % 8
    changed = Signed(bytes(whole[: len(signed.body)]), bytes(whole[len(signed.body) :]))
    assert isinstance(believe_order(changed, HERE), Disbelief)


def test_a_former_parent_is_no_ancestor() -> None:
    elsewhere = standing(chain={NATION.id: "nation", SIBLING.id: "province", SITE.id: "site"})
    found = believe_order(PROVINCE.sign_order(order(issuer=PROVINCE.id)), elsewhere)
    assert isinstance(found, Disbelief)
    assert found.reason == Reason.ISSUER_NOT_ANCESTOR
    assert isinstance(believe_order(NATION.sign_order(order()), elsewhere), Believed)


def with_approvals(count: int, document: OrderDocument | None = None) -> OrderDocument:
    document = document or order()
    digest = content_digest(document)
    return msgspec.structs.replace(
        document, approvals=tuple(Approval(f"person-{number}", digest, NOW) for number in range(count))
    )


@pytest.mark.parametrize(
    ("document", "at", "state", "reason"),
    [
        (order(), HERE, State.ACCEPTED, ""),
        (order(), standing(order_kind(accept="operator")), State.DELIVERED, ""),
        (order(selection=Listed((SITE.id,))), HERE, State.ACCEPTED, ""),
        (order(issued_at=NOW + SKEW), HERE, State.ACCEPTED, ""),
        (order(issued_at=NOW + SKEW + 1), HERE, State.REFUSED, Reason.CLOCK_SKEWED),
        (order(deadline=NOW), HERE, State.ACCEPTED, ""),
        (order(deadline=NOW - 1), HERE, State.EXPIRED, Reason.EXPIRED),
        (order(kind="stop"), HERE, State.REFUSED, Reason.KIND_UNKNOWN),
        (order(), standing(order_kind(allowed=False)), State.REFUSED, Reason.KIND_NOT_ALLOWED),
        (order(), standing(order_kind(may_issue=("province",))), State.REFUSED, Reason.ISSUER_TIER),
        (order(), standing(active=False), State.REFUSED, Reason.NODE_SUSPENDED),
        (order(), standing(order_kind(approvals=2)), State.REFUSED, Reason.APPROVALS_MISSING),
        (with_approvals(1), standing(order_kind(approvals=2)), State.REFUSED, Reason.APPROVALS_MISSING),
        (with_approvals(2), standing(order_kind(approvals=2)), State.ACCEPTED, ""),
        (order(payload=Raw(b"{}")), HERE, State.REFUSED, Reason.PAYLOAD_INVALID),
        (order(payload=Raw(b'"x"')), HERE, State.REFUSED, Reason.PAYLOAD_INVALID),
    ],
)
def test_what_becomes_of_an_order_that_is_believed(
    document: OrderDocument, at: Standing, state: State, reason: str
) -> None:
    outcome = receive(None, believed(document, at), at, NOW)
    assert outcome.refused is None
    assert outcome.record is not None
    execution = outcome.record.execution
    assert execution is not None
    assert (execution.state, execution.reason) == (state, reason)
    assert execution.at == NOW


@pytest.mark.parametrize("selection", [Query(tiers=("enterprise",)), Listed((SIBLING.id,)), Query(under=(SIBLING.id,))])
def test_who_is_not_meant_writes_no_register(selection: Query | Listed) -> None:
    outcome = receive(None, believed(order(selection=selection), HERE), HERE, NOW)
    assert outcome.record is None
    assert outcome.refused == Reason.NOT_MEANT
    assert [type(effect) for effect in outcome.effects] == [Audit]


@pytest.mark.parametrize(
    ("issuer", "revoker", "works"),
    [
        (PROVINCE, PROVINCE, True),
        (PROVINCE, NATION, True),
        (PROVINCE, ENTERPRISE, False),
        (NATION, PROVINCE, False),
        (PROVINCE, SITE, False),
    ],
)
@pytest.mark.parametrize("first", ["order", "revocation"])
def test_the_issuer_revokes_or_who_is_above_it(issuer: Node, revoker: Node, works: bool, first: str) -> None:
    bidden = believed(order(issuer=issuer.id), HERE, issuer)
    back = believed_revocation(revocation(issuer=revoker.id), HERE, revoker)
    if first == "order":
        record = receive(None, bidden, HERE, NOW).record
        outcome = revoke(record, back, HERE, NOW)
        assert outcome.refused == (None if works else Reason.REVOKER_BELOW_ISSUER)
    else:
        record = revoke(None, back, HERE, NOW).record
        outcome = receive(record, bidden, HERE, NOW)
        audited = [effect.reason for effect in outcome.effects if isinstance(effect, Audit)]
        assert (Reason.REVOKER_BELOW_ISSUER in audited) is not works
    assert outcome.record is not None
    assert outcome.record.execution is not None
    assert outcome.record.execution.state == (State.REVOKED if works else State.ACCEPTED)


def test_of_revocations_before_the_order_one_that_does_not_count_does_not_hide_one_that_does() -> None:
    high = believed_revocation(revocation(), HERE)
    low = believed_revocation(revocation(issuer=ENTERPRISE.id), HERE, ENTERPRISE)
    for arrivals in ((high, low), (low, high)):
        record = None
        for back in arrivals:
            record = revoke(record, back, HERE, NOW).record
        outcome = receive(record, believed(order(), HERE), HERE, NOW)
        assert outcome.record is not None
        assert outcome.record.execution is not None
        assert outcome.record.execution.state == State.REVOKED


def test_an_issuer_that_has_left_the_chain_leaves_its_orders_to_those_above() -> None:
    moved = standing(chain={node: tier for node, tier in CHAIN.items() if node != PROVINCE.id})
    record = receive(None, believed(order(issuer=PROVINCE.id), HERE, PROVINCE), HERE, NOW).record
    by_former = believe_revocation(PROVINCE.sign_revocation(revocation(issuer=PROVINCE.id)), moved)
    assert isinstance(by_former, Disbelief)
    outcome = revoke(record, believed_revocation(revocation(issuer=ENTERPRISE.id), moved, ENTERPRISE), moved, NOW)
    assert outcome.refused is None
