"""The target's side of an order, as a state machine without any I/O.

Every function takes the record and an event and returns an ``Outcome``; the shell stores the record before it does the
effects, so ``executing`` is durable before the driver is called. ``now`` is the target's clock corrected to its
parent's time.

A document is first believed (``admission``), then the shell looks its order up and calls ``receive`` or ``revoke``.
"""

import msgspec

from gongfu.tree.orders.admission import Believed, Disbelief, Standing, is_meant, may_revoke, obedience
from gongfu.tree.orders.effects import AskOperator, Audit, CallDriver, Effect, Outcome, Send, TargetRecord, Wake
from gongfu.tree.orders.kinds import OrderKind
from gongfu.tree.orders.types import (
    Execution,
    OrderDocument,
    Reason,
    Revocation,
    State,
    driver_key,
    rollback_key,
)

_replace = msgspec.structs.replace

CALLING = frozenset({State.EXECUTING, State.ROLLING_BACK})
"""States in which a driver has been called, or was about to be."""


def disbelieved(disbelief: Disbelief, now: int) -> Outcome:
    """Return what comes of a document that is not believed: it is audited and otherwise never was."""
    audit = Audit(disbelief.order, "disbelieved", now, disbelief.reason, disbelief.issuer, disbelief.detail)
    return Outcome(None, (audit,), disbelief.reason)


def receive(record: TargetRecord | None, believed: Believed[OrderDocument], standing: Standing, now: int) -> Outcome:
    """Take an order in. The same bytes again do nothing; other bytes with the same id are refused."""
    document = believed.document
    if record is not None and record.digest:
        if record.digest == believed.digest:
            return Outcome(record)
        return _refused(record, Reason.ORDER_ID_REUSED, "received", now, document.id, document.issuer)
    if not is_meant(document, standing):
        return _refused(record, Reason.NOT_MEANT, "received", now, document.id, document.issuer)
    fresh = record or TargetRecord(document.id, standing.member.node)
    kept = _replace(fresh, digest=believed.digest, document=document)
    kind = standing.kinds.get(document.kind)
    effects: list[Effect] = [Audit(document.id, "received", now, who=document.issuer)]
    revocation = kept.revocation
    if revocation is not None and not may_revoke(revocation, document, standing.chain):
        effects.append(Audit(document.id, "revoked", now, Reason.REVOKER_BELOW_ISSUER, revocation.issuer))
        kept, revocation = _replace(kept, revocation=None), None
    if kept.execution is not None:
        outcome = _resumed(kept, kind, now)
        return Outcome(outcome.record, (*effects, *outcome.effects))
    if revocation is not None:
        return _moved(kept, State.REVOKED, now, Reason.REVOKED, revocation.reason, before=effects)
    state, reason, detail = obedience(document, standing, now)
    if state is not State.DELIVERED:
        return _moved(kept, state, now, reason, detail, before=effects)
    outcome = _moved(kept, State.DELIVERED, now, before=effects)
    if kind is not None and kind.accept == "automatic" and outcome.record is not None:
        # The register of the first step need not travel: the next one is larger.
        return _accepted(outcome.record, now, "", before=effects)
    return Outcome(outcome.record, (*outcome.effects, AskOperator(document.id), Wake(document.deadline + 1)))


def revoke(record: TargetRecord | None, believed: Believed[Revocation], standing: Standing, now: int) -> Outcome:
    """Take a revocation in. It is kept when the order has not come yet; the same one again does nothing.

    Of several for an order that has not come, the one from the highest node is kept: it is for the order to say whose
    revocation counts.
    """
    revocation = believed.document
    if record is None:
        record = TargetRecord(revocation.order, standing.member.node)
    if record.revocation == revocation:
        return Outcome(record)
    document = record.document
    if document is None:
        audit = Audit(revocation.order, "revoked", now, Reason.NOT_RECEIVED, revocation.issuer, revocation.reason)
        if record.revocation is not None and not _above(revocation, record.revocation, standing):
            return Outcome(record, (audit,))
        return Outcome(_replace(record, revocation=revocation), (audit,))
    if not may_revoke(revocation, document, standing.chain):
        return _refused(record, Reason.REVOKER_BELOW_ISSUER, "revoked", now, who=revocation.issuer)
    return _revoked(record, revocation, standing.kinds.get(document.kind), now)


