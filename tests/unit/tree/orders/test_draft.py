from collections.abc import Callable
from itertools import product

import msgspec
import pytest
from msgspec import Raw

from gongfu.tree.orders.draft import (
    HOUR,
    Content,
    Draft,
    DraftState,
    Issued,
    Refusal,
    Refused,
    approve,
    change,
    draft,
    draft_digest,
    guard,
    issue,
    reject,
    valid_approvals,
    withdraw,
)
from gongfu.tree.orders.kinds import Guard, OrderKind
from gongfu.tree.orders.selection import Query
from gongfu.tree.orders.types import Approval, OrderDocument, content_digest, decode_order, encode_document
from tests.unit.tree.orders.nodes import DEADLINE, NATION, NOW, order, order_kind

TWO = order_kind(approvals=2)


def content(**changed: object) -> Content:
    declared: dict[str, object] = {
        "kind": "block",
        "payload": Raw(b'{"address":"192.0.2.1"}'),
        "selection": Query(tiers=("site",)),
        "not_before": NOW,
        "deadline": DEADLINE,
    }
    return Content(**{**declared, **changed})  # pyright: ignore[reportArgumentType]


def drafted(**changed: object) -> Draft:
    return _draft(draft("order-0001", NATION.id, content(**changed), "ann"))


def approved(by: Draft, *persons: str) -> Draft:
    for person in persons:
        by = _draft(approve(by, person, draft_digest(by), NOW))
    return by


def _draft(result: Draft | Refused) -> Draft:
    assert isinstance(result, Draft), result
    return result


def issued(
    present: Draft, kind: OrderKind = TWO, *, tier: str = "nation", targets: int = 5, now: int = NOW
) -> tuple[Draft, OrderDocument] | Refused:
    return issue(present, kind, tier, targets, 100, [], now)


def refusals(result: object) -> tuple[Refusal, ...]:
    return result.reasons if isinstance(result, Refused) else ()


def test_two_persons_who_are_no_authors_let_it_be_issued() -> None:
    result = issued(approved(drafted(), "bo", "cy"))
    assert not isinstance(result, Refused)
    after, document = result
    assert after.state is DraftState.ISSUED
    assert valid_approvals(document) == 2
    assert decode_order(encode_document(document)) == document
    assert document.issued_at == NOW


@pytest.mark.parametrize(("persons", "reason"), [((), Refusal.APPROVALS_MISSING), (("bo",), Refusal.APPROVALS_MISSING)])
def test_fewer_do_not(persons: tuple[str, ...], reason: Refusal) -> None:
    assert refusals(issued(approved(drafted(), *persons))) == (reason,)


def test_the_same_person_twice_is_one_and_an_author_is_none() -> None:
    present = approved(drafted(), "bo")
    assert refusals(approve(present, "bo", draft_digest(present), NOW)) == (Refusal.ALREADY_APPROVED,)
    assert refusals(approve(present, "ann", draft_digest(present), NOW)) == (Refusal.AUTHOR_MAY_NOT_APPROVE,)


def test_who_changes_it_is_an_author() -> None:
    present = _draft(change(drafted(), content(reason="urgent"), "bo"))
    assert refusals(approve(present, "bo", draft_digest(present), NOW)) == (Refusal.AUTHOR_MAY_NOT_APPROVE,)
    assert refusals(approve(present, "ann", draft_digest(present), NOW)) == (Refusal.AUTHOR_MAY_NOT_APPROVE,)


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "other"},
        {"payload": Raw(b'{"address":"192.0.2.2"}')},
        {"selection": Query(tiers=("site", "enterprise"))},
        {"not_before": NOW + 1},
        {"deadline": DEADLINE + 1},
        {"reason": "other"},
        {"priority": "flash"},
    ],
)
def test_a_change_voids_what_was_approved(changed: dict[str, object]) -> None:
    before = approved(drafted(), "bo", "cy")
    seen = draft_digest(before)
    after = _draft(change(before, content(**changed), "ann"))
    assert Refusal.APPROVALS_MISSING in refusals(issued(after))
    assert refusals(approve(after, "bo", seen, NOW)) == (Refusal.TEXT_HAS_CHANGED,)
    # And changing it back does not bring them back.
    assert refusals(issued(_draft(change(after, content(), "ann")))) == (Refusal.APPROVALS_MISSING,)


def test_a_target_counts_only_approvals_of_exactly_this_document() -> None:
    document = order()
    digest = content_digest(document)
    yes = (Approval("bo", digest, NOW), Approval("cy", digest, NOW), Approval("bo", digest, NOW + 1))
    assert valid_approvals(msgspec.structs.replace(document, approvals=yes)) == 2
    assert valid_approvals(msgspec.structs.replace(document, approvals=yes, deadline=DEADLINE + 1)) == 0
    assert valid_approvals(msgspec.structs.replace(document, approvals=yes, issued_at=NOW + 9)) == 2
    by_author = (*yes[:1], Approval("ann", digest, NOW))
    assert valid_approvals(msgspec.structs.replace(document, approvals=by_author)) == 1


