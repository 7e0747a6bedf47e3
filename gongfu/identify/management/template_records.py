"""Rows of versions of templates, and of classes of ranges."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy import insert as insert_into

from gongfu.identify.management.tables import range_class, template


def insert(connection: Connection, values: Mapping[str, Any]) -> int:
    """Add a version and return its number."""
    key = connection.execute(insert_into(template).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def change(connection: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Change columns of a version."""
    connection.execute(update(template).where(template.c.number == number).values(**values))


def remove(connection: Connection, number: int) -> None:
    """Remove a version."""
    connection.execute(delete(template).where(template.c.number == number))


def find(connection: Connection, name: str, version: int) -> Any | None:
    """Return the row of a version."""
    query = select(template).where(template.c.name == name, template.c.version == version)
    return connection.execute(query).first()


def versions(connection: Connection, name: str) -> Sequence[Any]:
    """Return the versions of a template, newest first."""
    query = select(template).where(template.c.name == name).order_by(template.c.version.desc())
    return connection.execute(query).all()


def all_of(connection: Connection) -> Sequence[Any]:
    """Return all rows, by name, the newest version of each first."""
    return connection.execute(select(template).order_by(template.c.name, template.c.version.desc())).all()


def insert_class(connection: Connection, values: Mapping[str, Any]) -> int:
    """Add a class and return its number."""
    key = connection.execute(insert_into(range_class).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def change_class(connection: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Change columns of a class."""
    connection.execute(update(range_class).where(range_class.c.number == number).values(**values))


def find_class(connection: Connection, number: int) -> Any | None:
    """Return the row of a class."""
    return connection.execute(select(range_class).where(range_class.c.number == number)).first()


def classes(connection: Connection, after: int = 0, limit: int | None = None) -> Sequence[Any]:
    """Return rows of classes with greater numbers."""
    query = select(range_class).where(range_class.c.number > after).order_by(range_class.c.number)
    return connection.execute(query if limit is None else query.limit(limit)).all()
