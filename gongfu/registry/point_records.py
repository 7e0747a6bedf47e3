"""Rows of points."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, tuple_, update

from gongfu.registry.tables import asset, point
from gongfu.registry.text_search import matches

# Up to so many points with a name are fetched and sorted; more of them are met soon when walking in order.
_FEW_HITS = 2000

_POINT = select(
    point.c.id,
    point.c.asset_id,
    asset.c.path.label("asset_path"),
    point.c.name,
    point.c.value_type,
    point.c.unit,
    point.c.description,
    point.c.created_at,
).join(asset, asset.c.id == point.c.asset_id)
# Made once: each query of the history asks it.
_BY_IDS = _POINT.where(point.c.tenant_id == bindparam("tenant"), point.c.id.in_(bindparam("keys", expanding=True)))


def by_id(connection: Connection, tenant_id: int, key: int) -> Any | None:
    """Return a point of a tenant."""
    return connection.execute(_POINT.where(point.c.tenant_id == tenant_id, point.c.id == key)).first()


def by_ids(connection: Connection, tenant_id: int, keys: Collection[int]) -> Sequence[Any]:
    """Return those of some points that belong to a tenant."""
    return connection.execute(_BY_IDS, {"tenant": tenant_id, "keys": list(keys)}).all()


def by_names(connection: Connection, tenant_id: int, names: Sequence[tuple[str, str]]) -> Sequence[Any]:
    """Return those of some (asset path, name) that are points of a tenant."""
    query = _POINT.where(asset.c.tenant_id == tenant_id, tuple_(asset.c.path, point.c.name).in_(names))
    return connection.execute(query.where(asset.c.path.in_({path for path, _ in names}))).all()


def extent(connection: Connection, tenant_id: int) -> tuple[int, int]:
    """Return the number of points of a tenant and the greatest id."""
    query = select(func.count(), func.coalesce(func.max(point.c.id), 0)).where(point.c.tenant_id == tenant_id)
    number, last = connection.execute(query).one()
    return number, last


def page(
    connection: Connection,
    tenant_id: int,
    after: tuple[str, str] | None,
    limit: int,
    *,
    search: str = "",
    asset_id: int | None = None,
    subtree: str | None = None,
) -> Sequence[Any]:
    """Return points in order of asset path and name; ``subtree`` is an asset path, itself included.

    ``search`` finds text in the name or in the path; the two are looked for apart, because a database that checks both
    at once walks every point of the tenant.
    """
    # Both sides of the join carry the tenant, so the index of paths is walked in order and nothing is sorted.
    query = _POINT.where(asset.c.tenant_id == tenant_id).order_by(asset.c.path, point.c.name).limit(limit)
    if after is not None:
        query = query.where(asset.c.path >= after[0], tuple_(asset.c.path, point.c.name) > tuple_(*after))
    if asset_id is not None:
        query = query.where(point.c.asset_id == asset_id)
    if subtree is not None:
        query = query.where(asset.c.path >= subtree, asset.c.path < subtree + "0")
        query = query.where(or_(asset.c.path == subtree, asset.c.path > subtree + "/"))
    if not search:
        return connection.execute(query).all()
    found = {row.id: row for row in connection.execute(query.where(matches(connection, asset.c.path, search)))}
    in_name = matches(connection, point.c.name, search)
    hits = select(point.c.id).where(point.c.tenant_id == tenant_id, in_name).limit(_FEW_HITS + 1)
    ids = () if asset_id is not None else connection.execute(hits).scalars().all()
    if asset_id is not None or len(ids) > _FEW_HITS:
        found.update((row.id, row) for row in connection.execute(query.where(in_name)))
    else:
        # Without an order, so that the database starts from the ids and not from the index of paths.
        for row in by_ids(connection, tenant_id, ids):
            inside = subtree is None or row.asset_path == subtree or row.asset_path.startswith(subtree + "/")
            if inside and (after is None or (row.asset_path, row.name) > after):
                found[row.id] = row
    return sorted(found.values(), key=lambda row: (row.asset_path, row.name))[:limit]


def change(connection: Connection, key: int, values: dict[str, Any]) -> None:
    """Change columns of a point."""
    if values:
        connection.execute(update(point).where(point.c.id == key).values(**values))


def count(connection: Connection, tenant_id: int) -> int:
    """Return the number of points of a tenant."""
    query = select(func.count()).select_from(point).where(point.c.tenant_id == tenant_id)
    return connection.execute(query).scalar_one()
