"""Annunciations: every time an operator is told of an alarm. The journal has each; the alarm's row tells of its first.

A raise that was not suppressed is one, at ``alarm.recorded_at``. Further ones (the end of a suppression while the
condition stands, a re-alarm) are few, and have an index of the journal for themselves.
"""

from collections import Counter
from collections.abc import Callable

from sqlalchemy import Connection, and_, func, select

from gongfu.reason.alarms.records import AGAIN_ONLY, alarm, alarm_journal
from gongfu.reason.alarms.states import State

# Alarms that are looked at for the first ones of a position.
_LOOKED_AT = 20_000


def first_raised(
    connection: Connection, tenant: int, since: int, until: int, mine: Callable[[str], bool], most: int
) -> list[str]:
    """Return the ids of the alarms that were raised first in ``(since, until]`` of the node's time.

    Args:
        connection: the records.
        tenant: whose.
        since: UTC ns.
        until: UTC ns.
        mine: whether an asset's alarms count.
        most: how many to return.
    """
    c = alarm.c
    raised = and_(c.tenant_id == tenant, c.recorded_at > since, c.recorded_at <= until, c.raised_suppressed.is_(False))
    query = select(c.id, c.asset_path).where(raised).order_by(c.recorded_at, c.raised_at, c.id).limit(_LOOKED_AT)
    found: list[str] = []
    with connection.execute(query, execution_options={"yield_per": 500}) as rows:
        for row in rows:
            if mine(row.asset_path):
                found.append(row.id)
            if len(found) == most:
                break
    return found


def count_by_asset(connection: Connection, tenant: int, since: int, until: int) -> Counter[str]:
    """Return the number of annunciations by asset path in ``(since, until]`` of the node's time."""
    c, j = alarm.c, alarm_journal.c
    raised = and_(c.tenant_id == tenant, c.recorded_at > since, c.recorded_at <= until, c.raised_suppressed.is_(False))
    first = select(c.asset_path, func.count()).where(raised).group_by(c.asset_path)
    found = Counter({row[0]: int(row[1]) for row in connection.execute(first)})
    told = and_(AGAIN_ONLY, j.recorded_at > since, j.recorded_at <= until, j.state == str(State.UNACKNOWLEDGED_ACTIVE))
    again = select(c.asset_path, func.count()).join(alarm_journal, j.alarm_id == c.id)
    for row in connection.execute(again.where(told, c.tenant_id == tenant).group_by(c.asset_path)):
        found[row[0]] += int(row[1])
    return found
