"""The clocks of an order: when a step is overdue and whom that is escalated to.

All due times follow from the document and the kind, so they are four to eight values an order, however many targets it
has, the same at every level and after every restart. *Overdue* and *escalated* are flags beside a state.
"""

from collections.abc import Iterable

import msgspec

from gongfu.tree.orders.combined import TERMINAL, Shown
from gongfu.tree.orders.kinds import OrderKind, Step
from gongfu.tree.orders.types import OrderDocument

_STEPS = {step: rank for rank, step in enumerate(Step, start=1)}
_REACHED = {
    **dict.fromkeys(TERMINAL, 4),
    Shown.ISSUED: 0,
    Shown.DELIVERED: 1,
    Shown.ACCEPTED: 2,
    Shown.EXECUTING: 2,
    Shown.EXECUTED: 3,
    Shown.ROLLING_BACK: 3,
    Shown.ROLLED_BACK: 3,
}


class Timer(msgspec.Struct, frozen=True, order=True):
    """At ``due`` (UTC ns) the targets that are ``late`` for the step are overdue, or escalated to ``to``."""

    due: int
    order: str
    step: Step
    escalation: bool = False
    to: str = ""


class Flags(msgspec.Struct, frozen=True):
    """The first step a target is late for, None when it is not; and the same for what has been escalated."""

    overdue: Step | None = None
    escalated: Step | None = None


def timers(document: OrderDocument, kind: OrderKind) -> tuple[Timer, ...]:
    """Return all timers of an order, earliest first."""
    found: list[Timer] = []
    for step, clock in kind.clocks.items():
        if not clock.within:
            continue
        overdue = _base(document, step) + clock.within
        found.append(Timer(overdue, document.id, step))
        if clock.escalate_to:
            found.append(Timer(overdue + clock.escalate_after, document.id, step, True, clock.escalate_to))
    return tuple(sorted(found))


def due(pending: Iterable[Timer], now: int) -> tuple[list[Timer], list[Timer]]:
    """Return the timers that are due, earliest first, and the rest."""
    fired: list[Timer] = []
    rest: list[Timer] = []
    for timer in sorted(pending):
        (fired if timer.due <= now else rest).append(timer)
    return fired, rest


def late(step: Step, state: Shown) -> bool:
    """Return whether a target in this state has not got as far as the step."""
    return _REACHED[state] < _STEPS[step]


def flags(document: OrderDocument, kind: OrderKind, state: Shown, now: int) -> Flags:
    """Return whether a target in this state is overdue now, and escalated, and for which step."""
    overdue: Step | None = None
    escalated: Step | None = None
    for step in Step:
        clock = kind.clocks.get(step)
        if clock is None or not clock.within or not late(step, state):
            continue
        limit = _base(document, step) + clock.within
        if overdue is None and limit <= now:
            overdue = step
        if escalated is None and clock.escalate_to and limit + clock.escalate_after <= now:
            escalated = step
    return Flags(overdue, escalated)


def _base(document: OrderDocument, step: Step) -> int:
    if step in (Step.DELIVER, Step.ACCEPT):
        return document.issued_at
    return max(document.issued_at, document.not_before)
