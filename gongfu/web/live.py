"""Live state for the registry's API, asked from the other roles by NATS."""

import base64
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from nats.aio.client import Client

from gongfu.bus.gather import gather
from gongfu.bus.requests import request
from gongfu.kernel.errors import Problem
from gongfu.kernel.quality import severity
from gongfu.kernel.subjects import Subjects
from gongfu.registry.live import Connected, LatestValue, Usage
from gongfu.web.presence import Presence, time_text

_LATEST_S = 2.0
_SEND_S = 2.0

log = logging.getLogger(__name__)


class NodeLive:
    """Implements ``gongfu.registry.live.Live``."""

    def __init__(
        self, bus: Client, subjects: Subjects, presence: Presence, workers: Callable[[], int] = lambda: 1
    ) -> None:
        """Ask over ``bus``; ``workers`` tells how many workers there are."""
        self._workers = workers
        self._bus = bus
        self._subjects = subjects
        self._presence = presence

    def online(self) -> Collection[int]:
        """Return the ids of all devices that are online."""
        return self._presence.online()

    def offline(self, tenant: int, limit: int) -> Collection[int] | None:
        """Return the ids of a tenant's devices that are not online, see ``Live``."""
        return self._presence.offline(tenant, limit)

    def counts(self, tenant: int) -> tuple[int, int] | None:
        """Return how many devices a tenant has and how many are online, see ``Live``."""
        return self._presence.counts(tenant)

    def online_assets(self) -> Collection[int]:
        """Return the ids of all assets that are online."""
        return self._presence.online_assets()

    def offline_assets(self, tenant: int, limit: int) -> Collection[int] | None:
        """Return the ids of a tenant's assets that are not online, see ``Live``."""
        return self._presence.offline_assets(tenant, limit)

    async def connections(self, devices: Sequence[int]) -> dict[int, Connected]:
        """Return the connections of some devices."""
        return await self._presence.connections(devices)

    async def usage(self, device: int) -> Usage:
        """Return what a device sends now; nothing while no front door answers."""
        return await self._presence.usage(device)

    async def latest(self, series: Sequence[int]) -> dict[int, LatestValue]:
        """Return the newest values of some series; empty while the worker does not answer."""
        return {key: latest_value(item) for key, item in (await self.latest_items(series)).items()}

    async def latest_items(self, series: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return what the worker answers for some series, by series; empty while it does not answer."""
        if not series:
            return {}
        subject = self._subjects.service("latest")
        try:
            if self._workers() <= 1:
                answers = [await request(self._bus, subject, {"series": list(series)}, _LATEST_S)]
            else:
                answers = await gather(self._bus, subject, {"series": list(series)}, _LATEST_S, self._workers())
            return newest_items(item for answer in answers for item in answer["items"])
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


def newest_items(items: Iterable[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return one item a series: every worker answers for its partitions, and two may while one changes hands."""
    found: dict[int, dict[str, Any]] = {}
    for item in items:
        series = int(item["series"])
        known = found.get(series)
        if known is None or (item["time"], item["ingested"]) > (known["time"], known["ingested"]):
            found[series] = item
    return found


def latest_value(item: dict[str, Any]) -> LatestValue:
    """Return the API's form of a latest value of the worker."""
    quality = item.get("quality", 0)
    return LatestValue(
        value=item.get("value"),
        quality=severity(quality) if isinstance(quality, int) else str(quality),
        time=time_text(item.get("time")) or "",
        ingested_at=time_text(item.get("ingested")),
    )
