"""Alarms that a machine has by itself, as a driver passes them on. Pure.

A driver sends them by ``Sink.event(ALARMS, …)``; the node opens alarms of its own for them and lets the driver
acknowledge at the machine what people acknowledge here.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

ALARMS = "machine.alarms"
"""Kind of the event; it is not kept as one. Its details are ``document(…)``."""

MachinePriority = Literal["critical", "high", "medium", "low"]


class MachineAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine says of one of its alarms at a time.

    Attributes:
        key: which alarm; with the connection it names it for ever.
        asset: path of a child asset, ``""`` for that of the connection.
        point: name of the point, or of the condition.
        priority: of four.
        message: for people.
        active: whether the condition holds.
        acknowledged: somebody has acknowledged it there; False where that is not known.
        time: the machine's own, UTC ns.
        by: who acknowledged it there, ``""`` unknown.
        unheard: it came and went while nobody listened, and waits: an occurrence of its own.
    """

    key: str
    asset: str = ""
    point: str = ""
    priority: MachinePriority = "medium"
    message: str = ""
    active: bool
    acknowledged: bool
    time: int
    by: str = ""
    unheard: bool = False


class MachineAlarms(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver passes on.

    Attributes:
        alarms: in the order in which they happened.
        standing: keys of all alarms that the machine has now, after it was asked for them; None when it was not.
    """

    alarms: list[MachineAlarm] = msgspec.field(default_factory=list[MachineAlarm])
    standing: list[str] | None = None


def document(alarms: Sequence[MachineAlarm], standing: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the details of the event."""
    told = MachineAlarms(alarms=list(alarms), standing=None if standing is None else list(standing))
    return dict(msgspec.to_builtins(told))


@runtime_checkable
class Alarming(Protocol):
    """A driver of a machine with alarms of its own."""

    async def acknowledge_alarm(self, key: str, comment: str) -> bool:
        """Acknowledge an alarm at the machine; False when it waits for no acknowledgement.

        Raises:
            DriverError: the machine refuses, or cannot be reached.
        """
        ...

    async def refresh_alarms(self) -> None:
        """Ask the machine for the alarms it has; they come as events, then which ones stand."""
        ...
