"""What people do about suppression: shelve, take out of service and put back, suppress by design."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from gongfu.kernel.errors import conflict, forbidden, invalid, not_found
from gongfu.kernel.permissions import Action, Subject, can
from gongfu.kernel.times import SECOND, Clock, format_rfc3339
from gongfu.reason.alarms.operations.alignment import align, place_of
from gongfu.reason.alarms.policy import Policy
from gongfu.reason.alarms.records import AlarmRow
from gongfu.reason.alarms.states import ACTIVE, SUPPRESSED, State
from gongfu.reason.alarms.suppression import records
from gongfu.reason.alarms.suppression.matching import matches
from gongfu.reason.alarms.suppression.types import (
    MAX_DESIGNS,
    Design,
    Pattern,
    ServiceBody,
    ShelveBody,
    check_design,
)
from gongfu.reason.alarms.types import AlarmEvent
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

_LOOKED_AT = ACTIVE | SUPPRESSED | {State.UNACKNOWLEDGED_RETURNED}
_LIST = 5000
# What the journal of operations calls a begin and an end.
_WORDS = {
    State.SHELVED: ("shelved", "unshelved"),
    State.SUPPRESSED_BY_DESIGN: ("suppressed", "unsuppressed"),
    State.OUT_OF_SERVICE: ("out_of_service", "in_service"),
}


class SuppressionItem(msgspec.Struct, frozen=True, kw_only=True):
    """A suppression as the API shows it; times are RFC 3339 UTC."""

    id: int
    kind: str
    rule_id: int
    asset: str
    point: str
    reason: str
    work_order: str
    design_id: int
    created_at: str
    created_by: str
    until: str | None
    ended_at: str | None
    ended_by: str


class DesignItem(msgspec.Struct, frozen=True, kw_only=True):
    """A suppression by design, with its number."""

    id: int
    design: Design


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the journal of what was done about alarms as such."""

    id: int
    time: str
    operation: str
    resource: str
    by: str
    detail: str


