"""Bring the alarms on record in line with what suppresses them at present."""

from collections.abc import Callable, Collection

from sqlalchemy import Connection, select

from gongfu.reason.alarms import records
from gongfu.reason.alarms.lifecycle import Alarms
from gongfu.reason.alarms.policy import Policy
from gongfu.reason.alarms.states import State
from gongfu.reason.alarms.suppression.types import Place
from gongfu.reason.alarms.types import AlarmEvent


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
    c = records.alarm.c
    mine = select(records.alarm).where(c.tenant_id == tenant, c.state.in_(sorted(states))).with_for_update()
    # In order of raise, so that of a first-out group the first is looked at first.
    rows = connection.execute(mine.order_by(c.raised_at, c.id)).all()
    rows = [row for row in rows if only(row)]
    if not rows:
        return []
    decisions = policy.read(connection)
    alarms = Alarms(connection, now)
    alarms.load(rows)
    for row in rows:
        alarms.align(row.id, decisions.suppression_of(place_of(row), now, row.id), by, comment)
    return alarms.store()


def place_of(row: records.AlarmRow) -> Place:
    """Return what suppressions look at of an alarm on record."""
    return Place(row.tenant_id, row.rule_id, row.asset_path, row.point)
