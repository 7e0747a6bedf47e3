"""A contract between two parties below a node: what that node signs, and what it signs to end it.

A party is a node, or with its subtree. A contract is for calls in one direction. It is signed by the nearest common
ancestor of the parties, so both can check it with their own chain, and every call turns round there.
"""

from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from gongfu.tree.membership.keys import (
    NodeId,
    NodeKey,
    Signed,
    decode_signed,
    encode_signed,
    sign,
    verify,
)
from gongfu.tree.membership.refusals import Refused
from gongfu.tree.membership.types import Instant

CONTRACT_CONTEXT = b"gongfu/peer-contract/1\n"
END_CONTEXT = b"gongfu/peer-contract-end/1\n"

MAX_PAYLOAD = 64 * 1024
MAX_RATE = 6_000
MINUTE = 60_000_000_000

ContractId = Annotated[str, Meta(pattern=r"^[0-9a-z-]{8,64}\Z", max_length=64)]
CallKind = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,47}\Z", max_length=48)]
Person = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=1000)]


Document = TypeVar("Document")


class Denial(StrEnum):
    """Why a contract, a call or an answer is not taken; stable."""

    # What came is not what it should be.
    MALFORMED = "malformed"
    FORGED = "signature-bad"
    WRONG_WAY = "wrong-way"
    # The contract.
    ANCESTOR_NOT_ABOVE = "ancestor-not-above"
    CONTRACT_CHANGED = "contract-id-reused"
    CONTRACT_UNKNOWN = "contract-unknown"
    NOT_YET_VALID = "contract-not-yet-valid"
    EXPIRED = "contract-expired"
    REVOKED = "contract-revoked"
    # The call.
    CALLER_NOT_PARTY = "caller-not-party"
    CALLEE_NOT_PARTY = "callee-not-party"
    KIND_NOT_COVERED = "kind-not-covered"
    PAYLOAD_TOO_LARGE = "payload-too-large"
    RATE_EXCEEDED = "rate-exceeded"
    CALL_REPEATED = "call-repeated"
    CALL_EXPIRED = "call-expired"
    CALL_UNKNOWN = "call-unknown"
    NODE_UNKNOWN = "node-unknown"
    NODE_SUSPENDED = "node-suspended"
    BUSY = "busy"
    # The handler.
    HANDLER_UNKNOWN = "handler-unknown"
    HANDLER_FAILED = "handler-failed"
    ANSWER_TOO_LARGE = "answer-too-large"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed-out"


class Party(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One side: a node, and with ``subtree`` every node below it."""

    node: NodeId
    subtree: bool = False


class Contract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the common ancestor signs; it never changes.

    Attributes:
        id: chosen at random.
        ancestor: the signer.
        caller: who may call.
        callee: who may be called.
        kinds: of calls.
        calls_per_minute: of all callers together, within any minute.
        payload_bytes: of a call, and of an answer.
        valid_from: UTC ns.
        valid_until: UTC ns, the first moment at which it is not valid.
        person: who made it, a name at the ancestor.
        reason: why.
        made_at: UTC ns.
    """

    id: ContractId
    ancestor: NodeId
    caller: Party
    callee: Party
    kinds: Annotated[tuple[CallKind, ...], Meta(min_length=1, max_length=32)]
    calls_per_minute: Annotated[int, Meta(ge=1, le=MAX_RATE)]
    payload_bytes: Annotated[int, Meta(ge=1, le=MAX_PAYLOAD)]
    valid_from: Instant
    valid_until: Instant
    person: Person
    reason: Text = ""
    made_at: Instant


class ContractEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the ancestor signs to end a contract before its time."""

    contract: ContractId
    ancestor: NodeId
    person: Person
    reason: Text
    ended_at: Instant


class Disbelieved(Exception):
    """Signed bytes are not a contract, or the end of one, by a node above.

    Attributes:
        denial: why.
        detail: for people.
    """

    def __init__(self, denial: Denial, detail: str = "") -> None:
        super().__init__(f"{denial}: {detail}" if detail else denial)
        self.denial = denial
        self.detail = detail


def signed_contract(key: NodeKey, contract: Contract) -> bytes:
    """Return the bytes of a contract as it travels and is stored."""
    return encode_signed(sign(key, CONTRACT_CONTEXT, msgspec.json.encode(contract)))


def signed_end(key: NodeKey, end: ContractEnd) -> bytes:
    """Return the bytes of the end of a contract as it travels and is stored."""
    return encode_signed(sign(key, END_CONTEXT, msgspec.json.encode(end)))


def read_contract(data: bytes) -> Contract:
    """Return a stored contract; it was verified when it came."""
    return msgspec.json.decode(decode_signed(data).body, type=Contract)


def signer_of(data: bytes) -> tuple[str, Signed]:
    """Return who says to have signed something, and the signed document.

    Raises:
        Disbelieved: ``malformed``.
    """
    try:
        signed = decode_signed(data)
    except Refused as error:
        raise Disbelieved(Denial.MALFORMED, str(error)) from None
    return signed.signer, signed


def believe_contract(signed: Signed, public_key: bytes) -> Contract:
    """Return the contract that the owner of the key has signed.

    Raises:
        Disbelieved: ``malformed`` or ``signature-bad``.
    """
    contract = _believed(signed, public_key, CONTRACT_CONTEXT, Contract)
    if contract.ancestor != signed.signer:
        raise Disbelieved(Denial.FORGED, "another node's contract")
    return contract


def believe_end(signed: Signed, public_key: bytes) -> ContractEnd:
    """Return the end of a contract that the owner of the key has signed.

    Raises:
        Disbelieved: ``malformed`` or ``signature-bad``.
    """
    end = _believed(signed, public_key, END_CONTEXT, ContractEnd)
    if end.ancestor != signed.signer:
        raise Disbelieved(Denial.FORGED, "another node's contract")
    return end


def _believed(signed: Signed, public_key: bytes, context: bytes, kind: type[Document]) -> Document:
    try:
        return msgspec.json.decode(verify(public_key, context, signed), type=kind)
    except Refused as error:
        raise Disbelieved(Denial.FORGED, str(error)) from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Disbelieved(Denial.MALFORMED, str(error)[:200]) from None
