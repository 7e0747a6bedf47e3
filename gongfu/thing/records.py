"""Rows of thing models, and of the assets that are of one."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, String, cast, delete, func, insert, literal_column, select, update

from gongfu.registry.tables import asset, point
from gongfu.thing.tables import thing_model

_HEAD = select(
    thing_model.c.id,
    thing_model.c.name,
    thing_model.c.version,
    thing_model.c.state,
    thing_model.c.digest,
    thing_model.c.created_by,
    thing_model.c.created_at,
    thing_model.c.published_at,
)
# The index has these assets only; without it, the database would not know that it may be used.
_TYPED = asset.c.type != literal_column("''")
_POINTS = select(func.count()).where(point.c.asset_id == asset.c.id).correlate(asset).scalar_subquery()


def version(connection: Connection, tenant: int, name: str, number: int) -> Any | None:
    """Return one version with its body."""
    c = thing_model.c
    query = select(thing_model).where(c.tenant_id == tenant, c.name == name, c.version == number)
    return connection.execute(query).first()


def newest(connection: Connection, tenant: int, name: str, state: str | None = None) -> Any | None:
    """Return the newest version with its body, or the newest in a state."""
    c = thing_model.c
    query = select(thing_model).where(c.tenant_id == tenant, c.name == name).order_by(c.version.desc()).limit(1)
    return connection.execute(query if state is None else query.where(c.state == state)).first()


def versions(connection: Connection, tenant: int, name: str) -> Sequence[Any]:
    """Return all versions of a model, newest first, without their bodies."""
    c = thing_model.c
    return connection.execute(_HEAD.where(c.tenant_id == tenant, c.name == name).order_by(c.version.desc())).all()


def bodies(connection: Connection, tenant: int, name: str) -> Sequence[Any]:
    """Return all versions of a model with their bodies."""
    c = thing_model.c
    return connection.execute(select(thing_model).where(c.tenant_id == tenant, c.name == name)).all()


def page(connection: Connection, tenant: int, after: str | None, limit: int, search: str) -> Sequence[Any]:
    """Return the newest version of each model, in order of name, without bodies; ``search`` is a part of the name."""
    c = thing_model.c
    last = select(c.name, func.max(c.version).label("version")).where(c.tenant_id == tenant).group_by(c.name)
    if after is not None:
        last = last.where(c.name > after)
    if search:
        last = last.where(c.name.contains(search, autoescape=True))
    chosen = last.order_by(c.name).limit(limit).subquery()
    query = _HEAD.join(chosen, (chosen.c.name == c.name) & (chosen.c.version == c.version))
    return connection.execute(query.where(c.tenant_id == tenant).order_by(c.name)).all()


def latest_of(connection: Connection, tenant: int, names: Collection[str], state: str) -> dict[str, int]:
    """Return the newest version in a state by the name of the model."""
    c = thing_model.c
    query = select(c.name, func.max(c.version)).where(c.tenant_id == tenant, c.name.in_(names), c.state == state)
    return {row[0]: row[1] for row in connection.execute(query.group_by(c.name))}


def assets_of(connection: Connection, tenant: int, names: Collection[str]) -> dict[str, int]:
    """Return the number of assets of all versions by the name of the model; models without any are not there."""
    c = thing_model.c
    same = (asset.c.tenant_id == c.tenant_id) & (asset.c.type == c.name + "@" + cast(c.version, String)) & _TYPED
    query = select(c.name, func.count(asset.c.id)).select_from(thing_model).join(asset, same)
    query = query.where(c.tenant_id == tenant, c.name.in_(names))
    return {row[0]: row[1] for row in connection.execute(query.group_by(c.name))}


def count(connection: Connection, tenant: int) -> int:
    """Return the number of versions of a tenant."""
    query = select(func.count()).select_from(thing_model).where(thing_model.c.tenant_id == tenant)
    return connection.execute(query).scalar_one()


def add(connection: Connection, **values: Any) -> int:
    """Add a version and return its id."""
    return connection.execute(insert(thing_model).values(**values).returning(thing_model.c.id)).scalar_one()


def change(connection: Connection, key: int, **values: Any) -> None:
    """Change columns of a version."""
    connection.execute(update(thing_model).where(thing_model.c.id == key).values(**values))


def remove(connection: Connection, key: int) -> None:
    """Remove a version."""
    connection.execute(delete(thing_model).where(thing_model.c.id == key))


def instances(
    connection: Connection, tenant: int, references: Collection[str], after: str | None, limit: int
) -> Sequence[Any]:
    """Return assets whose type is one of some references, in order of path."""
    query = select(asset.c.id, asset.c.path, asset.c.type, asset.c.attributes, _POINTS.label("points"))
    query = (
        query.where(asset.c.tenant_id == tenant, _TYPED, asset.c.type.in_(references))
        .order_by(asset.c.path)
        .limit(limit)
    )
    return connection.execute(query if after is None else query.where(asset.c.path > after)).all()


def points_of(connection: Connection, assets: Collection[int]) -> Sequence[Any]:
    """Return id, asset, name, type and unit of the points of some assets."""
    query = select(point.c.id, point.c.asset_id, point.c.name, point.c.value_type, point.c.unit)
    return connection.execute(query.where(point.c.asset_id.in_(assets))).all()


def add_points(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Add points."""
    if rows:
        connection.execute(insert(point), rows)


def set_unit(connection: Connection, key: int, unit: str) -> None:
    """Set the unit of a point."""
    connection.execute(update(point).where(point.c.id == key).values(unit=unit))