def accept(record: TargetRecord, person: str, now: int) -> Outcome:
    """A person at the target says yes. After the deadline the order expires instead."""
    wrong = _not_delivered(record, "accepted", now, person)
    return wrong or _accepted(record, now, person, before=())


def refuse(record: TargetRecord, person: str, why: str, now: int) -> Outcome:
    """A person at the target says no. After the deadline the order expires instead."""
    wrong = _not_delivered(record, "refused", now, person)
    return wrong or _moved(record, State.REFUSED, now, Reason.OPERATOR, why, who=person)


def begin(record: TargetRecord, standing: Standing, now: int) -> Outcome:
    """Start an accepted order whose time has come: ``executing``, and the driver is to be called.

    What was right when it was accepted is asked again: the node may have another chain by now, or obey other kinds.
    """
    present, document = record.execution, record.document
    if present is None or document is None or present.state is not State.ACCEPTED:
        return _refused(record, Reason.NOT_ACCEPTED, "begun", now)
    if now < document.not_before:
        return Outcome(record, (Wake(document.not_before),), Reason.NOT_YET)
    if record.revocation is not None:
        return _moved(record, State.REVOKED, now, Reason.REVOKED, record.revocation.reason)
    kind = standing.kinds.get(document.kind)
    if not standing.active:
        return _moved(record, State.REFUSED, now, Reason.NODE_SUSPENDED)
    if document.issuer not in standing.chain:
        return _moved(record, State.REFUSED, now, Reason.ISSUER_NOT_ANCESTOR, document.issuer)
    if kind is None:
        return _moved(record, State.REFUSED, now, Reason.KIND_UNKNOWN, document.kind)
    if document.kind not in standing.allowed:
        return _moved(record, State.REFUSED, now, Reason.KIND_NOT_ALLOWED, document.kind)
    if kind.start_within and now > max(present.at, document.not_before) + kind.start_within:
        return _moved(record, State.FAILED, now, Reason.STARTED_TOO_LATE)
    return _calling(record, State.EXECUTING, kind, now)


def finished(
    record: TargetRecord, attempt: int, succeeded: bool, detail: str, kind: OrderKind | None, now: int
) -> Outcome:
    """The driver has answered the call of that attempt, for the effect or for taking it back."""
    present = record.execution
    if present is None or present.state not in CALLING:
        return _refused(record, Reason.NOT_EXECUTING, "finished", now, detail=detail)
    if attempt != present.attempt:
        return _refused(record, Reason.RESULT_STALE, "finished", now, detail=f"attempt {attempt}: {detail}")
    if present.state is State.ROLLING_BACK:
        if succeeded:
            return _moved(record, State.ROLLED_BACK, now, Reason.REVOKED, detail, claims=True)
        return _moved(record, _before_rollback(present), now, Reason.ROLLBACK_FAILED, detail, claims=True)
    if not succeeded:
        return _moved(record, State.FAILED, now, Reason.DRIVER_FAILED, detail, claims=True)
    done = _moved(record, State.EXECUTED, now, "", detail, claims=True)
    if record.revocation is None or done.record is None:
        return done
    return _take_back(done.record, kind, now, before=[effect for effect in done.effects if isinstance(effect, Audit)])


def tick(record: TargetRecord, now: int) -> Outcome:
    """Time has passed: an order that waits for a person expires after its deadline. Nothing else ever expires."""
    present, document = record.execution, record.document
    if present is not None and document is not None and present.state is State.DELIVERED and now > document.deadline:
        return _moved(record, State.EXPIRED, now, Reason.EXPIRED)
    return Outcome(record)


