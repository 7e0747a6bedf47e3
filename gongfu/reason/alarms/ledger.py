"""Write what the rule engine tells into the alarms. Idempotent: the same transitions again change nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from gongfu.kernel.partitions import partition_of
from gongfu.kernel.times import format_rfc3339
from gongfu.reason.alarms import records
from gongfu.reason.alarms.types import (
    STANDARD_MESSAGE,
    Alarm,
    AlarmEvent,
    Change,
    JournalEntry,
    State,
    alarm_id,
    next_state,
    render_message,
)
from gongfu.reason.rules.records import PointRow, points_by_series
from gongfu.reason.rules.transitions import Transition
from gongfu.reason.rules.types import AbsenceCondition, Kind, Rule
from gongfu.store.records.engine import writing
from gongfu.store.records.fences import check_fence

# Transitions of one transaction: it holds the write lock of the records, which others wait for.
_CHUNK = 500


@dataclass(slots=True)
class _Open:
    """An alarm while a chunk is worked on: the state in the records, and the one to be."""

    row: dict[str, Any]
    before: State | None
    values: dict[str, Any]


class AlarmLedger:
    """Applies transitions of one partition to the records. One instance writes; users change alarms meanwhile."""

    def __init__(self, engine: Engine, partition: int = 0, partitions: int = 1, epoch: int | None = None) -> None:
        """Write alarms of a partition.

        Args:
            engine: the records.
            partition: the partition.
            partitions: number of partitions.
            epoch: that of the lease; a later owner's fence refuses what is written with it. None: there is no other.
        """
        self._engine = engine
        self._partition = partition
        self._partitions = partitions
        self._epoch = epoch

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with writing(self._engine) as connection:
            if self._epoch is not None:
                check_fence(connection, self._partition, self._epoch)
            yield connection

    def apply(self, transitions: Sequence[Transition], rules: Mapping[int, Rule], now: int) -> list[AlarmEvent]:
        """Apply transitions in order and return the alarms that changed, after commit.

        Args:
            transitions: what the engine told.
            rules: rules by id, for those that raise.
            now: UTC ns.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the records do not take it; apply the same again later.
            OwnershipLostError: another worker has the partition.
        """
        events: list[AlarmEvent] = []
        for start in range(0, len(transitions), _CHUNK):
            with self._writing() as connection:
                events += _Chunk(connection, rules, now).apply(transitions[start : start + _CHUNK])
        return events

    def return_stale(self, standing: set[tuple[int, int]], now: int) -> list[AlarmEvent]:
        """Return active alarms whose condition the engine knows not to hold, such as after state was lost.

        Args:
            standing: ``(rule, series)`` of all instances that are active in the engine.
            now: UTC ns.
        """
        with self._writing() as connection:
            rows = self._mine(connection, records.active(connection))
            stale = [
                Transition(row.rule_id, row.series, False, max(now, row.raised_at), row.raised_at, None, removed=True)
                for row in rows
                if (row.rule_id, row.series) not in standing
            ]
            return _Chunk(connection, {}, now).apply(stale)

    def _mine(self, connection: Connection, rows: Sequence[records.AlarmRow]) -> Sequence[records.AlarmRow]:
        """Return the alarms of points of this partition; those of deleted points are shared out by series."""
        if self._partitions == 1:
            return rows
        points = points_by_series(connection, sorted({row.series for row in rows}))
        homes = {point.series: partition_of(point.asset, self._partitions) for point in points}
        return [row for row in rows if homes.get(row.series, row.series % self._partitions) == self._partition]


class _Chunk:
    """Transitions of one transaction."""

    def __init__(self, connection: Connection, rules: Mapping[int, Rule], now: int) -> None:
        self._connection = connection
        self._rules = rules
        self._now = now
        self._alarms: dict[str, _Open] = {}
        self._open: dict[tuple[int, int], list[str]] = {}
        self._journal: list[dict[str, Any]] = []

    def apply(self, transitions: Sequence[Transition]) -> list[AlarmEvent]:
        keys = [alarm_id(item.rule, item.series, item.raised_at) for item in transitions]
        raises = [item for item in transitions if item.raised]
        known = records.by_ids(self._connection, sorted(set(keys)), lock=True)
        instances = sorted({(item.rule, item.series) for item in raises})
        for row in [*known.values(), *records.open_of(self._connection, instances)]:
            self._load(row)
        points = {
            row.series: row for row in points_by_series(self._connection, sorted({item.series for item in raises}))
        }
        for key, item in zip(keys, transitions, strict=True):
            if not item.raised:
                comment = "the rule or the point was changed or removed" if item.removed else ""
                self._change(key, Change.RETURNED, item.time, comment, item.value)
            elif key not in self._alarms:
                self._raise(key, item, points.get(item.series))
        return self._store()

    def _load(self, row: records.AlarmRow) -> None:
        if row.id not in self._alarms:
            self._alarms[row.id] = _Open(dict(row._mapping), State(row.state), {})
            if row.state != State.CLOSED:
                self._open.setdefault((row.rule_id, row.series), []).append(row.id)

    def _raise(self, key: str, item: Transition, point: PointRow | None) -> None:
        rule = self._rules.get(item.rule)
        if rule is None or point is None:
            return  # rule or point went away while the sample was on its way
        for earlier in self._open.pop((item.rule, item.series), []):
            # The engine knows of one raise at a time, so an earlier one has returned, noticed or not.
            self._change(earlier, Change.RETURNED, item.time, "returned unnoticed", None)
            self._change(earlier, Change.SUPERSEDED, item.time, "", None)
        row = _row(key, item, rule, point, self._now)
        self._alarms[key] = _Open(row, None, {"state": State.UNACKNOWLEDGED_ACTIVE})
        self._open[item.rule, item.series] = [key]
        self._journal.append(records.journal(key, Change.RAISED, item.time, self._now, value=item.value))

    def _change(self, key: str, change: Change, time: int, comment: str, value: float | None) -> None:
        alarm = self._alarms.get(key)
        if alarm is None:
            return
        state = next_state(State(alarm.values.get("state", alarm.row["state"])), change)
        if state is None:
            return
        alarm.values["state"] = state
        if change is Change.RETURNED:
            alarm.values["returned_at"] = time
        if state is State.CLOSED:
            alarm.values["closed_at"] = self._now
        self._journal.append(records.journal(key, change, time, self._now, comment=comment, value=value))

    def _store(self) -> list[AlarmEvent]:
        changed = [item for item in self._alarms.values() if item.values]
        new = [{**item.row, **_plain(item.values)} for item in changed if item.before is None]
        records.add(self._connection, new)
        for item in changed:
            # The rows are locked (or the whole database is), so the state is still what was read.
            if item.before is not None and not records.set_state(
                self._connection, item.row["id"], item.before, _plain(item.values)
            ):
                raise RuntimeError(f"alarm {item.row['id']} changed although it was locked")
        records.add_journal(self._connection, self._journal)
        return [AlarmEvent(item.row["tenant_id"], document({**item.row, **_plain(item.values)})) for item in changed]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, State) else value for name, value in values.items()}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _row(key: str, item: Transition, rule: Rule, point: PointRow, now: int) -> dict[str, Any]:
    condition = rule.condition
    direction = "" if isinstance(condition, AbsenceCondition) else f".{condition.direction}"
    value = item.value if rule.kind is not Kind.RATE or item.value is None else abs(item.value)
    words = {
        "asset": point.asset_path,
        "point": point.name,
        "value": _number(value),
        "limit": _number(rule.limit),
        "unit": point.unit,
        "rule": rule.name,
    }
    unit = point.unit
    if rule.kind is Kind.ABSENCE:
        unit = "s"
    elif rule.kind is Kind.RATE:
        unit = f"{point.unit}/s"
    return {
        "id": key,
        "tenant_id": rule.tenant,
        "rule_id": rule.id,
        "rule_name": rule.name,
        "series": point.series,
        "asset_path": point.asset_path,
        "point": point.name,
        "priority": str(rule.priority),
        "state": str(State.UNACKNOWLEDGED_ACTIVE),
        "message": render_message(rule.message or STANDARD_MESSAGE[f"{rule.kind}{direction}"], words),
        "value": item.value,
        "limit_value": rule.limit,
        "unit": unit,
        "raised_at": item.raised_at,
        "returned_at": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "closed_at": None,
        "recorded_at": now,
    }


def _time(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else format_rfc3339(nanoseconds)


def document(row: Mapping[str, Any], journal: Sequence[Any] | None = None) -> Alarm:
    """Return the API's form of a row of ``alarm``, with its journal when it is given."""
    return Alarm(
        id=row["id"],
        rule_id=row["rule_id"],
        rule_name=row["rule_name"],
        series=row["series"],
        asset_path=row["asset_path"],
        point=row["point"],
        priority=row["priority"],
        state=row["state"],
        message=row["message"],
        value=row["value"],
        limit=row["limit_value"],
        unit=row["unit"],
        raised_at=format_rfc3339(row["raised_at"]),
        acknowledged_at=_time(row["acknowledged_at"]),
        acknowledged_by=row["acknowledged_by"],
        returned_at=_time(row["returned_at"]),
        closed_at=_time(row["closed_at"]),
        journal=None
        if journal is None
        else [
            JournalEntry(format_rfc3339(entry.time), entry.change, entry.by_user, entry.comment, entry.value)
            for entry in journal
        ],
    )
