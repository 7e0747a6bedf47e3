"""Alarms of machines become alarms of the node, and what people acknowledge here is acknowledged at the machine.

A machine's alarms are reported to the worker in the order in which they came, again and again until it has committed
them. When the machine was asked for all of its alarms, those that it does not have any more return.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from gongfu.connect.kit.machine_alarms import Alarming, MachineAlarm, MachineAlarms
from gongfu.connect.kit.running import RunningConnection
from gongfu.connect.kit.types import Driver, DriverError, Reason
from gongfu.ingest.types import Writer
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.subjects import Subjects
from gongfu.kernel.times import Clock
from gongfu.reason.alarms import records
from gongfu.reason.alarms.sources.asking import report_alarms
from gongfu.reason.alarms.sources.types import SourceAlarm
from gongfu.reason.alarms.states import STANDING, State
from gongfu.reason.alarms.types import AlarmEvent
from gongfu.reason.rules.types import Priority
from gongfu.store.records.engine import reading

logger = logging.getLogger("gongfu.connect")

MAX_WAITING = 20_000
"""Alarms that wait to be reported, of all machines; those beyond are counted and asked for again."""

_AT_ONCE = 500
_AGAIN_S = (0.2, 10.0)
# Acknowledgements that a machine could not be told yet.
_MAX_OWED = 1000
_PREFIX = "connection:"

# Told of what became of an acknowledgement: tenant, name of the connection, kind, details.
OnAcknowledged = Callable[[int, str, str, Mapping[str, Any]], None]
# Returns the connection of a name that runs here.
Named = Callable[[str, int], RunningConnection | None]


class _Item(msgspec.Struct):
    """What waits: one alarm, or the keys that stand."""

    tenant: int
    name: str
    asset: str
    alarm: MachineAlarm | None = None
    standing: list[str] | None = None


class MachineAlarmDesk:
    """Alarms of all machines of this role. Use from one event loop; ``run`` does the work."""

    def __init__(
        self,
        bus: Client,
        subjects: Subjects,
        engine: Engine,
        executor: Executor,
        counters: Counters,
        clock: Clock,
        named: Named,
        on_acknowledged: OnAcknowledged,
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._engine = engine
        self._executor = executor
        self._counters = counters
        self._clock = clock
        self._named = named
        self._on_acknowledged = on_acknowledged
        self._waiting: deque[_Item] = deque()
        self._wake = asyncio.Event()
        self._incomplete: set[tuple[int, str]] = set()
        # Alarms whose acknowledgement was passed on; and by (tenant, connection, key) those that could not be.
        self._passed: OrderedDict[str, None] = OrderedDict()
        self._owed: OrderedDict[tuple[int, str, str], str] = OrderedDict()

    def take(self, writer: Writer, name: str, detail: Mapping[str, Any]) -> None:
        """Take what a driver passed on (``machine_alarms.document``)."""
        told = msgspec.convert({k: v for k, v in detail.items() if k in ("alarms", "standing")}, MachineAlarms)
        for alarm in told.alarms:
            if len(self._waiting) >= MAX_WAITING:
                self._counters.add("machine_alarms_shed")
                self._incomplete.add((writer.tenant, name))
                continue
            self._waiting.append(_Item(writer.tenant, name, writer.asset_path, alarm))
        if told.standing is not None:
            self._waiting.append(_Item(writer.tenant, name, writer.asset_path, standing=told.standing))
        self._wake.set()

    def removed(self, tenant: int, name: str) -> None:
        """A connection is no more: nobody knows its alarms now."""
        self._waiting.append(_Item(tenant, name, "", standing=[]))
        self._wake.set()

    async def run(self) -> None:
        """Report until cancelled."""
        pause = _AGAIN_S[0]
        while True:
            if not self._waiting:
                self._wake.clear()
                await self._ask_incomplete()
                await self._wake.wait()
            try:
                done = await self._report()
            except (Problem, SQLAlchemyError) as error:
                if isinstance(error, Problem) and error.status < 500:
                    # Not as it must be: one bad alarm must not hold up the others.
                    logger.warning("an alarm of a machine was refused: %s", error.detail)
                    self._counters.add("machine_alarms_refused")
                    self._waiting.popleft()
                    continue
                await asyncio.sleep(pause)
                pause = min(pause * 2, _AGAIN_S[1])
                continue
            pause = _AGAIN_S[0]
            for _ in range(done):
                self._waiting.popleft()

    # --- reporting -------------------------------------------------------------------------------------------------

    async def _report(self) -> int:
        """Report what waits, up to the next list of those that stand; return how many items that were."""
        first = self._waiting[0]
        if first.standing is not None:
            loop = asyncio.get_running_loop()
            gone = await loop.run_in_executor(self._executor, self._gone, first, self._clock.now_ns())
            await report_alarms(self._bus, self._subjects, gone)
            await self._pay(first.tenant, first.name)
            return 1
        part: list[SourceAlarm] = []
        unheard: set[int] = set()
        for item in self._waiting:
            if item.alarm is None or len(part) >= _AT_ONCE:
                break
            if item.alarm.unheard and (item.tenant, item.name, item.alarm.key) not in self._owed:
                unheard.add(len(part))
            part.append(_source_alarm(item.tenant, item.name, item.asset, item.alarm))
        try:
            states = await report_alarms(self._bus, self._subjects, part)
        except Problem as problem:
            if problem.status >= 500 or len(part) == 1:
                raise
            part = part[:1]  # one of them is wrong: from now on one by one
            states = await report_alarms(self._bus, self._subjects, part)
        # Closed by the report: that was the end of an occurrence acknowledged here. The machine waits for another one.
        again = [part[n] for n in sorted(unheard) if n < len(part) and states[n].state == State.CLOSED]
        await report_alarms(
            self._bus,
            self._subjects,
            [
                msgspec.structs.replace(one, time=one.time + 1, active=active)
                for one in again
                for active in (True, False)
            ],
        )
        self._counters.add("machine_alarms", len(part))
        return len(part)

    def _gone(self, item: _Item, now: int) -> list[SourceAlarm]:
        """Return that alarms which stand here have returned, where the machine has them no more."""
        c = records.alarm.c
        mine = (c.tenant_id == item.tenant, c.source == _source(item.name))
        query = select(records.alarm).where(*mine, c.state.in_([str(state) for state in STANDING]))
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        kept = {_short(key) for key in item.standing or ()}
        return [
            SourceAlarm(
                tenant=row.tenant_id, source=row.source, key=row.source_key, asset_path=row.asset_path,
                point=row.point, priority=Priority(row.priority), message=row.message, value=None, active=False,
                time=max(now, row.raised_at), noticed=True,
            )
            for row in rows
            if row.source_key not in kept
        ]  # fmt: skip

    async def _ask_incomplete(self) -> None:
        """Ask the machines again whose alarms were shed."""
        while self._incomplete:
            tenant, name = self._incomplete.pop()
            running = self._named(name, tenant)
            if running is not None:
                with contextlib.suppress(DriverError):
                    await running.request(_refresh)

    # --- acknowledging ---------------------------------------------------------------------------------------------

    async def changed(self, message: Msg) -> None:
        """Look at an event of an alarm (``evt.alarm``): was an alarm of a machine acknowledged by a person?"""
        try:
            event = msgspec.json.decode(message.data, type=AlarmEvent)
        except msgspec.MsgspecError:
            return
        alarm = event.alarm
        person = alarm.acknowledged_by
        if not alarm.source.startswith(_PREFIX) or not person or person == alarm.source or alarm.id in self._passed:
            return
        self._passed[alarm.id] = None
        while len(self._passed) > MAX_WAITING:
            self._passed.popitem(last=False)
        await self._acknowledge(event.tenant, alarm.source[len(_PREFIX) :], alarm.source_key, f"{person} (Gongfu)")

    async def _acknowledge(self, tenant: int, name: str, key: str, comment: str) -> None:
        running = self._named(name, tenant)
        if running is None:
            return  # it runs elsewhere, or is paused; the machine's alarm stays as it is

        async def work(driver: Driver) -> bool:
            return await driver.acknowledge_alarm(key, comment) if isinstance(driver, Alarming) else False

        owed = (tenant, name, key)
        self._owed.pop(owed, None)
        try:
            if await running.request(work):
                self._on_acknowledged(tenant, name, "alarm.acknowledged-at-machine", {"key": key, "comment": comment})
        except DriverError as error:
            if error.reason in (Reason.UNREACHABLE, Reason.TIMEOUT, Reason.BUSY, Reason.REFUSED):
                self._owed[owed] = comment  # told when it is there again
                while len(self._owed) > _MAX_OWED:
                    self._owed.popitem(last=False)
            detail = {"key": key, "reason": error.reason.value, "what": error.what, "advice": error.advice}
            self._on_acknowledged(tenant, name, "alarm.not-acknowledged-at-machine", detail)

    async def _pay(self, tenant: int, name: str) -> None:
        for owed in [one for one in self._owed if one[:2] == (tenant, name)]:
            await self._acknowledge(*owed, self._owed[owed])


async def _refresh(driver: Driver) -> None:
    if isinstance(driver, Alarming):
        await driver.refresh_alarms()


def _source(name: str) -> str:
    return f"{_PREFIX}{name}"[:200]


def _short(key: str) -> str:
    return key if len(key) <= 300 else "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def _source_alarm(tenant: int, name: str, asset: str, alarm: MachineAlarm) -> SourceAlarm:
    return SourceAlarm(
        tenant=tenant,
        source=_source(name),
        key=_short(alarm.key),
        asset_path=f"{asset}/{alarm.asset}" if alarm.asset else asset,
        point=alarm.point[:200],
        priority=Priority(alarm.priority),
        message=alarm.message[:4000],
        value=None,
        active=alarm.active,
        time=alarm.time,
        acknowledged=alarm.acknowledged or None,
        by=alarm.by[:120],
    )
