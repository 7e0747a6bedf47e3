"""Alarm floods: more alarms than an operator can look at (EEMUA 191; ISA-18.2-2016 §16.5).

A flood begins when a position got more than 10 alarms within 10 minutes, and ends when it got fewer than 5.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, func, insert, select, update

from gongfu.kernel.times import SECOND
from gongfu.reason.alarms.load.annunciations import count_by_asset
from gongfu.reason.alarms.load.positions import finder, mapping_of
from gongfu.reason.alarms.load.tables import flood
from gongfu.reason.alarms.suppression.records import note

PERIOD = 600 * SECOND
BEGINS_ABOVE = 10
ENDS_BELOW = 5


FloodRow = Row[Any]


class Turn(NamedTuple):
    """What becomes of a position's flood."""

    begins: bool
    ends: bool


def turn(lasting: bool, count: int) -> Turn:
    """Return what becomes of a flood with ``count`` annunciations in the last ten minutes."""
    return Turn(not lasting and count > BEGINS_ABOVE, lasting and count < ENDS_BELOW)


def open_floods(connection: Connection, tenant: int | None = None) -> list[FloodRow]:
    """Return the floods that last."""
    query = select(flood).where(flood.c.ended_at.is_(None)).order_by(flood.c.id)
    return list(connection.execute(query if tenant is None else query.where(flood.c.tenant_id == tenant)))


def counts(connection: Connection, tenant: int, since: int, until: int) -> Counter[str]:
    """Return the annunciations by position in ``(since, until]``."""
    find = finder(mapping_of(connection, tenant))
    found: Counter[str] = Counter()
    for asset, number in count_by_asset(connection, tenant, since, until).items():
        found[find(asset)] += number
    return found


def follow(connection: Connection, tenant: int, recent: Mapping[str, int], now: int) -> list[tuple[str, bool]]:
    """Begin, continue and end the floods of a tenant; return ``(position, began)`` of those that began or ended.

    Args:
        connection: a transaction that writes.
        tenant: whose.
        recent: annunciations by position in the ten minutes up to now.
        now: UTC ns.
    """
    changes: list[tuple[str, bool]] = []
    query = select(flood).where(flood.c.ended_at.is_(None), flood.c.tenant_id == tenant).with_for_update()
    lasting = {row.position: row for row in connection.execute(query)}
    for name in sorted({*recent, *lasting}):
        count, row = recent.get(name, 0), lasting.get(name)
        begins, ends = turn(row is not None, count)
        if begins:
            values = {"tenant_id": tenant, "position": name, "began_at": now, "alarms": count, "peak": count}
            connection.execute(insert(flood).values(**values, ended_at=None, collapsed=0))
            note(connection, tenant, now, "flood_began", f"position/{name}", detail=f"{count} alarms in 10 minutes")
            changes.append((name, True))
        elif row is not None:
            total = counts(connection, tenant, row.began_at - PERIOD, now)[name]
            values = {"alarms": total, "peak": max(row.peak, count), "ended_at": now if ends else None}
            connection.execute(update(flood).where(flood.c.id == row.id).values(values))
            if ends:
                text = f"{total} alarms, {row.peak} at most in 10 minutes, {row.collapsed} notifications collapsed"
                note(connection, tenant, now, "flood_ended", f"position/{name}", detail=text)
                changes.append((name, False))
    return changes


def collapse(connection: Connection, key: int, number: int) -> None:
    """Count notifications that a flood swallowed."""
    query = update(flood).where(flood.c.id == key).values(collapsed=flood.c.collapsed + number)
    connection.execute(query)


def between(connection: Connection, tenant: int, since: int, until: int) -> list[FloodRow]:
    """Return the floods of a tenant that lasted at some time in a window, newest first."""
    c = flood.c
    over = func.coalesce(c.ended_at, until)
    query = select(flood).where(and_(c.tenant_id == tenant, c.began_at <= until, over >= since))
    return list(connection.execute(query.order_by(c.began_at.desc()).limit(1000)))
