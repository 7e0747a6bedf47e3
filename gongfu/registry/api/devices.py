"""HTTP of devices: the records joined with what is live."""

import asyncio
import itertools
import time
from typing import Any

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.registry.api.query import flag_of, search_of
from gongfu.registry.device_import import ImportAnswer
from gongfu.registry.devices import DeviceDocument, DevicePatch, DeviceWithSecret, NewDevice
from gongfu.registry.live import IDS_IN_QUERY, Live, Usage
from gongfu.registry.service import Registry
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route

# What a gateway of ThingsBoard listens on (gongfu/ingest/thingsboard/topics.py).
_OWN_GATEWAY = "v1/gateway/"
_OWN_PREFIX = "v1/devices/me/"
# How many latest values one page of devices may ask for, to tell when they were last seen.
_SERIES_FOR_LAST_SEEN = 5000
_PAYLOAD_LIMIT = 262_144


class DevicePage(msgspec.Struct, frozen=True):
    """A page of devices in order of name."""

    items: list[DeviceDocument]
    next: str | None


class NewSecret(msgspec.Struct, frozen=True):
    """A secret, shown this once."""

    secret: str


class Send(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Message for a device. ``payload`` is sent as it is when text, else as JSON.

    ``topic`` is one the device subscribed to; ``v1/devices/me/…`` is the device's own. Default: the next
    ``v1/devices/me/rpc/request/<n>``.
    """

    payload: Any
    topic: str | None = None


class Sent(msgspec.Struct, frozen=True):
    """Whether a subscriber took the message."""

    delivered: bool


def routes(registry: Registry, live: Live) -> list[Route]:
    """Return the operations."""
    devices = registry.devices
    requests = itertools.count(time.time_ns() // 1_000_000)

    async def with_live(documents: list[DeviceDocument]) -> list[DeviceDocument]:
        assets = {document.asset_id for document in documents}
        connections, series = await asyncio.gather(
            live.connections([document.id for document in documents]),
            asyncio.to_thread(devices.series_of_assets, assets, _SERIES_FOR_LAST_SEEN),
        )
        latest = await live.latest([item for items in series.values() for item in items])
        online = live.online()
        result: list[DeviceDocument] = []
        for document in documents:
            connected = connections.get(document.id)
            seen = [
                value.ingested_at
                for item in series.get(document.asset_id, ())
                if (value := latest.get(item)) is not None and value.ingested_at
            ]
            if connected is not None and connected.connected_at:
                seen.append(connected.connected_at)
            result.append(
                msgspec.structs.replace(
                    document,
                    online=connected is not None or document.id in online,
                    connected_at=connected and connected.connected_at,
                    address=connected and connected.address,
                    client_id=connected and connected.client_id,
                    protocol=connected and connected.protocol,
                    # RFC 3339 with different numbers of fraction digits sorts right after the trailing Z is gone.
                    last_seen=max(seen, key=lambda text: text.rstrip("Z"), default=None),
                )
            )
        return result

    async def list_devices(call: Call) -> Page:
        online = flag_of(call, "online")

        def page() -> tuple[list[DeviceDocument], str | None]:
            return devices.page(
                call.subject,
                cursor_of(call, str),
                limit_of(call),
                search=search_of(call),
                online=online,
                connected=live.online(),
                offline=live.offline(call.subject.tenant, IDS_IN_QUERY) if online is False else None,
            )

        documents, key = await asyncio.to_thread(page)
        return Page(await with_live(documents), None if key is None else encode_cursor(key))

    async def get(call: Call) -> DeviceDocument:
        document = await asyncio.to_thread(devices.get, call.subject, call.integer("id"))
        return (await with_live([document]))[0]

    async def create(call: Call) -> DeviceWithSecret:
        return await asyncio.to_thread(devices.create, call.subject, call.body)

    async def import_(call: Call) -> ImportAnswer:
        def add() -> ImportAnswer:
            return registry.device_import.add(call.subject, call.body.split(b"\n"))

        return await asyncio.to_thread(add)

    async def change(call: Call) -> DeviceDocument:
        document = await asyncio.to_thread(devices.change, call.subject, call.integer("id"), call.body)
        return (await with_live([document]))[0]

    async def usage(call: Call) -> Usage:
        document = await asyncio.to_thread(devices.get, call.subject, call.integer("id"))
        return await live.usage(document.id)

    async def delete(call: Call) -> None:
        await asyncio.to_thread(devices.delete, call.subject, call.integer("id"))

    async def rotate_secret(call: Call) -> NewSecret:
        return NewSecret(await asyncio.to_thread(devices.rotate_secret, call.subject, call.integer("id")))

    async def send(call: Call) -> Sent:
        request: Send = call.body
        document = await asyncio.to_thread(devices.get, call.subject, call.integer("id"))
        topic = request.topic or f"{_OWN_PREFIX}rpc/request/{next(requests)}"
        if not 1 <= len(topic) <= 1000 or any(character in topic for character in "+#\0") or topic.startswith("$"):
            raise invalid("topic must be a topic name: 1 to 1000 characters, no + # or U+0000, not starting with $")
        if topic.startswith(_OWN_PREFIX):
            # As the broker names it: of the characters it encodes in a level, a device name can only hold "%".
            topic = f"v1/devices/{document.name.replace('%', '%25')}/{topic.removeprefix(_OWN_PREFIX)}"
        elif topic.startswith(_OWN_GATEWAY) and topic != _OWN_GATEWAY + "telemetry":
            topic = f"v1/gateways/{document.name.replace('%', '%25')}/{topic.removeprefix(_OWN_GATEWAY)}"
        payload = request.payload.encode() if isinstance(request.payload, str) else msgspec.json.encode(request.payload)
        if len(payload) > _PAYLOAD_LIMIT:
            raise invalid(f"payload must have at most {_PAYLOAD_LIMIT} bytes")
        return Sent(await live.send(call.subject.tenant, topic, payload))

    read, write = Action.READ, Action.DEVICE_WRITE
    listing = "List devices (?search: text, ^prefix or attributes.name=value, ?online=true|false, ?limit, ?cursor)"
    return [
        Route("GET", "/devices", read, list_devices, listing, None, DevicePage),
        Route("POST", "/devices", write, create, "Add a device", NewDevice, DeviceWithSecret, 201),
        Route("POST", "/devices:import", write, import_, "Add devices, one JSON document a line", bytes, ImportAnswer),
        Route("GET", "/devices/{id}", read, get, "Get a device", None, DeviceDocument),
        Route("GET", "/devices/{id}/usage", read, usage, "What a device sends now, and how it is delayed", None, Usage),
        Route("PATCH", "/devices/{id}", write, change, "Change a device", DevicePatch, DeviceDocument),
        Route("DELETE", "/devices/{id}", write, delete, "Remove a device", None, None, 204),
        Route("POST", "/devices/{id}:rotateSecret", write, rotate_secret, "Give a new secret", None, NewSecret),
        Route("POST", "/devices/{id}:send", Action.DEVICE_SEND, send, "Send a message to a device", Send, Sent),
    ]
