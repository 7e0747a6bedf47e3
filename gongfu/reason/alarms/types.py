"""Alarm: an abnormal condition that asks for a response (its life cycle: states.py).

An alarm is one occurrence of one rule on one series. Of a rule and a series at most one alarm is open: when the
condition comes again before a returned alarm was acknowledged, the new alarm supersedes the old one, so a chattering
point asks for one acknowledgement and yet every occurrence is on record.
"""

import hashlib
import re

import msgspec


def alarm_id(rule: int, series: int, raised_at: int) -> str:
    """Return the id of an occurrence: 32 hex digits that follow from what it is, so a replay finds it again.

    Args:
        rule: rule id.
        series: series id.
        raised_at: source time of the raise, UTC ns.
    """
    return hashlib.blake2b(f"{rule}/{series}/{raised_at}".encode(), digest_size=16).hexdigest()


def source_alarm_id(tenant: int, source: str, key: str, raised_at: int) -> str:
    """Return the id of an occurrence that another part of the node reported; see ``alarm_id``."""
    return hashlib.blake2b(f"{tenant}\0{source}\0{key}\0{raised_at}".encode(), digest_size=16).hexdigest()


class JournalEntry(msgspec.Struct, frozen=True):
    """One change of an alarm. ``time`` is source time for raise and return, the node's time for what people do."""

    time: str
    change: str
    by: str
    comment: str
    value: float | None
    state: str = ""
    """State after the change; empty in entries of versions before 0.8."""


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
    source: str = ""
    """Empty for alarms of rules; ``app:…`` or ``connection:…`` for those that others report."""
    source_key: str = ""
    message_zh: str = ""
    """The message in Chinese; empty when there is only ``message``."""
    latching: bool = False
    annunciated_at: str | None = None
    """When an operator was told last; None while he never was, because the alarm is suppressed."""
    suppressed_by: int | None = None
    """The suppression that keeps it from him."""
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
