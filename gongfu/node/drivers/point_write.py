"""Kind ``point-write`` (设点): a point of an asset is to have a value, by the device that the asset belongs to.

The driver sends the command to the device; *executed* says that a subscriber has taken it, no more. The probe waits for
a value that the device has sent after that, and compares. A device that takes every command and does not move is
executed, and contradicted.
"""

import asyncio
import base64
import hashlib
from typing import Any

import msgspec

from gongfu.bus.requests import request
from gongfu.kernel.permissions import NODE_TENANT
from gongfu.kernel.quality import SEVERITY_MASK, Quality
from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.node.drivers.context import DriverContext
from gongfu.node.drivers.outside import latest
from gongfu.registry import device_records, point_records
from gongfu.store.records.engine import reading
from gongfu.tree.orders.kinds import Clock, Guard, OrderKind, Probe, Step
from gongfu.tree.orders.plugins import DriverCall, DriverResult, ProbeCall, Seen
from gongfu.tree.orders.verification import Sight

_NAME = "point-write"
_MINUTE = 60 * SECOND
_SEND_S = 5.0

KIND = OrderKind(
    name=_NAME,
    title={"zh": "设点", "en": "Write a point"},
    schema={
        "type": "object",
        "properties": {
            "asset": {"type": "string", "minLength": 1, "maxLength": 1000},
            "point": {"type": "string", "minLength": 1, "maxLength": 200},
            "value": {"type": "number"},
            "readback": {
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "description": "point of the asset that shows the effect; default the same point",
            },
            "tolerance": {"type": "number", "minimum": 0},
        },
        "required": ["asset", "point", "value"],
        "additionalProperties": False,
    },
    may_issue=("*",),
    approvals=2,
    guard=Guard(most_targets=20, most_share=0.2, most_per_hour=100),
    clocks={
        Step.DELIVER: Clock(within=2 * _MINUTE, escalate_after=5 * _MINUTE, escalate_to="operator"),
        Step.EXECUTE: Clock(within=5 * _MINUTE, escalate_after=5 * _MINUTE, escalate_to="operator"),
        Step.VERIFY: Clock(within=10 * _MINUTE, escalate_after=5 * _MINUTE, escalate_to="operator"),
    },
    driver=_NAME,
    probe=Probe(name=_NAME, delay=SECOND, every=SECOND, within=60 * SECOND),
    # The same value again is the same value; the request bears the same number, for devices that count.
    idempotent=True,
    # What a plant had before may be wrong by now: to go back is another order, with its own approvals.
    can_roll_back=False,
    start_within=5 * _MINUTE,
)


class Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an order of the kind says."""

    asset: str
    point: str
    value: float
    readback: str = ""
    tolerance: float = 0.0


class PointWriteDriver:
    """Sends ``{"method": "writePoint", "params": {asset, point, value}}`` to the device of the asset."""

    def __init__(self, context: DriverContext) -> None:
        self._context = context

    async def run(self, call: DriverCall) -> DriverResult:
        """Send the command at QoS 1; nobody subscribed is a failure."""
        if call.rollback:
            return DriverResult(False, "to write the former value is another order")
        payload = msgspec.json.decode(call.payload, type=Payload)
        device = await asyncio.to_thread(self._device, payload.asset)
        if device is None:
            return DriverResult(False, f"neither {payload.asset} nor an asset above it has a device")
        number = int.from_bytes(hashlib.sha256(call.key.encode()).digest()[:6])
        command = {
            "method": "writePoint",
            "params": {"asset": payload.asset, "point": payload.point, "value": payload.value},
        }
        body = {
            "tenant": NODE_TENANT,
            "topic": f"v1/devices/{device.replace('%', '%25')}/rpc/request/{number}",
            "payload": base64.b64encode(msgspec.json.encode(command)).decode(),
            "qos": 1,
        }
        context = self._context
        answer = await request(context.bus, context.subjects.door("publish"), body, _SEND_S)
        if not answer["delivered"]:
            return DriverResult(False, f"device {device} is not subscribed to its requests")
        return DriverResult(True, f"sent to {device} as request {number}")

    def _device(self, path: str) -> str | None:
        names = path.split("/")
        paths = ["/".join(names[:length]) for length in range(1, len(names) + 1)]
        with reading(self._context.engine) as connection:
            rows = [row for row in device_records.at_assets(connection, NODE_TENANT, paths) if row.enabled]
        return str(rows[0].name) if rows else None


class PointWriteProbe:
    """Reads the value that the device reports."""

    def __init__(self, context: DriverContext) -> None:
        self._context = context

    async def look(self, call: ProbeCall) -> Seen:
        """Compare the newest value with the one that was ordered, if it came after the claim."""
        payload = msgspec.json.decode(call.payload, type=Payload)
        name = payload.readback or payload.point
        series = await asyncio.to_thread(self._series, payload.asset, name)
        if series is None:
            return Seen(Sight.UNKNOWN, f"{payload.asset} has no point {name}")
        values = await latest(self._context, [series])
        if values is None:
            return Seen(Sight.UNKNOWN, "not every worker answers")
        item = values.get(series)
        if item is None or (call.claimed_at and item.ingested < call.claimed_at):
            return Seen(Sight.UNKNOWN, f"no value of {name} has come since")
        text = (
            f"{name} = {item.value} at {format_rfc3339(item.time)}, ordered {payload.value:g} ± {payload.tolerance:g}"
        )
        if item.quality & SEVERITY_MASK == Quality.BAD or not isinstance(item.value, (int, float)):
            return Seen(Sight.UNKNOWN, f"{text}: not a usable value")
        there = abs(float(item.value) - payload.value) <= payload.tolerance
        return Seen(Sight.PRESENT if there else Sight.ABSENT, text)

    def _series(self, asset: str, point: str) -> int | None:
        with reading(self._context.engine) as connection:
            rows: Any = point_records.by_names(connection, NODE_TENANT, [(asset, point)])
        return int(rows[0].id) if rows else None
