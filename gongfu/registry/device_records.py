"""Rows of devices."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from gongfu.registry.tables import asset, device, point
from gongfu.registry.text_search import device_hits, device_matches

_DEVICE = select(device, asset.c.path.label("asset_path")).join(asset, asset.c.id == device.c.asset_id)


def for_certificate(connection: Connection, fingerprint: str) -> Any | None:
    """Return the device of a certificate fingerprint."""
    return connection.execute(_DEVICE.where(device.c.certificate_sha256 == fingerprint)).first()


def for_sign_ins(connection: Connection, names: Collection[str]) -> dict[str, Any]:
    """Return devices by name; names that no device has are left out."""
    return {row.name: row for row in connection.execute(_DEVICE.where(device.c.name.in_(names)))}


def by_id(connection: Connection, tenant_id: int, key: int) -> Any | None:
    """Return a device of a tenant."""
    return connection.execute(_DEVICE.where(device.c.tenant_id == tenant_id, device.c.id == key)).first()


def anywhere(connection: Connection, key: int) -> Any | None:
    """Return a device of whatever tenant."""
    return connection.execute(_DEVICE.where(device.c.id == key)).first()


def at_assets(connection: Connection, tenant_id: int, paths: Collection[str]) -> Sequence[Any]:
    """Return the devices whose asset is at one of some paths, those furthest down first."""
    query = _DEVICE.where(device.c.tenant_id == tenant_id, asset.c.path.in_(paths))
    return connection.execute(query.order_by(func.length(asset.c.path).desc(), device.c.id)).all()


def page(
    connection: Connection,
    tenant_id: int,
    after: str | None,
    limit: int,
    *,
    search: str = "",
    ids: Collection[int] | None = None,
) -> Sequence[Any]:
    """Return devices in order of name; ``ids`` are the only ones to consider (at most 30,000).

    ``search`` looks at the name and at path, type and attributes of the asset, see ``text_search``.
    """
    hits = device_hits(connection, tenant_id, search) if search else None
    if hits is not None:
        ids = hits if ids is None else set(hits).intersection(ids)
    if ids is not None:
        # Sorted here: the database would rather walk the names of the tenant in order.
        names = select(device.c.name, device.c.id).where(device.c.id.in_(ids), device.c.tenant_id + 0 == tenant_id)
        if search and hits is None:
            names = names.join(asset, asset.c.id == device.c.asset_id).where(device_matches(connection, search))
        rows = sorted(tuple(row) for row in connection.execute(names) if after is None or row.name > after)[:limit]
        chosen = connection.execute(_DEVICE.where(device.c.id.in_([row[1] for row in rows]))).all()
        return sorted(chosen, key=lambda row: row.name)
    query = _DEVICE.where(device.c.tenant_id == tenant_id).order_by(device.c.name).limit(limit)
    if after is not None:
        query = query.where(device.c.name > after)
    if search:
        query = query.where(device_matches(connection, search))
    return connection.execute(query).all()


def points_below(connection: Connection, ids: Collection[int]) -> dict[int, int]:
    """Return the numbers of points at or below the assets of some devices, by device."""
    inside = asset.alias("inside")
    # Two ranges of the index of paths; as one condition with OR, neither database would use it.
    same = and_(inside.c.tenant_id == asset.c.tenant_id, inside.c.path == asset.c.path)
    below = and_(
        inside.c.tenant_id == asset.c.tenant_id, inside.c.path > asset.c.path + "/", inside.c.path < asset.c.path + "0"
    )
    counts = [
        select(func.count())
        .select_from(inside)
        .join(point, point.c.asset_id == inside.c.id)
        .where(condition)
        .correlate(asset)
        .scalar_subquery()
        for condition in (same, below)
    ]
    total = (counts[0] + counts[1]).label("points")
    query = select(device.c.id, total).join(asset, asset.c.id == device.c.asset_id).where(device.c.id.in_(ids))
    return {row.id: row.points for row in connection.execute(query)}


def series_of_assets(connection: Connection, asset_ids: Collection[int], limit: int) -> Sequence[Any]:
    """Return ``asset_id`` and ``id`` of points directly at some assets."""
    query = select(point.c.asset_id, point.c.id).where(point.c.asset_id.in_(asset_ids)).limit(limit)
    return connection.execute(query).all()


def add(connection: Connection, **values: Any) -> int:
    """Add a device and return its id."""
    return connection.execute(insert(device).values(**values).returning(device.c.id)).scalar_one()


def change(connection: Connection, key: int, values: dict[str, Any]) -> None:
    """Change columns of a device."""
    if values:
        connection.execute(update(device).where(device.c.id == key).values(**values))


def remove(connection: Connection, key: int) -> None:
    """Remove a device; what was dropped of it stays counted."""
    connection.execute(delete(device).where(device.c.id == key))


def count(connection: Connection, tenant_id: int) -> int:
    """Return the number of devices of a tenant."""
    return connection.execute(
        select(func.count()).select_from(device).where(device.c.tenant_id == tenant_id)
    ).scalar_one()


def count_among(connection: Connection, tenant_id: int, ids: Sequence[int]) -> int:
    """Return how many of some devices belong to a tenant."""
    total = 0
    for start in range(0, len(ids), 10_000):
        chunk = ids[start : start + 10_000]
        query = select(func.count()).select_from(device).where(device.c.tenant_id == tenant_id, device.c.id.in_(chunk))
        total += connection.execute(query).scalar_one()
    return total
