"""Events and conditions of a server -> events of ours, and what an alarm of ours needs from them.

Source: OPC 10000-9 (Alarms & Conditions) §5.5 to §5.8, OPC 10000-5 §6.4.2 (BaseEventType). ``detail_of`` is the pure
mapping; severity 1…1000 becomes a priority by the bounds of OPC 10000-9 §5.1.
"""

from collections.abc import Sequence
from typing import Any

from gongfu.connect.kit.types import Value

BASE, CONDITION, ACKNOWLEDGEABLE, ALARM = 2041, 2782, 2881, 2915

FIELDS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("event_id", BASE, ("EventId",)),
    ("event_type", BASE, ("EventType",)),
    ("source_node", BASE, ("SourceNode",)),
    ("source_name", BASE, ("SourceName",)),
    ("time", BASE, ("Time",)),
    ("message", BASE, ("Message",)),
    ("severity", BASE, ("Severity",)),
    ("condition", CONDITION, ()),
    ("condition_name", CONDITION, ("ConditionName",)),
    ("branch", CONDITION, ("BranchId",)),
    ("retain", CONDITION, ("Retain",)),
    ("enabled", CONDITION, ("EnabledState", "Id")),
    ("comment", CONDITION, ("Comment",)),
    ("user", CONDITION, ("ClientUserId",)),
    ("acknowledged", ACKNOWLEDGEABLE, ("AckedState", "Id")),
    ("confirmed", ACKNOWLEDGEABLE, ("ConfirmedState", "Id")),
    ("active", ALARM, ("ActiveState", "Id")),
    ("suppressed_or_shelved", ALARM, ("SuppressedOrShelved",)),
)
"""Our name, the type that defines the field, and its browse path; an empty path is the NodeId of the condition."""

_PRIORITIES = ((800, "critical"), (600, "high"), (400, "medium"), (0, "low"))

REFRESH_BEGINS, REFRESH_ENDS, REFRESH_REQUIRED, QUEUE_OVERFLOW = "i=2787", "i=2788", "i=2789", "i=3035"
STREAM_EVENTS = (REFRESH_BEGINS, REFRESH_ENDS, REFRESH_REQUIRED, QUEUE_OVERFLOW)
"""About the stream, not about the plant (OPC 10000-9 §5.11, OPC 10000-4 §7.22.3): how alarms are asked for anew."""


def about_stream(fields: Sequence[Value]) -> str:
    """Return which of ``STREAM_EVENTS`` an event is, ``""`` for events of the plant."""
    kind = fields[1] if len(fields) > 1 else None
    return kind if isinstance(kind, str) and kind in STREAM_EVENTS else ""


def event_filter() -> Any:
    """Return the EventFilter that asks for ``FIELDS``."""
    from gongfu.connect.opcua.library import ua

    chosen = ua.EventFilter()
    for _, kind, path in FIELDS:
        operand = ua.SimpleAttributeOperand()
        operand.TypeDefinitionId = ua.NodeId(kind)
        operand.BrowsePath = [ua.QualifiedName(name, 0) for name in path]
        operand.AttributeId = ua.AttributeIds.Value if path else ua.AttributeIds.NodeId
        chosen.SelectClauses.append(operand)
    return chosen


def priority_of(severity: int) -> str:
    """Return ``critical``, ``high``, ``medium`` or ``low`` for a severity of 1…1000."""
    return next(name for least, name in _PRIORITIES if severity >= least)


def state_of(active: bool, acknowledged: bool) -> str:
    """Return the state of ISA-18.2 / IEC 62682 §5.4: normal, unacknowledged, acknowledged, returned."""
    if active:
        return "acknowledged" if acknowledged else "unacknowledged"
    return "normal" if acknowledged else "returned"


def detail_of(fields: Sequence[Value]) -> tuple[str, dict[str, Any]] | None:
    """Return kind and detail for the sink; None for events about the stream itself (see ``about_stream``).

    Args:
        fields: values in the order of ``FIELDS``; a server that does not know a field sends null.

    Returns:
        Kind ``opcua.alarm`` for alarms (with ``state`` and ``priority``), ``opcua.condition`` for other conditions,
        ``opcua.event`` for the rest. ``time`` is RFC 3339, ``event_id`` hexadecimal (acknowledging needs it).
    """
    found = {name: value for (name, _, _), value in zip(FIELDS, fields, strict=False) if value is not None}
    if about_stream(fields):
        return None
    severity = found.get("severity")
    level = severity if isinstance(severity, int) and 1 <= severity <= 1000 else 1
    identity = found.get("event_id")
    detail: dict[str, Any] = {
        name: value for name, value in found.items() if name not in ("event_id", "severity", "acknowledged", "active")
    }
    detail["severity"] = level
    detail["priority"] = priority_of(level)
    if isinstance(identity, bytes):
        detail["event_id"] = identity.hex()
    if "active" in found:
        acknowledged = bool(found.get("acknowledged", True))
        detail["active"] = bool(found["active"])
        detail["acknowledged"] = acknowledged
        detail["state"] = state_of(detail["active"], acknowledged)
        # Branches are earlier occurrences of the same condition that still want acknowledging.
        detail["alarm"] = f"{found.get('condition', found.get('source_node', ''))}|{found.get('branch', 'i=0')}"
        return "opcua.alarm", detail
    if "condition" in found:
        return "opcua.condition", detail
    return "opcua.event", detail
