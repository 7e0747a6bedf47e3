"""What a front door says and answers on the node's bus: device events, connections, publishing, registry changes."""

import asyncio
import base64
import binascii
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from gongfu.bus.connection import subscribe
from gongfu.bus.requests import serve
from gongfu.ingest.mqtt.codec.packets import MQTT_5
from gongfu.ingest.mqtt.codec.topics import is_topic_name
from gongfu.ingest.mqtt.front_door import FrontDoor
from gongfu.ingest.mqtt.server.connection import Connection
from gongfu.ingest.types import Writer
from gongfu.kernel.errors import invalid
from gongfu.kernel.idset import pack_flags
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import format_rfc3339
from gongfu.registry.changes import RegistryChange

log = logging.getLogger(__name__)

EVENT_SECONDS = 0.05
_DOORS = "doors"
# Paths have at most 1,000 characters: an event fits into a message.
_PATHS = 200


class PublishRequest(msgspec.Struct, frozen=True):
    """Body of ``door.publish``: an inner topic of a tenant, the payload in base64."""

    tenant: int
    topic: str
    payload: str
    qos: int = 0
    retain: bool = False


class ConnectionsRequest(msgspec.Struct, frozen=True):
    """Body of ``svc.connections``: device ids, or None for all."""

    devices: list[int] | None = None


# Devices of one answer of ``svc.online``: their flags fit into one message.
ONLINE_RANGE = 2_000_000


class OnlineRequest(msgspec.Struct, frozen=True):
    """Body of ``svc.online``: which of the ``ONLINE_RANGE`` devices with ids from ``low`` on are connected here."""

    low: int = 0


class UsageRequest(msgspec.Struct, frozen=True):
    """Body of ``svc.usage``: device ids; what they send now is the answer, of each device that is connected here."""

    devices: list[int]


