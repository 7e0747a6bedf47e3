"""The overview: what the node does now, in one document."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from gongfu.kernel.permissions import NODE_TENANT, Action, Subject
from gongfu.kernel.times import SECOND, Clock, format_rfc3339
from gongfu.registry import asset_records, device_records, drop_records, point_records
from gongfu.registry.drops import visible_tenants
from gongfu.registry.live import Live
from gongfu.rest.routing import Call, Route
from gongfu.store.records.engine import reading
from gongfu.web.node_state import NodeState, RoleProcessState
from gongfu.web.presence import time_text

# Counts of rows are read at most so often, the size of the data directory too.
_COUNT_SECONDS = 5
_DISK_SECONDS = 60


class NodeInfo(msgspec.Struct, frozen=True):
    """The node itself."""

    name: str
    version: str
    started_at: str


class Rates(msgspec.Struct, frozen=True):
    """Per second, over the last second."""

    messages: float = 0.0
    points: float = 0.0
    stored: float = 0.0
    rejected: float = 0.0
    shed: float = 0.0


class AlarmTotals(msgspec.Struct, frozen=True):
    """Alarms that are not closed."""

    unacknowledged: int = 0
    acknowledged: int = 0
    returned: int = 0


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of the caller's tenant; messages and points since the web role started, drops since ever."""

    devices: int
    devices_online: int
    assets: int
    points: int
    connections: int
    messages: int
    points_accepted: int
    points_stored: int
    rejected: dict[str, int]
    shed: dict[str, int]
    alarms: AlarmTotals


class Lag(msgspec.Struct, frozen=True):
    """How far the readers are behind the block log, and how long a commit to it takes (worst front door)."""

    history_blocks: float = 0.0
    history_seconds: float = 0.0
    reason_blocks: float = 0.0
    commit_ms_p50: float = 0.0
    commit_ms_p99: float = 0.0


class Disk(msgspec.Struct, frozen=True):
    """Disk of the data directory."""

    free_bytes: int
    data_bytes: int


class HistorySample(msgspec.Struct, frozen=True):
    """Rates of one second."""

    time: str
    points: float
    messages: float
    shed: float
    rejected: float


