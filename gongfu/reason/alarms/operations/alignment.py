"""Bring the alarms on record in line with what suppresses them at present."""

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection, select

from gongfu.reason.alarms import records
from gongfu.reason.alarms.causes import Order
from gongfu.reason.alarms.lifecycle import Alarms
from gongfu.reason.alarms.policy import Decisions, Policy
from gongfu.reason.alarms.states import SUPPRESSED, State, change_to
from gongfu.reason.alarms.suppression.types import Place
from gongfu.reason.alarms.types import AlarmEvent

_PART = 500


def align(
    connection: Connection,
    policy: Policy,
    tenant: int,
    states: Collection[State],
    now: int,
    *,
    only: Callable[[records.AlarmRow], bool] = lambda row: True,
    by: str = "",
    comment: str = "",
) -> list[AlarmEvent]:
    """Align alarms of a tenant; return those that changed. What is no longer suppressed and still stands is
    annunciated now; what has come under a suppression is not shown any more.

    Args:
        connection: a transaction that writes.
        policy: what is decided.
        tenant: whose alarms.
        states: of the alarms to look at.
        now: UTC ns.
        only: which alarms to look at.
        by: the person, empty for the node.
        comment: for the journal.
    """
    decisions = policy.read(connection)
    wanted = _astray(connection, decisions, tenant, states, now, only)
    events: list[AlarmEvent] = []
    for start in range(0, len(wanted), _PART):
        alarms = Alarms(connection, now)
        locked = records.by_ids(connection, wanted[start : start + _PART], lock=True).values()
        # In order of raise, as they are told.
        rows = sorted((row for row in locked if row.state in states and only(row)), key=_order)
        alarms.load(rows)
        for row in rows:
            alarms.align(row.id, decisions.suppression_of(place_of(row), now, _order(row)), by, comment)
        events += alarms.store()
    return events


def _astray(
    connection: Connection,
    decisions: Decisions,
    tenant: int,
    states: Collection[State],
    now: int,
    only: Callable[[records.AlarmRow], bool],
) -> list[str]:
    """Return the ids of the alarms that are not as they should be, in order. Few are, of hundreds of thousands: they
    are found without a lock and without being held."""
    if not decisions.may_suppress(tenant):
        states = SUPPRESSED.intersection(states)
    c = records.alarm.c
    place = (c.tenant_id, c.rule_id, c.asset_path, c.point)
    mine: Any = select(c.id, *place, c.state, c.suppressed_by, c.raised_at, c.recorded_at)
    mine = mine.where(c.tenant_id == tenant, c.state.in_(sorted(states)))
    found: list[str] = []
    for row in connection.execute(mine, execution_options={"yield_per": _PART}):
        if only(row):
            suppressed = decisions.suppression_of(place_of(row), now, _order(row))
            state = State(row.state)
            by_another = suppressed is not None and state is suppressed.state and row.suppressed_by != suppressed.by
            if by_another or change_to(state, suppressed.state if suppressed else None) is not None:
                found.append(row.id)
    return sorted(found)


def _order(row: records.AlarmRow) -> Order:
    return row.raised_at, row.id


def place_of(row: records.AlarmRow) -> Place:
    """Return what suppressions look at of an alarm on record."""
    return Place(row.tenant_id, row.rule_id, row.asset_path, row.point)
