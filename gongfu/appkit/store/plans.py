"""Price plans of apps and the statements that follow from them. The store takes no payments."""

from calendar import monthrange
from typing import Any

from sqlalchemy import Connection, Engine, and_, delete, func, insert, or_, select

from gongfu.appkit.store import app_records as records
from gongfu.appkit.store.documents import Statement, StatementLine
from gongfu.appkit.store.meters import day_of
from gongfu.appkit.store.pricing import MonthUsage, Plan, amount_of
from gongfu.appkit.store.shown import plan_of
from gongfu.appkit.store.tables import app, installation, meter, plan
from gongfu.kernel.errors import conflict, invalid
from gongfu.kernel.permissions import NODE_TENANT, Subject
from gongfu.kernel.times import Clock, parse_rfc3339
from gongfu.registry.tables import tenant
from gongfu.store.records.engine import reading


def add_plan(connection: Connection, app_key: int, wanted: Plan, from_day: str | None, person: str, now: int) -> None:
    """Let a plan hold from a day on. The first one may hold at once; another one from the begin of a later month, so
    nobody's running month changes.

    Raises:
        Problem: 400 for the day, 409 when it is too early.
    """
    today = day_of(now)
    first = records.plan_on(connection, app_key, "9999-12-31") is None
    day = from_day or (today if first else next_month(today))
    try:
        parse_rfc3339(f"{day}T00:00:00Z")
    except ValueError as error:
        raise invalid(f"plan_from: {error}") from None
    if (first and day < today) or (not first and (day < next_month(today) or not day.endswith("-01"))):
        raise conflict(f"a plan holds from {today if first else 'the first day of a later month'} on, not from {day}")
    connection.execute(delete(plan).where(plan.c.app_id == app_key, plan.c.from_day == day))
    connection.execute(
        insert(plan).values(
            app_id=app_key,
            from_day=day,
            kind=wanted.kind,
            amount=wanted.amount,
            currency=wanted.currency,
            included=wanted.included,
            set_by=person,
            set_at=now,
        )
    )


def next_month(day: str) -> str:
    """Return the first day of the month after a day."""
    year, month = int(day[:4]), int(day[5:7])
    return f"{year + month // 12:04}-{month % 12 + 1:02}-01"


class Statements:
    """Statements of months. Methods block: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def of_month(self, subject: Subject, month: str) -> Statement:
        """Return what was used in a month: by the caller's tenant, of the caller's apps, or all for the node's own.

        The plan of a month is the one of its last day: no plan begins within a month but an app's first one.
        """
        first, last, days = _days(month)
        begin, end = parse_rfc3339(f"{first}T00:00:00Z"), parse_rfc3339(f"{next_month(first)}T00:00:00Z")
        totals = (
            select(
                meter.c.app_id,
                meter.c.tenant_id,
                func.sum(meter.c.calls).label("calls"),
                func.sum(meter.c.devices).label("device_days"),
            )
            .where(meter.c.day >= first, meter.c.day <= last)
            .group_by(meter.c.app_id, meter.c.tenant_id)
        )
        there = (
            select(installation.c.app_id, installation.c.tenant_id)
            .where(
                installation.c.first_at < end,
                or_(installation.c.removed_at == 0, installation.c.removed_at >= begin),
            )
            .distinct()
        )
        with reading(self._engine) as connection:
            used = {(row.app_id, row.tenant_id): row for row in connection.execute(totals)}
            installed = {(row.app_id, row.tenant_id) for row in connection.execute(there)}
            lines: list[StatementLine] = []
            for key in sorted({*used, *installed}):
                line = self._line(connection, subject, key, used.get(key), key in installed, last, days)
                if line is not None:
                    lines.append(line)
        return Statement(month=month, final=end <= self._clock.now_ns(), lines=lines)

    @staticmethod
    def _line(
        connection: Connection, subject: Subject, key: tuple[int, int], used: Any, installed: bool, last: str, days: int
    ) -> StatementLine | None:
        query = select(app.c.identifier, app.c.title, app.c.tenant_id, tenant.c.name).join(
            tenant, and_(tenant.c.id == key[1])
        )
        row = connection.execute(query.where(app.c.id == key[0])).one()
        if subject.tenant not in (NODE_TENANT, key[1], row.tenant_id):
            return None
        held = plan_of(records.plan_on(connection, key[0], last))
        usage = MonthUsage(
            calls=int(used.calls) if used is not None else 0,
            device_days=int(used.device_days) if used is not None else 0,
            installed=installed,
            days=days,
        )
        return StatementLine(
            app=row.identifier,
            title=row.title,
            tenant=key[1],
            tenant_name=row.name,
            calls=usage.calls,
            device_days=usage.device_days,
            installed=installed,
            plan=held,
            amount=amount_of(held, usage),
        )


def _days(month: str) -> tuple[str, str, int]:
    days = monthrange(int(month[:4]), int(month[5:7]))[1]
    return f"{month}-01", f"{month}-{days:02}", days
