"""Conditions of a server -> alarms: what is active, what waits for an acknowledgement, which EventIds it takes. Pure.

Source: OPC 10000-9 §5.5.2 (ConditionType: Retain, EnabledState, BranchId), §5.7 (AcknowledgeableConditionType), §5.8
(AlarmConditionType), §5.5.7 (ConditionRefresh). A condition is one alarm: a branch is an earlier occurrence of it that
still wants to be acknowledged, so acknowledging the alarm acknowledges the trunk and every branch. A condition that the
server has shelved or suppressed, or that is disabled, is not active.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gongfu.connect.kit.machine_alarms import MachineAlarm
from gongfu.kernel.times import parse_rfc3339

MAX_CONDITIONS = 20_000
"""Conditions of one server that are followed; those beyond stay events."""

_TRUNK = ("", "i=0", None)

Place = Callable[[str], tuple[str, str]]
"""Returns (path of a child asset, point) of a NodeId, ``("", "")`` where no address is that node."""


@dataclass(slots=True)
class _Condition:
    """One condition: the trunk's newest event, and EventIds of branches that wait for an acknowledgement."""

    last: MachineAlarm
    waits: bytes = b""
    branches: dict[str, bytes] = field(default_factory=dict[str, bytes])

    @property
    def standing(self) -> bool:
        return self.last.active or bool(self.waits or self.branches)


class Conditions:
    """The conditions of one server.

    Attributes:
        left_out: conditions that are not followed, there being too many.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: dict[str, _Condition] = {}
        self._seen: set[str] | None = None
        self.left_out = 0

    def take(self, detail: Mapping[str, Any], now: int) -> list[MachineAlarm]:
        """Take an event of a condition in; return what there is to report, oldest first.

        Args:
            detail: as ``events.detail_of`` returns it.
            now: UTC ns, for events without a time.
        """
        key = str(detail.get("condition", ""))
        if not key:
            return []
        known = self._known.get(key)
        unheard = known is None
        waited = known is not None and bool(known.waits or known.branches)
        if known is None and len(self._known) >= MAX_CONDITIONS:
            self.left_out += 1
            return []
        if self._seen is not None:
            self._seen.add(key)
        told = self._alarm(key, detail, now)
        waits = _event_id(detail) if not told.acknowledged else b""
        branch = detail.get("branch")
        if known is None:
            # A branch that comes first: nothing is known of the trunk but that it has said nothing.
            known = self._known[key] = _Condition(told)
        if branch in _TRUNK:
            known.last, known.waits = told, waits
        elif waits and detail.get("retain", True):
            known.branches[str(branch)] = waits
        else:
            known.branches.pop(str(branch), None)
        if not known.standing:
            del self._known[key]
        return _reports(known, told, unheard, waited)

    def refresh_begins(self) -> None:
        """The server begins to tell all conditions that it retains."""
        self._seen = set()

    def refresh_ends(self) -> list[str]:
        """It has told all; return the keys of those that stand. What it did not tell stands no more."""
        seen, self._seen = self._seen, None
        if seen is not None:
            self._known = {key: known for key, known in self._known.items() if key in seen}
        return sorted(self._known)

    def waiting(self, key: str) -> list[bytes]:
        """Return the EventIds of a condition that want to be acknowledged, those of branches first."""
        known = self._known.get(key)
        if known is None:
            return []
        return [*known.branches.values(), *([known.waits] if known.waits else [])]

    def _alarm(self, key: str, detail: Mapping[str, Any], now: int) -> MachineAlarm:
        child, point = self._place(str(detail.get("source_node", "")))
        held = detail.get("enabled") is False or bool(detail.get("suppressed_or_shelved", False))
        name = str(detail.get("condition_name") or detail.get("source_name") or key)
        try:
            time = parse_rfc3339(str(detail["time"]))
        except (KeyError, ValueError):
            time = now
        return MachineAlarm(
            key=key,
            asset=child,
            point=point or name,
            priority=detail.get("priority", "medium"),
            message=str(detail.get("message") or name),
            active=bool(detail.get("active", False)) and not held,
            acknowledged=bool(detail.get("acknowledged", True)),
            time=time,
            by=str(detail.get("user") or ""),
        )


def _reports(known: _Condition, told: MachineAlarm, unheard: bool, waited: bool) -> list[MachineAlarm]:
    """Return what to report: an occurrence that is over and waits is one that was raised, and has returned."""
    acknowledged = not (known.waits or known.branches)
    if known.last.active:
        return [_with(told, active=True, acknowledged=acknowledged)]
    if acknowledged:
        # Servers call a condition at rest acknowledged; node-opcua does so while a branch of it waits that its
        # ConditionRefresh leaves out. Only an acknowledgement that was seen is one.
        return [_with(told, active=False, acknowledged=waited)]
    return [
        _with(told, active=True, acknowledged=False),
        _with(told, active=False, acknowledged=False, unheard=unheard),
    ]


def _with(told: MachineAlarm, *, active: bool, acknowledged: bool, unheard: bool = False) -> MachineAlarm:
    return MachineAlarm(
        key=told.key, asset=told.asset, point=told.point, priority=told.priority, message=told.message,
        active=active, acknowledged=acknowledged, time=told.time, by=told.by if acknowledged else "", unheard=unheard,
    )  # fmt: skip


def _event_id(detail: Mapping[str, Any]) -> bytes:
    try:
        return bytes.fromhex(str(detail.get("event_id", "")))
    except ValueError:
        return b""
