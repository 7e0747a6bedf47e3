"""The node's own live figures for the tree: devices and who is online, points per second, alarms, apps, identifiers."""

import asyncio
import contextlib
import logging
import pkgutil
from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec
import numpy as np
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import Connection, Engine

import gongfu.apps
from gongfu.bus.connection import subscribe
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.reason.alarms.records import count_open
from gongfu.registry.asset_directory import AssetDirectory
from gongfu.registry.device_directory import DeviceDirectory
from gongfu.store.records.engine import reading
from gongfu.tree.reports import identifiers
from gongfu.tree.reports.live_report import LiveFigures
from gongfu.tree.reports.pace import waited
from gongfu.web.node_state import NodeState
from gongfu.web.presence import Presence

log = logging.getLogger(__name__)

# How often the records are asked, at least; counting takes at most a fiftieth of the time.
_ALARMS_S = 0.5
_IDENTIFIERS_S = 5.0
_DEVICES_S = 0.5
_SHARE = 50
# After it the roles have told their figures twice.
_HEARD_S = 2.5


@dataclass(slots=True)
class _Count:
    """A number of the records that is asked for now and then."""

    of: Callable[[Connection], int]
    every: float
    number: int = 0
    due: float = 0.0


class NodeFigures:
    """Implements ``LiveSource`` with what the roles of this node tell on the bus, and with counts of the records."""

    def __init__(self, engine: Engine, bus: Client, subjects: Subjects, clock: Clock, online_seconds: float) -> None:
        self._engine = engine
        self._bus = bus
        self._subjects = subjects
        self._state = NodeState(subjects, clock)
        self._directory = DeviceDirectory(engine)
        self._presence = Presence(
            bus,
            subjects,
            self._state.doors,
            self._directory,
            clock,
            self._state.workers,
            assets=AssetDirectory(engine),
            online_seconds=online_seconds,
        )
        self._alarms = _Count(count_open, _ALARMS_S)
        self._identifiers = _Count(identifiers.count, _IDENTIFIERS_S)
        # Exact, as the identifier role tells it; a restart of that role takes none away. None while it never did.
        self._registered: int | None = None
        self._apps = sum(module.ispkg for module in pkgutil.iter_modules(gongfu.apps.__path__))
        # Whether devices were added since they were read, or others changed.
        self._added = self._changed = False
        self._counted = self._following = False
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow the roles."""
        await self._state.start(self._bus)
        self._registry = await subscribe(self._bus, self._subjects.event("registry"), self._registry_changed)
        self._task = asyncio.create_task(self._run(), name="live figures of the node")

    async def stop(self) -> None:
        """End."""
        if self._task is None:
            return
        self._stopping.set()
        await self._task
        with contextlib.suppress(Exception):
            await self._registry.unsubscribe()
        if self._following:
            await self._presence.stop()
        await self._state.stop()

    async def figures(self, elsewhere: Collection[int]) -> LiveFigures | None:
        """Return the figures, of all tenants of the node."""
        if not self._counted or self._presence.counts(0) is None:
            return None
        told = self._state.gauge("identifiers", -1.0)
        if told >= 0:
            self._registered = int(told)
        mine = self._directory.tenant != 0
        away = [device for device in elsewhere if device < len(mine)]
        if away:
            mine = mine.copy()
            mine[away] = False
        return LiveFigures(
            devices=int(np.count_nonzero(mine)),
            online=int(np.count_nonzero(mine & self._presence.online().flags(len(mine)))),
            points_per_second=self._state.rate("points_accepted"),
            alarms=self._alarms.number,
            apps=self._apps,
            identifiers=self._identifiers.number if self._registered is None else self._registered,
        )

    async def _registry_changed(self, message: Msg) -> None:
        with contextlib.suppress(msgspec.MsgspecError, KeyError, TypeError):
            change = msgspec.json.decode(message.data)
            if change["kind"] == "device":
                self._added = True
                self._changed = self._changed or change["change"] in ("updated", "deleted")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        devices_due = 0.0
        # Who is online is asked of the front doors: not before it is known how many there are, and what they do.
        await waited(self._stopping, _HEARD_S)
        if self._stopping.is_set():
            return
        await self._presence.start()
        self._following = True
        while not self._stopping.is_set():
            try:
                for count in (self._alarms, self._identifiers):
                    if loop.time() >= count.due:
                        began = loop.time()
                        count.number = await asyncio.to_thread(self._ask, count.of)
                        count.due = loop.time() + max(count.every, _SHARE * (loop.time() - began))
                self._counted = True
                if self._added and loop.time() >= devices_due:
                    began = loop.time()
                    anew, self._added, self._changed = self._changed, False, False
                    await asyncio.to_thread(self._directory.reload if anew else self._directory.refresh)
                    devices_due = loop.time() + max(_DEVICES_S, _SHARE * (loop.time() - began))
            except Exception:
                log.exception("live figures")
            await waited(self._stopping, min(_ALARMS_S, _DEVICES_S) / 2)

    def _ask(self, of: Callable[[Connection], int]) -> int:
        with reading(self._engine) as connection:
            return of(connection)
