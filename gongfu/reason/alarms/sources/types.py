"""Alarms that other parts of the node report: apps, and conditions of machines (OPC UA Part 9)."""

from typing import Annotated

import msgspec

from gongfu.reason.rules.types import Priority

SERVICE = "alarm-source"
MAX_AT_ONCE = 500


class SourceAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """What a source says of one of its alarms at a time.

    Attributes:
        tenant: whose alarm.
        source: ``app:<identifier>`` or ``connection:<name>``.
        key: which of the source's alarms; with the source it names the alarm for ever.
        asset_path: where it is; need not exist.
        point: name of the point or condition; need not exist.
        priority: the alarm's.
        message: for people.
        message_zh: the same in Chinese; empty when there is only ``message``.
        value: the value that crossed, None where there is none.
        active: whether the condition holds.
        time: source time, UTC ns. Told again with the same time, nothing changes.
        acknowledged: True where somebody acknowledged it at the source; None where the source does not know.
        by: who acknowledged it there.
        noticed: the return was noticed by the node: the source does not have the alarm any more, ``time`` is the
            node's. What the source tells of the alarm afterwards counts, whatever its clock says.
    """

    tenant: int
    source: Annotated[str, msgspec.Meta(pattern=r"^(app|connection):\S.*$", max_length=200)]
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    asset_path: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    point: Annotated[str, msgspec.Meta(max_length=200)]
    priority: Priority
    message: Annotated[str, msgspec.Meta(max_length=4000)]
    value: float | None
    active: bool
    time: int
    acknowledged: bool | None = None
    by: Annotated[str, msgspec.Meta(max_length=120)] = ""
    noticed: bool = False
    message_zh: Annotated[str, msgspec.Meta(max_length=4000)] = ""


class SourceAlarms(msgspec.Struct, frozen=True):
    """Request of ``svc.alarm-source``: alarms in the order in which they happened."""

    alarms: Annotated[list[SourceAlarm], msgspec.Meta(max_length=MAX_AT_ONCE)]


class SourceState(msgspec.Struct, frozen=True):
    """What became of one: the alarm's id (empty where there is none) and state, and whether it changed just now."""

    id: str
    state: str
    changed: bool


class SourceAnswer(msgspec.Struct, frozen=True):
    """Answer of ``svc.alarm-source``, in the order of the request. What it tells is committed."""

    states: list[SourceState]
