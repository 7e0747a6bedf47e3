"""What is known of a target at any level: both registers, merged, and the one state that is shown.

Merging is commutative, associative and idempotent, so every level comes to the same whatever arrives in whatever order.
Two contents with one revision are a conflict (a target restored from a backup, two writers): one of them is kept by a
rule that does not depend on the order of arrival, and the conflict is flagged until a larger revision ends it.
"""

from enum import StrEnum

import msgspec

from gongfu.tree.orders.types import Execution, Finding, State, Verdict

_ENCODER = msgspec.json.Encoder()


class Shown(StrEnum):
    """The state of a target as people see it, a function of both registers."""

    ISSUED = "issued"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    EXECUTING = "executing"
    EXECUTED = "executed"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"
    FAILED = "failed"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNDELIVERABLE = "undeliverable"
    VERIFIED = "verified"
    ROLLED_BACK_VERIFIED = "rolled_back_verified"
    CONTRADICTED = "contradicted"
    UNVERIFIABLE = "unverifiable"


TERMINAL = frozenset(
    {
        Shown.REFUSED,
        Shown.FAILED,
        Shown.EXPIRED,
        Shown.REVOKED,
        Shown.UNDELIVERABLE,
        Shown.VERIFIED,
        Shown.ROLLED_BACK_VERIFIED,
        Shown.CONTRADICTED,
        Shown.UNVERIFIABLE,
    }
)
"""Nothing more happens by itself. A revocation may still take an effect back, a probe contradict a failure."""


class Registers(msgspec.Struct, frozen=True, omit_defaults=True):
    """Both registers of a target, None while nothing is known, and whether two contents had the same revision."""

    execution: Execution | None = None
    verdict: Verdict | None = None
    execution_conflict: bool = False
    verdict_conflict: bool = False


NOTHING = Registers()


def shown(registers: Registers) -> Shown:
    """Return the state that is shown."""
    execution, verdict = registers.execution, registers.verdict
    if execution is None:
        return Shown.ISSUED
    state = execution.state
    if state not in _CLAIMS or verdict is None or verdict.claim != execution.claim or not execution.claim:
        return _SAME[state]
    return _JUDGED[state, verdict.finding]


def terminal(registers: Registers) -> bool:
    """Return whether the order has come to its end at the target."""
    return shown(registers) in TERMINAL


def with_execution(registers: Registers, execution: Execution) -> Registers:
    """Return the registers merged with an execution register that has come; the same object when nothing is new."""
    present = registers.execution
    if present is None or execution.revision > present.revision:
        return Registers(execution, registers.verdict, False, registers.verdict_conflict)
    if execution.revision < present.revision or execution == present:
        return registers
    kept = max(present, execution, key=_execution_rank)
    if kept is present and registers.execution_conflict:
        return registers
    return Registers(kept, registers.verdict, True, registers.verdict_conflict)


def with_verdict(registers: Registers, verdict: Verdict) -> Registers:
    """Return the registers merged with a verdict that has come; the same object when nothing is new."""
    present = registers.verdict
    if present is None or verdict.revision > present.revision:
        return Registers(registers.execution, verdict, registers.execution_conflict, False)
    if verdict.revision < present.revision or verdict == present:
        return registers
    kept = max(present, verdict, key=_verdict_rank)
    if kept is present and registers.verdict_conflict:
        return registers
    return Registers(registers.execution, kept, registers.execution_conflict, True)


def merge(left: Registers, right: Registers) -> Registers:
    """Return what both know together."""
    merged = left
    if right.execution is not None:
        merged = with_execution(merged, right.execution)
        if right.execution_conflict and merged.execution is not None and not merged.execution_conflict:
            conflict = merged.execution.revision == right.execution.revision
            merged = msgspec.structs.replace(merged, execution_conflict=conflict)
    if right.verdict is not None:
        merged = with_verdict(merged, right.verdict)
        if right.verdict_conflict and merged.verdict is not None and not merged.verdict_conflict:
            conflict = merged.verdict.revision == right.verdict.revision
            merged = msgspec.structs.replace(merged, verdict_conflict=conflict)
    return merged


def given_up(registers: Registers, order: str, target: str, parent: str, reason: str, now: int) -> Registers:
    """Return the registers after the parent has said that nothing more will come of a target.

    It was retired, or was never there. Not yet executed is ``undeliverable``; executed or rolled back without a verdict
    gets ``unverifiable``; what is terminal stays. Before that the parent must have stopped taking the target's
    registers, and a prober watching it: of a target that is alive after all, the larger revision holds.

    Args:
        registers: what the parent knows.
        order: id of the order.
        target: id of the target.
        parent: id of the node that writes.
        reason: ``Reason.TARGET_RETIRED`` or ``Reason.TARGET_UNKNOWN``.
        now: UTC ns.
    """
    if terminal(registers):
        return registers
    execution = registers.execution
    if execution is not None and execution.state in (State.EXECUTED, State.ROLLED_BACK):
        revision = 1 if registers.verdict is None else registers.verdict.revision + 1
        verdict = Verdict(order, target, Finding.UNVERIFIABLE, revision, now, parent, execution.claim, reason)
        return with_verdict(registers, verdict)
    last = State.ISSUED if execution is None else execution.state
    undeliverable = Execution(
        order,
        target,
        State.UNDELIVERABLE,
        1 if execution is None else execution.revision + 1,
        now,
        parent,
        0 if execution is None else execution.attempt,
        0 if execution is None else execution.claim,
        reason,
        f"was {last}",
    )
    return with_execution(registers, undeliverable)


_CLAIMS = frozenset({State.EXECUTED, State.FAILED, State.ROLLED_BACK})
_SAME = {state: Shown(state.value) for state in State}
_JUDGED = {
    (State.EXECUTED, Finding.VERIFIED): Shown.VERIFIED,
    (State.EXECUTED, Finding.CONTRADICTED): Shown.CONTRADICTED,
    (State.EXECUTED, Finding.UNVERIFIABLE): Shown.UNVERIFIABLE,
    (State.FAILED, Finding.VERIFIED): Shown.FAILED,
    (State.FAILED, Finding.CONTRADICTED): Shown.CONTRADICTED,
    (State.FAILED, Finding.UNVERIFIABLE): Shown.FAILED,
    (State.ROLLED_BACK, Finding.VERIFIED): Shown.ROLLED_BACK_VERIFIED,
    (State.ROLLED_BACK, Finding.CONTRADICTED): Shown.CONTRADICTED,
    (State.ROLLED_BACK, Finding.UNVERIFIABLE): Shown.UNVERIFIABLE,
}
# Of two contents with one revision the target's own word holds, then the one that says most about an effect.
_STATE_RANK = {
    state: rank
    for rank, state in enumerate(
        (
            State.ISSUED,
            State.UNDELIVERABLE,
            State.DELIVERED,
            State.ACCEPTED,
            State.EXPIRED,
            State.REVOKED,
            State.REFUSED,
            State.FAILED,
            State.EXECUTING,
            State.ROLLED_BACK,
            State.ROLLING_BACK,
            State.EXECUTED,
        )
    )
}
_FINDING_RANK = {Finding.VERIFIED: 0, Finding.UNVERIFIABLE: 1, Finding.CONTRADICTED: 2}


def _execution_rank(execution: Execution) -> tuple[bool, int, int, bytes]:
    own = execution.signer == execution.target
    return own, _STATE_RANK[execution.state], execution.at, _ENCODER.encode(execution)


def _verdict_rank(verdict: Verdict) -> tuple[int, int, bytes]:
    return _FINDING_RANK[verdict.finding], verdict.at, _ENCODER.encode(verdict)
