"""Alarm states and what changes them, as one table (ISA-18.2-2016 §5.4 and IEC 62682:2014 §5.4, alarm state transition
diagram; the letters are those of the diagram).

An alarm in the records is one *occurrence*. State A, normal, is the absence of an open occurrence, and the end of every
one: ``closed``. The suppressed states G, H and I belong to the alarm, not to the occurrence, so a raise inside them
begins an occurrence in that state. An occurrence in G, H or I always has a standing condition: when the condition
returns there is nothing left to annunciate.
"""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """State of an alarm."""

    UNACKNOWLEDGED_ACTIVE = "unacknowledged_active"  # B
    ACKNOWLEDGED_ACTIVE = "acknowledged_active"  # C
    UNACKNOWLEDGED_RETURNED = "unacknowledged_returned"  # D
    LATCHED_UNACKNOWLEDGED = "latched_unacknowledged"  # E
    LATCHED_ACKNOWLEDGED = "latched_acknowledged"  # F
    SHELVED = "shelved"  # G
    SUPPRESSED_BY_DESIGN = "suppressed_by_design"  # H
    OUT_OF_SERVICE = "out_of_service"  # I
    CLOSED = "closed"  # A


class Change(StrEnum):
    """What changes an alarm; at most 16 characters.

    ``latched`` is the return of a condition whose alarm latches; ``cleared`` is a person's decision to close it
    whatever its condition; ``superseded`` is the next occurrence.
    """

    RAISED = "raised"
    RETURNED = "returned"
    LATCHED = "latched"
    ACKNOWLEDGED = "acknowledged"
    RESET = "reset"
    REALARMED = "realarmed"
    CLEARED = "cleared"
    SUPERSEDED = "superseded"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    SUPPRESSED = "suppressed"
    UNSUPPRESSED = "unsuppressed"
    OUT_OF_SERVICE = "out_of_service"
    IN_SERVICE = "in_service"


B, C, D = State.UNACKNOWLEDGED_ACTIVE, State.ACKNOWLEDGED_ACTIVE, State.UNACKNOWLEDGED_RETURNED
E, F = State.LATCHED_UNACKNOWLEDGED, State.LATCHED_ACKNOWLEDGED
G, H, I_ = State.SHELVED, State.SUPPRESSED_BY_DESIGN, State.OUT_OF_SERVICE
A = State.CLOSED

OPEN = frozenset(State) - {A}
ACTIVE = frozenset({B, C})
SUPPRESSED = frozenset({G, H, I_})
# The condition holds, whether anybody is told or not.
STANDING = ACTIVE | SUPPRESSED
# What an operator has before him.
ANNUNCIATED = OPEN - SUPPRESSED
UNACKNOWLEDGED = frozenset({B, D, E})
LATCHED = frozenset({E, F})


class Row(NamedTuple):
    """A row of the table: in ``state`` (None: normal) a ``change`` leads to ``next``; ``clause`` is where from."""

    state: State | None
    change: Change
    next: State
    clause: str


