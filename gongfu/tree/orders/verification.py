"""The probe's side: whether what a target claims is so. *Executed* is what it says, *verified* is what a probe saw.

A claim of ``executed`` says that the effect is there; ``failed`` and ``rolled_back`` say that it is not, and are looked
at as well. What does not agree is looked at again until the probe's deadline, for an effect may take its time.
"""

from enum import StrEnum

import msgspec

from gongfu.tree.orders.kinds import OrderKind, Place
from gongfu.tree.orders.types import Execution, Finding, OrderDocument, State, Verdict

_replace = msgspec.structs.replace


class Sight(StrEnum):
    """What one look saw of the effect."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


EXPECTED = {State.EXECUTED: Sight.PRESENT, State.FAILED: Sight.ABSENT, State.ROLLED_BACK: Sight.ABSENT}
"""Claims a probe looks at, and what it should see."""


class Refusal(StrEnum):
    """Why a look does not count."""

    NOT_WATCHING = "not-watching"
    CLAIM_SUPERSEDED = "claim-superseded"


class Watch(msgspec.Struct, frozen=True):
    """What a prober keeps of a target of an order; stored, so that it survives a restart.

    Attributes:
        order: id.
        target: node id.
        claim: ``Execution.claim`` that is looked at, or was last.
        expected: what should be seen.
        open: whether there is no verdict on the claim yet.
        next_at: when to look, UTC ns.
        until: from then on a look decides.
        revision: of the last verdict written, 0 for none.
        mismatch: evidence of the last look that saw the contrary, None for none.
    """

    order: str
    target: str
    claim: int = 0
    expected: Sight = Sight.PRESENT
    open: bool = False
    next_at: int = 0
    until: int = 0
    revision: int = 0
    mismatch: str | None = None


class Looked(msgspec.Struct, frozen=True):
    """What has come of an event: the watch to store, and a verdict to send with it."""

    watch: Watch
    verdict: Verdict | None = None
    refused: Refusal | None = None


def probes_here(kind: OrderKind, document: OrderDocument, node: str, target: str, parent: str) -> bool:
    """Return whether ``node`` writes the verdicts of a target. ``parent`` is the target's, "" for the root."""
    where = Place.TARGET if kind.probe is None else kind.probe.where
    if where is Place.ISSUER:
        return node == document.issuer
    return node == (parent or target) if where is Place.PARENT else node == target


def claimed(watch: Watch | None, execution: Execution, kind: OrderKind, prober: str, now: int) -> Looked:
    """A target's register has changed: watch a new claim, or stop while the effect is being taken back.

    Without a probe an effect that is claimed is unverifiable at once.
    """
    if watch is None:
        watch = Watch(execution.order, execution.target)
    if execution.state is State.ROLLING_BACK and execution.claim >= watch.claim:
        return Looked(_replace(watch, claim=execution.claim, open=False))
    expected = EXPECTED.get(execution.state)
    if expected is None or execution.claim <= watch.claim:
        return Looked(watch)
    probe = kind.probe
    fresh = _replace(watch, claim=execution.claim, expected=expected, open=probe is not None, mismatch=None)
    if probe is None:
        if execution.state is State.FAILED:
            return Looked(fresh)
        return _concluded(fresh, Finding.UNVERIFIABLE, "no-probe", "", prober, now)
    first = execution.at + probe.delay
    return Looked(_replace(fresh, next_at=first, until=first + probe.within))


def due(watch: Watch, now: int) -> bool:
    """Return whether it is time to look."""
    return watch.open and now >= watch.next_at


def seen(watch: Watch, claim: int, sight: Sight, evidence: str, kind: OrderKind, prober: str, now: int) -> Looked:
    """A look for a claim has come back. A probe that fails or does not answer is ``unknown``, with why as evidence."""
    if claim != watch.claim:
        return Looked(watch, refused=Refusal.CLAIM_SUPERSEDED)
    if not watch.open:
        return Looked(watch, refused=Refusal.NOT_WATCHING)
    if sight is watch.expected:
        return _concluded(watch, Finding.VERIFIED, "", evidence, prober, now)
    if sight is not Sight.UNKNOWN:
        watch = _replace(watch, mismatch=evidence)
    if now < watch.until:
        every = 1 if kind.probe is None else kind.probe.every
        return Looked(_replace(watch, next_at=min(now + every, watch.until)))
    if watch.mismatch is not None:
        return _concluded(watch, Finding.CONTRADICTED, f"not-{watch.expected}", watch.mismatch, prober, now)
    return _concluded(watch, Finding.UNVERIFIABLE, "probe-saw-nothing", evidence, prober, now)


def given_up(watch: Watch, reason: str, evidence: str, prober: str, now: int) -> Looked:
    """Nobody can look any more: a claim that is watched is unverifiable."""
    return _concluded(watch, Finding.UNVERIFIABLE, reason, evidence, prober, now) if watch.open else Looked(watch)


def _concluded(watch: Watch, finding: Finding, reason: str, evidence: str, prober: str, now: int) -> Looked:
    revision = watch.revision + 1
    verdict = Verdict(watch.order, watch.target, finding, revision, now, prober, watch.claim, reason, evidence[:4000])
    return Looked(_replace(watch, open=False, revision=revision), verdict)
