"""What probes see of the node from outside: who is connected, and what values there are. None is: nobody knows."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import msgspec

from gongfu.bus.gather import gather
from gongfu.node.drivers.context import DriverContext
from gongfu.reason.status import LatestAnswer, LatestItem

_DOORS_S = 2.0
_WORKERS_S = 2.0


class Link(NamedTuple):
    """A connection of a device."""

    device: int
    address: str
    since: str


async def connections(context: DriverContext, devices: Collection[int]) -> list[Link] | None:
    """Return the connections of some devices, as all front doors tell; None unless all of them answer."""
    wanted = context.door_count()
    subject = context.subjects.service("connections")
    answers = await gather(context.bus, subject, {"devices": list(devices)}, _DOORS_S, wanted)
    if len(answers) < wanted:
        return None
    items = [item for answer in answers for item in answer["items"]]
    return [Link(int(item["device"]), str(item["address"]), str(item["connected_at"])) for item in items]


async def latest(context: DriverContext, series: Collection[int]) -> dict[int, LatestItem] | None:
    """Return the newest values of some series, as the workers tell; None unless all of them answer."""
    if not series:
        return {}
    wanted = context.worker_count()
    subject = context.subjects.service("latest")
    answers = await gather(context.bus, subject, {"series": list(series)}, _WORKERS_S, wanted)
    if len(answers) < wanted:
        return None
    return _newest(answers)


def _newest(answers: Iterable[Any]) -> dict[int, LatestItem]:
    found: dict[int, LatestItem] = {}
    for answer in answers:
        for item in msgspec.convert(answer, LatestAnswer).items:
            known = found.get(item.series)
            if known is None or (item.time, item.ingested) > (known.time, known.ingested):
                found[item.series] = item
    return found
