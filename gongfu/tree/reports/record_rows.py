"""Rows of signed records. The only place with their SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select

from gongfu.tree.reports.tables import record


def put(connection: Connection, values: dict[str, Any]) -> bool:
    """Store a record; return whether it is new."""
    there = connection.execute(select(record.c.digest).where(record.c.digest == values["digest"])).first()
    if there is None:
        connection.execute(insert(record).values(values))
    return there is None


def last_sequence(connection: Connection, kind: str, node: str) -> int:
    """Return the largest sequence of a node's records of a kind; 0 without one."""
    query = select(func.max(record.c.sequence)).where(record.c.kind == kind, record.c.node == node)
    return int(connection.execute(query).scalar() or 0)


def with_sequence(connection: Connection, kind: str, node: str, sequence: int) -> list[str]:
    """Return the digests of the records with a sequence; more than one after a node was restored."""
    where = (record.c.kind == kind, record.c.node == node, record.c.sequence == sequence)
    return list(connection.execute(select(record.c.digest).where(*where)).scalars())


def positions(connection: Connection, nodes: set[str]) -> dict[str, int]:
    """Return by ``<kind> <node>`` up to which sequence all records are here, of nodes of a set."""
    out: dict[str, int] = {}
    lag = func.lag(record.c.sequence).over(partition_by=(record.c.kind, record.c.node), order_by=record.c.sequence)
    gaps = select(record.c.kind, record.c.node, record.c.sequence, lag.label("before")).subquery()
    last = select(record.c.kind, record.c.node, func.max(record.c.sequence)).group_by(record.c.kind, record.c.node)
    for kind, node, sequence in connection.execute(last):
        if node in nodes:
            out[f"{kind} {node}"] = int(sequence)
    missing = select(gaps.c.kind, gaps.c.node, func.min(func.coalesce(gaps.c.before, 0)))
    missing = missing.where(gaps.c.sequence > func.coalesce(gaps.c.before, 0) + 1).group_by(gaps.c.kind, gaps.c.node)
    for kind, node, before in connection.execute(missing):
        if node in nodes:
            out[f"{kind} {node}"] = int(before)
    return out


def after(connection: Connection, kind: str, node: str, sequence: int) -> list[bytes]:
    """Return a node's records of a kind behind a sequence, in order."""
    where = (record.c.kind == kind, record.c.node == node, record.c.sequence > sequence)
    return list(connection.execute(select(record.c.signed).where(*where).order_by(record.c.sequence)).scalars())


def streams(connection: Connection) -> list[tuple[str, str]]:
    """Return kind and node of all records there are."""
    return [(kind, node) for kind, node in connection.execute(select(record.c.kind, record.c.node).distinct())]


def page(
    connection: Connection, kind: str | None, node: str | None, limit: int, before: tuple[int, str] | None
) -> Sequence[Any]:
    """Return records, last received first."""
    query = select(record).order_by(record.c.received.desc(), record.c.digest).limit(limit)
    if kind is not None:
        query = query.where(record.c.kind == kind)
    if node is not None:
        query = query.where(record.c.node == node)
    if before is not None:
        received, digest = before
        later = and_(record.c.received == received, record.c.digest > digest)
        query = query.where(or_(record.c.received < received, later))
    return connection.execute(query).all()
