"""What the records do not know: connections, latest values, and how to reach a device. The web host answers by NATS."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import msgspec

# Up to so many devices or assets that are online (or are not) the database gets their ids; above, pages are filtered.
IDS_IN_QUERY = 20_000
# How many rows one page looks at when it must leave some out (?online=false among a million).
SCAN = 2000


class Connected(msgspec.Struct, frozen=True):
    """A live connection of a device; ``connected_at`` is RFC 3339 UTC."""

    device: int
    client_id: str = ""
    address: str = ""
    protocol: str = ""
    connected_at: str | None = None


class LatestValue(msgspec.Struct, frozen=True):
    """The newest value of a series; times are RFC 3339 UTC."""

    value: Any
    quality: str
    time: str
    ingested_at: str | None


class Usage(msgspec.Struct, frozen=True):
    """What a device sends over MQTT now, over all front doors: rates of the last second, connections that wait, and for
    how long its connections have waited since it connected, ms by reason."""

    points_per_second: float = 0.0
    messages_per_second: float = 0.0
    bytes_per_second: float = 0.0
    connections: int = 0
    connections_delayed: int = 0
    delayed_ms: dict[str, int] = msgspec.field(default_factory=dict[str, int])


class Live(Protocol):
    """Live state of the node. Answers are empty, not errors, while a part of the node does not answer."""

    def online(self) -> Collection[int]:
        """Return the ids of all devices that are online: connected, or with values through another connection."""
        ...

    def offline(self, tenant: int, limit: int) -> Collection[int] | None:
        """Return the ids of a tenant's devices that are not online; None when they are more than ``limit``, or when
        nobody knows yet."""
        ...

    def counts(self, tenant: int) -> tuple[int, int] | None:
        """Return how many devices a tenant has and how many are online; None when nobody knows yet."""
        ...

    def online_assets(self) -> Collection[int]:
        """Return the ids of all assets that are online: of a connected device, or with values of their own lately."""
        ...

    def offline_assets(self, tenant: int, limit: int) -> Collection[int] | None:
        """Return the ids of a tenant's assets that are not online; None as with ``offline``."""
        ...

    async def connections(self, devices: Sequence[int]) -> dict[int, Connected]:
        """Return the connections of some devices."""
        ...

    async def usage(self, device: int) -> Usage:
        """Return what a device sends now."""
        ...

    async def latest(self, series: Sequence[int]) -> dict[int, LatestValue]:
        """Return the newest values of some series."""
        ...

    async def send(self, tenant: int, topic: str, payload: bytes) -> bool:
        """Publish to the devices of a tenant at QoS 1, and return whether a subscriber took it.

        Raises:
            Problem: 503 when no front door answers.
        """
        ...
