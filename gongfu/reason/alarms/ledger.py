"""Write what the rule engine tells into the alarms. Idempotent: the same transitions again change nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine

from gongfu.kernel.partitions import partition_of
from gongfu.reason.alarms import records
from gongfu.reason.alarms.documents import document
from gongfu.reason.alarms.lifecycle import Alarms
from gongfu.reason.alarms.policy import Decisions, Latest, Policy
from gongfu.reason.alarms.states import Change, State
from gongfu.reason.alarms.suppression.types import Place
from gongfu.reason.alarms.types import STANDARD_MESSAGE, AlarmEvent, alarm_id, render_message
from gongfu.reason.rules.records import PointRow, points_by_series
from gongfu.reason.rules.transitions import Transition
from gongfu.reason.rules.types import Kind, Rule
from gongfu.store.records.engine import writing
from gongfu.store.records.fences import check_fence

__all__ = ["AlarmLedger", "document"]

# Transitions of one transaction: it holds the write lock of the records, which others wait for.
_CHUNK = 500


class AlarmLedger:
    """Applies transitions of one partition to the records. One instance writes; users change alarms meanwhile."""

    def __init__(
        self,
        engine: Engine,
        partition: int = 0,
        partitions: int = 1,
        epoch: int | None = None,
        latest: Latest = lambda series: None,
    ) -> None:
        """Write alarms of a partition.

        Args:
            engine: the records.
            partition: the partition.
            partitions: number of partitions.
            epoch: that of the lease; a later owner's fence refuses what is written with it. None: there is no other.
            latest: latest value of a series of the partition, for suppression by design at the moment of a raise.
        """
        self._engine = engine
        self._partition = partition
        self._partitions = partitions
        self._epoch = epoch
        self._policy = Policy(latest)

    def look_at(self, latest: Latest) -> None:
        """Take the latest values from there from now on."""
        self._policy = Policy(latest)

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
                events += _apply(connection, self._policy, rules, now, transitions[start : start + _CHUNK])
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
            return _apply(connection, self._policy, {}, now, stale)

    def _mine(self, connection: Connection, rows: Sequence[records.AlarmRow]) -> Sequence[records.AlarmRow]:
        """Return the alarms of points of this partition; those of deleted points are shared out by series."""
        if self._partitions == 1:
            return rows
        points = points_by_series(connection, sorted({row.series for row in rows}))
        homes = {point.series: partition_of(point.asset, self._partitions) for point in points}
        return [row for row in rows if homes.get(row.series, row.series % self._partitions) == self._partition]


def _apply(
    connection: Connection, policy: Policy, rules: Mapping[int, Rule], now: int, transitions: Sequence[Transition]
) -> list[AlarmEvent]:
    """Apply the transitions of one transaction."""
    alarms = Alarms(connection, now)
    keys = [alarm_id(item.rule, item.series, item.raised_at) for item in transitions]
    raises = [item for item in transitions if item.raised]
    standing = records.open_of(connection, sorted({(item.rule, item.series) for item in raises}))
    alarms.load(records.by_ids(connection, [*{*keys, *standing}], lock=True).values())
    points = {row.series: row for row in points_by_series(connection, sorted({item.series for item in raises}))}
    decisions = policy.read(connection) if raises else None
    for key, item in zip(keys, transitions, strict=True):
        if not item.raised:
            comment = "the rule or the point was changed or removed" if item.removed else ""
            alarms.change(key, Change.RETURNED, item.time, comment, item.value)
        elif key not in alarms:
            rule, point = rules.get(item.rule), points.get(item.series)
            if rule is not None and point is not None and decisions is not None:
                _begin(alarms, decisions, _row(key, item, rule, point, now), now)
            # else rule or point went away while the sample was on its way
    return alarms.store()


def _begin(alarms: Alarms, decisions: Decisions, row: dict[str, Any], now: int) -> None:
    place = Place(row["tenant_id"], row["rule_id"], row["asset_path"], row["point"])
    record = decisions.record_of(place)
    if record is not None:
        row |= {"latching": record.latching, "realarm_s": record.realarm_s}
    suppressed = decisions.suppression_of(place, now)
    alarms.begin(row, suppressed)
    if suppressed is None or suppressed.state is not State.SUPPRESSED_BY_DESIGN:
        decisions.begun(place)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _row(key: str, item: Transition, rule: Rule, point: PointRow, now: int) -> dict[str, Any]:
    condition = rule.condition
    direction = getattr(condition, "direction", "")
    standard = STANDARD_MESSAGE.get(f"{rule.kind}.{direction}" if direction else str(rule.kind), "{rule}: {point}")
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
        "message": render_message(rule.message or standard, words),
        "value": item.value,
        "limit_value": rule.limit,
        "unit": unit,
        "raised_at": item.raised_at,
        "returned_at": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "closed_at": None,
        "recorded_at": now,
        "source": "",
        "source_key": "",
        "latching": False,
        "realarm_s": 0,
    }
