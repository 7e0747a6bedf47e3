"""Rows of events."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, insert, or_, select

from gongfu.registry.tables import asset, event

_EVENT = select(event, asset.c.path.label("asset_path")).join(asset, asset.c.id == event.c.asset_id)


def page(
    connection: Connection,
    tenant_id: int,
    after: tuple[int, str] | None,
    limit: int,
    *,
    path: str | None = None,
    time_from: int | None = None,
    time_to: int | None = None,
) -> Sequence[Any]:
    """Return events that overlap a time range, oldest first; ``path`` includes the assets below it."""
    c = event.c
    query = _EVENT.where(c.tenant_id == tenant_id).order_by(c.time_from, c.id).limit(limit)
    if path is not None:
        query = query.where(or_(asset.c.path == path, and_(asset.c.path > path + "/", asset.c.path < path + "0")))
    if time_from is not None:
        query = query.where(c.time_to >= time_from)
    if time_to is not None:
        query = query.where(c.time_from <= time_to)
    if after is not None:
        query = query.where(or_(c.time_from > after[0], and_(c.time_from == after[0], c.id > after[1])))
    return connection.execute(query).all()


def add(connection: Connection, **values: Any) -> None:
    """Add an event."""
    connection.execute(insert(event).values(**values))