class Overview(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the node does now. Tenants other than the node's see their own totals, but nothing of the node."""

    time: str
    node: NodeInfo
    rates: Rates
    totals: Totals
    lag: Lag
    roles: list[RoleProcessState]
    disk: Disk
    history: list[HistorySample] | None = None


@dataclass(frozen=True, slots=True)
class _Counts:
    until: int
    devices: int
    assets: int
    points: int
    rejected: dict[str, int]
    shed: dict[str, int]
    alarms: AlarmTotals


# Returns the numbers of unacknowledged, acknowledged and returned alarms of a tenant; called in a thread.
CountAlarms = Callable[[int], Mapping[str, int]]


class OverviewSource:
    """Makes overview documents; the costly parts are kept for some seconds."""

    def __init__(
        self,
        node: str,
        version: str,
        data_dir: Path,
        engine: Engine,
        state: NodeState,
        live: Live,
        clock: Clock,
        count_alarms: CountAlarms | None = None,
    ) -> None:
        self._node = node
        self._version = version
        self._data_dir = data_dir
        self._engine = engine
        self._state = state
        self._live = live
        self._clock = clock
        self._count_alarms = count_alarms
        self._started_at = clock.now_ns()
        self._counts: dict[int, _Counts] = {}
        self._disk = Disk(0, 0)
        self._disk_at = 0

    async def document(self, subject: Subject, *, history: bool = True) -> Overview:
        """Return the document for a subject, with or without the last 120 s."""
        now = self._clock.now_ns()
        counts = await self._counts_of(subject, now)
        disk = await self._disk_of(now)
        state, own = self._state, subject.tenant == NODE_TENANT
        processes = [_process(row) for row in state.processes()] if own else []
        started = min((row.started_at for row in processes if row.started_at), default=None)
        _, online = self._live.counts(subject.tenant) or (0, 0)
        totals = Totals(
            devices=counts.devices,
            devices_online=online,
            assets=counts.assets,
            points=counts.points,
            connections=int(state.gauge("connections")) if own else 0,
            messages=state.total("messages_received") if own else 0,
            points_accepted=state.total("points_accepted") if own else 0,
            points_stored=self._stored(state.total) if own else 0,
            rejected=counts.rejected,
            shed=counts.shed,
            alarms=counts.alarms,
        )
        return Overview(
            time=format_rfc3339(now // 1_000_000 * 1_000_000),
            node=NodeInfo(self._node, self._version, started or format_rfc3339(self._started_at)),
            rates=self._rates() if own else Rates(),
            totals=totals,
            lag=self._lag() if own else Lag(),
            roles=processes,
            disk=disk if own else Disk(0, 0),
            history=[
                HistorySample(format_rfc3339(item.time), item.points, item.messages, item.shed, item.rejected)
                for item in (state.history if own else ())
            ]
            if history
            else None,
        )

    def _rates(self) -> Rates:
        state = self._state
        return Rates(
            messages=state.rate("messages_received"),
            points=state.rate("points_accepted"),
            stored=self._stored(state.rate),
            rejected=state.rate("points_rejected."),
            shed=state.rate("points_shed."),
        )

    @staticmethod
    def _stored(of: Callable[[str], float]) -> int:
        return int(of("points_stored"))

    def _lag(self) -> Lag:
        gauge = self._state.gauge
        return Lag(
            history_blocks=gauge("history_blocks"),
            history_seconds=gauge("history_seconds", greatest=True),
            reason_blocks=gauge("reason_blocks"),
            commit_ms_p50=gauge("commit_ms_p50", greatest=True),
            commit_ms_p99=gauge("commit_ms_p99", greatest=True),
        )

    async def _counts_of(self, subject: Subject, now: int) -> _Counts:
        known = self._counts.get(subject.tenant)
        if known is None or now > known.until:
            known = await asyncio.to_thread(self._count, subject)
            # Counting ten million rows takes half a second: at most 0.5 % of the time goes there.
            pause = max(_COUNT_SECONDS * SECOND, 200 * (self._clock.now_ns() - now))
            known = replace(known, until=now + pause)
            self._counts[subject.tenant] = known
        return known

    def _count(self, subject: Subject) -> _Counts:
        tenant = subject.tenant
        with reading(self._engine) as connection:
            drops = drop_records.totals(connection, visible_tenants(subject))
            devices = device_records.count(connection, tenant)
            assets = asset_records.count(connection, tenant)
            points = point_records.count(connection, tenant)
        alarms = AlarmTotals(**self._count_alarms(tenant)) if self._count_alarms else AlarmTotals()
        by_kind: dict[str, dict[str, int]] = {"rejected": {}, "shed": {}}
        for (kind, reason), total in drops.items():
            by_kind.setdefault(kind, {})[reason] = total
        return _Counts(0, devices, assets, points, by_kind["rejected"], by_kind["shed"], alarms)

    async def _disk_of(self, now: int) -> Disk:
        if now - self._disk_at > _DISK_SECONDS * SECOND:
            self._disk_at = now
            self._disk = await asyncio.to_thread(disk_of, self._data_dir)
        return self._disk


def disk_of(data_dir: Path) -> Disk:
    """Return free bytes of the disk and the bytes that the data directory takes."""
    total = 0
    for directory, _, files in os.walk(data_dir):
        for name in files:
            # A file may be gone before it is looked at: logs rotate, parts are merged.
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
    return Disk(shutil.disk_usage(data_dir).free, total)


def routes(source: OverviewSource) -> list[Route]:
    """Return the operation."""

    async def get(call: Call) -> Overview:
        return await source.document(call.subject)

    return [Route("GET", "/overview", Action.READ, get, "What the node does now", None, Overview)]


def _process(row: Mapping[str, object]) -> RoleProcessState:
    return RoleProcessState(
        role=str(row.get("role", "")),
        pid=int(str(row.get("pid", 0))),
        state=str(row.get("state", "")),
        restarts=int(str(row.get("restarts", 0))),
        cpu_percent=float(str(row.get("cpu_percent", 0.0))),
        rss_bytes=int(str(row.get("rss_bytes", 0))),
        started_at=time_text(row.get("started_at")),
    )