TABLE: tuple[Row, ...] = (
    Row(None, Change.RAISED, B, "5.4 A to B"),
    Row(G, Change.RAISED, G, "5.4 G: suppressed, whatever the condition"),
    Row(H, Change.RAISED, H, "5.4 H: suppressed, whatever the condition"),
    Row(I_, Change.RAISED, I_, "5.4 I: suppressed, whatever the condition"),
    Row(B, Change.ACKNOWLEDGED, C, "5.4 B to C"),
    Row(B, Change.RETURNED, D, "5.4 B to D"),
    Row(B, Change.LATCHED, E, "5.4 B to E"),
    Row(B, Change.CLEARED, A, "a person's decision, on record"),
    Row(B, Change.SHELVED, G, "5.4 any to G"),
    Row(B, Change.SUPPRESSED, H, "5.4 any to H"),
    Row(B, Change.OUT_OF_SERVICE, I_, "5.4 any to I"),
    Row(C, Change.RETURNED, A, "5.4 C to A"),
    Row(C, Change.LATCHED, F, "5.4 C to F"),
    Row(C, Change.REALARMED, B, "5.4 C to B, re-alarm"),
    Row(C, Change.CLEARED, A, "a person's decision, on record"),
    Row(C, Change.SHELVED, G, "5.4 any to G"),
    Row(C, Change.SUPPRESSED, H, "5.4 any to H"),
    Row(C, Change.OUT_OF_SERVICE, I_, "5.4 any to I"),
    Row(D, Change.ACKNOWLEDGED, A, "5.4 D to A"),
    Row(D, Change.SUPERSEDED, A, "5.4 D to B, the new occurrence is another"),
    Row(D, Change.CLEARED, A, "a person's decision, on record"),
    Row(D, Change.SHELVED, A, "5.4 any to G; no condition to come back"),
    Row(D, Change.SUPPRESSED, A, "5.4 any to H; no condition to come back"),
    Row(D, Change.OUT_OF_SERVICE, A, "5.4 any to I; no condition to come back"),
    Row(E, Change.ACKNOWLEDGED, F, "5.4 E to F"),
    Row(E, Change.RESET, D, "5.4 E to D"),
    Row(E, Change.SUPERSEDED, A, "5.4 E to B, the new occurrence is another"),
    Row(E, Change.CLEARED, A, "a person's decision, on record"),
    Row(F, Change.RESET, A, "5.4 F to A"),
    Row(F, Change.SUPERSEDED, A, "5.4 F to B, the new occurrence is another"),
    Row(F, Change.CLEARED, A, "a person's decision, on record"),
    Row(G, Change.RETURNED, A, "5.4 G, condition normal"),
    Row(G, Change.UNSHELVED, B, "5.4 G to B, the condition stands"),
    Row(G, Change.SUPPRESSED, H, "5.4 any to H"),
    Row(G, Change.OUT_OF_SERVICE, I_, "5.4 any to I"),
    Row(G, Change.CLEARED, A, "a person's decision, on record"),
    Row(H, Change.RETURNED, A, "5.4 H, condition normal"),
    Row(H, Change.UNSUPPRESSED, B, "5.4 H to B, the condition stands"),
    Row(H, Change.SHELVED, G, "5.4 any to G"),
    Row(H, Change.OUT_OF_SERVICE, I_, "5.4 any to I"),
    Row(H, Change.CLEARED, A, "a person's decision, on record"),
    Row(I_, Change.RETURNED, A, "5.4 I, condition normal"),
    Row(I_, Change.IN_SERVICE, B, "5.4 I to B, the condition stands"),
    Row(I_, Change.SHELVED, G, "5.4 any to G"),
    Row(I_, Change.SUPPRESSED, H, "5.4 any to H"),
    Row(I_, Change.CLEARED, A, "a person's decision, on record"),
)

# The whole state machine; what is not here cannot happen.
NEXT: dict[tuple[State | None, Change], State] = {(row.state, row.change): row.next for row in TABLE}

# By suppressed state: the change into it, and out of it. The first that applies is the alarm's state.
SUPPRESSION_CHANGES: dict[State, tuple[Change, Change]] = {
    I_: (Change.OUT_OF_SERVICE, Change.IN_SERVICE),
    H: (Change.SUPPRESSED, Change.UNSUPPRESSED),
    G: (Change.SHELVED, Change.UNSHELVED),
}
# Changes after which an alarm is annunciated a second time.
AGAIN = (Change.UNSHELVED, Change.UNSUPPRESSED, Change.IN_SERVICE, Change.REALARMED)


def next_state(state: State | None, change: Change) -> State | None:
    """Return the state after a change, None when the change is not possible in this state."""
    return NEXT.get((state, change))


def change_to(state: State, suppressed: State | None) -> Change | None:
    """Return what brings a standing occurrence in line with its alarm's suppression.

    Args:
        state: of the occurrence.
        suppressed: G, H or I where the alarm is suppressed at present, None where it is not.
    """
    if suppressed == state or state is A:
        return None
    if suppressed is not None:
        into = SUPPRESSION_CHANGES[suppressed][0]
        return into if (state, into) in NEXT else None
    return SUPPRESSION_CHANGES[state][1] if state in SUPPRESSED else None
