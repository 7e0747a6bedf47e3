"""Rows of figures by day."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy import insert as insert_into

from gongfu.identify.management.tables import day

_AT_ONCE = 500


def put(connection: Connection, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of a day, which take the place of those that are there."""
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        keys = [row["prefix"] for row in part]
        connection.execute(delete(day).where(day.c.day == number, day.c.prefix.in_(keys)))
        connection.execute(insert_into(day), [{**row, "day": number} for row in part])


def of_day(connection: Connection, number: int) -> Sequence[Any]:
    """Return the rows of a day."""
    return connection.execute(select(day).where(day.c.day == number)).all()


def last_until(connection: Connection, number: int) -> Sequence[Any]:
    """Return the last row of each prefix that is not after a day."""
    last = select(day.c.prefix, func.max(day.c.day).label("day")).where(day.c.day <= number).group_by(day.c.prefix)
    found = last.subquery()
    query = select(day).join(found, (day.c.prefix == found.c.prefix) & (day.c.day == found.c.day))
    return connection.execute(query).all()


def of_prefix(connection: Connection, prefix: str, first: int) -> Sequence[Any]:
    """Return the rows of a prefix from a day on, oldest first, and the last one before it."""
    before = select(func.max(day.c.day)).where(day.c.prefix == prefix, day.c.day < first).scalar_subquery()
    query = select(day).where(day.c.prefix == prefix, (day.c.day >= first) | (day.c.day == before))
    return connection.execute(query.order_by(day.c.day)).all()


def sums(connection: Connection) -> Sequence[Any]:
    """Return all resolutions by prefix."""
    query = select(day.c.prefix, func.sum(day.c.real).label("real"), func.sum(day.c.replayed).label("replayed"))
    return connection.execute(query.where(day.c.prefix != "").group_by(day.c.prefix)).all()
