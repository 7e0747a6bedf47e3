"""What people do with alarms: list, read, acknowledge, clear."""

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection, Engine

from gongfu.kernel.errors import conflict, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.reason.alarms import records
from gongfu.reason.alarms.documents import document, entries
from gongfu.reason.alarms.lifecycle import Alarms
from gongfu.reason.alarms.states import ANNUNCIATED, LATCHED, OPEN, SUPPRESSED, UNACKNOWLEDGED, Change, State
from gongfu.reason.alarms.types import Alarm, AlarmEvent
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing

# Called on the thread that made the change, after its commit; must not raise and not block.
Announce = Callable[[AlarmEvent], None]

SELECTIONS = {
    "active": ANNUNCIATED,
    "open": OPEN,
    "unacknowledged": UNACKNOWLEDGED,
    "suppressed": SUPPRESSED,
    "latched": LATCHED,
    "all": frozenset(State),
}


class AlarmService:
    """Alarms of the caller's tenant. Methods block on the records: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock, announce: Announce) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce

    def page(
        self,
        subject: Subject,
        selection: str,
        priority: str | None,
        asset: str | None,
        after: tuple[int, str] | None,
        limit: int,
    ) -> tuple[list[Alarm], tuple[int, str] | None]:
        """Return alarms, newest first, and the key of the next page.

        Args:
            subject: who asks.
            selection: one of ``SELECTIONS``: ``active`` are those that an operator has before him.
            priority: only this one.
            asset: path; only alarms of this asset and of those below it.
            after: key of the last alarm of the page before.
            limit: most alarms to return.
        """
        with reading(self._engine) as connection:
            rows = records.page(connection, subject.tenant, SELECTIONS[selection], priority, asset, after, limit + 1)
        items = [document(dict(row._mapping)) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return items, None if last is None else (last.raised_at, last.id)

    def get(self, subject: Subject, key: str) -> Alarm:
        """Return an alarm with its journal.

        Raises:
            Problem: 404 when it is not there.
        """
        with reading(self._engine) as connection:
            row = records.by_ids(connection, [key]).get(key)
            if row is None or row.tenant_id != subject.tenant:
                raise not_found(f"alarm {key[:40]}")
            return document(dict(row._mapping), records.journal_of(connection, key))

    def acknowledge(self, subject: Subject, key: str, comment: str) -> Alarm:
        """Acknowledge an alarm.

        Raises:
            Problem: 404 when it is not there; 409 when it is acknowledged or closed.
        """
        return self._change(subject, key, Change.ACKNOWLEDGED, comment)

    def clear(self, subject: Subject, key: str, comment: str) -> Alarm:
        """Close an alarm whatever its condition is; it is raised anew when the condition returns and comes again.

        Raises:
            Problem: 404 when it is not there; 409 when it is closed.
        """
        return self._change(subject, key, Change.CLEARED, comment)

    def reset(self, subject: Subject, key: str, comment: str) -> Alarm:
        """Reset a latched alarm; it closes, or asks for its acknowledgement first.

        Raises:
            Problem: 404 when it is not there; 409 when it is not latched.
        """
        return self._change(subject, key, Change.RESET, comment)

    def totals(self, tenant: int) -> dict[str, int]:
        """Return the number of open alarms that an operator has before him: ``unacknowledged``, ``acknowledged`` and
        ``returned`` (latched ones, too)."""
        with reading(self._engine) as connection:
            found = records.count_by_state(connection, tenant)
        return {
            "unacknowledged": found.get(State.UNACKNOWLEDGED_ACTIVE, 0),
            "acknowledged": found.get(State.ACKNOWLEDGED_ACTIVE, 0),
            "returned": sum(found.get(state, 0) for state in (State.UNACKNOWLEDGED_RETURNED, *LATCHED)),
        }

    def acknowledge_in(
        self, connection: Connection, subject: Subject, key: str, comment: str, annunciated_at: int
    ) -> AlarmEvent:
        """Acknowledge an alarm in a transaction of the caller, who announces the event after its commit.

        Args:
            connection: a transaction that writes.
            subject: who acknowledges.
            key: the alarm.
            comment: for the journal.
            annunciated_at: of the annunciation that is meant, UTC ns.

        Raises:
            Problem: 404 when it is not there; 409 when it is acknowledged or closed, or was annunciated again.
        """
        return self._change_in(connection, subject, key, Change.ACKNOWLEDGED, comment, annunciated_at)

    def announce(self, event: AlarmEvent) -> None:
        """Announce what ``acknowledge_in`` returned."""
        self._announce(event)

    def _change(self, subject: Subject, key: str, change: Change, comment: str) -> Alarm:
        with writing(self._engine) as connection:
            event = self._change_in(connection, subject, key, change, comment, None)
        self._announce(event)
        return event.alarm

    def _change_in(
        self,
        connection: Connection,
        subject: Subject,
        key: str,
        change: Change,
        comment: str,
        annunciated_at: int | None,
    ) -> AlarmEvent:
        now = self._clock.now_ns()
        row = records.by_ids(connection, [key], lock=True).get(key)
        if row is None or row.tenant_id != subject.tenant:
            raise not_found(f"alarm {key[:40]}")
        if annunciated_at is not None and row.annunciated_at != annunciated_at:
            raise conflict("the alarm was annunciated again since")
        alarms = Alarms(connection, now)
        alarms.load([row])
        if not alarms.change(key, change, now, comment, by=subject.name):
            raise conflict(_why_not(row))
        (event,) = alarms.store()
        audit.record(connection, subject, f"alarm.{change}", f"alarm/{key}", now, comment)
        changed = msgspec.structs.replace(event.alarm, journal=entries(records.journal_of(connection, key)))
        return AlarmEvent(subject.tenant, changed)


def _why_not(row: records.AlarmRow) -> str:
    """Return why an alarm cannot be changed as asked; the caller's picture of it is old."""
    text = f"the alarm is {row.state.replace('_', ' ')}"
    if row.acknowledged_by is None:
        return text
    return f"{text}; {row.acknowledged_by} acknowledged it at {format_rfc3339(row.acknowledged_at)}"
