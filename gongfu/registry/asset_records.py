"""Rows of assets. A subtree is a range of paths, because names sort by code point (``name_text``)."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, literal, or_, select, text, update

from gongfu.registry.tables import asset, device, event, point
from gongfu.registry.text_search import asset_hits, asset_matches

# "/" is followed by "0" in code point order: paths below "a" are those from "a/" up to, not including, "a0".
_AFTER_SLASH = "0"

_child = asset.alias("child")
_CHILDREN = select(func.count()).where(_child.c.parent_id == asset.c.id).correlate(asset).scalar_subquery()
_POINTS = select(func.count()).where(point.c.asset_id == asset.c.id).correlate(asset).scalar_subquery()
_ASSET = select(asset, _CHILDREN.label("children"), _POINTS.label("points"))


def below(path: str) -> ColumnElement[bool]:
    """Return the condition that an asset is below a path, itself not included."""
    return and_(asset.c.path > path + "/", asset.c.path < path + _AFTER_SLASH)


def at_or_below(path: str) -> ColumnElement[bool]:
    """Return the condition that an asset is at or below a path."""
    return or_(asset.c.path == path, below(path))


def lock_tree(connection: Connection, tenant_id: int) -> None:
    """Let one transaction at a time change the shape of a tenant's tree; SQLite has one writer anyhow."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('asset'), :tenant)"), {"tenant": tenant_id})


def by_id(connection: Connection, tenant_id: int, key: int) -> Any | None:
    """Return an asset of a tenant with its numbers of children and points."""
    return connection.execute(_ASSET.where(asset.c.tenant_id == tenant_id, asset.c.id == key)).first()


def by_path(connection: Connection, tenant_id: int, path: str) -> Any | None:
    """Return id and path of an asset of a tenant."""
    query = select(asset).where(asset.c.tenant_id == tenant_id, asset.c.path == path)
    return connection.execute(query).first()


def page(
    connection: Connection,
    tenant_id: int,
    after: str | None,
    limit: int,
    *,
    search: str = "",
    parent: int | None = None,
    path: str | None = None,
    ids: Collection[int] | None = None,
) -> Sequence[Any]:
    """Return assets in order of path; ``parent`` 0 means the roots, ``path`` an exact path, ``ids`` the only ones to
    consider (at most 30,000)."""
    query = _ASSET.where(asset.c.tenant_id == tenant_id).order_by(asset.c.path).limit(limit)
    if after is not None:
        query = query.where(asset.c.path > after)
    if search or ids is not None:
        hits = asset_hits(connection, tenant_id, search) if search else None
        if search and hits is None:
            query = query.where(asset_matches(connection, search))
        if ids is not None:
            hits = set(ids) if hits is None else set(ids).intersection(hits)
        if hits is not None:
            # Sorted here: the database would rather walk the paths of the tenant in order.
            paths = select(asset.c.path, asset.c.id).where(asset.c.id.in_(hits), asset.c.tenant_id + 0 == tenant_id)
            if search and ids is not None:
                paths = paths.where(asset_matches(connection, search))
            if path is not None:
                paths = paths.where(asset.c.path == path)
            if parent is not None:
                paths = paths.where(asset.c.parent_id == parent if parent else asset.c.parent_id.is_(None))
            found = sorted(tuple(row) for row in connection.execute(paths) if after is None or row.path > after)
            query = query.where(asset.c.id.in_([row[1] for row in found[:limit]]))
    if parent is not None:
        query = query.where(asset.c.parent_id == parent if parent else asset.c.parent_id.is_(None))
    if path is not None:
        query = query.where(asset.c.path == path)
    return connection.execute(query).all()


def add(connection: Connection, **values: Any) -> int:
    """Add an asset and return its id."""
    return connection.execute(insert(asset).values(**values).returning(asset.c.id)).scalar_one()


