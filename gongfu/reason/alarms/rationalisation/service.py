"""What people do with the master alarm database: read, write, exchange, and see what is missing."""

import datetime

import msgspec
from sqlalchemy import Connection, Engine, and_, func, select

from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import SECOND, Clock
from gongfu.reason.alarms.rationalisation import records
from gongfu.reason.alarms.rationalisation.csv_format import read_csv, write_csv
from gongfu.reason.alarms.rationalisation.types import Record, check_record, record_of
from gongfu.reason.alarms.records import alarm
from gongfu.reason.alarms.suppression.records import note, note_all
from gongfu.reason.alarms.suppression.types import Place
from gongfu.reason.rules.records import rule
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

MAX_RECORDS = 100_000
_SOURCES_SEEN = 1000


class RecordItem(msgspec.Struct, frozen=True, kw_only=True):
    """A rationalisation record with its number; ``overdue`` when its review is."""

    id: int
    rule_name: str
    overdue: bool
    record: Record


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that nobody rationalised: a rule in use, or an alarm of a source that was seen."""

    rule_id: int
    rule_name: str
    source: str
    asset: str
    point: str
    priority: str


class RationalisationService:
    """Records of the caller's tenant. Methods block on the records: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def list_of(self, subject: Subject) -> list[RecordItem]:
        """Return all records by rule, source and patterns."""
        today = _day(self._clock.now_ns())
        with reading(self._engine) as connection:
            names = _rule_names(connection, subject.tenant)
            found = records.all_of(connection, subject.tenant)
        return [
            RecordItem(
                id=key,
                rule_name=names.get(record.rule_id, ""),
                overdue=bool(record.review_date) and record.review_date < today,
                record=record,
            )
            for _, key, record in found
        ]

    def of_alarm(self, subject: Subject, rule_id: int, source: str, asset: str, point: str) -> Record | None:
        """Return the record that applies to an alarm, None where there is none."""
        with reading(self._engine) as connection:
            found = [record for _, _, record in records.all_of(connection, subject.tenant)]
        return record_of(found, Place(subject.tenant, rule_id, asset, point), source)

    def put(self, subject: Subject, record: Record) -> int:
        """Write a record in place of the one of the same alarm; return its number.

        Raises:
            Problem: 400 when it makes no sense, or its rule is not there.
        """
        check_record(record)
        with writing(self._engine) as connection:
            if record.rule_id and record.rule_id not in _rule_names(connection, subject.tenant):
                raise invalid(f"there is no rule {record.rule_id}")
            return self._put(connection, subject, [record])

    def _put(self, connection: Connection, subject: Subject, items: list[Record]) -> int:
        now = self._clock.now_ns()
        keys = records.put(connection, subject.tenant, items, now, subject.name)
        if records.count(connection, subject.tenant) > MAX_RECORDS:
            raise invalid(f"at most {MAX_RECORDS} rationalisations")
        told = (
            (f"rationalisation/{key}", msgspec.json.encode(item).decode())
            for key, item in zip(keys, items, strict=True)
        )
        note_all(connection, subject.tenant, now, "rationalised", told, subject.name)
        key = keys[-1]
        audit.record(connection, subject, "alarm.rationalise", f"alarm-rationalisation/{key}", now, f"{len(items)}")
        return key

    def remove(self, subject: Subject, key: int) -> None:
        """Delete a record; the journal of operations keeps what it said.

        Raises:
            Problem: 404 when it is not there.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            if not records.remove(connection, subject.tenant, key):
                raise not_found(f"rationalisation {key}")
            note(connection, subject.tenant, now, "unrationalised", f"rationalisation/{key}", subject.name)
            audit.record(connection, subject, "alarm.rationalise", f"alarm-rationalisation/{key}", now, "removed")

    def export(self, subject: Subject) -> str:
        """Return all records as CSV."""
        with reading(self._engine) as connection:
            names = _rule_names(connection, subject.tenant)
            found = records.all_of(connection, subject.tenant)
        return write_csv([record for _, _, record in found], lambda key: names.get(key, f"#{key}"))

    def take(self, subject: Subject, content: bytes) -> int:
        """Write the records of a CSV file, all or none; return how many.

        Raises:
            Problem: 400 with the line and what is wrong with it.
        """
        with reading(self._engine) as connection:
            ids = {name: key for key, name in reversed(_rule_names(connection, subject.tenant).items())}
        items = read_csv(content, ids.get)
        if items:
            with writing(self._engine) as connection:
                self._put(connection, subject, items)
        return len(items)

    def missing(self, subject: Subject) -> list[Missing]:
        """Return the rules in use without a record, and alarms of sources of the last 30 days without one."""
        c = alarm.c
        since = self._clock.now_ns() - 30 * 86_400 * SECOND
        with reading(self._engine) as connection:
            known = [record for _, _, record in records.all_of(connection, subject.tenant)]
            mine = select(rule.c.id, rule.c.name, rule.c.asset, rule.c.point, rule.c.priority)
            rules = connection.execute(mine.where(rule.c.tenant_id == subject.tenant, rule.c.enabled)).all()
            seen = select(c.source, c.asset_path, c.point, func.max(c.priority))
            seen = seen.where(and_(c.tenant_id == subject.tenant, c.source != "", c.recorded_at >= since))
            sources = connection.execute(seen.group_by(c.source, c.asset_path, c.point).limit(_SOURCES_SEEN)).all()
        having = {record.rule_id for record in known if record.rule_id}
        found = [
            Missing(
                rule_id=row.id, rule_name=row.name, source="", asset=row.asset, point=row.point, priority=row.priority
            )
            for row in rules
            if row.id not in having
        ]
        for source, asset, point, priority in sources:
            if record_of(known, Place(subject.tenant, 0, asset, point), source) is None:
                found.append(
                    Missing(rule_id=0, rule_name=source, source=source, asset=asset, point=point, priority=priority)
                )
        return found


def _rule_names(connection: Connection, tenant: int) -> dict[int, str]:
    query = select(rule.c.id, rule.c.name).where(rule.c.tenant_id == tenant).order_by(rule.c.id)
    return {row.id: row.name for row in connection.execute(query)}


def _day(now: int) -> str:
    return datetime.datetime.fromtimestamp(now // SECOND, datetime.UTC).date().isoformat()
