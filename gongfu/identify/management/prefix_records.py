"""Rows of prefixes."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, or_, select, update
from sqlalchemy import insert as insert_into

from gongfu.identify.management.tables import prefix


def insert(connection: Connection, values: Mapping[str, Any]) -> int:
    """Add a prefix and return its number."""
    key = connection.execute(insert_into(prefix).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def change(connection: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Change columns of a prefix."""
    connection.execute(update(prefix).where(prefix.c.number == number).values(**values))


def find(connection: Connection, key: str) -> Any | None:
    """Return the row of a prefix by its key."""
    return connection.execute(select(prefix).where(prefix.c.name_key == key)).first()


def all_of(connection: Connection) -> Sequence[Any]:
    """Return all rows."""
    return connection.execute(select(prefix).order_by(prefix.c.number)).all()


def below(connection: Connection, key: str) -> Sequence[str]:
    """Return the keys of all prefixes below one."""
    query = select(prefix.c.name_key).where(prefix.c.name_key.startswith(f"{key}.", autoescape=True))
    return connection.execute(query).scalars().all()


def page(
    connection: Connection,
    after: str,
    limit: int,
    *,
    search: str = "",
    state: str = "",
    enterprise: str = "",
) -> Sequence[Any]:
    """Return rows behind a key, by key."""
    query = select(prefix).where(prefix.c.name_key > after).order_by(prefix.c.name_key).limit(limit)
    if state:
        query = query.where(prefix.c.state == state)
    if enterprise:
        query = query.where(prefix.c.enterprise == enterprise)
    if search:
        query = query.where(
            or_(
                prefix.c.name_key.startswith(search.upper(), autoescape=True),
                prefix.c.enterprise.contains(search, autoescape=True),
            )
        )
    return connection.execute(query).all()
