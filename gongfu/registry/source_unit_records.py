"""Rows of the units that machines say for points."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, tuple_, update

from gongfu.registry.tables import asset, point, source_unit

_CHUNK = 400


def stated(connection: Connection, tenant_id: int, names: Collection[tuple[str, str]]) -> list[Any]:
    """Return points by (asset path, name), with what their source has said of the unit; ``text`` is None for nothing.

    Columns: id, asset_id, asset_path, name, point_unit, text, unit, low, high.
    """
    query = (
        select(
            point.c.id,
            point.c.asset_id,
            asset.c.path.label("asset_path"),
            point.c.name,
            point.c.unit.label("point_unit"),
            source_unit.c.text,
            source_unit.c.unit,
            source_unit.c.low,
            source_unit.c.high,
        )
        .join(asset, asset.c.id == point.c.asset_id)
        .outerjoin(source_unit, source_unit.c.point_id == point.c.id)
        .where(asset.c.tenant_id == tenant_id)
    )
    wanted = sorted(set(names))
    found: list[Any] = []
    for start in range(0, len(wanted), _CHUNK):
        part = wanted[start : start + _CHUNK]
        chosen = query.where(tuple_(asset.c.path, point.c.name).in_(part))
        found += connection.execute(chosen.where(asset.c.path.in_({path for path, _ in part}))).all()
    return found


def add(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add what was said for the first time."""
    if rows:
        connection.execute(insert(source_unit), rows)


def change(connection: Connection, point_id: int, values: dict[str, Any], *, counted: bool) -> None:
    """Change what was said; ``counted`` when it is another unit."""
    if counted:
        values = {**values, "changes": source_unit.c.changes + 1}
    connection.execute(update(source_unit).where(source_unit.c.point_id == point_id).values(**values))


def page(
    connection: Connection, tenant_id: int, after: tuple[str, str] | None, limit: int, path: str | None, state: str
) -> Sequence[Any]:
    """Return points with a unit of their source, in order of asset path and name.

    Args:
        connection: records.
        tenant_id: whose.
        after: (asset path, name) of the last one of the page before.
        limit: greatest number.
        path: of an asset; those below it are included.
        state: ``changed``, ``unknown`` (no UCUM code) or ``differs`` (from the unit of the point); "" for all.
    """
    u = source_unit.c
    query = (
        select(source_unit, asset.c.path.label("asset_path"), point.c.name, point.c.unit.label("point_unit"))
        .join(point, point.c.id == u.point_id)
        .join(asset, asset.c.id == point.c.asset_id)
        .where(u.tenant_id == tenant_id)
        .order_by(asset.c.path, point.c.name)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(asset.c.path, point.c.name) > tuple_(*after))
    if path is not None:
        query = query.where((asset.c.path == path) | ((asset.c.path > path + "/") & (asset.c.path < path + "0")))
    if state == "changed":
        query = query.where(u.changes > 0)
    elif state == "unknown":
        query = query.where(u.unit == "")
    elif state == "differs":
        query = query.where(u.unit != "", u.unit != point.c.unit)
    return connection.execute(query).all()


def changes(connection: Connection, tenant_id: int) -> int:
    """Return how often units of a tenant have changed."""
    query = select(func.coalesce(func.sum(source_unit.c.changes), 0)).where(source_unit.c.tenant_id == tenant_id)
    return int(connection.execute(query).scalar_one())
