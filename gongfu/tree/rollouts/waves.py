"""Waves of a roll-out, as a state machine without any I/O.

A roll-out is a list of orders, one a wave, that were drafted and approved together. ``advance`` is told how far the
waves are and what time it is; what is to be done follows from the stored state (``pending``), so that after a crash it
is simply done again: issuing, revoking and discarding an order are idempotent.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

_replace = msgspec.structs.replace
T = TypeVar("T")

Share = Annotated[float, Meta(gt=0, le=1)]
Duration = Annotated[int, Meta(ge=0, le=366 * 86_400 * 1_000_000_000)]


class State(StrEnum):
    """State of a roll-out."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


OPEN = frozenset({State.RUNNING, State.PAUSED})
OnFailure = Literal["all", "wave", "none"]
"""What is revoked when a gate is not passed: all waves that were issued, the one that failed, or nothing."""


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a wave must come to before the next one goes.

    Attributes:
        share: of its targets that must be verified.
        within: how long after it was issued they must be, ns.
        soak: how long it must have stayed so before the next wave, ns.
    """

    share: Share = 1.0
    within: Annotated[int, Meta(ge=1, le=366 * 86_400 * 1_000_000_000)] = 3_600_000_000_000
    soak: Duration = 0


class Counts(msgspec.Struct, frozen=True):
    """How far a wave is: targets that are verified, and those of which nothing final is known."""

    verified: int
    open: int


class Act(StrEnum):
    """What is to be done with the order of a wave."""

    ISSUE = "issue"
    REVOKE = "revoke"
    DISCARD = "discard"


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """A wave.

    Attributes:
        order: id of its order.
        targets: how many.
        wanted: whether it is to be issued.
        issued_at: when it was, 0 while it was not.
        passed_at: since when it has been through the gate, 0 while it is not.
        end: how it is ended, None while it is not to be.
        ended: whether it was.
    """

    order: str
    targets: int
    wanted: bool = False
    issued_at: int = 0
    passed_at: int = 0
    end: Act | None = None
    ended: bool = False


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A roll-out. ``reason`` says why it is paused, failed or stopped."""

    waves: tuple[Wave, ...]
    gate: Gate
    on_failure: OnFailure = "all"
    state: State = State.RUNNING
    reason: str = ""


def split(targets: Sequence[T], canaries: int, shares: Sequence[float]) -> list[Sequence[T]]:
    """Return the waves: ``canaries`` first, then until each share of all is reached, then the rest; none is empty."""
    ends = [min(max(canaries, 1), len(targets))]
    for share in (*shares, 1.0):
        end = min(len(targets), math.ceil(share * len(targets) - 1e-9))
        if end > ends[-1]:
            ends.append(end)
    return [targets[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]


def current(rollout: Rollout) -> int:
    """Return the index of the last wave that is or was to be issued, -1 before the first."""
    return max((index for index, wave in enumerate(rollout.waves) if wave.wanted), default=-1)


def advance(rollout: Rollout, counts: Mapping[str, Counts], now: int) -> Rollout:
    """Return the roll-out after what is known now. ``counts`` are by order; a wave that is not in them is untouched.

    A paused roll-out issues nothing more, but its last wave is still looked at: one that fails is taken back.
    """
    if rollout.state not in OPEN:
        return rollout
    index = current(rollout)
    if index < 0:
        return _want(rollout, 0) if rollout.state is State.RUNNING else rollout
    wave = rollout.waves[index]
    known = counts.get(wave.order)
    if not wave.issued_at or known is None:
        return rollout
    needed = math.ceil(rollout.gate.share * wave.targets - 1e-9)
    if known.verified + known.open < needed:
        return _ended(rollout, State.FAILED, f"wave {index + 1}: at most {known.verified + known.open} of {needed}")
    if known.verified < needed:
        if now >= wave.issued_at + rollout.gate.within:
            return _ended(rollout, State.FAILED, f"wave {index + 1}: {known.verified} of {needed} in time")
        return _with(rollout, index, passed_at=0)
    if not wave.passed_at:
        rollout = _with(rollout, index, passed_at=now)
        wave = rollout.waves[index]
    if now < wave.passed_at + rollout.gate.soak:
        return rollout
    if index + 1 == len(rollout.waves):
        return _replace(rollout, state=State.DONE, reason="")
    return _want(rollout, index + 1) if rollout.state is State.RUNNING else rollout


def pending(rollout: Rollout) -> list[tuple[Act, str]]:
    """Return what is to be done, with the orders it is to be done with."""
    acts: list[tuple[Act, str]] = []
    for wave in rollout.waves:
        if wave.end is not None:
            if not wave.ended:
                acts.append((wave.end, wave.order))
        elif wave.wanted and not wave.issued_at and rollout.state is State.RUNNING:
            acts.append((Act.ISSUE, wave.order))
    return acts


def done(rollout: Rollout, act: Act, order: str, now: int) -> Rollout:
    """Return the roll-out after something pending was done."""
    for index, wave in enumerate(rollout.waves):
        if wave.order == order:
            if act is Act.ISSUE:
                return _with(rollout, index, issued_at=wave.issued_at or now)
            return _with(rollout, index, ended=True)
    return rollout


def refused(rollout: Rollout, why: str) -> Rollout:
    """An order may not be issued (approvals, guard): people have to look at it, so the roll-out pauses."""
    return _replace(rollout, state=State.PAUSED, reason=why) if rollout.state is State.RUNNING else rollout


def pause(rollout: Rollout, why: str) -> Rollout | None:
    """Return it paused, None when it is not running."""
    return _replace(rollout, state=State.PAUSED, reason=why) if rollout.state is State.RUNNING else None


def resume(rollout: Rollout) -> Rollout | None:
    """Return it running again, None when it is not paused."""
    return _replace(rollout, state=State.RUNNING, reason="") if rollout.state is State.PAUSED else None


def stop(rollout: Rollout, why: str, *, take_back: bool) -> Rollout | None:
    """Return it ended by a person, with all waves revoked if ``take_back``; None when it is over."""
    if rollout.state not in OPEN:
        return None
    return _ended(_replace(rollout, on_failure="all" if take_back else "none"), State.STOPPED, why)


def _ended(rollout: Rollout, state: State, why: str) -> Rollout:
    last = current(rollout)
    revoked = {"all": range(last + 1), "wave": range(last, last + 1), "none": range(0)}[rollout.on_failure]
    waves: list[Wave] = []
    for index, wave in enumerate(rollout.waves):
        # Whether a wave that was wanted has gone out is not known after a crash: it is revoked, and with "none" left.
        end = Act.DISCARD if not wave.wanted else Act.REVOKE if index in revoked else None
        waves.append(_replace(wave, end=end))
    return _replace(rollout, waves=tuple(waves), state=state, reason=why)


def _want(rollout: Rollout, index: int) -> Rollout:
    return _with(rollout, index, wanted=True)


def _with(rollout: Rollout, index: int, **changes: object) -> Rollout:
    wave = rollout.waves[index]
    changed = _replace(wave, **changes)
    if changed == wave:
        return rollout
    return _replace(rollout, waves=(*rollout.waves[:index], changed, *rollout.waves[index + 1 :]))
