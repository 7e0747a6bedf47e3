"""What is asked about contracts and calls, and what is answered; times are RFC 3339."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gongfu.tree.membership.keys import NodeId
from gongfu.tree.peers.contract import MAX_PAYLOAD, MAX_RATE, CallKind, ContractId, Party, Text

Time = Annotated[str, Meta(max_length=40)]


class ContractListing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which contracts are wanted: ``limit`` of them after (made at, id)."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    after: tuple[int, str] | None = None


class NewContract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A contract to be made at the nearest common ancestor of the parties."""

    caller: Party
    callee: Party
    kinds: Annotated[tuple[CallKind, ...], Meta(min_length=1, max_length=32)]
    calls_per_minute: Annotated[int, Meta(ge=1, le=MAX_RATE)] = 60
    payload_bytes: Annotated[int, Meta(ge=1, le=MAX_PAYLOAD)] = 16 * 1024
    valid_from: Time | None = None
    valid_until: Time
    reason: Text = ""


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a contract ends before its time."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


class ContractEnding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which contract ends, and why."""

    contract: ContractId
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


class NewCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call to a peer.

    Attributes:
        contract: under which.
        kind: one of its kinds.
        payload: any JSON.
        callee: node id; the contract's party when it is left out.
        timeout_seconds: how long to wait for the answer.
    """

    contract: ContractId
    kind: CallKind
    payload: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    callee: NodeId | None = None
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=12)] = 5.0


class PartyDoc(msgspec.Struct, frozen=True):
    """A party as it is shown; the name is empty when this node does not know it."""

    node: str
    subtree: bool
    name: str


class ContractDoc(msgspec.Struct, frozen=True, kw_only=True):
    """A contract as it is shown.

    Attributes:
        own: made here.
        state: ``valid``, or why no call may be made under it now.
    """

    id: str
    ancestor: PartyDoc
    caller: PartyDoc
    callee: PartyDoc
    kinds: tuple[str, ...]
    calls_per_minute: int
    payload_bytes: int
    valid_from: str
    valid_until: str
    person: str
    reason: str
    made_at: str
    own: bool
    state: str
    ended_at: str | None
    end_reason: str


class ContractPage(msgspec.Struct, frozen=True):
    """Contracts in the order in which they were made, and where the next page begins."""

    items: list[ContractDoc]
    next: tuple[int, str] | None


class CallResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a peer."""

    id: str
    by: str
    answer: Any
    milliseconds: float
