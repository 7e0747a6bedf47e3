"""Versions of models as stored."""

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from gongfu.reason.models.spec import ModelSpec, version_key
from gongfu.reason.models.tables import model, model_version


@dataclass(frozen=True, slots=True)
class Stored:
    """A version with what is known of it beside its definition; ``created_at`` is UTC ns, ``size`` bytes."""

    spec: ModelSpec
    size: int = 0
    warnings: tuple[str, ...] = ()
    created_by: str = ""
    created_at: int = 0
    current: bool = True


def versions(connection: Connection, tenant: int, name: str | None = None) -> list[Stored]:
    """Return the versions of the models of a tenant, or of one, newest first."""
    query = select(model_version, model.c.version.label("current")).join(model, model.c.id == model_version.c.model_id)
    query = query.where(model.c.tenant_id == tenant)
    if name is not None:
        query = query.where(model.c.name == name)
    found = [_stored(row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (one.spec.id, *(-part for part in version_key(one.spec.version))))


def find(connection: Connection, tenant: int, name: str, version: str = "") -> Stored | None:
    """Return a version; by default the current one."""
    query = (
        select(model_version, model.c.version.label("current"))
        .join(model, model.c.id == model_version.c.model_id)
        .where(
            model.c.tenant_id == tenant,
            model.c.name == name,
            model_version.c.version == (version or model.c.version),
        )
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _stored(row)


def _stored(row: Any) -> Stored:
    return Stored(
        msgspec.convert(row.spec, ModelSpec),
        row.size,
        tuple(row.warnings),
        row.created_by,
        row.created_at,
        row.version == row.current,
    )


def owner_of(connection: Connection, tenant: int, name: str) -> str | None:
    """Return who owns a model, None when there is none."""
    query = select(model.c.owner).where(model.c.tenant_id == tenant, model.c.name == name)
    return connection.execute(query).scalar_one_or_none()


def add(connection: Connection, tenant: int, stored: Stored) -> None:
    """Add a version, and make it the current one; the model is made with its first."""
    spec, now = stored.spec, stored.created_at
    where = (model.c.tenant_id == tenant) & (model.c.name == spec.id)
    key = connection.execute(select(model.c.id).where(where)).scalar_one_or_none()
    if key is None:
        values = {"tenant_id": tenant, "name": spec.id, "owner": spec.owner, "version": spec.version}
        made = connection.execute(insert(model).values(**values, created_at=now, changed_at=now)).inserted_primary_key
        assert made is not None
        key = made[0]
    else:
        connection.execute(update(model).where(model.c.id == key).values(version=spec.version, changed_at=now))
    connection.execute(
        insert(model_version).values(
            model_id=key,
            version=spec.version,
            kind=str(spec.kind),
            spec=msgspec.to_builtins(spec),
            sha256=spec.sha256,
            size=stored.size,
            warnings=list(stored.warnings),
            created_by=stored.created_by,
            created_at=now,
        )
    )


def set_current(connection: Connection, tenant: int, name: str, version: str, now: int) -> None:
    """Let a version be the one that runs where none is said."""
    where = (model.c.tenant_id == tenant) & (model.c.name == name)
    connection.execute(update(model).where(where).values(version=version, changed_at=now))


def remove(connection: Connection, tenant: int, name: str, version: str = "") -> int:
    """Remove a version, or all with the model; return how many. A removed current version leaves the newest other one
    current; with the last version goes the model."""
    where = (model.c.tenant_id == tenant) & (model.c.name == name)
    key = connection.execute(select(model.c.id).where(where)).scalar_one_or_none()
    if key is None:
        return 0
    gone = delete(model_version).where(model_version.c.model_id == key)
    number = connection.execute(gone.where(model_version.c.version == version) if version else gone).rowcount
    left = connection.execute(select(model_version.c.version).where(model_version.c.model_id == key)).scalars().all()
    if not left:
        connection.execute(delete(model).where(model.c.id == key))
    else:
        newest = max(left, key=version_key)
        current = connection.execute(select(model.c.version).where(model.c.id == key)).scalar_one()
        if current not in left:
            connection.execute(update(model).where(model.c.id == key).values(version=newest))
    return number


def newest_change(connection: Connection) -> tuple[int, int, int]:
    """Return what is another when a model or a version has come, gone or become the current one."""
    models, changed = connection.execute(
        select(func.count(model.c.id), func.coalesce(func.max(model.c.changed_at), 0))
    ).one()
    return models, changed, connection.execute(select(func.count()).select_from(model_version)).scalar_one()
