"""Queries of the points of single assets."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, or_, select

from gongfu.kernel.points import ValueType
from gongfu.reason.models.binding import PointFound
from gongfu.registry.tables import asset, point

_CHUNK = 200


def asset_of(connection: Connection, tenant: int, path: str) -> int | None:
    """Return the id of an asset of a tenant."""
    return connection.execute(
        select(asset.c.id).where(asset.c.tenant_id == tenant, asset.c.path == path)
    ).scalar_one_or_none()


def find_points(connection: Connection, tenant: int, asset_path: str, paths: Sequence[str]) -> dict[str, PointFound]:
    """Return the points at paths relative to an asset; those that are not there are left out.

    A path is a point name of the asset or, when there is none, ``child asset/point name``. Names may contain slashes,
    so every cut is tried, and the one with the shortest asset wins.
    """
    wanted: dict[tuple[str, str], tuple[int, str]] = {}
    for path in paths:
        parts = path.split("/")
        for cut in range(len(parts)):
            where = "/".join([asset_path, *parts[:cut]])
            wanted[where, "/".join(parts[cut:])] = (cut, path)
    found: dict[str, tuple[int, PointFound]] = {}
    keys = list(wanted)
    for start in range(0, len(keys), _CHUNK):
        query = (
            select(asset.c.path, point.c.name, point.c.id, point.c.unit, point.c.value_type)
            .join(asset, asset.c.id == point.c.asset_id)
            .where(
                asset.c.tenant_id == tenant,
                or_(
                    *(and_(asset.c.path == where, point.c.name == name) for where, name in keys[start : start + _CHUNK])
                ),
            )
        )
        for row in connection.execute(query):
            cut, path = wanted[row.path, row.name]
            if path not in found or cut < found[path][0]:
                found[path] = (cut, PointFound(row.id, row.unit, ValueType(row.value_type)))
    return {path: item for path, (_, item) in found.items()}


def find_point(connection: Connection, asset_id: int, name: str) -> PointFound | None:
    """Return a point of an asset."""
    row = connection.execute(
        select(point.c.id, point.c.unit, point.c.value_type).where(point.c.asset_id == asset_id, point.c.name == name)
    ).one_or_none()
    return None if row is None else PointFound(row.id, row.unit, ValueType(row.value_type))