EVENTS: dict[str, Callable[[Draft], object]] = {
    "change": lambda present: change(present, content(reason="x"), "ann"),
    "approve": lambda present: approve(present, "bo", draft_digest(present), NOW),
    "reject": lambda present: reject(present, "bo", "no"),
    "withdraw": lambda present: withdraw(present, "ann", "a mistake"),
    "issue": lambda present: issued(present, order_kind()),
}
NEXT = {
    (DraftState.DRAFTED, "change"): DraftState.DRAFTED,
    (DraftState.DRAFTED, "approve"): DraftState.DRAFTED,
    (DraftState.DRAFTED, "reject"): DraftState.REJECTED,
    (DraftState.DRAFTED, "withdraw"): DraftState.WITHDRAWN,
    (DraftState.DRAFTED, "issue"): DraftState.ISSUED,
    (DraftState.REJECTED, "change"): DraftState.DRAFTED,
    (DraftState.REJECTED, "withdraw"): DraftState.WITHDRAWN,
}


@pytest.mark.parametrize(("state", "event"), list(product(DraftState, EVENTS)))
def test_every_event_in_every_state(state: DraftState, event: str) -> None:
    present = {
        DraftState.DRAFTED: drafted(),
        DraftState.REJECTED: _draft(reject(drafted(), "bo", "no")),
        DraftState.WITHDRAWN: _draft(withdraw(drafted(), "ann", "a mistake")),
    }.get(state)
    if present is None:
        result = issued(drafted(), order_kind())
        assert not isinstance(result, Refused)
        present = result[0]
    after = EVENTS[event](present)
    expected = NEXT.get((state, event))
    if expected is None:
        assert refusals(after) == (Refusal.NOT_OPEN,)
    else:
        found = after[0] if isinstance(after, tuple) else after
        assert isinstance(found, Draft)
        assert found.state is expected


def test_only_an_author_withdraws() -> None:
    assert refusals(withdraw(drafted(), "bo", "")) == (Refusal.NOT_AN_AUTHOR,)


@pytest.mark.parametrize(
    ("present", "kind", "arguments", "expected"),
    [
        (drafted(), order_kind(name="stop"), {}, (Refusal.KIND_DIFFERS,)),
        (drafted(), order_kind(), {"tier": "enterprise"}, (Refusal.ISSUER_TIER,)),
        (drafted(payload=Raw(b"{}")), order_kind(), {}, (Refusal.PAYLOAD_INVALID,)),
        (drafted(), order_kind(), {"now": DEADLINE}, (Refusal.DEADLINE_PASSED,)),
        (drafted(not_before=DEADLINE), order_kind(), {}, (Refusal.DEADLINE_BEFORE_START,)),
        (drafted(), order_kind(), {"targets": 0}, (Refusal.NO_TARGETS,)),
        (
            drafted(payload=Raw(b"[]")),
            order_kind(approvals=1, guard=Guard(most_targets=3)),
            {"tier": "site"},
            (Refusal.APPROVALS_MISSING, Refusal.ISSUER_TIER, Refusal.PAYLOAD_INVALID, Refusal.TOO_MANY_TARGETS),
        ),
    ],
)
def test_all_reasons_why_it_cannot_be_issued(
    present: Draft, kind: OrderKind, arguments: dict[str, object], expected: tuple[Refusal, ...]
) -> None:
    assert refusals(issued(present, kind, **arguments)) == expected  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("targets", "subtree", "earlier", "expected"),
    [
        (1, 1, [], ()),
        (9, 9, [], ()),
        (10, 19, [], (Refusal.TOO_LARGE_SHARE,)),
        (10, 20, [], ()),
        (100, 1000, [], ()),
        (101, 1000, [], (Refusal.TOO_MANY_TARGETS,)),
        (100, 1000, [Issued(NOW, 50)], ()),
        (100, 1000, [Issued(NOW, 51)], (Refusal.TOO_MANY_PER_HOUR,)),
        (100, 1000, [Issued(NOW - HOUR, 51)], ()),
        (100, 1000, [Issued(NOW - HOUR + 1, 30), Issued(NOW - 1, 21)], (Refusal.TOO_MANY_PER_HOUR,)),
        (0, 0, [], (Refusal.NO_TARGETS,)),
        (200, 200, [], (Refusal.TOO_MANY_TARGETS, Refusal.TOO_LARGE_SHARE, Refusal.TOO_MANY_PER_HOUR)),
    ],
)
def test_guard(targets: int, subtree: int, earlier: list[Issued], expected: tuple[Refusal, ...]) -> None:
    limits = Guard(most_targets=100, most_share=0.5, share_from=10, most_per_hour=150)
    assert guard(limits, targets, subtree, earlier, NOW) == expected


@pytest.mark.parametrize(
    ("identity", "author", "changed"),
    [
        ("short", "ann", {}),
        ("order.0001", "ann", {}),
        ("order-0001", "", {}),
        ("order-0001", "ann", {"kind": "Block"}),
        ("order-0001", "ann", {"deadline": -1}),
        ("order-0001", "ann", {"payload": Raw(b"{")}),
        ("order-0001", "ann", {"payload": Raw(b'{"a":"' + b"x" * 300_000 + b'"}')}),
        ("order-0001", "ann", {"reason": "x" * 1001}),
        ("order-0001", "ann", {"selection": Query(under=("root",))}),
    ],
)
def test_what_no_target_could_read_is_malformed_at_once(identity: str, author: str, changed: dict[str, object]) -> None:
    assert refusals(draft(identity, NATION.id, content(**changed), author)) == (Refusal.MALFORMED,)
    if identity == "order-0001" and author:
        assert refusals(change(drafted(), content(**changed), author)) == (Refusal.MALFORMED,)
