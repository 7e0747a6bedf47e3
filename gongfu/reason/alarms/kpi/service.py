"""Key figures of the caller's tenant."""

import numpy as np
from sqlalchemy import Connection, Engine

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import SECOND, Clock, format_rfc3339, parse_rfc3339
from gongfu.reason.alarms.kpi import figures, records
from gongfu.reason.alarms.kpi.figures import Window
from gongfu.reason.alarms.kpi.gathering import AlarmName
from gongfu.reason.alarms.kpi.types import NAMED, PERIOD, TOP, Flood, Kpi, Offender, Stale
from gongfu.reason.alarms.load import floods
from gongfu.reason.alarms.load.positions import finder, mapping_of
from gongfu.reason.rules.types import Priority
from gongfu.store.records.engine import reading

MAX_WINDOW = 366 * 86_400 * SECOND
_DEFAULT = 86_400 * SECOND


class KpiService:
    """Computes figures when they are asked for. Methods block on the records: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def window(self, begin: str | None, end: str | None) -> Window:
        """Return a window from RFC 3339 texts; the last day where they are None.

        Raises:
            Problem: 400 when they are no times, or more than 366 days apart.
        """
        try:
            until = self._clock.now_ns() if end is None else parse_rfc3339(end)
            since = until - _DEFAULT if begin is None else parse_rfc3339(begin)
        except ValueError as error:
            raise invalid(f"from and to are times by RFC 3339: {error}") from None
        if not 0 <= since < until or until - since > MAX_WINDOW:
            raise invalid("from must be before to, by 366 days at most")
        return Window(since, until)

    def kpi(self, subject: Subject, window: Window, position: str | None = None) -> Kpi:
        """Return the figures of a window, of one position or of all.

        Raises:
            Problem: 400 when there are too many alarms in it.
        """
        with reading(self._engine) as connection:
            return self._kpi(connection, subject.tenant, window, position)

    def _kpi(self, connection: Connection, tenant: int, window: Window, position: str | None) -> Kpi:
        found = records.annunciations(connection, tenant, window)
        mapping = mapping_of(connection, tenant)
        find = finder(mapping)
        names = sorted({name for name, _ in mapping} | {""})
        place = np.array([names.index(find(path)) for path in found.assets], dtype=np.int64)
        events = found.annunciations
        at = place[events.assets] if len(events.times) else events.assets
        by_position = [
            figures.position_figures(name, figures.rate(events.times[at == number], window))
            for number, name in enumerate(names)
        ]
        if position is not None:
            number = names.index(position) if position in names else -1
            events = events.only(at == number)

        def keep(path: str) -> bool:
            return position is None or find(path) == position

        counts = figures.rate(events.times, window)
        total = len(events.times)
        top = figures.offenders(events, TOP)
        noisy = sorted(figures.chattering(events).items(), key=lambda item: (-item[1], item[0]))
        ranks = np.bincount(events.priorities, minlength=len(found.priorities)) if total else np.zeros(0, np.int64)
        stale = [row for row in records.stale(connection, tenant, window.end) if keep(row.asset_path)]
        brief = figures.fleeting(events)

        def offenders(items: list[tuple[int, int]]) -> list[Offender]:
            return [_offender(connection, tenant, found.alarms[key], count, total) for key, count in items]

        return Kpi(
            time_from=format_rfc3339(window.begin),
            time_to=format_rfc3339(window.end),
            position=position,
            total=figures.position_figures(position or "", counts),
            positions=[item for item in by_position if item.position or item.annunciations or len(names) == 1],
            rate_from=format_rfc3339(window.first * PERIOD),
            rate=counts.tolist(),
            priorities={str(name): 0 for name in Priority}
            | {name: int(number) for name, number in zip(found.priorities, ranks, strict=False)},
            top=offenders(top),
            top_percent=_percent(sum(count for _, count in top), total),
            chattering=offenders(noisy[:NAMED]),
            chattering_alarms=len(noisy),
            fleeting=brief,
            fleeting_percent=_percent(brief, total),
            stale=[
                Stale(
                    id=row.id,
                    rule_name=row.rule_name,
                    asset_path=row.asset_path,
                    point=row.point,
                    priority=row.priority,
                    raised_at=format_rfc3339(row.raised_at),
                )
                for row in stale[:NAMED]
            ],
            stale_alarms=len(stale),
            acknowledge=figures.times_of(events.acknowledged),
            standing=figures.times_of(events.standing),
            suppressed=records.suppressed(connection, tenant, window, keep),
            floods=[_flood(row) for row in floods.between(connection, tenant, window.begin, window.end)
                    if position is None or row.position == position],
        )  # fmt: skip


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0


def _offender(connection: Connection, tenant: int, name: AlarmName, count: int, total: int) -> Offender:
    row = records.name_of(connection, tenant, name)
    return Offender(
        rule_id=name.rule_id,
        rule_name=row.rule_name if row is not None else "",
        source=name.source,
        source_key=name.source_key,
        series=name.series,
        asset_path=row.asset_path if row is not None else "",
        point=row.point if row is not None else "",
        count=count,
        percent=_percent(count, total),
    )


def _flood(row: floods.FloodRow) -> Flood:
    return Flood(
        position=row.position,
        began_at=format_rfc3339(row.began_at),
        ended_at=None if row.ended_at is None else format_rfc3339(row.ended_at),
        alarms=row.alarms,
        peak=row.peak,
        collapsed=row.collapsed,
    )
