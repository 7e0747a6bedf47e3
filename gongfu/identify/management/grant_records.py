"""Rows of grants."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy import insert as insert_into

from gongfu.identify.management.tables import grant


def insert(connection: Connection, values: Mapping[str, Any]) -> int:
    """Add a grant and return its id."""
    key = connection.execute(insert_into(grant).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def find(connection: Connection, number: int) -> Any | None:
    """Return the row of a grant."""
    return connection.execute(select(grant).where(grant.c.id == number)).first()


def page(connection: Connection, after: int, limit: int | None, target: str = "", grantee: str = "") -> Sequence[Any]:
    """Return rows with greater ids."""
    query = select(grant).where(grant.c.id > after).order_by(grant.c.id)
    if target:
        query = query.where(grant.c.target == target)
    if grantee:
        query = query.where(grant.c.grantee == grantee)
    return connection.execute(query if limit is None else query.limit(limit)).all()


def remove(connection: Connection, number: int) -> None:
    """Remove a grant."""
    connection.execute(delete(grant).where(grant.c.id == number))
