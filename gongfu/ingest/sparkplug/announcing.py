"""Announces the host application to edge nodes: STATE, retained, in every tenant that has clients.

Gongfu's host lives where the MQTT server lives, so its birth and death are what those of a client would be: *online*
when the front door takes data, *offline* before it stops and while the block log takes none (edge nodes with store and
forward then keep their data). Sparkplug 3.0.0 §5.7 and §6.4.7.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from gongfu.ingest.sparkplug.state import QOS, state_messages, topic_of, topic_of_2
from gongfu.kernel.times import SECOND, Clock

# Publishes for a tenant and returns when it is durable: topic, payload, QoS, retained.
Send = Callable[[int, str, bytes, int, bool], Awaitable[object]]
# For so long the block log may be away before the host says that it is offline.
PATIENCE_S = 10.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Announced:
    """What is announced.

    Attributes:
        hosts: host ids; more than one when edge nodes were set up for hosts that this node has replaced.
        version_2: also in the format of Sparkplug 2.2.
    """

    hosts: tuple[str, ...]
    version_2: bool = False

    @property
    def topics(self) -> frozenset[str]:
        """Topics that only the node itself may publish to."""
        return frozenset([topic_of(host) for host in self.hosts] + [topic_of_2(host) for host in self.hosts])


class Announcer:
    """Says in each tenant whether the host is online. Use from one event loop."""

    def __init__(self, announced: Announced, send: Send, clock: Clock) -> None:
        self._announced = announced
        self._send = send
        self._clock = clock
        self._tenants: set[int] = set()
        self._online = True
        self._since = clock.now_ns()
        self._away_since = 0

    def knows(self, tenant: int) -> bool:
        """Return whether the host has been announced in a tenant."""
        return tenant in self._tenants

    async def welcome(self, tenant: int) -> None:
        """A client of a tenant has come: announce the host if that has not been done."""
        if tenant not in self._tenants:
            self._tenants.add(tenant)
            await self._say(tenant)

    async def look(self, available: bool) -> None:
        """Look whether data is taken; call about once a second."""
        now = self._clock.now_ns()
        if available:
            self._away_since = 0
            if not self._online:
                await self._change(True, now)
            return
        self._away_since = self._away_since or now
        if self._online and now - self._away_since >= PATIENCE_S * SECOND:
            await self._change(False, now)

    async def farewell(self, tenants: Iterable[int] = ()) -> None:
        """The host stops: say so in every tenant, also in those that other front doors have told (``tenants``)."""
        self._tenants |= set(tenants)
        await self._change(False, self._clock.now_ns())

    async def _change(self, online: bool, now: int) -> None:
        self._online = online
        self._since = now
        logger.info("the Sparkplug host is %s", "online" if online else "offline: the block log takes no data")
        for tenant in sorted(self._tenants):
            await self._say(tenant)

    async def _say(self, tenant: int) -> None:
        for host in self._announced.hosts:
            for topic, payload in state_messages(host, self._online, self._since, version_2=self._announced.version_2):
                await self._send(tenant, topic, payload, QOS, True)
