"""What probes see of the node from outside: who is connected, and what values there are. None is: nobody knows."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import msgspec
from nats.aio.msg import Msg

from gongfu.bus.connection import subscribe
from gongfu.bus.gather import gather
from gongfu.node.drivers.context import DriverContext
from gongfu.reason.status import LatestAnswer, LatestItem

_ANSWER_S = 2.0
# Roles tell their metrics every second.
_HEARD_S = 3.0


class Link(NamedTuple):
    """A connection of a device."""

    device: int
    address: str
    since: str


class _Metrics(msgspec.Struct):
    role: str


async def answers_of(context: DriverContext, kind: str, service: str, body: Any) -> list[Any] | None:
    """Return what all roles of a kind (``door``, ``worker``) answer on a service; None unless all of them do.

    A node of one machine knows how many it has; one of several machines listens who is there.
    """
    runtime = context.runtime
    wanted = runtime.mqtt.processes if kind == "door" else runtime.worker.processes
    if runtime.instance:
        wanted = max(wanted, await _heard(context, kind))
    answers = await gather(context.bus, context.subjects.service(service), body, _ANSWER_S, max(wanted, 1))
    return answers if len(answers) >= max(wanted, 1) else None


async def _heard(context: DriverContext, kind: str) -> int:
    roles: set[str] = set()
    read = msgspec.json.Decoder(_Metrics).decode

    async def take(message: Msg) -> None:
        role = read(message.data).role
        if role.partition("@")[0].partition("-")[0] == kind:
            roles.add(role)

    subscription = await subscribe(context.bus, context.subjects.metrics("*"), take)
    try:
        await asyncio.sleep(_HEARD_S)
    finally:
        await subscription.unsubscribe()
    return len(roles)


async def connections(context: DriverContext, devices: Collection[int]) -> list[Link] | None:
    """Return the connections of some devices, as all front doors tell; None unless all of them answer."""
    answers = await answers_of(context, "door", "connections", {"devices": list(devices)})
    if answers is None:
        return None
    items = [item for answer in answers for item in answer["items"]]
    return [Link(int(item["device"]), str(item["address"]), str(item["connected_at"])) for item in items]


async def latest(context: DriverContext, series: Collection[int]) -> dict[int, LatestItem] | None:
    """Return the newest values of some series, as the workers tell; None unless all of them answer."""
    if not series:
        return {}
    answers = await answers_of(context, "worker", "latest", {"series": list(series)})
    return None if answers is None else _newest(answers)


def _newest(answers: Iterable[Any]) -> dict[int, LatestItem]:
    found: dict[int, LatestItem] = {}
    for answer in answers:
        for item in msgspec.convert(answer, LatestAnswer).items:
            known = found.get(item.series)
            if known is None or (item.time, item.ingested) > (known.time, known.ingested):
                found[item.series] = item
    return found
