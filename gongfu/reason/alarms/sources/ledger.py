"""Write what sources report into the alarms. Idempotent: the same report again changes nothing."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, and_, select

from gongfu.reason.alarms import records
from gongfu.reason.alarms.lifecycle import Alarms
from gongfu.reason.alarms.policy import Decisions, Policy
from gongfu.reason.alarms.sources.types import SourceAlarm, SourceState
from gongfu.reason.alarms.states import STANDING, Change
from gongfu.reason.alarms.suppression.types import Place
from gongfu.reason.alarms.types import AlarmEvent, source_alarm_id
from gongfu.registry.tables import asset, point, tenant
from gongfu.store.records.engine import writing

# What the journal says of a return that only the node noticed.
NOTICED = "the source does not have it any more"
_RETURNS = (str(Change.RETURNED), str(Change.LATCHED))


class SourceLedger:
    """Applies reports. Any number of these may write at once; an alarm is locked while it changes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._policy = Policy()

    def apply(self, alarms: Sequence[SourceAlarm], now: int) -> tuple[list[SourceState], list[AlarmEvent]]:
        """Apply reports in order; return what became of each, and the alarms that changed, after commit.

        Args:
            alarms: the reports.
            now: UTC ns.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the records do not take it; report the same again later.
        """
        with writing(self._engine) as connection:
            decisions = self._policy.read(connection)
            # All at once and before the first changes, so that no two batches wait for each other.
            known = records.open_of_sources(connection, {(one.tenant, one.source, one.key) for one in alarms})
            records.by_ids(connection, known, lock=True)
            states: list[SourceState] = []
            events: dict[str, AlarmEvent] = {}
            for report in alarms:
                work = Alarms(connection, now)
                key = _one(connection, work, decisions, report, now)
                told = work.store()
                if told:
                    decisions.changed()
                events.update((event.alarm.id, event) for event in told)
                changed = any(event.alarm.id == key for event in told)
                states.append(SourceState(key, str(work.state(key)) if key else "", changed))
        return states, list(events.values())


def _one(connection: Connection, work: Alarms, decisions: Decisions, report: SourceAlarm, now: int) -> str:
    """Apply one report; return the id of the occurrence it speaks of, empty where there is none."""
    known = select(tenant.c.id).where(tenant.c.id == report.tenant)
    if connection.execute(known).one_or_none() is None:
        return ""
    c = records.alarm.c
    mine = and_(c.source == report.source, c.source_key == report.key, c.tenant_id == report.tenant)
    newest = select(records.alarm).where(mine).order_by(c.raised_at.desc(), c.id.desc()).limit(1).with_for_update()
    row = connection.execute(newest).one_or_none()
    if row is not None:
        work.load([row])
    key = "" if row is None else str(row.id)
    if row is None or work.state(key) not in STANDING:
        begins = _begins(connection, row, report)
        if report.active and begins is not None:
            begun = _row(connection, decisions, msgspec.structs.replace(report, time=begins), now)
            key = begun["id"]
            place = Place(report.tenant, 0, report.asset_path, report.point)
            work.begin(begun, decisions.suppression_of(place, now))
    elif not report.active and row is not None and report.time >= row.raised_at:
        work.change(key, Change.RETURNED, report.time, NOTICED if report.noticed else "", report.value)
    if report.acknowledged and key:
        work.change(key, Change.ACKNOWLEDGED, now, "at the source", by=report.by or report.source)
    return key


def _begins(connection: Connection, row: records.AlarmRow | None, report: SourceAlarm) -> int | None:
    """Return when an occurrence begins that an active report tells of, None when it tells of one that is over."""
    if row is None or report.time > max(row.raised_at, row.returned_at or 0):
        return report.time
    if report.time < row.raised_at:
        return None
    returns = (entry for entry in records.journal_of(connection, row.id) if entry.change in _RETURNS)
    if next((entry.comment for entry in reversed(list(returns))), "") != NOTICED:
        return None
    # The source's clock may be behind the node's, and a connection that is made anew tells what it told before.
    return max(report.time, row.raised_at + 1)


def _row(connection: Connection, decisions: Decisions, report: SourceAlarm, now: int) -> dict[str, Any]:
    where = and_(asset.c.tenant_id == report.tenant, asset.c.path == report.asset_path, point.c.name == report.point)
    query = select(point.c.id, point.c.unit).join(asset, asset.c.id == point.c.asset_id).where(where)
    series = connection.execute(query).first()
    record = decisions.record_of(Place(report.tenant, 0, report.asset_path, report.point), report.source)
    return {
        "id": source_alarm_id(report.tenant, report.source, report.key, report.time),
        "tenant_id": report.tenant,
        "rule_id": 0,
        "rule_name": report.source,
        "series": series.id if series is not None else 0,
        "asset_path": report.asset_path,
        "point": report.point,
        "priority": str(report.priority),
        "message": report.message,
        "message_zh": report.message_zh,
        "value": report.value,
        "limit_value": None,
        "unit": series.unit if series is not None else "",
        "raised_at": report.time,
        "returned_at": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "closed_at": None,
        "recorded_at": now,
        "source": report.source,
        "source_key": report.key,
        "latching": record.latching if record else False,
        "realarm_s": record.realarm_s if record else 0,
    }
