"""Queries of channels and routes."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Table, and_, delete, insert, select, update

from gongfu.reason.notify.tables import channel, route
from gongfu.reason.notify.types import ChannelBody, RouteBody


def channels(connection: Connection, tenant: int | None = None) -> dict[int, tuple[int, ChannelBody]]:
    """Return ``{number: (tenant, channel)}`` in order of name, without secrets."""
    return _all(connection, channel, ChannelBody, tenant)


def routes(connection: Connection, tenant: int | None = None) -> dict[int, tuple[int, RouteBody]]:
    """Return ``{number: (tenant, route)}`` in order of name."""
    return _all(connection, route, RouteBody, tenant)


def _all(connection: Connection, table: Table, kind: Any, tenant: int | None) -> Any:
    query = select(table).order_by(table.c.name, table.c.id)
    if tenant is not None:
        query = query.where(table.c.tenant_id == tenant)
    return {row.id: (row.tenant_id, msgspec.convert(row.definition, kind)) for row in connection.execute(query)}


def put(
    connection: Connection, table: Table, tenant: int, key: int, body: ChannelBody | RouteBody, now: int
) -> int | None:
    """Insert (key 0) or replace; return its number, None when it is not there. A channel's secret is left out."""
    document = msgspec.to_builtins(body)
    document.pop("secret", None)
    values = {"name": body.name, "definition": document, "updated_at": now}
    if not key:
        made = connection.execute(insert(table).values(tenant_id=tenant, **values)).inserted_primary_key
        assert made is not None
        return int(made[0])
    mine = and_(table.c.id == key, table.c.tenant_id == tenant)
    return key if connection.execute(update(table).where(mine).values(values)).rowcount else None


def remove(connection: Connection, table: Table, tenant: int, key: int) -> bool:
    """Delete; return whether it was there."""
    mine = and_(table.c.id == key, table.c.tenant_id == tenant)
    return connection.execute(delete(table).where(mine)).rowcount > 0
