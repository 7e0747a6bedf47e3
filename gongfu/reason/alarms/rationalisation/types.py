"""Rationalisation: why an alarm is one, and what the operator does about it (ISA-18.2-2016 §9)."""

import datetime
from typing import Annotated

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.reason.alarms.suppression.matching import matches
from gongfu.reason.alarms.suppression.types import Pattern, Place
from gongfu.reason.rules.patterns import literal_prefix

_Long = Annotated[str, msgspec.Meta(max_length=2000)]
_Short = Annotated[str, msgspec.Meta(max_length=200)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was decided of an alarm.

    ``rule_id`` 0 with ``source`` names alarms that others report (``source`` is then a pattern such as ``app:*``).
    ``respond_s`` is the time the operator has; ``realarm_s`` (0: never) tells an acknowledged alarm that still stands
    again; ``latching`` keeps it until an operator resets it.
    """

    rule_id: Annotated[int, msgspec.Meta(ge=0)] = 0
    source: _Short = ""
    asset: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] = "**"
    point: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "*"
    cause: _Long = ""
    consequence: _Long = ""
    action: _Long = ""
    respond_s: Annotated[int, msgspec.Meta(ge=0, le=31_536_000)] = 0
    alarm_class: _Short = ""
    justification: _Long = ""
    owner: _Short = ""
    review_date: Annotated[str, msgspec.Meta(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = ""
    latching: bool = False
    realarm_s: Annotated[int, msgspec.Meta(ge=0, le=31_536_000)] = 0


def check_record(record: Record) -> None:
    """Check what the types cannot.

    Raises:
        Problem: 400 with what is wrong.
    """
    if not record.rule_id and not record.source:
        raise invalid("a rationalisation names a rule (rule_id) or a source")
    if record.rule_id and record.source:
        raise invalid("a rationalisation names a rule or a source, not both")
    if record.review_date:
        try:
            datetime.date.fromisoformat(record.review_date)
        except ValueError:
            raise invalid(f"review_date {record.review_date} is no day") from None


def record_of(records: list[Record], place: Place, source: str = "") -> Record | None:
    """Return the record of an alarm: of those that cover it the one whose patterns say most."""
    best: Record | None = None
    for record in records:
        if record.rule_id != place.rule_id or not _covers_source(record.source, source):
            continue
        if not matches(Pattern(rule_id=record.rule_id, asset=record.asset, point=record.point), place):
            continue
        if best is None or _says(record) > _says(best):
            best = record
    return best


def _covers_source(pattern: str, source: str) -> bool:
    if pattern.endswith("*"):
        return bool(source) and source.startswith(pattern[:-1])
    return pattern == source


def _says(record: Record) -> tuple[int, int, int]:
    return len(literal_prefix(record.asset)), len(literal_prefix(record.point)), len(record.source)
