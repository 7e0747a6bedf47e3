"""Alarm: an abnormal condition that asks for a response, and its life cycle (ISA-18.2-2016 §5.4, IEC 62682 §6.4).

An alarm is one occurrence of one rule on one series. Of a rule and a series at most one alarm is open: when the
condition comes again before a returned alarm was acknowledged, the new alarm supersedes the old one, so a chattering
point asks for one acknowledgement and yet every occurrence is on record.
"""

import hashlib
import re
from enum import StrEnum

import msgspec


class State(StrEnum):
    """State of an alarm (ISA-18.2 figure 5: B, C, D and A; the words are those of the API)."""

    UNACKNOWLEDGED_ACTIVE = "unacknowledged_active"
    ACKNOWLEDGED_ACTIVE = "acknowledged_active"
    UNACKNOWLEDGED_RETURNED = "unacknowledged_returned"
    CLOSED = "closed"


OPEN = frozenset(State) - {State.CLOSED}
ACTIVE = frozenset({State.UNACKNOWLEDGED_ACTIVE, State.ACKNOWLEDGED_ACTIVE})
UNACKNOWLEDGED = frozenset({State.UNACKNOWLEDGED_ACTIVE, State.UNACKNOWLEDGED_RETURNED})


class Change(StrEnum):
    """What changes an alarm.

    ``cleared`` is a person's decision to close it whatever its condition; ``superseded`` is the next occurrence.
    """

    RAISED = "raised"
    RETURNED = "returned"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"
    SUPERSEDED = "superseded"


# The whole state machine; what is not here cannot happen. None is "no alarm yet".
NEXT: dict[tuple[State | None, Change], State] = {
    (None, Change.RAISED): State.UNACKNOWLEDGED_ACTIVE,
    (State.UNACKNOWLEDGED_ACTIVE, Change.ACKNOWLEDGED): State.ACKNOWLEDGED_ACTIVE,
    (State.UNACKNOWLEDGED_ACTIVE, Change.RETURNED): State.UNACKNOWLEDGED_RETURNED,
    (State.ACKNOWLEDGED_ACTIVE, Change.RETURNED): State.CLOSED,
    (State.UNACKNOWLEDGED_RETURNED, Change.ACKNOWLEDGED): State.CLOSED,
    (State.UNACKNOWLEDGED_RETURNED, Change.SUPERSEDED): State.CLOSED,
    (State.UNACKNOWLEDGED_ACTIVE, Change.CLEARED): State.CLOSED,
    (State.ACKNOWLEDGED_ACTIVE, Change.CLEARED): State.CLOSED,
    (State.UNACKNOWLEDGED_RETURNED, Change.CLEARED): State.CLOSED,
}


def next_state(state: State | None, change: Change) -> State | None:
    """Return the state after a change, None when the change is not possible in this state."""
    return NEXT.get((state, change))


def alarm_id(rule: int, series: int, raised_at: int) -> str:
    """Return the id of an occurrence: 32 hex digits that follow from what it is, so a replay finds it again.

    Args:
        rule: rule id.
        series: series id.
        raised_at: source time of the raise, UTC ns.
    """
    return hashlib.blake2b(f"{rule}/{series}/{raised_at}".encode(), digest_size=16).hexdigest()


class JournalEntry(msgspec.Struct, frozen=True):
    """One change of an alarm. ``time`` is source time for raise and return, the node's time for what people do."""

    time: str
    change: str
    by: str
    comment: str
    value: float | None


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as the API shows it. Times are RFC 3339 UTC; ``raised_at`` and ``returned_at`` are source times."""

    id: str
    rule_id: int
    rule_name: str
    series: int
    asset_path: str
    point: str
    priority: str
    state: str
    message: str
    value: float | None
    limit: float | None
    unit: str
    raised_at: str
    acknowledged_at: str | None
    acknowledged_by: str | None
    returned_at: str | None
    closed_at: str | None
    journal: list[JournalEntry] | None = None


class AlarmEvent(msgspec.Struct, frozen=True):
    """Document of ``evt.alarm``: published after the change is committed."""

    tenant: int
    alarm: Alarm


_PLACE = re.compile(r"\{(asset|point|value|limit|unit|rule)\}")

STANDARD_MESSAGE = {
    "threshold.above": "{point} is {value} {unit}, above {limit} {unit}",
    "threshold.below": "{point} is {value} {unit}, below {limit} {unit}",
    "rate.above": "{point} rises by {value} {unit} a second, more than {limit}",
    "rate.below": "{point} falls by {value} {unit} a second, more than {limit}",
    "absence": "no data of {point} for {limit} s",
}


def render_message(template: str, words: dict[str, str]) -> str:
    """Return a template with ``{asset}``, ``{point}``, ``{value}``, ``{limit}``, ``{unit}`` and ``{rule}`` filled in.

    Anything else in braces stays as it is; what is filled in is never read as a template.
    """
    text = _PLACE.sub(lambda match: words.get(match.group(1), ""), template)
    return re.sub(r" +([,.;]|$)", r"\1", re.sub(r" {2,}", " ", text))
