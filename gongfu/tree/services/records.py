"""Rows of identifier services."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, delete, insert, select

from gongfu.tree.services.messages import encode, read_values
from gongfu.tree.services.tables import identifier_service as table

ABOVE = ""
"""The row of the service above."""


def services(connection: Connection) -> dict[str, tuple[bytes, ...]]:
    """Return the values of all services by node, that above by ``ABOVE``."""
    rows = connection.execute(select(table.c.node, table.c.body)).all()
    return {row.node: read_values(row.body) for row in rows}


def put_services(connection: Connection, changed: Mapping[str, tuple[bytes, ...]], now: int) -> None:
    """Store services in place of what was there; those without values are deleted. ``now`` is UTC ns."""
    forget_services(connection, changed)
    rows = [{"node": node, "body": encode(values), "changed": now} for node, values in changed.items() if values]
    if rows:
        connection.execute(insert(table), rows)


def forget_services(connection: Connection, nodes: Collection[str]) -> None:
    """Delete the services of nodes."""
    for node in nodes:
        connection.execute(delete(table).where(table.c.node == node))