def ensure(connection: Connection, tenant_id: int, names: list[str], now: int, **values: Any) -> tuple[int, bool]:
    """Return the id of the asset at a path, adding it and those above where missing, and whether it was added.

    ``values`` are columns of the last one when it is added. Call ``lock_tree`` before.
    """
    parent: int | None = None
    added = False
    for depth in range(1, len(names) + 1):
        path = "/".join(names[:depth])
        row = by_path(connection, tenant_id, path)
        added = row is None
        if row is not None:
            parent = row.id
            continue
        further = values if depth == len(names) else {}
        columns = {"type": "", "attributes": {}, **further}
        parent = add(
            connection,
            tenant_id=tenant_id,
            parent_id=parent,
            name=names[depth - 1],
            path=path,
            created_at=now,
            **columns,
        )
    assert parent is not None
    return parent, added


def change(connection: Connection, key: int, values: dict[str, Any]) -> None:
    """Change columns of an asset."""
    if values:
        connection.execute(update(asset).where(asset.c.id == key).values(**values))


def longest_below(connection: Connection, tenant_id: int, path: str) -> int:
    """Return the number of characters of the longest path at or below one."""
    query = select(func.max(func.length(asset.c.path))).where(asset.c.tenant_id == tenant_id, at_or_below(path))
    return connection.execute(query).scalar() or 0


def move_below(connection: Connection, tenant_id: int, old: str, new: str) -> None:
    """Give all assets below ``old`` their paths below ``new``."""
    connection.execute(
        update(asset)
        .where(asset.c.tenant_id == tenant_id, below(old))
        .values(path=literal(new).concat(func.substr(asset.c.path, len(old) + 1)))
    )


def devices_below(connection: Connection, tenant_id: int, path: str) -> Sequence[Any]:
    """Return id and name of the devices that report for an asset at or below a path."""
    query = (
        select(device.c.id, device.c.name)
        .join(asset, asset.c.id == device.c.asset_id)
        .where(asset.c.tenant_id == tenant_id, at_or_below(path))
        .order_by(device.c.id)
    )
    return connection.execute(query).all()


def contents(connection: Connection, tenant_id: int, path: str) -> tuple[int, int, int]:
    """Return the numbers of assets below a path, and of points and events at or below it."""
    inside = select(asset.c.id).where(asset.c.tenant_id == tenant_id, at_or_below(path))
    children = select(func.count()).select_from(asset).where(asset.c.tenant_id == tenant_id, below(path))
    points = select(func.count()).select_from(point).where(point.c.asset_id.in_(inside))
    events = select(func.count()).select_from(event).where(event.c.asset_id.in_(inside))
    return (
        connection.execute(children).scalar_one(),
        connection.execute(points).scalar_one(),
        connection.execute(events).scalar_one(),
    )


def remove_tree(connection: Connection, tenant_id: int, path: str) -> None:
    """Remove an asset, all below it, and their points and events. History keeps the values; ids are not used again."""
    inside = select(asset.c.id).where(asset.c.tenant_id == tenant_id, at_or_below(path))
    connection.execute(delete(point).where(point.c.asset_id.in_(inside)))
    connection.execute(delete(event).where(event.c.asset_id.in_(inside)))
    # Both databases check the reference to the parent after the whole statement (SQLite: deferred to the commit).
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
    connection.execute(delete(asset).where(asset.c.tenant_id == tenant_id, at_or_below(path)))


def plain_page(connection: Connection, tenant_id: int, after: str | None, limit: int) -> Sequence[Any]:
    """Return assets in order of path, without counting what is below them."""
    query = select(asset).where(asset.c.tenant_id == tenant_id).order_by(asset.c.path).limit(limit)
    return connection.execute(query if after is None else query.where(asset.c.path > after)).all()


def extent(connection: Connection, tenant_id: int) -> tuple[int, int]:
    """Return the number of assets of a tenant and the greatest id."""
    query = select(func.count(), func.coalesce(func.max(asset.c.id), 0)).where(asset.c.tenant_id == tenant_id)
    number, last = connection.execute(query).one()
    return number, last


def count(connection: Connection, tenant_id: int) -> int:
    """Return the number of assets of a tenant."""
    return connection.execute(
        select(func.count()).select_from(asset).where(asset.c.tenant_id == tenant_id)
    ).scalar_one()
