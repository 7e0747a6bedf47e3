"""Kind ``device-block`` (设备封停): devices are shut out of the node, or let in again.

The driver disables the devices in the registry, which ends their connections. The probe does not look at the registry's
flag: it asks the front doors who is connected, and the workers whether values of the devices' assets still arrive.
"""

import asyncio
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection

from gongfu.kernel.times import SECOND, format_rfc3339
from gongfu.node.drivers import standing
from gongfu.node.drivers.context import DriverContext, acting_for
from gongfu.node.drivers.outside import connections, latest
from gongfu.registry import device_records
from gongfu.registry.devices import DevicePatch, Devices
from gongfu.store.records.engine import reading, writing
from gongfu.tree.orders.kinds import Clock, Guard, OrderKind, Probe, Step
from gongfu.tree.orders.plugins import DriverCall, DriverResult, ProbeCall, Seen
from gongfu.tree.orders.verification import Sight

_NAME = "device-block"
_MINUTE = 60 * SECOND
# What was under way when the connection was ended may still arrive.
_GRACE = 2 * SECOND
_SERIES = 5000

KIND = OrderKind(
    name=_NAME,
    title={"zh": "设备封停", "en": "Block devices"},
    schema={
        "type": "object",
        "properties": {
            "action": {"enum": ["block", "unblock"]},
            "devices": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 200},
                "minItems": 1,
                "maxItems": 1000,
            },
        },
        "required": ["action", "devices"],
        "additionalProperties": False,
    },
    may_issue=("*",),
    approvals=1,
    guard=Guard(most_targets=200, most_share=0.5, most_per_hour=1000),
    clocks={
        Step.DELIVER: Clock(within=5 * _MINUTE, escalate_after=10 * _MINUTE, escalate_to="operator"),
        Step.EXECUTE: Clock(within=10 * _MINUTE, escalate_after=10 * _MINUTE, escalate_to="operator"),
        Step.VERIFY: Clock(within=15 * _MINUTE, escalate_after=10 * _MINUTE, escalate_to="operator"),
    },
    driver=_NAME,
    # The first look is late enough for a device that is still let in to have come back.
    probe=Probe(name=_NAME, delay=4 * SECOND, every=2 * SECOND, within=60 * SECOND),
    idempotent=True,
    can_roll_back=True,
)


class Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an order of the kind says."""

    action: Literal["block", "unblock"]
    devices: list[str]


class DeviceBlockDriver:
    """Enables and disables devices. Of several orders about a device the latest that stands decides."""

    def __init__(self, context: DriverContext, device_key: bytes) -> None:
        self._engine = context.engine
        self._clock = context.clock
        self._devices = Devices(
            context.engine, context.clock, lambda change: context.publish("registry", change), device_key
        )

    async def run(self, call: DriverCall) -> DriverResult:
        """Bring the devices into the state that the order asks for; all of them, or none when one is not there."""
        return await asyncio.to_thread(self._take_back if call.rollback else self._bring_about, call)

    def _bring_about(self, call: DriverCall) -> DriverResult:
        payload = msgspec.json.decode(call.payload, type=Payload)
        names = list(dict.fromkeys(payload.devices))
        wanted = payload.action == "unblock"
        with writing(self._engine) as connection:
            rows = device_records.for_sign_ins(connection, names)
            missing = [name for name in names if name not in rows]
            if missing:
                return DriverResult(False, f"not here, so nothing was done: {', '.join(missing)}")
            now = self._clock.now_ns()
            due = {
                row.id: standing.stand(
                    connection, _NAME, f"device/{row.id}", call.order, lambda row=row: row.enabled, wanted, now
                )
                for row in rows.values()
            }
        changed = 0
        for row in rows.values():
            # A call that is repeated may have been stopped between the change and its announcement.
            if row.enabled != due[row.id] or call.attempt > 1:
                self._change(call.order, row, due[row.id])
                changed += 1
        return DriverResult(True, f"{payload.action}: {len(rows)} devices, {changed} changed")

    def _take_back(self, call: DriverCall) -> DriverResult:
        with reading(self._engine) as connection:
            found = [
                (row, wanted)
                for thing, wanted in standing.things_of(connection, _NAME, call.order)
                if (row := _device(connection, thing)) is not None
            ]
        for row, wanted in found:
            self._change(call.order, row, wanted)
        with writing(self._engine) as connection:
            standing.forget(connection, _NAME, call.order)
        return DriverResult(True, f"{len(found)} devices as they are without this order")

    def _change(self, order: str, row: Any, enabled: bool) -> None:
        self._devices.change(acting_for(order, row.tenant_id), row.id, DevicePatch(enabled=enabled))


def _device(connection: Connection, thing: str) -> Any | None:
    return device_records.anywhere(connection, int(thing.rpartition("/")[2]))


class DeviceBlockProbe:
    """Asks front doors and workers whether the devices are still there.

    A device that is connected is let in, that is certain. One that is not connected is shut out or switched off, and
    from outside the two look the same: that counts as shut out where this is what is claimed, else as unknown.
    """

    def __init__(self, context: DriverContext) -> None:
        self._context = context

    async def look(self, call: ProbeCall) -> Seen:
        """Look at all devices of the order; one that is not as it should be decides."""
        payload = msgspec.json.decode(call.payload, type=Payload)
        shut_is_claimed = (payload.action == "block") == (call.expected is Sight.PRESENT)
        rows, series = await asyncio.to_thread(self._find, payload.devices)
        if not rows:
            return Seen(Sight.UNKNOWN, "none of the devices is registered here")
        links = await connections(self._context, [row.id for row in rows])
        if links is None:
            return Seen(Sight.UNKNOWN, "not every front door answers")
        names = {row.id: row.name for row in rows}
        let_in = {
            link.device: f"{names[link.device]} connected from {link.address} since {link.since}" for link in links
        }
        if shut_is_claimed:
            arrived = await self._arrived(call, series)
            if arrived is None:
                return Seen(Sight.UNKNOWN, "not every worker answers")
            let_in |= {key: text for key, text in arrived.items() if key not in let_in}
        return _judged(payload, names, let_in, shut_is_claimed)

    def _find(self, devices: list[str]) -> tuple[list[Any], dict[int, list[int]]]:
        with reading(self._context.engine) as connection:
            rows = list(device_records.for_sign_ins(connection, list(dict.fromkeys(devices))).values())
            of_asset: dict[int, list[int]] = {}
            for row in device_records.series_of_assets(connection, {row.asset_id for row in rows}, _SERIES):
                of_asset.setdefault(row.asset_id, []).append(row.id)
        return rows, {row.id: of_asset.get(row.asset_id, []) for row in rows}

    async def _arrived(self, call: ProbeCall, series: dict[int, list[int]]) -> dict[int, str] | None:
        """Return the devices of whose asset a value arrived after the claim; none when nobody knows when that was."""
        if not call.claimed_at:
            return {}
        values = await latest(self._context, [item for items in series.values() for item in items])
        if values is None:
            return None
        found: dict[int, str] = {}
        for device, items in series.items():
            newest = max((values[item].ingested for item in items if item in values), default=0)
            if newest > call.claimed_at + _GRACE:
                found[device] = f"a value of device {device}'s asset arrived at {format_rfc3339(newest)}"
        return found


def _judged(payload: Payload, names: dict[int, str], let_in: dict[int, str], shut_is_claimed: bool) -> Seen:
    here = sorted(let_in.values())[:20]
    away = sorted(name for key, name in names.items() if key not in let_in)[:20]
    if shut_is_claimed:
        if here:
            return Seen(Sight.ABSENT if payload.action == "block" else Sight.PRESENT, "; ".join(here))
        text = f"no front door has a connection, and nothing arrived: {', '.join(away)}"
        return Seen(Sight.PRESENT if payload.action == "block" else Sight.ABSENT, text)
    if away:
        return Seen(Sight.UNKNOWN, f"not connected, so it cannot be seen whether they are let in: {', '.join(away)}")
    return Seen(Sight.ABSENT if payload.action == "block" else Sight.PRESENT, "; ".join(here))
