"""Presence: which devices are connected, from the front doors' events and a look at all connections now and then."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from nats.aio.client import Client
from nats.aio.msg import Msg
from numpy.typing import NDArray

from gongfu.bus.connection import subscribe
from gongfu.bus.gather import gather
from gongfu.kernel.idset import MAX_ID, IdSet, unpack_flags
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import SECOND, Clock, SystemClock, format_rfc3339
from gongfu.registry.asset_directory import AssetDirectory
from gongfu.registry.device_directory import DeviceDirectory
from gongfu.registry.live import Connected, Usage
from gongfu.web.endings import Endings, apply_ending

_RESYNC_S = 30.0
_STEP_S = 0.5
_SEEN_S = 2.0
# Ids in one answer, as the front doors and the worker send them.
_RANGE = 2_000_000
# A device whose asset sent a value within this is online, whatever connection it came through.
ONLINE_SECONDS = 120.0
_GATHER_S = 0.25

log = logging.getLogger(__name__)


class DeathEvent(msgspec.Struct, frozen=True):
    """Document of ``evt.death``: paths of assets that have died with all below them (Sparkplug NDEATH, DDEATH)."""

    tenant: int
    paths: list[str]


def time_text(value: Any) -> str | None:
    """Return a time of another role, UTC ns or RFC 3339, as RFC 3339; None for anything else."""
    if isinstance(value, int) and value > 0:
        return format_rfc3339(value)
    return value if isinstance(value, str) and value else None


class Presence:
    """Ids of connected devices. Events keep it right; a full look every 30 s repairs what a lost event broke."""

    def __init__(
        self,
        bus: Client,
        subjects: Subjects,
        doors: Callable[[], int],
        directory: DeviceDirectory | None = None,
        clock: Clock | None = None,
        workers: Callable[[], int] = lambda: 1,
        *,
        assets: AssetDirectory | None = None,
        online_seconds: float = ONLINE_SECONDS,
    ) -> None:
        """Follow the front doors and, with a ``directory``, the latest values too; with ``assets``, deaths."""
        self._bus = bus
        self._subjects = subjects
        self._doors = doors
        self._clock = clock or SystemClock()
        self._workers = workers
        self.directory = directory
        self._assets = assets
        self._window = int(online_seconds * SECOND)
        self._connected = IdSet()
        # Devices whose asset sent something within the window, through whatever connection.
        self._live = IdSet()
        self._seen_assets = IdSet()
        self._reload = self._read = self._unknown = self._assets_moved = False
        # Devices whose last connection was lost, and paths that died, by tenant: to be looked at together.
        self._lost: set[int] = set()
        self._died: dict[int, set[str]] = {}
        self._endings = Endings()
        # By front door: a device may have connections at two of them.
        self._at: dict[str, IdSet] = {}
        # What changed while a full look was under way, by device and front door: events are newer than the answer.
        self._changed: dict[tuple[int, str], bool] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin to follow."""
        self._subscription = await subscribe(self._bus, self._subjects.event("device"), self._take)
        self._registry = await subscribe(self._bus, self._subjects.event("registry"), self._registry_changed)
        self._deaths = await subscribe(self._bus, self._subjects.event("death"), self._take_deaths)
        self._task = asyncio.create_task(self._run(), name="presence")

    async def stop(self) -> None:
        """End."""
        # By flag: a cancellation could be lost inside nats-py.
        self._stopping.set()
        if self._task is not None:
            await self._task
            await self._subscription.unsubscribe()
            await self._registry.unsubscribe()
            await self._deaths.unsubscribe()

    def online(self) -> IdSet:
        """Return the ids of all devices that are online: connected, or with values of their asset in the last
        ``online_seconds`` through another connection, such as a gateway's."""
        return self._connected | self._live if self._live.bound else self._connected

    def offline(self, tenant: int, limit: int) -> list[int] | None:
        """Return the ids of a tenant's devices that are not online; None when they are more than ``limit`` or when
        nobody knows yet. Blocks on the records."""
        directory = self.directory
        if directory is None or not self._read:
            return None
        directory.refresh()  # those that were added a moment ago are not online
        mine = directory.tenant == tenant
        found = np.flatnonzero(mine & ~self.online().flags(len(mine)))
        return found.tolist() if len(found) <= limit else None

    def online_assets(self) -> IdSet:
        """Return the ids of all assets that are online: of a connected device, or with values within the window."""
        if self.directory is None or not len(self._connected):
            return self._seen_assets
        own = self.directory.asset[self._connected.flags(len(self.directory.asset))]
        flags = self._seen_assets.flags(max(int(own.max(initial=0)) + 1, self._seen_assets.bound))
        flags[own] = True
        return IdSet.of_flags(flags)

    def offline_assets(self, tenant: int, limit: int) -> list[int] | None:
        """Return the ids of a tenant's assets that are not online; None as with ``offline``. Blocks on the records."""
        if self._assets is None or not self._read:
            return None
        self._assets.refresh()
        mine = self._assets.tenant == tenant
        found = np.flatnonzero(mine & ~self.online_assets().flags(len(mine)))
        return found.tolist() if len(found) <= limit else None

    def counts(self, tenant: int) -> tuple[int, int] | None:
        """Return how many devices a tenant has and how many are online; None before all were read once."""
        directory = self.directory
        if directory is None or not self._read:
            return None
        mine = directory.tenant == tenant
        return int(np.count_nonzero(mine)), int(np.count_nonzero(mine & self.online().flags(len(mine))))

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
        """Look at all connections, and at what sent values lately."""
        await self._look_at_connections()
        if self.directory is not None:
            await asyncio.to_thread(self.directory.reload if self._reload else self.directory.refresh)
            self._reload, self._read = False, True
            await self._look_at_values(self.directory)

    async def _look_at_connections(self) -> None:
        self._changed.clear()
        at: dict[str, NDArray[np.bool_]] = {}
        low = highest = 0
        while low <= highest:
            answers = await gather(self._bus, self._subjects.service("online"), {"low": low}, _GATHER_S, self._doors())
            if len(answers) < max(self._doors(), 1):
                return
            for answer in answers:
                flags = unpack_flags(str(answer["flags"]), _RANGE)
                door = str(answer.get("door", ""))
                at[door] = np.concatenate([at[door], flags]) if door in at else flags
                highest = max(highest, min(int(answer["highest"]), MAX_ID))
            low += _RANGE
        sets = {door: IdSet.of_flags(_cut(flags)) for door, flags in at.items()}
        for (device, door), connected in self._changed.items():
            here = sets.setdefault(door, IdSet())
            (here.add if connected else here.discard)(device)
        self._at = sets
        online = IdSet()
        for here in sets.values():
            online = online | here
        self._connected = online

    async def _look_at_values(self, directory: DeviceDirectory) -> None:
        since = self._clock.now_ns() - self._window
        seen = await self._seen_since(since)
        if seen is None:
            return  # what was seen last stands until the worker is back
        for ending in self._endings.to_look_at(since):
            after = await self._seen_since(ending.time)
            if after is not None:
                seen = apply_ending(seen, ending, after)
        self._set_seen(_cut(seen), directory)

    async def _seen_since(self, since: int) -> NDArray[np.bool_] | None:
        """Return which assets sent something at ``since`` (UTC ns) or later; None while the worker does not answer."""
        parts: list[NDArray[np.bool_]] = []
        low = highest = 0
        while low <= highest:
            body = {"since": since, "low": low}
            answers = await gather(self._bus, self._subjects.service("seen"), body, _SEEN_S, self._workers())
            if not answers:
                return None
            part = np.zeros(_RANGE, dtype=np.bool_)
            for answer in answers:
                part |= unpack_flags(str(answer["flags"]), _RANGE)
                highest = max(highest, min(int(answer["highest"]), MAX_ID))
            parts.append(part)
            low += _RANGE
        return np.concatenate(parts)

    def _set_seen(self, seen: NDArray[np.bool_], directory: DeviceDirectory) -> None:
        self._seen_assets = IdSet.of_flags(seen)
        known = directory.asset < len(seen)
        live = np.zeros(len(directory.asset), dtype=np.bool_)
        live[known] = seen[directory.asset[known]]
        live &= directory.tenant != 0
        self._live = IdSet.of_flags(live)

    async def _end(self, directory: DeviceDirectory, assets: AssetDirectory) -> None:
        """Take what lost its connection or died offline, with all below that no other device stands for."""
        lost, self._lost = self._lost, set()
        died, self._died = self._died, {}
        now = self._clock.now_ns()
        roots = await asyncio.to_thread(self._roots, lost, died, directory, assets)
        barrier = np.zeros(len(assets.parent), dtype=np.bool_)
        connected = directory.asset[self._connected.flags(len(directory.asset))]
        barrier[connected[connected < len(barrier)]] = True
        ended = assets.below(roots, barrier)
        self._endings.add(now, ended)
        seen = self._seen_assets.flags(self._seen_assets.bound)
        n = min(len(seen), len(ended))
        seen[:n] &= ~ended[:n]
        self._set_seen(seen, directory)

    def _roots(
        self, lost: set[int], died: dict[int, set[str]], directory: DeviceDirectory, assets: AssetDirectory
    ) -> list[int]:
        moved, self._assets_moved = self._assets_moved, False
        (assets.reload if moved else assets.refresh)()
        directory.refresh()
        found = [int(directory.asset[device]) for device in lost if 0 <= device < len(directory.asset)]
        for tenant, paths in died.items():
            found += assets.at(tenant, paths)
        return found

    async def _registry_changed(self, message: Msg) -> None:
        with contextlib.suppress(msgspec.MsgspecError, KeyError, TypeError):
            change = msgspec.json.decode(message.data)
            if change["kind"] == "device" and change["change"] in ("updated", "deleted"):
                self._reload = True
            if change["kind"] == "asset" and (change["change"] == "deleted" or change.get("moved")):
                self._assets_moved = True

    async def _take_deaths(self, message: Msg) -> None:
        try:
            event = msgspec.json.decode(message.data, type=DeathEvent)
        except msgspec.MsgspecError:
            log.warning("unreadable event on %s", message.subject)
            return
        self._died.setdefault(event.tenant, set()).update(event.paths)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = 0.0
        while not self._stopping.is_set():
            try:
                if loop.time() >= due:
                    due = loop.time() + _RESYNC_S
                    await self.resync()
                elif self._unknown and self.directory is not None:
                    self._unknown = False
                    await asyncio.to_thread(self.directory.refresh)
                if (self._lost or self._died) and self.directory is not None and self._assets is not None:
                    await self._end(self.directory, self._assets)
            except Exception:
                log.exception("connections were not read")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _STEP_S)

    async def _take(self, message: Msg) -> None:
        try:
            event = msgspec.json.decode(message.data)
            device, connected, door = int(event["device"]), bool(event["online"]), str(event.get("door", ""))
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
            log.warning("unreadable event on %s", message.subject)
            return
        self._changed[device, door] = connected
        # A device that was added since the directory was read.
        self._unknown = self._unknown or (self.directory is not None and device >= len(self.directory.tenant))
        here = self._at.setdefault(door, IdSet())
        (here.add if connected else here.discard)(device)
        if connected:
            self._connected.add(device)
            self._lost.discard(device)
        elif not any(device in others for others in self._at.values()):
            self._connected.discard(device)
            if self._assets is not None:
                self._lost.add(device)

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


def _cut(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the flags up to the last that is true."""
    some = np.flatnonzero(flags)
    return flags[: int(some[-1]) + 1].copy() if len(some) else flags[:0].copy()
