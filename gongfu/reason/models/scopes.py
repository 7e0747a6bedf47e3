"""Bindings as stored: of a model to one asset, or to all assets of a type below a pattern."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update

from gongfu.reason.models.tables import model_scope
from gongfu.registry.tables import asset


@dataclass(frozen=True, slots=True)
class Scope:
    """A binding.

    Attributes:
        id: its key.
        tenant: whose it is.
        model: id of the model.
        version: version that runs; empty: the model's current one.
        asset: id of its one asset; 0 for a pattern.
        asset_path: path of that asset, empty when it is gone or for a pattern.
        type: thing model with or without ``@version``, or another type word; empty: any. Only with a pattern.
        assets: glob of asset paths; empty for one asset.
        points: point path by port name, where it is not the port's own.
        parameters: values of the model's parameters, where they are not the defaults.
        assume_units: points that declare no unit have the port's.
        owner: empty, or ``app:<id>``.
    """

    id: int
    tenant: int
    model: str
    version: str
    asset: int
    asset_path: str
    type: str
    assets: str
    points: Mapping[str, str]
    parameters: Mapping[str, float]
    assume_units: bool
    owner: str = ""

    @property
    def where(self) -> str:
        """What it applies to, in words."""
        if self.asset:
            return self.asset_path or "an asset that was deleted"
        return f"{self.assets}{f' of type {self.type}' if self.type else ''}"


def all_scopes(connection: Connection, tenant: int | None = None, model: str | None = None) -> list[Scope]:
    """Return the bindings of a tenant, or all, in order of id."""
    query = (
        select(model_scope, asset.c.path)
        .outerjoin(asset, and_(asset.c.id == model_scope.c.asset_id, asset.c.tenant_id == model_scope.c.tenant_id))
        .order_by(model_scope.c.id)
    )
    if tenant is not None:
        query = query.where(model_scope.c.tenant_id == tenant)
    if model is not None:
        query = query.where(model_scope.c.model == model)
    return [_scope(row) for row in connection.execute(query)]


def _scope(row: Any) -> Scope:
    return Scope(
        row.id,
        row.tenant_id,
        row.model,
        row.version,
        row.asset_id,
        row.path or "",
        row.type,
        row.assets,
        row.points,
        row.parameters,
        row.assume_units,
        row.owner,
    )


def put_scope(connection: Connection, scope: Scope, now: int) -> int:
    """Add a binding, or replace the one of the same model at the same place; return its id (``scope.id`` is not
    read)."""
    c = model_scope.c
    place = {"asset_id": scope.asset, "type": scope.type, "assets": scope.assets}
    values: dict[str, Any] = {
        "version": scope.version,
        "points": dict(scope.points),
        "parameters": dict(scope.parameters),
        "assume_units": scope.assume_units,
        "owner": scope.owner,
    }
    same = and_(
        c.tenant_id == scope.tenant, c.model == scope.model, *(c[name] == value for name, value in place.items())
    )
    known = connection.execute(select(c.id).where(same)).scalar_one_or_none()
    if known is not None:
        connection.execute(update(model_scope).where(c.id == known).values(**values))
        return known
    values |= {**place, "tenant_id": scope.tenant, "model": scope.model, "created_at": now}
    key = connection.execute(insert(model_scope).values(values)).inserted_primary_key
    assert key is not None
    return key[0]


def remove_scopes(connection: Connection, keys: Sequence[int]) -> None:
    """Remove bindings."""
    connection.execute(delete(model_scope).where(model_scope.c.id.in_(keys)))
