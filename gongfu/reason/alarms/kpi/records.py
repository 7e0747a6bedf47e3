"""What key figures are counted from. A month with a million rows of journal is read in about a second."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, and_, case, func, or_, select

from gongfu.kernel.errors import invalid
from gongfu.reason.alarms.kpi.figures import NONE, Annunciations, Window
from gongfu.reason.alarms.kpi.types import STALE_AFTER
from gongfu.reason.alarms.records import AGAIN_ONLY, UNSEEN, alarm, alarm_journal
from gongfu.reason.alarms.states import ANNUNCIATED, SUPPRESSED, State

MAX_ANNUNCIATIONS = 3_000_000


class AlarmName(NamedTuple):
    """What an annunciation is of."""

    rule_id: int
    series: int
    source: str
    source_key: str


class Found(NamedTuple):
    """Annunciations, and what their numbers mean."""

    annunciations: Annunciations
    alarms: list[AlarmName]
    assets: list[str]
    priorities: list[str]


class _Numbers:
    """Gives equal things equal numbers."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def of(self, items: Iterable[Hashable]) -> list[int]:
        give = self._numbers.setdefault
        return [give(item, len(self._numbers)) for item in items]

    @property
    def items(self) -> list[Any]:
        return list(self._numbers)


def annunciations(connection: Connection, tenant: int, window: Window) -> Found:
    """Return the annunciations of a tenant in a window.

    Raises:
        Problem: 400 when there are more than 3 million.
    """
    c, j = alarm.c, alarm_journal.c
    columns = (c.rule_id, c.series, c.source, c.source_key, c.asset_path, c.priority)
    durations = (_duration(c.acknowledged_at - c.annunciated_at), _duration(c.returned_at - c.raised_at))
    inside = and_(
        c.tenant_id == tenant,
        c.recorded_at >= window.begin,
        c.recorded_at < window.end,
        c.raised_suppressed.is_(False),
    )
    first = select(c.recorded_at, *columns, *durations).where(inside).limit(MAX_ANNUNCIATIONS + 1)
    rows = _rows(connection, first)
    told = and_(
        AGAIN_ONLY,
        j.recorded_at >= window.begin,
        j.recorded_at < window.end,
        j.state == str(State.UNACKNOWLEDGED_ACTIVE),
        c.tenant_id == tenant,
    )
    again = select(j.recorded_at, *columns).join(alarm_journal, j.alarm_id == c.id).where(told)
    rows += [(*row, NONE, NONE) for row in _rows(connection, again.limit(MAX_ANNUNCIATIONS + 1))]
    if len(rows) > MAX_ANNUNCIATIONS:
        raise invalid(f"the window has more than {MAX_ANNUNCIATIONS} annunciations; choose a shorter one")
    return _found(rows)


def _duration(difference: Any) -> Any:
    """Return an expression of a duration, ``NONE`` where it is not known."""
    known = func.coalesce(difference, NONE)
    return case((known < 0, NONE), else_=known)


def _rows(connection: Connection, query: Any) -> list[Sequence[Any]]:
    """Return the rows as the driver gives them: of plain numbers and texts, in half the time."""
    cursor = connection.execute(query).cursor
    return list(cursor.fetchall()) if cursor is not None else []


def _found(rows: Sequence[Sequence[Any]]) -> Found:
    if not rows:
        empty = np.zeros(0, dtype=np.int64)
        return Found(Annunciations(empty, empty, empty, empty, empty, empty), [], [], [])
    times, rules, series, sources, keys, paths, ranks, acknowledged, standing = zip(*rows, strict=True)
    alarms, assets, priorities = _Numbers(), _Numbers(), _Numbers()
    numbered = (
        times,
        alarms.of(zip(rules, series, sources, keys, strict=True)),
        assets.of(paths),
        priorities.of(ranks),
        acknowledged,
        standing,
    )
    columns = (np.array(column, dtype=np.int64) for column in numbered)
    names = [AlarmName(*name) for name in alarms.items]
    return Found(Annunciations(*columns), names, assets.items, priorities.items)


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
