"""An order before it is issued: written, approved by people who did not write it, guarded, issued.

A draft is a value; every function returns a new one or the reasons why not. An approval is for the exact text: whoever
changes anything takes all approvals away.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from gongfu.tree.orders.kinds import Guard, OrderKind, may_issue, payload_error
from gongfu.tree.orders.selection import Selection
from gongfu.tree.orders.types import (
    MAX_BODY,
    Approval,
    OrderDocument,
    Priority,
    content_digest,
    decode_order,
    encode_document,
)

HOUR = 3_600_000_000_000


class DraftState(StrEnum):
    """State of a draft. A rejected one may be changed, and is then a draft again."""

    DRAFTED = "drafted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    ISSUED = "issued"


class Refusal(StrEnum):
    """Why something cannot be done with a draft."""

    NOT_OPEN = "not-open"
    NOT_AN_AUTHOR = "not-an-author"
    AUTHOR_MAY_NOT_APPROVE = "author-may-not-approve"
    ALREADY_APPROVED = "already-approved"
    TEXT_HAS_CHANGED = "text-has-changed"
    TOO_MANY_APPROVALS = "too-many-approvals"
    TOO_MANY_AUTHORS = "too-many-authors"
    MALFORMED = "malformed"
    KIND_DIFFERS = "kind-differs"
    APPROVALS_MISSING = "approvals-missing"
    ISSUER_TIER = "issuer-tier"
    PAYLOAD_INVALID = "payload-invalid"
    DEADLINE_PASSED = "deadline-passed"
    DEADLINE_BEFORE_START = "deadline-before-start"
    NO_TARGETS = "no-targets"
    TOO_MANY_TARGETS = "too-many-targets"
    TOO_LARGE_SHARE = "too-large-share"
    TOO_MANY_PER_HOUR = "too-many-per-hour"


class Refused(msgspec.Struct, frozen=True):
    """Nothing was done. ``reasons`` are all that hold, in the order of ``Refusal``; ``detail`` is for people."""

    reasons: tuple[Refusal, ...]
    detail: str = ""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What the authors of an order decide. ``payload`` is JSON."""

    kind: str
    payload: msgspec.Raw
    selection: Selection
    not_before: int
    deadline: int
    priority: Priority = Priority.ROUTINE
    reason: str = ""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is being decided.

    Attributes:
        id: the order's id.
        issuer: node that will sign it.
        content: what it says.
        authors: all who have written any of it, the first one first.
        state: state.
        approvals: of the present content.
        by: who rejected or withdrew it, and
        why: their words.
    """

    id: str
    issuer: str
    content: Content
    authors: tuple[str, ...]
    state: DraftState = DraftState.DRAFTED
    approvals: tuple[Approval, ...] = ()
    by: str = ""
    why: str = ""


class Issued(msgspec.Struct, frozen=True):
    """An order of the same kind and issuer that has gone out: when, and to how many targets."""

    at: int
    targets: int


def draft(order: str, issuer: str, content: Content, author: str) -> Draft | Refused:
    """Return a new draft; ``malformed`` when an id, a name or a time is not one."""
    return _well_formed(Draft(id=order, issuer=issuer, content=content, authors=(author,)))


def change(present: Draft, content: Content, author: str) -> Draft | Refused:
    """Return the draft with another content; its approvals are void, and who changed it is an author from now on."""
    if present.state not in (DraftState.DRAFTED, DraftState.REJECTED):
        return Refused((Refusal.NOT_OPEN,), present.state)
    authors = tuple(dict.fromkeys((*present.authors, author)))
    if len(authors) > 50:
        return Refused((Refusal.TOO_MANY_AUTHORS,))
    return _well_formed(Draft(id=present.id, issuer=present.issuer, content=content, authors=authors))


def draft_digest(present: Draft) -> str:
    """Return what an approver approves: the digest of the text as it would be issued now, 64 hex digits."""
    return content_digest(_document(present, 0))


def approve(present: Draft, person: str, digest: str, at: int) -> Draft | Refused:
    """Return the draft with a person's approval of the text with that digest (``draft_digest`` of what they saw)."""
    reasons: list[Refusal] = []
    if present.state is not DraftState.DRAFTED:
        reasons.append(Refusal.NOT_OPEN)
    if person in present.authors:
        reasons.append(Refusal.AUTHOR_MAY_NOT_APPROVE)
    if any(approval.person == person for approval in present.approvals):
        reasons.append(Refusal.ALREADY_APPROVED)
    if digest != draft_digest(present):
        reasons.append(Refusal.TEXT_HAS_CHANGED)
    if len(present.approvals) >= 20:
        reasons.append(Refusal.TOO_MANY_APPROVALS)
    if reasons:
        return Refused(tuple(reasons))
    return _well_formed(
        msgspec.structs.replace(present, approvals=(*present.approvals, Approval(person, digest, at))),
    )


