"""Rows of the audit."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, or_, select
from sqlalchemy import insert as insert_into

from gongfu.registry.tables import audit, user


def insert(
    connection: Connection, time: int, tenant: int, user_name: str, action: str, resource: str, detail: str
) -> None:
    """Add one row."""
    connection.execute(
        insert_into(audit).values(
            time=time, tenant_id=tenant, user_name=user_name, action=action, resource=resource, detail=detail
        )
    )


def newest(connection: Connection, tenant: int, before: int | None, limit: int) -> Sequence[Any]:
    """Return rows of a tenant with ids below ``before``, newest first."""
    query = select(audit).where(audit.c.tenant_id == tenant).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    return connection.execute(query).all()


def last_of(connection: Connection, tenant: int, prefixes: Sequence[str]) -> int:
    """Return the id of a tenant's newest row whose action starts with one of some texts, 0 when there is none."""
    query = (
        select(audit.c.id)
        .where(audit.c.tenant_id == tenant, or_(*(audit.c.action.startswith(prefix) for prefix in prefixes)))
        .order_by(audit.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar() or 0


def first_by_user(connection: Connection, tenant: int, action: str, resource: str) -> Any | None:
    """Return the oldest row of an action on something that a user of the tenant did, who has an account still."""
    query = select(audit).join(user, user.c.name == audit.c.user_name)
    query = query.where(audit.c.action == action, audit.c.resource == resource)
    query = query.where(audit.c.tenant_id == tenant, user.c.tenant_id == tenant)
    return connection.execute(query.order_by(audit.c.id).limit(1)).first()
