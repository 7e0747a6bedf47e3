"""What happens to alarms by the clock: shelves end, causes of suppression come and go, re-alarms, floods.

Everything is decided again from the records under their locks, so any number of caretakers may run, and one that was
killed is replaced by the next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, Engine, and_, cast, func, or_, select
from sqlalchemy.exc import SQLAlchemyError

from gongfu.kernel.counters import Counters
from gongfu.kernel.times import SECOND, Clock
from gongfu.reason.alarms.lifecycle import Alarms
from gongfu.reason.alarms.load import floods
from gongfu.reason.alarms.operations.alignment import align
from gongfu.reason.alarms.policy import Policy
from gongfu.reason.alarms.records import AlarmRow, alarm
from gongfu.reason.alarms.states import ACTIVE, SUPPRESSED, Change, State
from gongfu.reason.alarms.suppression import records as suppressions
from gongfu.reason.alarms.suppression.matching import holds
from gongfu.reason.alarms.suppression.types import Design, PointCause
from gongfu.reason.alarms.types import AlarmEvent
from gongfu.reason.rules.patterns import asset_pattern
from gongfu.reason.rules.records import points_for
from gongfu.registry.tables import tenant
from gongfu.store.records.engine import reading, writing

logger = logging.getLogger(__name__)

TICK_S = 1.0
# Points that are causes are looked up again after this.
_POINTS_S = 10.0
_FLOODS_S = 5.0
# Clocks of a cluster's machines differ by less. What was written later than this from now was written before the clock
# was set back.
CLOCKS_DIFFER = 60 * SECOND
# Causes of suppression by design that are watched; more are refused by not being watched, which the log says.
MAX_CAUSES = 10_000

# Asks for latest values by series, as numbers; None while nobody answers.
AskLatest = Callable[[Sequence[int]], Awaitable[Mapping[int, float] | None]]
Announce = Callable[[Sequence[AlarmEvent]], Awaitable[None]]


class Cause(NamedTuple):
    """A point that may be the cause of a suppression by design."""

    design: int
    tenant: int
    asset: str
    series: int


class Caretaker:
    """Runs in every worker; ``run`` until cancelled. Counters: ``alarm_care_failed``."""

    def __init__(self, engine: Engine, clock: Clock, latest: AskLatest, announce: Announce, counters: Counters) -> None:
        self._engine = engine
        self._clock = clock
        self._latest = latest
        self._announce = announce
        self._counters = counters
        self._policy = Policy()
        self._causes: list[Cause] = []
        self._causes_at = 0
        self._floods_at = 0

    async def run(self) -> None:
        """Tick once a second until cancelled; a failure ends no later tick."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.tick()
            except SQLAlchemyError as error:
                self._counters.add("alarm_care_failed")
                logger.warning("alarms were not looked after: %s", type(error).__name__)
            except Exception:
                self._counters.add("alarm_care_failed")
                logger.exception("alarms were not looked after")

    async def tick(self) -> None:
        """Do what is due."""
        now = self._clock.now_ns()
        if not 0 <= now - self._causes_at < _POINTS_S * SECOND:
            self._causes = await asyncio.to_thread(self._find_causes)
            self._causes_at = now
        values = await self._latest([cause.series for cause in self._causes]) if self._causes else {}
        events = await asyncio.to_thread(self._act, values, now)
        await self._announce(events)

    def _find_causes(self) -> list[Cause]:
        found: list[Cause] = []
        with reading(self._engine) as connection:
            for key, (owner, design) in suppressions.designs(connection).items():
                cause = design.cause
                if not design.enabled or not isinstance(cause, PointCause):
                    continue
                pattern = asset_pattern(cause.asset)
                found += [
                    Cause(key, owner, row.asset_path, row.series)
                    for row in points_for(connection, [(owner, cause.asset)])
                    if row.name == cause.point and pattern.fullmatch(row.asset_path) is not None
                ]
        if len(found) > MAX_CAUSES:
            logger.error("%d points are causes of suppression by design; only %d are watched", len(found), MAX_CAUSES)
        return found[:MAX_CAUSES]

    def _act(self, values: Mapping[int, float] | None, now: int) -> list[AlarmEvent]:
        events: list[AlarmEvent] = []

        def settled(row: AlarmRow) -> bool:
            # A worker suppressed it at its raise, by a value that is newer than those here.
            return not (row.suppressed_by == 0 and (values is None or row.recorded_at >= now))

        with reading(self._engine) as connection:
            tenants = [row.id for row in connection.execute(select(tenant.c.id))]
            due = self._is_due(connection, tenants, values, now)
        if due:
            with writing(self._engine) as connection:
                self._end_expired(connection, now)
                if values is not None:
                    self._follow_causes(connection, values, now)
                for one in tenants:
                    events += self._realarm(connection, one, now)
                    events += align(connection, self._policy, one, SUPPRESSED | ACTIVE, now, only=settled)
        if not 0 <= now - self._floods_at < _FLOODS_S * SECOND:
            self._floods_at = now
            self._watch_floods(tenants, now)
        return events

    def _is_due(
        self, connection: Connection, tenants: Sequence[int], values: Mapping[int, float] | None, now: int
    ) -> bool:
        """Return whether a transaction that writes is needed: it holds the lock of the records, others wait for it."""
        if suppressions.expired(connection, now) or suppressions.of_the_future(connection, now + CLOCKS_DIFFER):
            return True
        c = alarm.c
        waiting = and_(c.tenant_id.in_(tenants), c.state == str(State.ACKNOWLEDGED_ACTIVE), c.realarm_s > 0)
        if connection.execute(select(c.id).where(waiting, _realarm_is_due(now))).first():
            return True
        designs = suppressions.designs(connection)
        suppressed = and_(c.tenant_id.in_(tenants), c.state.in_(sorted(SUPPRESSED)))
        # PostgreSQL: raised by a transaction that still saw a suppression which ended meanwhile.
        if connection.execute(
            select(c.id).where(suppressed, c.suppressed_by != 0, ~suppressions.is_in_force(c.suppressed_by))
        ).first():
            return True
        if designs and any(not isinstance(design.cause, PointCause) for _, design in designs.values()):
            return connection.execute(select(func.count()).where(c.tenant_id.in_(tenants), c.state.in_(
                sorted(ACTIVE | {State.SUPPRESSED_BY_DESIGN})))).scalar_one() > 0  # fmt: skip
        by_design = connection.execute(
            select(c.id).where(suppressed, c.state == str(State.SUPPRESSED_BY_DESIGN), c.suppressed_by == 0)
        ).first()
        if by_design is not None:
            return True
        rows = [row for row in suppressions.in_force(connection) if row.kind is State.SUPPRESSED_BY_DESIGN]
        if any(row.design_id not in designs or not designs[row.design_id][1].enabled for row in rows):
            return True  # what a design holds after its cause ends with the design
        if any(_held_too_long(row.until, designs[row.design_id][1], now) for row in rows):
            return True
        if values is None:
            return False
        known = {(row.design_id, row.asset): row.until for row in rows}
        standing = self._standing(connection, values)
        return {key for key, until in known.items() if until is None} != standing

    def _standing(self, connection: Connection, values: Mapping[int, float]) -> set[tuple[int, str]]:
        """Return ``(design, asset)`` of the causes that hold."""
        designs = suppressions.designs(connection)
        standing: set[tuple[int, str]] = set()
        for cause in self._causes:
            owner, design = designs.get(cause.design, (0, None))
            if design is None or owner != cause.tenant or not design.enabled:
                continue
            value = values.get(cause.series)
            wanted = design.cause
            if isinstance(wanted, PointCause) and value is not None and holds(value, wanted.operator, wanted.value):
                standing.add((cause.design, cause.asset))
        return standing

    def _end_expired(self, connection: Connection, now: int) -> None:
        for row in suppressions.of_the_future(connection, now + CLOCKS_DIFFER):
            suppressions.begin_again(connection, row, now)
            seconds = (row.until - row.created_at) // SECOND
            detail = f"the clock was set back; it ends in {seconds} s"
            suppressions.note(connection, row.tenant_id, now, "shelved", f"suppression/{row.id}", detail=detail)
        for row in suppressions.expired(connection, now):
            if suppressions.end(connection, row.id, now, ""):
                word = "unshelved" if row.kind == State.SHELVED else "unsuppressed"
                suppressions.note(connection, row.tenant_id, now, word, f"suppression/{row.id}", detail="time is over")

    def _follow_causes(self, connection: Connection, values: Mapping[int, float], now: int) -> None:
        designs = suppressions.designs(connection, lock=True)
        standing = self._standing(connection, values)
        for row in suppressions.in_force(connection):
            if row.kind is not State.SUPPRESSED_BY_DESIGN:
                continue
            place = (row.design_id, row.asset)
            _, design = designs.get(row.design_id, (0, None))
            if place in standing:
                standing.discard(place)
                if row.until is not None:
                    suppressions.set_until(connection, row.id, None)
            elif (
                design is not None
                and design.enabled
                and design.hold_s
                and (row.until is None or _held_too_long(row.until, design, now))
            ):
                suppressions.set_until(connection, row.id, now + round(design.hold_s * SECOND))
            elif (design is None or not design.enabled or row.until is None) and suppressions.end(
                connection, row.id, now, ""
            ):
                suppressions.note(connection, row.tenant, now, "unsuppressed", f"suppression/{row.id}", detail="cause")
        for key, asset in sorted(standing):
            owner, design = designs[key]
            made = suppressions.add(
                connection,
                tenant_id=owner,
                kind=str(State.SUPPRESSED_BY_DESIGN),
                asset=asset,
                reason=design.reason or design.name,
                design_id=key,
                created_at=now,
                created_by="",
            )
            suppressions.note(connection, owner, now, "suppressed", f"suppression/{made}", detail=design.name)

    def _realarm(self, connection: Connection, owner: int, now: int) -> list[AlarmEvent]:
        c = alarm.c
        waiting = and_(c.tenant_id == owner, c.state == str(State.ACKNOWLEDGED_ACTIVE), c.realarm_s > 0)
        query = select(alarm).where(waiting, _realarm_is_due(now)).order_by(c.id).with_for_update()
        rows = connection.execute(query).all()
        alarms = Alarms(connection, now)
        alarms.load(rows)
        for row in rows:
            alarms.change(row.id, Change.REALARMED, now, f"still stands {row.realarm_s} s after its acknowledgement")
        return alarms.store() if rows else []

    def _watch_floods(self, tenants: Sequence[int], now: int) -> None:
        for one in tenants:
            with reading(self._engine) as connection:
                recent = floods.counts(connection, one, now - floods.PERIOD, now)
                lasting = floods.open_floods(connection, one)
            if not lasting and all(count <= floods.BEGINS_ABOVE for count in recent.values()):
                continue
            with writing(self._engine) as connection:
                floods.follow(connection, one, recent, now)


def _realarm_is_due(now: int) -> ColumnElement[bool]:
    c = alarm.c
    # Acknowledged at a time that is still to come: rather once too often than as late as the clock was wrong.
    return or_(
        c.acknowledged_at + cast(c.realarm_s, BigInteger) * SECOND <= now, c.acknowledged_at > now + CLOCKS_DIFFER
    )


def _held_too_long(until: int | None, design: Design, now: int) -> bool:
    """Return whether what a design holds after its cause would last longer than it can: the clock was set back."""
    return until is not None and until > now + round(design.hold_s * SECOND) + CLOCKS_DIFFER
