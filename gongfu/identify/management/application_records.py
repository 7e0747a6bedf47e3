"""Rows of applications, their steps and documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update
from sqlalchemy import insert as insert_into

from gongfu.identify.management.tables import application, application_document, application_step

_DOCUMENT = [column for column in application_document.c if column.name != "content"]


def insert(connection: Connection, values: Mapping[str, Any]) -> int:
    """Add an application and return its id."""
    key = connection.execute(insert_into(application).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def change(connection: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Change columns of an application."""
    connection.execute(update(application).where(application.c.id == number).values(**values))


def find(connection: Connection, number: int) -> Any | None:
    """Return the row of an application."""
    return connection.execute(select(application).where(application.c.id == number)).first()


def of_prefix(connection: Connection, prefix: str) -> int | None:
    """Return the id of the newest application that was granted a prefix."""
    query = select(func.max(application.c.id)).where(application.c.prefix == prefix)
    return connection.execute(query).scalar()


def by_prefix(connection: Connection) -> dict[str, int]:
    """Return the newest application of each prefix that was granted by one."""
    query = select(application.c.prefix, func.max(application.c.id)).where(application.c.prefix != "")
    return {row[0]: int(row[1]) for row in connection.execute(query.group_by(application.c.prefix))}


def page(connection: Connection, state: str, search: str, before: int | None, limit: int) -> Sequence[Any]:
    """Return rows with ids below ``before``, newest first."""
    query = select(application).order_by(application.c.id.desc()).limit(limit)
    if state:
        query = query.where(application.c.state == state)
    if before is not None:
        query = query.where(application.c.id < before)
    if search:
        query = query.where(
            or_(
                application.c.name.contains(search, autoescape=True),
                application.c.credit_code.startswith(search, autoescape=True),
                application.c.prefix.startswith(search, autoescape=True),
            )
        )
    return connection.execute(query).all()


def states(connection: Connection) -> dict[str, int]:
    """Return how many applications are in each state."""
    query = select(application.c.state, func.count()).group_by(application.c.state)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def add_step(connection: Connection, number: int, step: str, person: str, at: int, words: str) -> None:
    """Note a step."""
    connection.execute(
        insert_into(application_step).values(application_id=number, step=step, person=person, at=at, words=words)
    )


def steps(connection: Connection, number: int) -> Sequence[Any]:
    """Return the steps of an application, oldest first."""
    query = select(application_step).where(application_step.c.application_id == number)
    return connection.execute(query.order_by(application_step.c.id)).all()


def documents(connection: Connection, numbers: Sequence[int]) -> Sequence[Any]:
    """Return the documents of applications without their bytes, in the order in which they came."""
    query = select(*_DOCUMENT).where(application_document.c.application_id.in_(numbers))
    return connection.execute(query.order_by(application_document.c.at, application_document.c.digest)).all()


def document(connection: Connection, number: int, digest: str) -> Any | None:
    """Return a document with its bytes."""
    query = select(application_document).where(
        application_document.c.application_id == number, application_document.c.digest == digest
    )
    return connection.execute(query).first()


def add_document(connection: Connection, values: Mapping[str, Any]) -> None:
    """Add a document."""
    connection.execute(insert_into(application_document).values(**values))


def remove_document(connection: Connection, number: int, digest: str) -> bool:
    """Remove a document; returns whether it was there."""
    query = delete(application_document).where(
        application_document.c.application_id == number, application_document.c.digest == digest
    )
    return connection.execute(query).rowcount > 0