class NodeServices:
    """Connects a front door to the bus. ``start`` before the door listens, ``stop`` after it has closed.

    Args:
        bus: an open connection.
        subjects: names of the node.
        door: the front door.
        forget: called with a device id when the registry has changed it, before its connections are closed.
        name: name of this front door's role.
    """

    def __init__(
        self,
        bus: Client,
        subjects: Subjects,
        door: FrontDoor,
        forget: Callable[[int], None],
        name: str = "door-1",
    ) -> None:
        self._name = name
        self._bus = bus
        self._subjects = subjects
        self._door = door
        self._forget = forget
        self._online: dict[int, int] = {}
        self._changes: dict[int, dict[str, Any]] = {}
        self._deaths: dict[int, set[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Follow the registry, answer requests, report devices."""
        bus, subjects = self._bus, self._subjects
        self._door.context.on_client = self._client
        self._subscriptions = [
            await subscribe(bus, subjects.event("registry"), self._registry_changed),
            await serve(bus, subjects.door("publish"), self._publish, PublishRequest, _DOORS),
            await serve(bus, subjects.service("connections"), self._connections, ConnectionsRequest),
            await serve(bus, subjects.service("online"), self._online_of, OnlineRequest),
            await serve(bus, subjects.service("usage"), self._usage, UsageRequest),
        ]

    async def stop(self) -> None:
        """Send the last events and end."""
        if self._timer is not None:
            self._timer.cancel()
        await self._send_events()
        for subscription in self._subscriptions:
            with contextlib.suppress(NatsError, OSError):
                await subscription.unsubscribe()

    # --- devices come and go -------------------------------------------------------------------------------------

    def _client(self, connection: Connection, online: bool) -> None:
        writer = connection.dialogue.access.writer
        before = self._online.get(writer.device, 0)
        after = before + 1 if online else before - 1
        if after > 0:
            self._online[writer.device] = after
        else:
            self._online.pop(writer.device, None)
        if (before > 0) == (after > 0):
            return
        self._changes[writer.device] = {
            "door": self._name,
            "device": writer.device,
            "tenant": writer.tenant,
            "online": online,
            "time": format_rfc3339(self._door.context.now_ns()),
        }
        self._events_wait()

    def died(self, writer: Writer, child: str) -> None:
        """Announce that an asset below that of a sender has died, with all below it."""
        self._deaths.setdefault(writer.tenant, set()).add(f"{writer.asset_path}/{child}")
        self._events_wait()

    def _events_wait(self) -> None:
        if self._timer is None:
            self._timer = self._door.context.loop.call_later(EVENT_SECONDS, self._events_due)

    def _events_due(self) -> None:
        self._timer = None
        task = self._door.context.loop.create_task(self._send_events())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_events(self) -> None:
        changes, self._changes = self._changes, {}
        deaths, self._deaths = self._deaths, {}
        subject = self._subjects.event("device")
        with contextlib.suppress(NatsError, OSError):  # the web host looks at all connections now and then
            for change in changes.values():
                await self._bus.publish(subject, msgspec.json.encode(change))
            subject = self._subjects.event("death")
            for tenant, paths in deaths.items():
                ordered = sorted(paths)
                for start in range(0, len(ordered), _PATHS):
                    event = {"tenant": tenant, "paths": ordered[start : start + _PATHS]}
                    await self._bus.publish(subject, msgspec.json.encode(event))

    # --- requests ------------------------------------------------------------------------------------------------

    async def _publish(self, request: PublishRequest) -> dict[str, Any]:
        if not is_topic_name(request.topic) or "\0" in request.topic or len(request.topic.encode()) > 65_535:
            raise invalid("topic is not an MQTT topic name")
        if request.qos not in (0, 1, 2):
            raise invalid("qos must be 0, 1 or 2")
        try:
            payload = base64.b64decode(request.payload, validate=True)
        except binascii.Error:
            raise invalid("payload is not base64") from None
        if len(payload) > self._door.settings.limits.max_payload:
            raise invalid("payload is larger than the front door takes")
        matched = await self._door.send(request.tenant, request.topic, payload, request.qos, request.retain)
        return {"delivered": matched > 0, "subscribers": matched}

    async def _connections(self, request: ConnectionsRequest) -> dict[str, Any]:
        wanted = None if request.devices is None else set(request.devices)
        clients = self._door.context.clients
        items = [
            _describe(connection)
            for connection in clients
            if wanted is None or (connection.writer is not None and connection.writer.device in wanted)
        ]
        return {"door": self._name, "items": items, "total": len(clients)}

    async def _online_of(self, request: OnlineRequest) -> dict[str, Any]:
        ids = np.fromiter(self._online, dtype=np.int64, count=len(self._online))
        inside = ids[(ids >= request.low) & (ids < request.low + ONLINE_RANGE)]
        flags = np.zeros(ONLINE_RANGE, dtype=np.bool_)
        flags[inside - request.low] = True
        return {"door": self._name, "flags": pack_flags(flags), "highest": int(ids.max(initial=0))}

    async def _usage(self, request: UsageRequest) -> dict[str, Any]:
        admission = self._door.context.admission
        return {"items": [admission.describe(account) for account in admission.find(request.devices)]}

    # --- registry ------------------------------------------------------------------------------------------------

    async def _registry_changed(self, message: Msg) -> None:
        try:
            change = msgspec.json.decode(message.data, type=RegistryChange)
        except msgspec.MsgspecError:
            log.warning("unreadable event on %s", message.subject)
            return
        if change.kind != "device" or change.change == "created":
            return
        self._forget(change.id)
        if change.change == "deleted":
            self._door.evict(change.id)
        else:
            self._door.kick(change.id)


def _describe(connection: Connection) -> dict[str, Any]:
    dialogue = connection.dialogue
    peer = connection.transport_info("peername")
    version = "MQTT 5" if connection.version == MQTT_5 else "MQTT 3.1.1"
    over = connection.transport_info("gongfu_protocol") or (
        "TLS" if connection.transport_info("ssl_object") is not None else ""
    )
    return {
        "device": dialogue.access.writer.device,
        "client_id": dialogue.present.client_id,
        "address": f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and len(peer) > 1 else "",
        "protocol": f"{version} over {over}" if over else version,
        "connected_at": format_rfc3339(dialogue.since),
    }
