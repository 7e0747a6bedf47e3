"""A call and its answer, as they travel.

A call is signed by the caller. Every node on the way up knows the caller as one below it and checks the signature;
those on the way down have it from their parent, whom they obey. An answer goes back the way the call came.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from gongfu.tree.membership.keys import NodeId, NodeKey, decode_signed, encode_signed, sign, verify
from gongfu.tree.membership.refusals import Refused
from gongfu.tree.membership.types import Instant
from gongfu.tree.peers.contract import MAX_PAYLOAD, CallKind, ContractId, Denial, Disbelieved, Text

CALL_CONTEXT = b"gongfu/peer-call/1\n"

CallId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z", max_length=32)]
Payload = Annotated[bytes, Meta(max_length=MAX_PAYLOAD)]


Message = TypeVar("Message")


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call.

    Attributes:
        id: 128 random bits, hexadecimal.
        contract: under which.
        kind: what is asked.
        caller: node id.
        callee: node id.
        digest: SHA-256 of the payload.
        made_at: UTC ns.
        deadline: UTC ns; afterwards nobody waits for the answer any more.
    """

    id: CallId
    contract: ContractId
    kind: CallKind
    caller: NodeId
    callee: NodeId
    digest: Annotated[bytes, Meta(min_length=32, max_length=32)]
    made_at: Instant
    deadline: Instant


class CallMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A call on its way: the signed call, and its payload (JSON)."""

    signed: bytes
    payload: Payload


class Answer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What comes of a call.

    Attributes:
        call: id.
        by: the node that answers or refuses.
        denial: why there is no payload; empty when there is.
        detail: for people.
        payload: JSON.
    """

    call: CallId
    by: NodeId
    denial: Annotated[str, Meta(max_length=64)] = ""
    detail: Text = ""
    payload: Payload = b""


def signed_call(key: NodeKey, call: Call) -> bytes:
    """Return the bytes of a call, signed by the caller."""
    return encode_signed(sign(key, CALL_CONTEXT, msgspec.json.encode(call)))


def read_message(data: bytes) -> CallMessage:
    """Return the message in ``data``.

    Raises:
        Disbelieved: ``malformed``.
    """
    return _decoded(data, CallMessage)


def read_call(message: CallMessage) -> Call:
    """Return what a message calls; the signature is not looked at.

    Raises:
        Disbelieved: ``malformed``.
    """
    try:
        return msgspec.json.decode(decode_signed(message.signed).body, type=Call)
    except (Refused, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Disbelieved(Denial.MALFORMED, str(error)[:200]) from None


def check_signature(message: CallMessage, public_key: bytes) -> None:
    """Check that the owner of the key signed the call.

    Raises:
        Disbelieved: ``signature-bad``.
    """
    try:
        verify(public_key, CALL_CONTEXT, decode_signed(message.signed))
    except Refused as error:
        raise Disbelieved(Denial.FORGED, str(error)) from None


def read_answer(data: bytes) -> Answer:
    """Return the answer in ``data``.

    Raises:
        Disbelieved: ``malformed``.
    """
    return _decoded(data, Answer)


def encode(message: CallMessage | Answer) -> bytes:
    """Return the bytes of a message."""
    return msgspec.msgpack.encode(message)


def _decoded(data: bytes, kind: type[Message]) -> Message:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Disbelieved(Denial.MALFORMED, str(error)[:200]) from None
