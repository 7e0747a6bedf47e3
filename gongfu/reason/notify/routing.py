"""From an annunciation to notifications. Pure."""

import datetime
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gongfu.kernel.times import SECOND
from gongfu.reason.notify.types import Calendar, RouteBody
from gongfu.reason.rules.patterns import asset_pattern
from gongfu.reason.rules.types import Priority

# A suppression by design acts within a second; a notification waits for it.
SETTLE = 3 * SECOND // 2
DIGEST_EVERY = 300 * SECOND


class Annunciation(NamedTuple):
    """An alarm at the time it was annunciated."""

    tenant: int
    alarm: str
    time: int
    priority: str
    asset: str
    position: str


class Notification(NamedTuple):
    """What is to be sent, to whom, and when; ``flood`` is the number of the flood that swallows it, 0 for none."""

    id: str
    route: int
    step: int
    channel: int
    recipient: str
    due: int
    flood: int


def notification_id(*parts: object) -> str:
    """Return 32 hex digits that follow from what a notification is."""
    text = "\0".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def in_calendar(calendar: Calendar | None, time: int) -> bool:
    """Return whether a time, UTC ns, is in a calendar; without one it always is."""
    if calendar is None:
        return True
    local = datetime.datetime.fromtimestamp(time // SECOND, ZoneInfo(calendar.timezone))
    clock, day = local.strftime("%H:%M"), local.weekday()
    if calendar.begin == calendar.end:
        return day in calendar.days
    if calendar.begin < calendar.end:
        return day in calendar.days and calendar.begin <= clock < calendar.end
    if clock >= calendar.begin:
        return day in calendar.days
    return clock < calendar.end and (day - 1) % 7 in calendar.days


def applies(route: RouteBody, event: Annunciation) -> bool:
    """Return whether a route is for an annunciation."""
    return (
        route.enabled
        and (not route.priorities or event.priority in route.priorities)
        and (not route.assets or any(asset_pattern(one).fullmatch(event.asset) for one in route.assets))
        and (not route.positions or event.position in route.positions)
        and in_calendar(route.calendar, event.time)
    )


def notifications(
    routes: Sequence[tuple[int, RouteBody]], event: Annunciation, floods: Mapping[str, int]
) -> Iterator[Notification]:
    """Yield the notifications of an annunciation; nobody gets one twice by the same channel at the same time.

    Args:
        routes: ``(number, route)``.
        event: the annunciation.
        floods: by position, the number of its flood.
    """
    told: set[tuple[int, str, int]] = set()
    for number, route in routes:
        if not applies(route, event):
            continue
        gathered = route.digest and (event.priority != Priority.CRITICAL or route.digest_critical)
        for step, stage in enumerate(route.stages):
            # Who is next when nobody acknowledges is told of each alarm by itself, in a flood too.
            flood = floods.get(event.position, 0) if gathered and step == 0 else 0
            for recipient in stage.recipients:
                if (stage.channel_id, recipient, stage.after_s) in told:
                    continue
                told.add((stage.channel_id, recipient, stage.after_s))
                yield Notification(
                    notification_id(event.alarm, event.time, stage.channel_id, recipient, stage.after_s),
                    number,
                    step,
                    stage.channel_id,
                    recipient,
                    event.time + SETTLE + stage.after_s * SECOND,
                    flood,
                )
