"""From the alarms' journal into the outbox. How far it was read moves in the transaction that queues, so a kill loses
no annunciation and queues none twice."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SECOND
from gongfu.reason.alarms.load.annunciations import first_raised
from gongfu.reason.alarms.load.floods import BEGINS_ABOVE, PERIOD, collapse, open_floods
from gongfu.reason.alarms.load.positions import finder, mapping_of
from gongfu.reason.alarms.records import alarm, alarm_journal
from gongfu.reason.alarms.states import AGAIN, Change, State
from gongfu.reason.notify import definitions, outbox
from gongfu.reason.notify.routing import DIGEST_EVERY, Annunciation, notification_id, notifications
from gongfu.reason.notify.states import Delivery
from gongfu.reason.notify.tables import feed
from gongfu.reason.notify.types import RouteBody
from gongfu.store.records.engine import reading, writing

_ENTRIES = 1000
# PostgreSQL numbers entries before they are committed, so a lower number may become visible later, even after the
# highest was read and with nothing after it.
_LOOK_BACK = 10_000
_LOOK_BACK_NS = 120 * SECOND
_FLOODS_KEPT = 1000
_TOLD = (str(Change.RAISED), *map(str, AGAIN))
_ONLY = 1


def begin_reading(connection: Connection) -> None:
    """Begin with what comes from now on, unless reading has begun already."""
    if connection.execute(select(feed.c.id)).first() is None:
        last = select(func.coalesce(func.max(alarm_journal.c.id), 0))
        connection.execute(
            insert(feed).values(id=_ONLY, journal_id=connection.execute(last).scalar_one(), overflowed=0)
        )


def overflowed(connection: Connection) -> int:
    """Return how many notifications found the outbox full."""
    return int(connection.execute(select(func.coalesce(func.max(feed.c.overflowed), 0))).scalar_one())


class JournalFeed:
    """Reads the journal. Counters: ``notifications_queued``, ``notifications_collapsed``,
    ``notifications_overflowed``."""

    def __init__(self, engine: Engine, counters: Counters, most: int = outbox.MAX_QUEUED) -> None:
        """Set up; ``most`` is how many notifications may wait."""
        self._engine = engine
        self._counters = counters
        self._most = most
        # Entries among the last that were read; empty after a start, when the outbox knows what is there already.
        self._seen: set[int] = set()
        # By flood, the alarms with which it began.
        self._first: dict[int, frozenset[str]] = {}

    def read(self, now: int) -> int:
        """Queue the notifications of up to 1,000 new entries; return how many entries there were.

        Args:
            now: UTC ns.
        """
        with reading(self._engine) as connection:
            if not self._news(connection, now):
                return 0
        with writing(self._engine) as connection:
            begin_reading(connection)
            position = int(connection.execute(select(feed.c.journal_id).with_for_update()).scalar_one())
            entries = self._entries(connection, position, now)
            if not entries:
                return 0
            newest = max(position, *(entry.id for entry in entries))
            lost = self._queue(connection, entries, now)
            values = {"journal_id": newest, "overflowed": feed.c.overflowed + lost}
            connection.execute(update(feed).values(values))
        self._seen.update(entry.id for entry in entries)
        self._seen = {key for key in self._seen if key > newest - _LOOK_BACK}
        self._counters.add("notifications_overflowed", lost)
        return len(entries)

    def _news(self, connection: Connection, now: int) -> bool:
        last = connection.execute(select(func.coalesce(func.max(alarm_journal.c.id), 0))).scalar_one()
        position = connection.execute(select(feed.c.journal_id)).scalar_one_or_none()
        return position is None or last > position or bool(self._behind(connection, position, now))

    def _behind(self, connection: Connection, position: int, now: int) -> list[int]:
        """Return the entries that became visible after later ones had been read."""
        if connection.dialect.name == "sqlite":
            return []
        j = alarm_journal.c
        recent = (j.id <= position, j.id > position - _LOOK_BACK, j.recorded_at > now - _LOOK_BACK_NS)
        found = connection.execute(select(j.id).where(*recent).order_by(j.id)).scalars()
        return [key for key in found if key not in self._seen]

    def _entries(self, connection: Connection, position: int, now: int) -> list[Any]:
        j, c = alarm_journal.c, alarm.c
        columns = (j.id, j.alarm_id, j.recorded_at, j.change, j.state, c.tenant_id, c.priority, c.asset_path)
        query = select(*columns).join(alarm, c.id == j.alarm_id).order_by(j.id).limit(_ENTRIES)
        found = list(connection.execute(query.where(j.id > position)))
        if behind := self._behind(connection, position, now)[:_ENTRIES]:
            found = [*connection.execute(query.where(j.id.in_(behind))), *found]
        return found

    def _queue(self, connection: Connection, entries: list[Any], now: int) -> int:
        told = [entry for entry in entries if entry.change in _TOLD and entry.state == str(State.UNACKNOWLEDGED_ACTIVE)]
        if not told:
            return 0
        routes: dict[int, list[tuple[int, RouteBody]]] = {}
        for key, (tenant, body) in definitions.routes(connection).items():
            routes.setdefault(tenant, []).append((key, body))
        find = {tenant: finder(mapping_of(connection, tenant)) for tenant in routes}
        floods: dict[int, dict[str, Any]] = {}
        for row in open_floods(connection):
            floods.setdefault(row.tenant_id, {})[row.position] = row
        rows: list[dict[str, Any]] = []
        for entry in told:
            if entry.tenant_id not in routes:
                continue
            position = find[entry.tenant_id](entry.asset_path)
            event = Annunciation(
                entry.tenant_id, entry.alarm_id, entry.recorded_at, entry.priority, entry.asset_path, position
            )
            lasting = floods.get(entry.tenant_id, {}).get(position)
            if lasting is not None and entry.alarm_id in self._first_of(connection, lasting, find[entry.tenant_id]):
                lasting = None
            swallows = {} if lasting is None else {position: int(lasting.id)}
            rows += self._rows(routes[entry.tenant_id], event, swallows, now)
        fresh, lost = outbox.add(connection, rows, self._most - outbox.queued(connection))
        swallowed: dict[int, int] = {}
        for row in fresh:
            if row["state"] == Delivery.COLLAPSED:
                swallowed[row["flood_id"]] = swallowed.get(row["flood_id"], 0) + 1
        for key, number in swallowed.items():
            collapse(connection, key, number)
        self._counters.add("notifications_collapsed", sum(swallowed.values()))
        self._counters.add("notifications_queued", len(fresh) - sum(swallowed.values()))
        return lost

    def _first_of(self, connection: Connection, lasting: Any, find: Callable[[str], str]) -> frozenset[str]:
        """Return the alarms with which a flood began: those up to the number that makes one. They are told one by one,
        however late they are read, since what came first says most about the cause."""
        known = self._first.get(lasting.id)
        if known is None:
            begin, end = lasting.began_at - PERIOD, lasting.began_at
            mine = find, lasting.position
            keys = first_raised(
                connection, lasting.tenant_id, begin, end, lambda asset: mine[0](asset) == mine[1], BEGINS_ABOVE
            )
            if len(self._first) >= _FLOODS_KEPT:
                self._first.pop(next(iter(self._first)))
            known = self._first[lasting.id] = frozenset(keys)
        return known

    def _rows(
        self, routes: list[tuple[int, RouteBody]], event: Annunciation, floods: Mapping[str, int], now: int
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for item in notifications(routes, event, floods):
            common = {
                "tenant_id": event.tenant,
                "route_id": item.route,
                "channel_id": item.channel,
                "recipient": item.recipient,
                "created_at": now,
                "flood_id": item.flood,
            }
            # One digest for all that is due in the same five minutes. Where those are over, it may have been sent: what
            # is read so late goes into that of the present ones.
            late = now >= (item.due // DIGEST_EVERY + 1) * DIGEST_EVERY
            due = now if item.flood and late else item.due
            state = Delivery.COLLAPSED if item.flood else Delivery.QUEUED
            rows.append(
                outbox.row_of(
                    **common,
                    id=item.id,
                    alarm_id=event.alarm,
                    annunciated_at=event.time,
                    step=item.step,
                    state=str(state),
                    due_at=due,
                )
            )
            if item.flood and item.step == 0:
                part = due // DIGEST_EVERY
                key = notification_id("digest", item.flood, item.channel, item.recipient, part)
                times = {"annunciated_at": part * DIGEST_EVERY, "due_at": (part + 1) * DIGEST_EVERY}
                rows.append(outbox.row_of(**common, **times, id=key, state=str(Delivery.QUEUED)))
        return rows
