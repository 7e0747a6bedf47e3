"""Whether a document that has come is to be believed, and whether this node obeys it.

Two questions, for they have different answers. A document that is not believed (a forgery, from the side, for another)
leaves no register behind: else whoever makes one up could use up an order's id. A document that is believed and not
obeyed is answered, so that its issuer sees why.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from gongfu.tree.orders.draft import valid_approvals
from gongfu.tree.orders.kinds import OrderKind, may_issue, payload_error
from gongfu.tree.orders.selection import Member, meant
from gongfu.tree.orders.types import (
    MAX_BODY,
    OrderDocument,
    Reason,
    Revocation,
    Signed,
    State,
    Verify,
    body_digest,
    decode_order,
    decode_revocation,
    order_message,
    revocation_message,
)

SKEW = 5_000_000_000
"""An order issued further in the future than this, in the parent's time, tells of a clock that cannot be trusted."""


@dataclass(frozen=True)
class Standing:
    """What a node is and obeys when a document comes.

    Attributes:
        member: itself.
        chain: node id → tier of the nodes of its chain, root first, itself last.
        kinds: kinds it knows.
        allowed: names of the kinds it obeys.
        verify: checks a signature with the key that the chain gives.
        active: whether neither it nor a node above it is suspended.
    """

    member: Member
    chain: Mapping[str, str]
    kinds: Mapping[str, OrderKind]
    allowed: frozenset[str]
    verify: Verify
    active: bool = True


@dataclass(frozen=True)
class Disbelief:
    """A document that is not believed. ``issuer`` is what it says of itself, "" when it cannot be read."""

    reason: Reason
    issuer: str = ""
    order: str = ""
    detail: str = ""


_Document = TypeVar("_Document", OrderDocument, Revocation)


@dataclass(frozen=True)
class Believed(Generic[_Document]):
    """A document that a node of the chain has signed; ``digest`` is ``body_digest`` of its bytes."""

    document: _Document
    digest: str


def believe_order(signed: Signed, standing: Standing) -> Believed[OrderDocument] | Disbelief:
    """Return the order when a node of the chain has signed it. A middle node asks this before it passes one on."""
    document = _decoded(signed, decode_order)
    if isinstance(document, Disbelief):
        return document
    wrong = _signature(document.issuer, order_message(signed.body), signed.signature, standing)
    return (
        Believed(document, body_digest(signed.body))
        if wrong is None
        else Disbelief(wrong, document.issuer, document.id)
    )


def believe_revocation(signed: Signed, standing: Standing) -> Believed[Revocation] | Disbelief:
    """Return the revocation when a node of the chain has signed it."""
    document = _decoded(signed, decode_revocation)
    if isinstance(document, Disbelief):
        return document
    wrong = _signature(document.issuer, revocation_message(signed.body), signed.signature, standing)
    if wrong is None:
        return Believed(document, body_digest(signed.body))
    return Disbelief(wrong, document.issuer, document.order)


def _decoded(signed: Signed, decode: Callable[[bytes], _Document]) -> _Document | Disbelief:
    if len(signed.body) > MAX_BODY:
        return Disbelief(Reason.DOCUMENT_TOO_LARGE, detail=f"{len(signed.body)} bytes")
    try:
        return decode(signed.body)
    except msgspec.DecodeError as error:
        return Disbelief(Reason.DOCUMENT_MALFORMED, detail=str(error))


def _signature(issuer: str, message: bytes, signature: bytes, standing: Standing) -> Reason | None:
    if issuer not in standing.chain:
        return Reason.ISSUER_NOT_ANCESTOR
    return None if standing.verify(issuer, message, signature) else Reason.SIGNATURE_BAD


def may_revoke(revocation: Revocation, document: OrderDocument, chain: Mapping[str, str]) -> bool:
    """Return whether the revoker is the issuer or above it. Of an issuer that has left the chain, any ancestor is."""
    ranks = {node: rank for rank, node in enumerate(chain)}
    if revocation.issuer not in ranks:
        return False
    return ranks[revocation.issuer] <= ranks.get(document.issuer, len(ranks))


def is_meant(document: OrderDocument, standing: Standing) -> bool:
    """Return whether this node is a target of the order."""
    return meant(document.selection, standing.member)


def obedience(document: OrderDocument, standing: Standing, now: int) -> tuple[State, str, str]:
    """Return what becomes of an order that is believed and meant: the state, the reason and a detail.

    ``delivered`` without a reason when there is nothing against it, else ``refused`` or ``expired``.
    """
    if document.issued_at > now + SKEW:
        return State.REFUSED, Reason.CLOCK_SKEWED, f"issued {document.issued_at - now} ns from now"
    if now > document.deadline:
        return State.EXPIRED, Reason.EXPIRED, ""
    if not standing.active:
        return State.REFUSED, Reason.NODE_SUSPENDED, ""
    kind = standing.kinds.get(document.kind)
    if kind is None:
        return State.REFUSED, Reason.KIND_UNKNOWN, document.kind
    if document.kind not in standing.allowed:
        return State.REFUSED, Reason.KIND_NOT_ALLOWED, document.kind
    tier = standing.chain[document.issuer]
    if not may_issue(kind, tier):
        return State.REFUSED, Reason.ISSUER_TIER, tier
    approvals = valid_approvals(document)
    if approvals < kind.approvals:
        return State.REFUSED, Reason.APPROVALS_MISSING, f"{approvals} of {kind.approvals}"
    wrong = payload_error(kind, bytes(document.payload))
    if wrong:
        return State.REFUSED, Reason.PAYLOAD_INVALID, wrong
    return State.DELIVERED, "", ""
