"""How another part of the node reports alarms."""

from collections.abc import Sequence

from nats.aio.client import Client

from gongfu.bus.requests import request
from gongfu.kernel.subjects import Subjects
from gongfu.reason.alarms.sources.types import (
    MAX_AT_ONCE,
    SERVICE,
    SourceAlarm,
    SourceAlarms,
    SourceAnswer,
    SourceState,
)


async def report_alarms(
    bus: Client, subjects: Subjects, alarms: Sequence[SourceAlarm], seconds: float = 10.0
) -> list[SourceState]:
    """Report alarms, oldest first; return what became of each, after commit. Report the same again after a failure.

    Args:
        bus: an open connection.
        subjects: names on the bus.
        alarms: any number; they travel in parts.
        seconds: to wait for the answer to a part.

    Raises:
        Problem: 503 while no worker answers; 400 when an alarm is not as it must be.
    """
    states: list[SourceState] = []
    for start in range(0, len(alarms), MAX_AT_ONCE):
        part = SourceAlarms(list(alarms[start : start + MAX_AT_ONCE]))
        answer = await request(bus, subjects.service(SERVICE), part, seconds, SourceAnswer)
        states += answer.states
    return states
