"""Rows of roll-outs."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from gongfu.kernel.permissions import Role, Subject
from gongfu.tree.rollouts.tables import rollout as table
from gongfu.tree.rollouts.waves import Rollout


class Person(msgspec.Struct, frozen=True):
    """Who started a roll-out: the waves are issued in their name."""

    user: int
    name: str
    tenant: int
    role: str

    def subject(self) -> Subject:
        """Return the subject that acts."""
        return Subject(self.user, self.name, self.tenant, Role(self.role))


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A roll-out as it is stored. ``number`` counts up; ``created_at`` is UTC ns."""

    id: str
    number: int
    kind: str
    payload: bytes
    author: Person
    reason: str
    created_at: int
    rollout: Rollout
    settled: bool = False
    """Whether nothing happens any more by itself."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Stored).decode


def next_number(connection: Connection) -> int:
    """Return the number of the next roll-out."""
    return int(connection.execute(select(func.coalesce(func.max(table.c.number), 0))).scalar_one()) + 1


def add(connection: Connection, stored: Stored) -> None:
    """Insert a roll-out."""
    row = {"id": stored.id, "number": stored.number, "open": not stored.settled, "body": _encode(stored)}
    connection.execute(insert(table).values(row))


def save(connection: Connection, stored: Stored) -> None:
    """Write a roll-out anew."""
    row = {"open": not stored.settled, "body": _encode(stored)}
    connection.execute(update(table).where(table.c.id == stored.id).values(row))


def by_id(connection: Connection, key: str) -> Stored | None:
    """Return a roll-out."""
    body = connection.execute(select(table.c.body).where(table.c.id == key)).scalar()
    return None if body is None else _decode(body)


def unsettled(connection: Connection) -> list[Stored]:
    """Return the roll-outs to which something may still happen by itself, oldest first."""
    rows = connection.execute(select(table.c.body).where(table.c.open).order_by(table.c.number))
    return [_decode(body) for body in rows.scalars()]


def page(connection: Connection, before: int | None, limit: int) -> Sequence[Stored]:
    """Return roll-outs, newest first."""
    query = select(table.c.body).order_by(table.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.number < before)
    return [_decode(body) for body in connection.execute(query).scalars()]
