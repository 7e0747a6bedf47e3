"""Presence: which devices are connected, from the front doors' events and a look at all connections now and then."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from gongfu.bus.connection import subscribe
from gongfu.bus.gather import gather
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import format_rfc3339
from gongfu.registry.live import Connected, Usage

_RESYNC_S = 30.0
_GATHER_S = 0.25

log = logging.getLogger(__name__)


def time_text(value: Any) -> str | None:
    """Return a time of another role, UTC ns or RFC 3339, as RFC 3339; None for anything else."""
    if isinstance(value, int) and value > 0:
        return format_rfc3339(value)
    return value if isinstance(value, str) and value else None


class Presence:
    """Ids of connected devices. Events keep it right; a full look every 30 s repairs what a lost event broke."""

    def __init__(self, bus: Client, subjects: Subjects, doors: Callable[[], int]) -> None:
        self._bus = bus
        self._subjects = subjects
        self._doors = doors
        self._online: set[int] = set()
        # By front door: a device may have connections at two of them.
        self._at: dict[str, set[int]] = {}
        # What changed while a full look was under way, by device and front door: events are newer than the answer.
        self._changed: dict[tuple[int, str], bool] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin to follow."""
        self._subscription = await subscribe(self._bus, self._subjects.event("device"), self._take)
        self._task = asyncio.create_task(self._run(), name="presence")

    async def stop(self) -> None:
        """End."""
        # By flag: a cancellation could be lost inside nats-py.
        self._stopping.set()
        if self._task is not None:
            await self._task
            await self._subscription.unsubscribe()

    def online(self) -> Collection[int]:
        """Return the ids of all devices that are connected now."""
        return self._online

    async def connections(self, devices: Sequence[int]) -> dict[int, Connected]:
        """Return the connections of some devices."""
        if not devices:
            return {}
        return {item.device: item for item in await self._ask(list(devices))}

    async def usage(self, device: int) -> Usage:
        """Return what a device sends now, the sum over all front doors."""
        subject = self._subjects.service("usage")
        answers = await gather(self._bus, subject, {"devices": [device]}, _GATHER_S, self._doors())
        total: dict[str, Any] = {}
        waited: dict[str, int] = {}
        for answer in answers:
            for item in answer.get("items", ()) if isinstance(answer, dict) else ():
                for name, value in item.items():
                    if name == "delayed_ms":
                        for reason, n in value.items():
                            waited[reason] = waited.get(reason, 0) + int(n)
                    elif name != "device":
                        total[name] = total.get(name, 0) + value
        return msgspec.convert({**total, "delayed_ms": waited}, Usage)

    async def resync(self) -> None:
        """Look at all connections."""
        self._changed.clear()
        doors = self._doors()
        answers = await self._answers(None)
        if len(answers) < max(doors, 1):
            return
        at: dict[str, set[int]] = {}
        for answer in answers:
            at[str(answer.get("door", ""))] = {int(item["device"]) for item in answer.get("items", ())}
        for (device, door), connected in self._changed.items():
            here = at.setdefault(door, set())
            (here.add if connected else here.discard)(device)
        self._at = at
        self._online = set[int]().union(*at.values())

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.resync()
            except Exception:
                log.exception("connections were not read")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _RESYNC_S)

    async def _take(self, message: Msg) -> None:
        try:
            event = msgspec.json.decode(message.data)
            device, connected, door = int(event["device"]), bool(event["online"]), str(event.get("door", ""))
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
            log.warning("unreadable event on %s", message.subject)
            return
        self._changed[device, door] = connected
        here = self._at.setdefault(door, set())
        (here.add if connected else here.discard)(device)
        if connected:
            self._online.add(device)
        elif not any(device in others for others in self._at.values()):
            self._online.discard(device)

    async def _ask(self, devices: list[int]) -> list[Connected]:
        return [
            Connected(
                device=int(item["device"]),
                client_id=str(item.get("client_id") or ""),
                address=str(item.get("address") or ""),
                protocol=str(item.get("protocol") or ""),
                connected_at=time_text(item.get("connected_at")),
            )
            for answer in await self._answers(devices)
            for item in answer.get("items", ())
        ]

    async def _answers(self, devices: list[int] | None) -> list[dict[str, Any]]:
        subject = self._subjects.service("connections")
        answers = await gather(self._bus, subject, {"devices": devices}, _GATHER_S, self._doors())
        return [answer for answer in answers if isinstance(answer, dict)]
