"""Rows of quotas: what single devices and tenants have other than the node's settings."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from gongfu.registry.tables import quota

FIELDS = ("points_per_second", "messages_per_second", "bytes_per_second", "burst_seconds", "policy")


def every(connection: Connection) -> Sequence[Any]:
    """Return all rows."""
    return connection.execute(select(quota)).all()


def one(connection: Connection, tenant: int, device: int) -> Any | None:
    """Return the row of a device, or of a tenant (device 0)."""
    c = quota.c
    return connection.execute(select(quota).where(c.tenant_id == tenant, c.device_id == device)).first()


def of_devices(connection: Connection, tenant: int, devices: Collection[int]) -> dict[int, Any]:
    """Return the rows of some devices of a tenant, by device."""
    query = select(quota).where(quota.c.tenant_id == tenant, quota.c.device_id.in_(devices))
    return {row.device_id: row for row in connection.execute(query)}


def of_tenants(connection: Connection, tenants: Collection[int]) -> dict[int, Any]:
    """Return the rows of some tenants themselves, by tenant."""
    query = select(quota).where(quota.c.tenant_id.in_(tenants), quota.c.device_id == 0)
    return {row.tenant_id: row for row in connection.execute(query)}


def put(connection: Connection, tenant: int, device: int, values: Mapping[str, Any]) -> None:
    """Change some columns of a row, which is added when missing, and goes when nothing is set any more."""
    row = one(connection, tenant, device)
    c = quota.c
    if row is None:
        merged = {**dict.fromkeys(FIELDS), **values}
    else:
        merged = {**{name: getattr(row, name) for name in FIELDS}, **values}
    if all(value is None for value in merged.values()):
        remove(connection, tenant, device)
    elif row is None:
        connection.execute(insert(quota).values(tenant_id=tenant, device_id=device, **merged))
    else:
        connection.execute(update(quota).where(c.tenant_id == tenant, c.device_id == device).values(**merged))


def remove(connection: Connection, tenant: int, device: int) -> None:
    """Remove a row."""
    connection.execute(delete(quota).where(quota.c.tenant_id == tenant, quota.c.device_id == device))
