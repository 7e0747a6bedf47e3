"""The documents and registers of an order, and how documents are written down to be signed.

An ``OrderDocument`` and a ``Revocation`` never change. What happens is in two registers a target, each written by one
authority and numbered: ``Execution`` by the target, ``Verdict`` by the effect probe. Merging them is in ``combined``.
"""

import hashlib
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from gongfu.tree.orders.selection import Selection

NodeId = Annotated[str, Meta(pattern=r"^[a-z2-7]{24}\Z", max_length=24)]
"""15 bytes of SHA-256 of a public key in base32, small letters."""
OrderId = Annotated[str, Meta(pattern=r"^[0-9A-Za-z-]{8,64}\Z", max_length=64)]
"""Chosen by the issuer at random (a UUID, say); one token of a NATS subject."""
KindName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,47}\Z", max_length=48)]
Person = Annotated[str, Meta(min_length=1, max_length=200)]
"""Who of the people at a node: the id of a user there."""
Moment = Annotated[int, Meta(ge=0, le=9_223_372_036_854_775_807)]
Text = Annotated[str, Meta(max_length=1000)]

MAX_BODY = 256 * 1024
"""Bytes of a signed document; a list of 1,000 ids is 27 kB, a payload at most 64 KiB."""
MAX_PAYLOAD = 64 * 1024

Verify = Callable[[str, bytes, bytes], bool]
"""(node id, message, signature) → whether that node's key made the signature."""


class Priority(StrEnum):
    """How urgent, lowest first (the degrees of 公文: 平急, 加急, 特急, 特提). It orders queues and changes no rule."""

    ROUTINE = "routine"
    URGENT = "urgent"
    IMMEDIATE = "immediate"
    FLASH = "flash"


class State(StrEnum):
    """State of an execution register. ``issued`` is what is so while the target has said nothing."""

    ISSUED = "issued"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    EXECUTING = "executing"
    EXECUTED = "executed"
    FAILED = "failed"
    EXPIRED = "expired"
    REVOKED = "revoked"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    UNDELIVERABLE = "undeliverable"


class Finding(StrEnum):
    """What a probe found out about a claim of the target."""

    VERIFIED = "verified"
    CONTRADICTED = "contradicted"
    UNVERIFIABLE = "unverifiable"


class Reason(StrEnum):
    """Why something was refused or ended as it did. Registers carry the text, so that a newer node may say more."""

    # A document is not believed: no register is written, for a forger must not be able to make one.
    DOCUMENT_MALFORMED = "document-malformed"
    DOCUMENT_TOO_LARGE = "document-too-large"
    ISSUER_NOT_ANCESTOR = "issuer-not-ancestor"
    SIGNATURE_BAD = "signature-bad"
    ORDER_ID_REUSED = "order-id-reused"
    NOT_MEANT = "not-meant"
    # A document is believed and not obeyed: the register says so.
    CLOCK_SKEWED = "clock-skewed"
    EXPIRED = "expired"
    KIND_UNKNOWN = "kind-unknown"
    KIND_NOT_ALLOWED = "kind-not-allowed"
    ISSUER_TIER = "issuer-tier"
    APPROVALS_MISSING = "approvals-missing"
    PAYLOAD_INVALID = "payload-invalid"
    OPERATOR = "operator"
    NODE_SUSPENDED = "node-suspended"
    STARTED_TOO_LATE = "start-too-late"
    # How an execution went on.
    DRIVER_FAILED = "driver-failed"
    INTERRUPTED = "interrupted"
    REVOKED = "revoked"
    REVOKE_PENDING = "revoke-pending"
    REVOKE_TOO_LATE = "revoke-too-late"
    ROLLBACK_FAILED = "rollback-failed"
    ROLLBACK_INTERRUPTED = "rollback-interrupted"
    TARGET_RETIRED = "target-retired"
    TARGET_UNKNOWN = "target-unknown"
    # An event that does not fit the state; nothing changes.
    NOT_RECEIVED = "not-received"
    NOT_DELIVERED = "not-delivered"
    NOT_ACCEPTED = "not-accepted"
    NOT_EXECUTING = "not-executing"
    NOT_YET = "not-yet"
    RESULT_STALE = "result-stale"
    REVOKER_BELOW_ISSUER = "revoker-below-issuer"
    ALREADY_OVER = "already-over"
    NOT_OWN = "not-own"


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's yes to exactly one text: ``digest`` is ``content_digest`` of what they saw."""

    person: Person
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", max_length=64)]
    at: Moment


class OrderDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an issuer signs. Unknown fields are an error: who does not understand all of an order must not execute it.

    ``payload`` is a JSON object as written. The target must have accepted by ``deadline`` and starts the driver at
    ``not_before`` at the earliest. ``authors`` are all persons who wrote any of it.
    """

    id: OrderId
    kind: KindName
    payload: msgspec.Raw
    selection: Selection
    not_before: Moment
    deadline: Moment
    priority: Priority = Priority.ROUTINE
    issuer: NodeId
    authors: Annotated[tuple[Person, ...], Meta(min_length=1, max_length=50)]
    reason: Text = ""
    approvals: Annotated[tuple[Approval, ...], Meta(max_length=20)] = ()
    issued_at: Moment


class Revocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the issuer of an order, or a node above it, signs to take the order back.

    ``deadline`` is the order's: a target that never saw the order need not remember the revocation longer.
    """

    order: OrderId
    issuer: NodeId
    person: Person
    reason: Text
    deadline: Moment
    issued_at: Moment


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document as it travels: the bytes that were signed are the bytes that are passed on."""

    body: bytes
    signature: bytes


class Execution(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a target says. Revisions count from 1; no register at all is revision 0, ``issued``.

    Attributes:
        order: id of the order.
        target: node id.
        state: state since ``at``.
        revision: 1, 2, …; the larger one wins.
        at: since when, UTC ns in the parent's time.
        attempt: how many times the driver was called, or was about to be; rolling back counts too.
        claim: the revision at which the last answer about an effect was claimed (executed, failed, rolled back); 0 is
            none yet. A verdict counts when it is about this one.
        reason: a ``Reason``, or a newer node's.
        detail: words of a person or a driver.
        signer: the node that wrote it: the target, or its parent for ``undeliverable``.
    """

    order: str
    target: str
    state: State
    revision: int
    at: int
    signer: str
    attempt: int = 0
    claim: int = 0
    reason: str = ""
    detail: str = ""


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a probe saw of a claim: ``claim`` is the ``Execution.claim`` it is about, ``evidence`` the probe's words."""

    order: str
    target: str
    finding: Finding
    revision: int
    at: int
    signer: str
    claim: int
    reason: str = ""
    evidence: str = ""


ORDER_CONTEXT = b"gongfu/order/1\n"
REVOCATION_CONTEXT = b"gongfu/revocation/1\n"
"""What stands before the body where it is signed, so that no signature means anything else."""

_Document = TypeVar("_Document", OrderDocument, Revocation)
_ENCODER = msgspec.json.Encoder()
_ORDER = msgspec.json.Decoder(OrderDocument)
_REVOCATION = msgspec.json.Decoder(Revocation)
_DIGEST_CONTEXT = b"gongfu/order-content/1\n"


def encode_document(document: OrderDocument | Revocation) -> bytes:
    """Return the JSON bytes that are signed, stored and passed on."""
    return _ENCODER.encode(document)


def order_message(body: bytes) -> bytes:
    """Return what an issuer signs for an order: ``ORDER_CONTEXT`` and the body."""
    return ORDER_CONTEXT + body


def revocation_message(body: bytes) -> bytes:
    """Return what an issuer signs for a revocation: ``REVOCATION_CONTEXT`` and the body."""
    return REVOCATION_CONTEXT + body


def decode_order(body: bytes) -> OrderDocument:
    """Return the order that the bytes say.

    Raises:
        msgspec.DecodeError: not JSON, or not an order of this version (``msgspec.ValidationError``).
    """
    return _decoded(_ORDER, body)


def decode_revocation(body: bytes) -> Revocation:
    """Return the revocation that the bytes say.

    Raises:
        msgspec.DecodeError: not JSON, or not a revocation of this version.
    """
    return _decoded(_REVOCATION, body)


def _decoded(decoder: msgspec.json.Decoder[_Document], body: bytes) -> _Document:
    try:
        return decoder.decode(body)
    except (UnicodeDecodeError, RecursionError) as error:  # msgspec lets these two through.
        raise msgspec.DecodeError(str(error)) from None


def body_digest(body: bytes) -> str:
    """Return the SHA-256 of a signed body, 64 hex digits: tells a duplicate from another order with the same id."""
    return hashlib.sha256(body).hexdigest()


def content_digest(document: OrderDocument) -> str:
    """Return the SHA-256 of everything in an order that is decided before it is issued, 64 hex digits.

    That is all but the approvals, which are about it, and the time of issuing.
    """
    content = msgspec.structs.replace(document, approvals=(), issued_at=0)
    return hashlib.sha256(_DIGEST_CONTEXT + _ENCODER.encode(content)).hexdigest()


def driver_key(order: str, target: str) -> str:
    """Return the idempotency key of the effect of an order at a target."""
    return f"{order}/{target}"


def rollback_key(order: str, target: str) -> str:
    """Return the idempotency key of taking the effect back."""
    return f"{order}/{target}/rollback"