def recover(record: TargetRecord, kind: OrderKind | None, now: int) -> Outcome:
    """After a crash: ask again for the effects that may not have been done. Call it once for every record at the start.

    A driver that is idempotent is called again; another one is not, and the probe tells what is so. A revoked effect is
    never called for again.
    """
    present, document = record.execution, record.document
    if present is None or document is None:
        return Outcome(record)
    if present.state is State.DELIVERED:
        if now > document.deadline:
            return tick(record, now)
        if kind is not None and kind.accept == "automatic":
            return _accepted(record, now, "", before=())
        return Outcome(record, (AskOperator(record.order), Wake(document.deadline + 1)))
    if present.state is State.ACCEPTED:
        return Outcome(record, (Wake(max(document.not_before, now)),))
    if present.state is State.ROLLING_BACK:
        if kind is not None and kind.idempotent:
            return _calling(record, State.ROLLING_BACK, kind, now, present.reason)
        return _moved(record, _before_rollback(present), now, Reason.ROLLBACK_INTERRUPTED, claims=True)
    if present.state is not State.EXECUTING:
        return Outcome(record)
    if record.revocation is None and kind is not None and kind.idempotent:
        return _calling(record, State.EXECUTING, kind, now)
    stopped = _moved(record, State.FAILED, now, Reason.INTERRUPTED, claims=True)
    if record.revocation is None or stopped.record is None or kind is None or not kind.can_roll_back:
        return stopped
    return _take_back(stopped.record, kind, now)


def remember(
    record: TargetRecord | None, reported: Execution, standing: Standing, now: int, calling: bool = False
) -> Outcome:
    """The parent tells what this target had said before it was restored from a backup.

    The larger revision is taken over and gone on from, so that what was done once is not done again. The link brings
    these, and then the revocations, before the orders. Where it did not and a driver is ``calling`` (in this process,
    now), that call goes on with a revision that the parent will believe, whatever had been the end before.
    """
    node = standing.member.node
    if reported.target != node or reported.signer != node:
        return _refused(record, Reason.NOT_OWN, "remembered", now, reported.order, reported.signer)
    if record is None:
        record = TargetRecord(reported.order, node)
    present = record.execution
    if present is not None and present.revision >= reported.revision:
        return Outcome(record)
    audit = Audit(reported.order, "remembered", now, reported.reason, detail=f"{reported.state} {reported.revision}")
    if present is None or present.state not in CALLING or not calling:
        kept = _replace(record, execution=reported)
        kind = None if kept.document is None else standing.kinds.get(kept.document.kind)
        outcome = Outcome(kept) if kept.document is None else _resumed(kept, kind, now)
        return Outcome(outcome.record, (audit, *outcome.effects))
    raised = _replace(present, revision=reported.revision + 1)
    return Outcome(_replace(record, execution=raised), (audit, Send(raised)))


def forgettable(record: TargetRecord, now: int, keep: int) -> bool:
    """Return whether nothing can come of forgetting the record.

    An order that comes again after its deadline is expired, whether or not it is remembered, and its register has
    revision 1. ``keep`` is how much longer to keep it (ns), for revoking what was executed.
    """
    present, document = record.execution, record.document
    if document is None:
        revocation = record.revocation
        return present is None and (revocation is None or now > revocation.deadline + keep)
    over = present is not None and present.state not in CALLING | {State.DELIVERED, State.ACCEPTED}
    return over and now > document.deadline + keep


def _above(revocation: Revocation, other: Revocation, standing: Standing) -> bool:
    ranks = list(standing.chain)
    return other.issuer not in ranks or ranks.index(revocation.issuer) < ranks.index(other.issuer)


def _resumed(record: TargetRecord, kind: OrderKind | None, now: int) -> Outcome:
    """Go on from a register that was written before the record knew the order or its revocation."""
    revocation = record.revocation
    if revocation is None or record.execution is None or record.execution.state in CALLING:
        return recover(record, kind, now)
    outcome = _revoked(_replace(record, revocation=None), revocation, kind, now)
    return outcome if outcome.refused is None else Outcome(record, outcome.effects)


def _not_delivered(record: TargetRecord, event: str, now: int, person: str) -> Outcome | None:
    present, document = record.execution, record.document
    if present is None or document is None or present.state is not State.DELIVERED:
        return _refused(record, Reason.NOT_DELIVERED, event, now, who=person)
    if now > document.deadline:
        return _moved(record, State.EXPIRED, now, Reason.EXPIRED)
    return None


