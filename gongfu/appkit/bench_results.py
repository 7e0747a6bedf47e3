"""What an app on a bench did: alarms, events, answers."""

import json
from dataclasses import dataclass
from typing import Any

from gongfu.appkit.context.messages import AskAlarm


@dataclass(slots=True)
class BenchAlarm:
    """An alarm the app raised: times UTC ns, ``returned`` None while it stands."""

    key: str
    asset: str
    point: str
    priority: str
    message: str
    value: float | None
    raised: int
    returned: int | None = None
    message_zh: str = ""


@dataclass(frozen=True, slots=True)
class BenchEvent:
    """An event the app published."""

    kind: str
    asset: str
    time: int
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer of a route."""

    status: int
    media_type: str
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


def note_alarm(alarms: list[BenchAlarm], asked: AskAlarm) -> None:
    """Raise or return an alarm as the node does: one for each key and asset, the same again changes nothing."""
    same = (alarm for alarm in alarms if (alarm.key, alarm.asset) == (asked.key, asked.asset))
    standing = next((alarm for alarm in same if alarm.returned is None), None)
    if not asked.active:
        if standing is not None:
            standing.returned = asked.time
    elif standing is None:
        alarms.append(
            BenchAlarm(
                key=asked.key,
                asset=asked.asset,
                point=asked.point,
                priority=asked.priority,
                message=asked.message,
                message_zh=asked.message_zh,
                value=asked.value,
                raised=asked.time,
            )
        )
