"""Rows of drop counts: what was rejected or shed, by device and reason. The columniser adds to them."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from gongfu.registry.tables import device, drop_count


def page(
    connection: Connection,
    tenants: Collection[int],
    after: tuple[int, int, int, str, str] | None,
    limit: int,
    *,
    device_id: int | None = None,
    kind: str = "",
) -> Sequence[Any]:
    """Return counts of tenants, the last dropped first; ``after`` is (last_at, tenant, device, kind, reason)."""
    c = drop_count.c
    query = (
        select(drop_count, device.c.name.label("device_name"))
        .outerjoin(device, device.c.id == c.device_id)
        .where(c.tenant_id.in_(tenants))
        .order_by(c.last_at.desc(), c.tenant_id, c.device_id, c.kind, c.reason)
        .limit(limit)
    )
    if device_id is not None:
        query = query.where(c.device_id == device_id)
    if kind:
        query = query.where(c.kind == kind)
    if after is not None:
        last_at, tenant, device_key, kind, reason = after
        same: list[Any] = [c.last_at == last_at]
        later = [c.last_at < last_at]
        for column, value in ((c.tenant_id, tenant), (c.device_id, device_key), (c.kind, kind), (c.reason, reason)):
            later.append(and_(*same, column > value))
            same.append(column == value)
        query = query.where(or_(*later))
    return connection.execute(query).all()


def sums_of_devices(connection: Connection, tenant: int, devices: Collection[int]) -> dict[tuple[int, str], int]:
    """Return counts by (device, kind)."""
    c = drop_count.c
    query = (
        select(c.device_id, c.kind, func.sum(c.count))
        .where(c.tenant_id == tenant, c.device_id.in_(devices))
        .group_by(c.device_id, c.kind)
    )
    return {(key, kind): int(total) for key, kind, total in connection.execute(query)}


def totals(connection: Connection, tenants: Collection[int] | None = None) -> dict[tuple[str, str], int]:
    """Return counts by (kind, reason) of some tenants, or of all."""
    c = drop_count.c
    query = select(c.kind, c.reason, func.sum(c.count)).group_by(c.kind, c.reason)
    if tenants is not None:
        query = query.where(c.tenant_id.in_(tenants))
    return {(kind, reason): int(total) for kind, reason, total in connection.execute(query)}


def add(
    connection: Connection, tenant: int, device: int, kind: str, reason: str, count: int, now: int, detail: str
) -> None:
    """Add to a count; ``device`` 0 is a caller that is none."""
    c = drop_count.c
    chosen = update(drop_count).where(c.tenant_id == tenant, c.device_id == device, c.kind == kind, c.reason == reason)
    more = chosen.values(count=c.count + count, last_at=now, last_detail=detail)
    if connection.execute(more).rowcount:
        return
    row = {"tenant_id": tenant, "device_id": device, "kind": kind, "reason": reason}
    try:
        with connection.begin_nested():
            connection.execute(insert(drop_count).values(**row, count=count, last_at=now, last_detail=detail))
    except IntegrityError:  # another process was quicker
        connection.execute(more)