def _accepted(record: TargetRecord, now: int, person: str, before: list[Effect] | tuple[Effect, ...]) -> Outcome:
    outcome = _moved(record, State.ACCEPTED, now, who=person, before=before)
    start = now if record.document is None else max(now, record.document.not_before)
    return Outcome(outcome.record, (*outcome.effects, Wake(start)))


def _revoked(record: TargetRecord, revocation: Revocation, kind: OrderKind | None, now: int) -> Outcome:
    present = record.execution
    kept = _replace(record, revocation=revocation)
    state = None if present is None else present.state
    if present is None or state in (State.DELIVERED, State.ACCEPTED):
        return _moved(kept, State.REVOKED, now, Reason.REVOKED, revocation.reason, who=revocation.issuer)
    if state is State.EXECUTING:
        pending = _replace(present, revision=present.revision + 1, reason=Reason.REVOKE_PENDING)
        audit = Audit(record.order, "revoked", now, Reason.REVOKE_PENDING, revocation.issuer, revocation.reason)
        return Outcome(_replace(kept, execution=pending), (audit, Send(pending)))
    undone = kind is not None and kind.can_roll_back
    if state is State.EXECUTED or (state is State.FAILED and present.reason == Reason.INTERRUPTED and undone):
        return _take_back(kept, kind, now, who=revocation.issuer)
    return _refused(record, Reason.ALREADY_OVER, "revoked", now, who=revocation.issuer)


def _take_back(
    record: TargetRecord,
    kind: OrderKind | None,
    now: int,
    who: str = "",
    before: list[Effect] | list[Audit] | tuple[Effect, ...] = (),
) -> Outcome:
    """Roll an effect back that is there, or may be; without a driver that can, say that it is too late."""
    present = record.execution
    if present is None:
        return Outcome(record)
    if kind is not None and kind.can_roll_back:
        reason = Reason.INTERRUPTED if present.state is State.FAILED else ""
        outcome = _calling(record, State.ROLLING_BACK, kind, now, reason, who)
        return Outcome(outcome.record, (*before, *outcome.effects))
    late = _replace(present, revision=present.revision + 1, reason=Reason.REVOKE_TOO_LATE)
    audit = Audit(record.order, "revoked", now, Reason.REVOKE_TOO_LATE, who)
    return Outcome(_replace(record, execution=late), (*before, audit, Send(late)))


def _before_rollback(present: Execution) -> State:
    return State.FAILED if present.reason == Reason.INTERRUPTED else State.EXECUTED


def _calling(record: TargetRecord, state: State, kind: OrderKind, now: int, reason: str = "", who: str = "") -> Outcome:
    present, document = record.execution, record.document
    if present is None or document is None:
        return Outcome(record)
    back = state is State.ROLLING_BACK
    key = (rollback_key if back else driver_key)(record.order, record.target)
    outcome = _moved(record, state, now, reason, who=who, attempt=present.attempt + 1)
    call = CallDriver(key, kind.driver, present.attempt + 1, document.payload, back)
    return Outcome(outcome.record, (*outcome.effects, call))


def _moved(
    record: TargetRecord,
    state: State,
    now: int,
    reason: str = "",
    detail: str = "",
    *,
    who: str = "",
    attempt: int | None = None,
    claims: bool = False,
    before: list[Effect] | tuple[Effect, ...] = (),
) -> Outcome:
    """Write the next register. ``claims``: it says something new about an effect."""
    present = record.execution
    revision = 1 if present is None else present.revision + 1
    if attempt is None:
        attempt = 0 if present is None else present.attempt
    claim = revision if claims else 0 if present is None else present.claim
    execution = Execution(
        record.order, record.target, state, revision, now, record.target, attempt, claim, reason, detail[:1000]
    )
    audit = Audit(record.order, state, now, reason, who, detail)
    return Outcome(_replace(record, execution=execution), (*before, audit, Send(execution)))


def _refused(
    record: TargetRecord | None, reason: Reason, event: str, now: int, order: str = "", who: str = "", detail: str = ""
) -> Outcome:
    audit = Audit(order or (record.order if record else ""), event, now, reason, who, detail)
    return Outcome(record, (audit,), reason)