def reject(present: Draft, person: str, why: str) -> Draft | Refused:
    """Return the draft sent back (退回); it may be changed."""
    if present.state is not DraftState.DRAFTED:
        return Refused((Refusal.NOT_OPEN,), present.state)
    return msgspec.structs.replace(present, state=DraftState.REJECTED, approvals=(), by=person, why=why)


def withdraw(present: Draft, person: str, why: str) -> Draft | Refused:
    """Return the draft given up by one of its authors."""
    if present.state not in (DraftState.DRAFTED, DraftState.REJECTED):
        return Refused((Refusal.NOT_OPEN,), present.state)
    if person not in present.authors:
        return Refused((Refusal.NOT_AN_AUTHOR,), person)
    return msgspec.structs.replace(present, state=DraftState.WITHDRAWN, approvals=(), by=person, why=why)


def valid_approvals(document: OrderDocument) -> int:
    """Return how many different persons who are no authors have approved exactly this document."""
    if not document.approvals:
        return 0
    digest = content_digest(document)
    persons = {approval.person for approval in document.approvals if approval.digest == digest}
    return len(persons.difference(document.authors))


def guard(limits: Guard, targets: int, subtree: int, issued: Iterable[Issued], now: int) -> tuple[Refusal, ...]:
    """Return why an order would reach too many, or none.

    Args:
        limits: of the kind.
        targets: nodes meant.
        subtree: nodes of the issuer's subtree.
        issued: at least the orders of the kind by this issuer within the last hour.
        now: UTC ns.
    """
    reasons: list[Refusal] = []
    if targets < 1:
        reasons.append(Refusal.NO_TARGETS)
    if targets > limits.most_targets:
        reasons.append(Refusal.TOO_MANY_TARGETS)
    if targets >= limits.share_from and targets > limits.most_share * subtree:
        reasons.append(Refusal.TOO_LARGE_SHARE)
    if targets + sum(order.targets for order in issued if order.at > now - HOUR) > limits.most_per_hour:
        reasons.append(Refusal.TOO_MANY_PER_HOUR)
    return tuple(reasons)


def issue(
    present: Draft, kind: OrderKind, tier: str, targets: int, subtree: int, issued: Iterable[Issued], now: int
) -> tuple[Draft, OrderDocument] | Refused:
    """Return the issued draft and the document to sign (``order_message(encode_document(document))``).

    Args:
        present: the draft.
        kind: its kind.
        tier: tier of the issuer.
        targets: nodes the selection means now.
        subtree: nodes of the issuer's subtree.
        issued: orders of the kind by this issuer within the last hour.
        now: UTC ns.
    """
    reasons: list[Refusal] = []
    content = present.content
    if present.state is not DraftState.DRAFTED:
        reasons.append(Refusal.NOT_OPEN)
    if content.kind != kind.name:
        reasons.append(Refusal.KIND_DIFFERS)
    document = _document(present, now)
    if valid_approvals(document) < kind.approvals:
        reasons.append(Refusal.APPROVALS_MISSING)
    if not may_issue(kind, tier):
        reasons.append(Refusal.ISSUER_TIER)
    wrong = payload_error(kind, bytes(content.payload))
    if wrong:
        reasons.append(Refusal.PAYLOAD_INVALID)
    if content.deadline <= now:
        reasons.append(Refusal.DEADLINE_PASSED)
    if content.deadline <= content.not_before:
        reasons.append(Refusal.DEADLINE_BEFORE_START)
    reasons.extend(guard(kind.guard, targets, subtree, issued, now))
    if reasons:
        return Refused(tuple(reasons), wrong)
    return msgspec.structs.replace(present, state=DraftState.ISSUED), document


def _document(present: Draft, now: int) -> OrderDocument:
    content = present.content
    return OrderDocument(
        id=present.id,
        kind=content.kind,
        payload=content.payload,
        selection=content.selection,
        not_before=content.not_before,
        deadline=content.deadline,
        priority=content.priority,
        issuer=present.issuer,
        authors=present.authors,
        reason=content.reason,
        approvals=present.approvals,
        issued_at=now,
    )


def _well_formed(present: Draft) -> Draft | Refused:
    """Return the draft when every target could read the document it would become."""
    body = encode_document(_document(present, 0))
    if len(body) > MAX_BODY - 20:  # The time of issuing is still to come.
        return Refused((Refusal.MALFORMED,), f"{len(body)} bytes; at most {MAX_BODY - 20}")
    try:
        decode_order(body)
    except msgspec.DecodeError as error:
        return Refused((Refusal.MALFORMED,), str(error))
    return present
