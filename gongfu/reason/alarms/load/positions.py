"""Operator positions: who looks after which assets. Every asset belongs to one position at most."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from sqlalchemy import Connection, delete, insert, select

from gongfu.reason.alarms.load.tables import position
from gongfu.reason.rules.patterns import asset_pattern, literal_prefix

# The position of assets that no pattern covers.
UNASSIGNED = ""

Mapping = Sequence[tuple[str, str]]


def position_of(mapping: Mapping, asset: str) -> str:
    """Return the position of an asset: of the patterns that cover it, that which says most; ``""`` where none does.

    Args:
        mapping: ``(position, asset pattern)``.
        asset: path.
    """
    best, said = UNASSIGNED, (-1, -1)
    for name, pattern in mapping:
        says = len(literal_prefix(pattern)), len(pattern)
        if says > said and asset_pattern(pattern).fullmatch(asset) is not None:
            best, said = name, says
    return best


def finder(mapping: Mapping) -> Callable[[str], str]:
    """Return ``position_of`` for a mapping, which remembers what it found."""
    return lru_cache(maxsize=200_000)(lambda asset: position_of(mapping, asset))


def mapping_of(connection: Connection, tenant: int) -> list[tuple[str, str]]:
    """Return a tenant's mapping in order of position and pattern."""
    c = position.c
    query = select(c.position, c.asset).where(c.tenant_id == tenant).order_by(c.position, c.asset)
    return [(row.position, row.asset) for row in connection.execute(query)]


def replace_mapping(connection: Connection, tenant: int, mapping: Iterable[tuple[str, str]]) -> None:
    """Write a tenant's mapping in place of the one before."""
    connection.execute(delete(position).where(position.c.tenant_id == tenant))
    rows = [{"tenant_id": tenant, "position": name, "asset": pattern} for name, pattern in mapping]
    if rows:
        connection.execute(insert(position), rows)
