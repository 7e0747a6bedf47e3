"""What the parties sign. Keys are those of the nodes in the tree; a node's id follows from its key, so a contract needs
no common ancestor, and neither does a call."""

import hashlib
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from gongfu.appkit.calls.documents import Agreement, CallId, Digest, Instant, Terms
from gongfu.kernel.errors import Problem
from gongfu.tree.membership.keys import (
    NodeId,
    NodeKey,
    PublicKey,
    decode_signed,
    encode_signed,
    node_id,
    sign,
    verify,
)
from gongfu.tree.membership.refusals import Refused

AGREEMENT = b"gongfu/call-agreement/1\n"
REQUEST = b"gongfu/call-request/1\n"
ANSWER = b"gongfu/call-answer/1\n"
# How far the clocks of two nodes may be apart, ns.
SKEW = 300 * 10**9

Action = Literal["offers", "propose", "status", "end", "invoke", "usage"]
T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node asks of another, signed: it holds for one receiver, one payload and one moment.

    Attributes:
        action: what is asked.
        to: node that is asked; empty only for ``offers``, by which it is found.
        contract: under which; empty for ``offers``.
        id: 128 random bits, hexadecimal; of a call: its id.
        digest: SHA-256 of the payload.
        at: UTC ns.
        deadline: when nobody waits any more.
    """

    action: Action
    to: Annotated[str, Meta(pattern=r"^([a-z2-7]{24})?\Z")]
    contract: Annotated[str, Meta(pattern=r"^([a-z0-9-]{8,40})?\Z")] = ""
    id: CallId
    digest: Digest
    at: Instant
    deadline: Instant


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the other node signs of its answer.

    Attributes:
        id: of the request.
        by: node that answers.
        contract: of a call.
        status: as of HTTP.
        charged: whether the call costs its price.
        noted: whether the provider has the call in its notes; one that it did not take it has not.
        digest: SHA-256 of the payload.
        at: UTC ns.
    """

    id: CallId
    by: NodeId
    contract: Annotated[str, Meta(max_length=40)] = ""
    status: Annotated[int, Meta(ge=100, le=599)]
    charged: bool = False
    noted: bool = False
    digest: Digest
    at: Instant


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A signed request or receipt on its way: the sender's public key, the signed document, the payload."""

    key: PublicKey
    signed: bytes
    payload: bytes


def denied(code: str, detail: str, status: int = 403) -> Problem:
    """Return the problem of a call that is not taken; the code says why."""
    return Problem(status, code, "The call between platforms is not taken", detail)


def terms_digest(terms: Terms) -> str:
    """Return what terms come to: SHA-256 of their JSON."""
    return hashlib.sha256(msgspec.json.encode(terms)).hexdigest()


def signed_agreement(key: NodeKey, agreement: bytes) -> bytes:
    """Return an agreement (its JSON) signed by a party."""
    return encode_signed(sign(key, AGREEMENT, agreement))


def believed_agreement(signed: bytes, party: Literal["consumer", "provider"]) -> tuple[Agreement, bytes]:
    """Return the agreement that a party has signed, and its bytes.

    Raises:
        Problem: 400 ``malformed``, 403 ``signature-bad``: not signed by that party of it.
    """
    try:
        document = decode_signed(signed)
        agreement = msgspec.json.decode(document.body, type=Agreement)
    except (Refused, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise denied("malformed", str(error)[:200], 400) from None
    key = agreement.consumer_key if party == "consumer" else agreement.provider_key
    if node_id(agreement.consumer_key) != agreement.consumer:
        raise denied("signature-bad", "the consumer's id is not that of its key")
    if node_id(agreement.provider_key) != agreement.terms.provider:
        raise denied("signature-bad", "the provider's id is not that of its key")
    try:
        verify(key, AGREEMENT, document)
    except Refused as error:
        raise denied("signature-bad", str(error)) from None
    return agreement, document.body


def seal_request(key: NodeKey, request: Request, payload: bytes) -> bytes:
    """Return the bytes of a request; its digest is that of the payload."""
    return _sealed(key, REQUEST, request, payload)


def open_request(data: bytes, now: int, own: str, most: int) -> tuple[Request, bytes, bytes]:
    """Return a request, the public key of who signed it, and its payload.

    Args:
        data: as ``seal_request`` made it.
        now: UTC ns.
        own: id of this node.
        most: bytes of a payload.

    Raises:
        Problem: 400 ``malformed``, 403 ``signature-bad``, ``wrong-node`` or ``too-old``, 413 ``payload-too-large``.
    """
    envelope, request = _opened(data, REQUEST, Request)
    if len(envelope.payload) > most:
        raise denied("payload-too-large", f"at most {most} bytes", 413)
    if request.digest != hashlib.sha256(envelope.payload).hexdigest():
        raise denied("signature-bad", "another payload")
    if request.to != own and not (request.action == "offers" and not request.to):
        raise denied("wrong-node", f"this node is {own}")
    if abs(now - request.at) > SKEW:
        raise denied("too-old", "the clocks of the two nodes are more than five minutes apart, or it was kept")
    if request.deadline <= now - SKEW:
        raise denied("too-old", "nobody waits for the answer any more")
    return request, envelope.key, envelope.payload


def seal_receipt(key: NodeKey, receipt: Receipt, payload: bytes) -> bytes:
    """Return the bytes of an answer."""
    return _sealed(key, ANSWER, receipt, payload)


def open_receipt(data: bytes, request: str, provider: str) -> tuple[Receipt, bytes, bytes]:
    """Return a receipt, the public key of who signed it, and its payload.

    Args:
        data: as ``seal_receipt`` made it.
        request: id of what was asked.
        provider: node that must have signed it, empty for any.

    Raises:
        Problem: 502 ``answer-forged``.
    """
    try:
        envelope, receipt = _opened(data, ANSWER, Receipt)
    except Problem as problem:
        raise denied("answer-forged", problem.detail, 502) from None
    signer = node_id(envelope.key)
    if receipt.id != request or receipt.by != signer or (provider and signer != provider):
        raise denied("answer-forged", f"signed by {signer} for another request or as another node", 502)
    if receipt.digest != hashlib.sha256(envelope.payload).hexdigest():
        raise denied("answer-forged", "another payload", 502)
    return receipt, envelope.key, envelope.payload


def _sealed(key: NodeKey, context: bytes, document: msgspec.Struct, payload: bytes) -> bytes:
    signed = encode_signed(sign(key, context, msgspec.json.encode(document)))
    return msgspec.msgpack.encode(Envelope(key.public_key, signed, payload))


def _opened(data: bytes, context: bytes, kind: type[T]) -> tuple[Envelope, T]:
    try:
        envelope = msgspec.msgpack.decode(data, type=Envelope)
        document = msgspec.json.decode(verify(envelope.key, context, decode_signed(envelope.signed)), type=kind)
    except Refused as error:
        raise denied("signature-bad", str(error)) from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise denied("malformed", str(error)[:200], 400) from None
    return envelope, document
