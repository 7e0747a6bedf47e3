"""Live state for the registry's API, asked from the other roles by NATS."""

import base64
import logging
from collections.abc import Collection, Sequence
from typing import Any

from nats.aio.client import Client

from gongfu.bus.requests import request
from gongfu.kernel.errors import Problem
from gongfu.kernel.quality import severity
from gongfu.kernel.subjects import Subjects
from gongfu.registry.live import Connected, LatestValue
from gongfu.web.presence import Presence, time_text

_LATEST_S = 2.0
_SEND_S = 2.0

log = logging.getLogger(__name__)


class NodeLive:
    """Implements ``gongfu.registry.live.Live``."""

    def __init__(self, bus: Client, subjects: Subjects, presence: Presence) -> None:
        self._bus = bus
        self._subjects = subjects
        self._presence = presence

    def online(self) -> Collection[int]:
        """Return the ids of all devices that are connected now."""
        return self._presence.online()

    async def connections(self, devices: Sequence[int]) -> dict[int, Connected]:
        """Return the connections of some devices."""
        return await self._presence.connections(devices)

    async def latest(self, series: Sequence[int]) -> dict[int, LatestValue]:
        """Return the newest values of some series; empty while the worker does not answer."""
        return {key: latest_value(item) for key, item in (await self.latest_items(series)).items()}

    async def latest_items(self, series: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return what the worker answers for some series, by series; empty while it does not answer."""
        if not series:
            return {}
        try:
            subject = self._subjects.service("latest")
            answer = await request(self._bus, subject, {"series": list(series)}, _LATEST_S)
            return {int(item["series"]): item for item in answer["items"]}
        except Problem as problem:
            log.info("latest values: %s", problem.detail or problem.title)
        except (KeyError, TypeError, ValueError):
            log.exception("latest values: the answer was not understood")
        return {}

    async def send(self, tenant: int, topic: str, payload: bytes) -> bool:
        """Publish to the devices of a tenant at QoS 1, and return whether a subscriber took it.

        Raises:
            Problem: 503 when no front door answers.
        """
        body = {
            "tenant": tenant,
            "topic": topic,
            "payload": base64.b64encode(payload).decode(),
            "qos": 1,
            "retain": False,
        }
        answer = await request(self._bus, self._subjects.door("publish"), body, _SEND_S)
        return bool(answer.get("delivered")) if isinstance(answer, dict) else bool(answer)


def latest_value(item: dict[str, Any]) -> LatestValue:
    """Return the API's form of a latest value of the worker."""
    quality = item.get("quality", 0)
    return LatestValue(
        value=item.get("value"),
        quality=severity(quality) if isinstance(quality, int) else str(quality),
        time=time_text(item.get("time")) or "",
        ingested_at=time_text(item.get("ingested")),
    )
