"""What key figures are counted from.

A month with a million rows of journal is read in about a second, and held as six columns of numbers: rows are gathered
by the database (PostgreSQL) or come in parts (SQLite), never all at once.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, case, func, literal, or_, select, text

from gongfu.kernel.errors import invalid
from gongfu.reason.alarms.kpi.figures import NONE, Window
from gongfu.reason.alarms.kpi.gathering import AlarmName, Found, Gathering
from gongfu.reason.alarms.kpi.types import STALE_AFTER
from gongfu.reason.alarms.records import AGAIN_ONLY, UNSEEN, alarm, alarm_journal
from gongfu.reason.alarms.states import ANNUNCIATED, SUPPRESSED, State

MAX_ANNUNCIATIONS = 3_000_000
# Rows of a part: less than 1 MB as the driver gives them.
_PART = 1_000
# What the database may hold for a query of key figures before it goes to its disk.
_WORK_MEM = "64MB"


def annunciations(connection: Connection, tenant: int, window: Window, most: int = MAX_ANNUNCIATIONS) -> Found:
    """Return the annunciations of a tenant in a window.

    Args:
        connection: the records.
        tenant: whose.
        window: by the node's time.
        most: how many there may be.

    Raises:
        Problem: 400 when there are more.
    """
    c, j = alarm.c, alarm_journal.c
    names = (c.rule_id, c.series, c.source, c.source_key, c.asset_path, c.priority)
    inside = and_(
        c.tenant_id == tenant,
        c.recorded_at >= window.begin,
        c.recorded_at < window.end,
        c.raised_suppressed.is_(False),
    )
    durations = (
        _duration(c.acknowledged_at - c.annunciated_at).label("acknowledged"),
        _duration(c.returned_at - c.raised_at).label("standing"),
    )
    first = select(c.recorded_at, *durations, *names).where(inside)
    told = and_(
        AGAIN_ONLY,
        j.recorded_at >= window.begin,
        j.recorded_at < window.end,
        j.state == str(State.UNACKNOWLEDGED_ACTIVE),
        c.tenant_id == tenant,
    )
    unknown = (literal(NONE, c.recorded_at.type).label(name) for name in ("acknowledged", "standing"))
    again = select(j.recorded_at, *unknown, *names).join(alarm_journal, j.alarm_id == c.id).where(told)
    found = Gathering()
    read = _gathered if connection.dialect.name == "postgresql" else _in_parts
    for query in (first, again):
        read(connection, query.limit(most + 1 - found.count), found)
        if found.count > most:
            raise invalid(f"the window has more than {most} annunciations; choose a shorter one")
    return found.result()


def _duration(difference: Any) -> Any:
    """Return an expression of a duration, ``NONE`` where it is not known."""
    known = func.coalesce(difference, NONE)
    return case((known < 0, NONE), else_=known)


def _in_parts(connection: Connection, query: Any, found: Gathering) -> None:
    """Add rows as the driver gives them, of plain numbers and texts: in half the time."""
    cursor = connection.execute(query).cursor
    while cursor is not None and (rows := cursor.fetchmany(_PART)):
        found.add(rows)


def _gathered(connection: Connection, query: Any, found: Gathering) -> None:
    """Add rows that the database has gathered by name: of a month some thousand come instead of some hundred thousand.

    By hash: the planner takes an aggregate of texts for much larger than it is, and would sort, twice as long.
    """
    connection.execute(text(f"SET LOCAL work_mem = '{_WORK_MEM}'"))
    connection.execute(text("SET LOCAL enable_sort = off"))
    rows = query.subquery()
    time, acknowledged, standing, *names = rows.c
    # Here only: every role would load this dialect at its start.
    from sqlalchemy.dialects.postgresql import BYTEA

    numbers = func.int8send(time, type_=BYTEA).op("||")(func.int8send(acknowledged, type_=BYTEA))
    numbers = numbers.op("||")(func.int8send(standing, type_=BYTEA))
    gathered = select(func.string_agg(numbers, literal(b"", BYTEA), type_=BYTEA), *names).group_by(*names)
    for content, *name in connection.execute(gathered, execution_options={"stream_results": True}):
        numbers_of: NDArray[np.int64] = np.frombuffer(content, ">i8").astype(np.int64).reshape(-1, 3)
        found.add_named(tuple(name), numbers_of)
    connection.execute(text("SET LOCAL enable_sort = on"))


def name_of(connection: Connection, tenant: int, name: AlarmName) -> Any:
    """Return ``rule_name``, ``asset_path`` and ``point`` of an occurrence of an alarm: any, since one that comes often
    has a hundred thousand to sort."""
    c = alarm.c
    if name.source:
        which = and_(c.source == name.source, c.source_key == name.source_key)
    else:
        which = and_(c.rule_id == name.rule_id, c.series == name.series, c.source == "")
    query = select(c.rule_name, c.asset_path, c.point).where(which, c.tenant_id == tenant)
    return connection.execute(query.limit(1)).one_or_none()


def stale(connection: Connection, tenant: int, at: int) -> list[Any]:
    """Return the alarms that stood at a time for more than a day, oldest first."""
    c = alarm.c
    stood = and_(
        c.tenant_id == tenant,
        # Not by the index of this column, which would walk a month: those of state and end lead to few.
        c.recorded_at + 0 <= at - STALE_AFTER,
        or_(c.returned_at.is_(None), c.returned_at > at),
    )
    columns = (c.id, c.rule_name, c.asset_path, c.point, c.priority, c.raised_at)
    # What has returned since, and waits to be acknowledged or reset, stood then.
    standing = select(*columns).where(stood, c.state.in_(sorted(ANNUNCIATED)))
    closed = select(*columns).where(stood, c.closed_at > at)
    rows = [*connection.execute(standing), *connection.execute(closed)]
    return sorted(rows, key=lambda row: (row.raised_at, row.id))


def suppressed(connection: Connection, tenant: int, window: Window, keep: Callable[[str], bool]) -> dict[str, int]:
    """Return how many alarms are suppressed at present, by state, and ``raised``: raised unseen in the window.

    Args:
        connection: the records.
        tenant: whose.
        window: of ``raised``.
        keep: whether an asset's alarms count.
    """
    c = alarm.c
    found: Counter[str] = Counter({str(state): 0 for state in sorted(SUPPRESSED)})
    query = select(c.state, c.asset_path, func.count()).where(c.tenant_id == tenant, c.state.in_(sorted(SUPPRESSED)))
    for state, path, number in connection.execute(query.group_by(c.state, c.asset_path)):
        found[state] += number if keep(path) else 0
    inside = and_(c.tenant_id == tenant, c.recorded_at >= window.begin, c.recorded_at < window.end, UNSEEN)
    raised = select(c.asset_path, func.count()).where(inside).group_by(c.asset_path)
    found["raised"] = sum(number for path, number in connection.execute(raised) if keep(path))
    return dict(found)