class SuppressionService:
    """Suppressions of the caller's tenant. Methods block on the records: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock, announce: Callable[[AlarmEvent], None]) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce
        self._policy = Policy()

    def shelve(self, subject: Subject, body: ShelveBody) -> SuppressionItem:
        """Shelve alarms for a while; they come back by themselves, and are annunciated if they still stand."""
        until = self._clock.now_ns() + body.seconds * SECOND
        pattern = Pattern(rule_id=body.rule_id, asset=body.asset, point=body.point)
        return self._begin(subject, State.SHELVED, pattern, body.reason, until, "")

    def take_out_of_service(self, subject: Subject, body: ServiceBody) -> SuppressionItem:
        """Take alarms out of service until somebody puts them back."""
        pattern = Pattern(rule_id=body.rule_id, asset=body.asset, point=body.point)
        return self._begin(subject, State.OUT_OF_SERVICE, pattern, body.reason, None, body.work_order)

    def _begin(
        self, subject: Subject, kind: State, pattern: Pattern, reason: str, until: int | None, work_order: str
    ) -> SuppressionItem:
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            key = records.add(
                connection,
                tenant_id=subject.tenant,
                kind=str(kind),
                rule_id=pattern.rule_id,
                asset=pattern.asset,
                point=pattern.point,
                reason=reason,
                work_order=work_order,
                created_at=now,
                created_by=subject.name,
                until=until,
            )
            row = records.one(connection, subject.tenant, key)
            events = self._align(connection, subject, pattern, now, reason)
            self._note(connection, subject, now, _WORDS[kind][0], key, reason)
        self._tell(events)
        return item(row)

    def end(self, subject: Subject, key: int, comment: str) -> SuppressionItem:
        """Unshelve, or put back in service; what still stands is annunciated.

        Raises:
            Problem: 403 when an operator puts back; 404 when it is not there; 409 when it has ended, or ends with its
                cause only.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            row = records.one(connection, subject.tenant, key)
            if row is None:
                raise not_found(f"suppression {key}")
            kind = State(row.kind)
            if kind is State.SUPPRESSED_BY_DESIGN:
                raise conflict("a suppression by design ends with its cause; disable the design instead")
            if kind is State.OUT_OF_SERVICE and not can(subject, Action.RULE_WRITE):
                raise forbidden("who may take alarms out of service puts them back: an engineer")
            if not records.end(connection, key, now, subject.name):
                raise conflict(f"it ended at {format_rfc3339(row.ended_at)}: {row.ended_by or 'by its time'}")
            pattern = Pattern(rule_id=row.rule_id, asset=row.asset, point=row.point)
            events = self._align(connection, subject, pattern, now, comment)
            self._note(connection, subject, now, _WORDS[kind][1], key, comment)
            row = records.one(connection, subject.tenant, key)
        self._tell(events)
        return item(row)

    def list_of(self, subject: Subject, *, ended: bool) -> list[SuppressionItem]:
        """Return the suppressions in force, or those that have ended, newest first; at most 5,000."""
        with reading(self._engine) as connection:
            return [item(row) for row in records.list_of(connection, subject.tenant, _LIST, ended=ended)]

    def operations(self, subject: Subject, before: int | None, limit: int) -> tuple[list[Operation], int | None]:
        """Return the journal of operations, newest first, and the key of the next page."""
        with reading(self._engine) as connection:
            rows = records.operations(connection, subject.tenant, before, limit + 1)
        found = [
            Operation(
                id=row.id,
                time=format_rfc3339(row.time),
                operation=row.operation,
                resource=row.resource,
                by=row.by_user,
                detail=row.detail,
            )
            for row in rows[:limit]
        ]
        return found, found[-1].id if len(rows) > limit else None

    def designs(self, subject: Subject) -> list[DesignItem]:
        """Return the suppressions by design in order of name."""
        with reading(self._engine) as connection:
            found = records.designs(connection, subject.tenant)
        return [DesignItem(id=key, design=design) for key, (_, design) in found.items()]

    def put_design(self, subject: Subject, key: int, design: Design) -> DesignItem:
        """Make (key 0) or change a suppression by design; it acts within a second.

        Raises:
            Problem: 400 when it makes no sense; 404 when it is not there; 409 when the name is taken.
        """
        check_design(design)
        now = self._clock.now_ns()
        try:
            with writing(self._engine) as connection:
                if not key and len(records.designs(connection, subject.tenant)) >= MAX_DESIGNS:
                    raise invalid(f"at most {MAX_DESIGNS} suppressions by design")
                made = records.put_design(connection, subject.tenant, key, design, now, subject.name)
                if made is None:
                    raise not_found(f"suppression by design {key}")
                detail = msgspec.json.encode(design).decode()
                records.note(connection, subject.tenant, now, "design", f"design/{made}", subject.name, detail)
                audit.record(connection, subject, "alarm.design", f"alarm-design/{made}", now, design.name)
        except IntegrityError:
            raise conflict(f"there is a suppression by design called {design.name}") from None
        return DesignItem(id=made, design=design)

    def remove_design(self, subject: Subject, key: int) -> None:
        """Delete a suppression by design; what it suppresses comes back.

        Raises:
            Problem: 404 when it is not there.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            if not records.remove_design(connection, subject.tenant, key):
                raise not_found(f"suppression by design {key}")
            records.note(connection, subject.tenant, now, "design_removed", f"design/{key}", subject.name)
            audit.record(connection, subject, "alarm.design", f"alarm-design/{key}", now, "removed")

    def _align(
        self, connection: Connection, subject: Subject, pattern: Pattern, now: int, comment: str
    ) -> list[AlarmEvent]:
        def only(row: AlarmRow) -> bool:
            return matches(pattern, place_of(row))

        return align(
            connection, self._policy, subject.tenant, _LOOKED_AT, now, only=only, by=subject.name, comment=comment
        )

    def _note(self, connection: Connection, subject: Subject, now: int, what: str, key: int, comment: str) -> None:
        records.note(connection, subject.tenant, now, what, f"suppression/{key}", subject.name, comment)
        audit.record(connection, subject, f"alarm.{what}", f"alarm-suppression/{key}", now, comment)

    def _tell(self, events: Sequence[AlarmEvent]) -> None:
        for event in events:
            self._announce(event)


def item(row: Any) -> SuppressionItem:
    """Return the API's form of a row of ``alarm_suppression``."""
    return SuppressionItem(
        id=row.id,
        kind=row.kind,
        rule_id=row.rule_id,
        asset=row.asset,
        point=row.point,
        reason=row.reason,
        work_order=row.work_order,
        design_id=row.design_id,
        created_at=format_rfc3339(row.created_at),
        created_by=row.created_by,
        until=None if row.until is None else format_rfc3339(row.until),
        ended_at=None if row.ended_at is None else format_rfc3339(row.ended_at),
        ended_by=row.ended_by,
    )
