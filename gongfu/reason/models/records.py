"""Tables and queries of model bindings."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    String,
    Table,
    UniqueConstraint,
    and_,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from gongfu.kernel.points import ValueType
from gongfu.reason.models.binding import PointFound
from gongfu.registry.tables import asset, point
from gongfu.store.records.engine import Key, metadata

model_binding = Table(
    "model_binding",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("model_id", String(120), nullable=False),
    # No foreign key: a binding outlives its asset, and shows that the asset is gone.
    Column("asset_id", BigInteger, nullable=False),
    # Point path by port name, where it is not the port's own.
    Column("points", JSON, nullable=False),
    # Points that declare no unit are taken to have the port's.
    Column("assume_units", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("model_id", "asset_id"),
    sqlite_autoincrement=True,
)

_CHUNK = 200


@dataclass(frozen=True, slots=True)
class BindingRow:
    """A binding as stored; ``asset_path`` is empty when the asset is gone."""

    id: int
    tenant: int
    model: str
    asset: int
    asset_path: str
    points: Mapping[str, str]
    assume_units: bool


def bindings(connection: Connection, tenant: int | None = None) -> list[BindingRow]:
    """Return the bindings of a tenant, or all."""
    query = (
        select(model_binding, asset.c.path)
        .outerjoin(asset, and_(asset.c.id == model_binding.c.asset_id, asset.c.tenant_id == model_binding.c.tenant_id))
        .order_by(model_binding.c.id)
    )
    if tenant is not None:
        query = query.where(model_binding.c.tenant_id == tenant)
    return [
        BindingRow(row.id, row.tenant_id, row.model_id, row.asset_id, row.path or "", row.points, row.assume_units)
        for row in connection.execute(query)
    ]


def asset_of(connection: Connection, tenant: int, path: str) -> int | None:
    """Return the id of an asset of a tenant."""
    return connection.execute(
        select(asset.c.id).where(asset.c.tenant_id == tenant, asset.c.path == path)
    ).scalar_one_or_none()


def put_binding(
    connection: Connection,
    tenant: int,
    model: str,
    asset_id: int,
    points: Mapping[str, str],
    assume_units: bool,
    now: int,
) -> int:
    """Add a binding or replace the one of the same model and asset; return its id."""
    values: dict[str, Any] = {"points": dict(points), "assume_units": assume_units}
    same = and_(model_binding.c.model_id == model, model_binding.c.asset_id == asset_id)
    known = connection.execute(select(model_binding.c.id).where(same)).scalar_one_or_none()
    if known is not None:
        connection.execute(update(model_binding).where(same).values(values))
        return known
    values |= {"tenant_id": tenant, "model_id": model, "asset_id": asset_id, "created_at": now}
    key = connection.execute(insert(model_binding).values(values)).inserted_primary_key
    assert key is not None
    return key[0]


def remove_binding(connection: Connection, tenant: int, model: str, asset_path: str) -> int | None:
    """Remove a binding; return its id, None when there is none."""
    rows = bindings(connection, tenant)
    found = next((row.id for row in rows if row.model == model and row.asset_path == asset_path), None)
    if found is not None:
        connection.execute(delete(model_binding).where(model_binding.c.id == found))
    return found


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


def ensure_point(
    connection: Connection, tenant: int, asset_id: int, name: str, unit: str, description: str, now: int
) -> PointFound:
    """Return the point of an asset, made as a ``double`` when it is not there."""
    found = find_point(connection, asset_id, name)
    if found is None:
        values = {
            "tenant_id": tenant,
            "asset_id": asset_id,
            "name": name,
            "value_type": int(ValueType.DOUBLE),
            "unit": unit,
            "description": description,
            "created_at": now,
        }
        # A device may write it in this moment; then it is read below.
        with suppress(IntegrityError), connection.begin_nested():
            connection.execute(insert(point).values(values))
        found = find_point(connection, asset_id, name)
    assert found is not None
    return found
