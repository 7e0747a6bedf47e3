"""Whether a call may go on, asked at every node that it passes: the caller, every hop, the ancestor, the callee."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from gongfu.tree.peers.calls import Call
from gongfu.tree.peers.contract import Contract, Denial, Party


@dataclass(frozen=True, slots=True)
class Known:
    """A contract as a node knows it.

    Attributes:
        contract: believed.
        ended_at: UTC ns; 0 unless it was ended.
    """

    contract: Contract
    ended_at: int = 0

    def state(self, now: int) -> Denial | None:
        """Return why no call may be made under it now; None when one may.

        A contract that holds from its making holds for whoever has it: a node's estimate of the time may be behind its
        maker's.
        """
        if self.ended_at:
            return Denial.REVOKED
        if now < self.contract.valid_from and self.contract.made_at < self.contract.valid_from:
            return Denial.NOT_YET_VALID
        return Denial.EXPIRED if now >= self.contract.valid_until else None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a node has let through.

    Attributes:
        last_minute: calls under the contract within the last minute.
        open: calls that wait for their answer here.
        most_open: may wait here at most.
    """

    last_minute: int
    open: int
    most_open: int


def is_party(party: Party, node: str, path: Sequence[str] | None) -> bool:
    """Return whether a node is of a party.

    Args:
        party: of the contract.
        node: asked about.
        path: ids from the root to the node, as far as they are known; None when this node cannot know where the other
            is: who can has asked before.
    """
    if node == party.node:
        return True
    return party.subtree and (path is None or party.node in path)


def admission(
    call: Call,
    payload: bytes,
    known: Known | None,
    traffic: Traffic,
    now: int,
    *,
    caller_path: Sequence[str] | None,
    callee_path: Sequence[str] | None,
) -> tuple[Denial, str] | None:
    """Return why a call may not go on, and words; None when it may.

    Args:
        call: the call.
        payload: of it.
        known: its contract; None when it is not known here.
        traffic: of this node.
        now: the parent's time, UTC ns.
        caller_path: see ``is_party``.
        callee_path: likewise.
    """
    if known is None:
        return Denial.CONTRACT_UNKNOWN, call.contract
    contract = known.contract
    if (state := known.state(now)) is not None:
        return state, contract.id
    if not is_party(contract.caller, call.caller, caller_path):
        return Denial.CALLER_NOT_PARTY, call.caller
    if not is_party(contract.callee, call.callee, callee_path):
        return Denial.CALLEE_NOT_PARTY, call.callee
    if call.kind not in contract.kinds:
        return Denial.KIND_NOT_COVERED, call.kind
    if len(payload) > contract.payload_bytes:
        return Denial.PAYLOAD_TOO_LARGE, f"{len(payload)} bytes, at most {contract.payload_bytes}"
    if hashlib.sha256(payload).digest() != call.digest:
        return Denial.FORGED, "another payload"
    if now >= call.deadline:
        return Denial.CALL_EXPIRED, ""
    if traffic.last_minute >= contract.calls_per_minute:
        return Denial.RATE_EXCEEDED, f"{contract.calls_per_minute} a minute"
    if traffic.open >= traffic.most_open:
        return Denial.BUSY, f"{traffic.open} calls wait"
    return None
