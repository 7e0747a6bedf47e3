"""Table and queries of rationalisation records."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    String,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from gongfu.reason.alarms.rationalisation.types import Record
from gongfu.store.records.engine import Key, metadata, name_text

rationalisation = Table(
    "alarm_rationalisation",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("rule_id", BigInteger, nullable=False),
    Column("source", String(200), nullable=False),
    Column("asset", name_text(1000), nullable=False),
    Column("point", String(200), nullable=False),
    Column("record", JSON, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", String(120), nullable=False),
    UniqueConstraint(
        "tenant_id", "rule_id", "source", "asset", "point", name="uq_alarm_rationalisation_tenant_id_alarm"
    ),
    sqlite_autoincrement=True,
)


def _row(row: Any) -> Record:
    return msgspec.convert(row.record, Record, strict=False)


def all_of(connection: Connection, tenant: int | None = None) -> list[tuple[int, int, Record]]:
    """Return ``(tenant, id, record)`` by rule, source and patterns, of one or all tenants."""
    c = rationalisation.c
    query = select(c.tenant_id, c.id, c.record).order_by(c.rule_id, c.source, c.asset, c.point, c.id)
    if tenant is not None:
        query = query.where(c.tenant_id == tenant)
    return [(row.tenant_id, row.id, _row(row)) for row in connection.execute(query)]


def revision(connection: Connection) -> tuple[int, int, int]:
    """Return what changes whenever a record does."""
    c = rationalisation.c
    query = select(func.count(), func.coalesce(func.max(c.id), 0), func.coalesce(func.max(c.updated_at), 0))
    row = connection.execute(query.select_from(rationalisation)).one()
    return int(row[0]), int(row[1]), int(row[2])


def put(connection: Connection, tenant: int, items: Sequence[Record], now: int, by: str) -> list[int]:
    """Insert records, or replace those of the same alarms; return their numbers. Of several of an alarm the last
    counts. A hundred thousand take seconds: others wait for the transaction."""
    c = rationalisation.c
    # A change within a nanosecond of another still counts as one.
    newest = connection.execute(select(func.coalesce(func.max(c.updated_at), 0))).scalar_one()
    values = {"updated_at": max(now, int(newest) + 1), "updated_by": by}
    wanted = {_alarm(item): item for item in items}
    known = _numbers(connection, tenant, wanted)
    changed = [
        {"b_id": known[alarm], "record": msgspec.to_builtins(item), **values}
        for alarm, item in wanted.items()
        if alarm in known
    ]
    if changed:
        connection.execute(update(rationalisation).where(c.id == bindparam("b_id")), changed)
    new = [
        dict(zip(_ALARM, alarm, strict=True)) | {"tenant_id": tenant, "record": msgspec.to_builtins(item), **values}
        for alarm, item in wanted.items()
        if alarm not in known
    ]
    if new:
        connection.execute(insert(rationalisation), new)
        known = _numbers(connection, tenant, wanted)
    return [known[_alarm(item)] for item in items]


# What names the alarm of a record.
_ALARM = ("rule_id", "source", "asset", "point")


def _alarm(record: Record) -> tuple[int, str, str, str]:
    return record.rule_id, record.source, record.asset, record.point


def _numbers(
    connection: Connection, tenant: int, wanted: Collection[tuple[int, str, str, str]]
) -> dict[tuple[int, str, str, str], int]:
    """Return the numbers of a tenant's records, of some alarms or of all."""
    c = rationalisation.c
    query = select(c.id, *(c[name] for name in _ALARM)).where(c.tenant_id == tenant)
    if len(wanted) == 1:
        query = query.where(*(c[name] == value for name, value in zip(_ALARM, *wanted, strict=True)))
    return {(row.rule_id, row.source, row.asset, row.point): row.id for row in connection.execute(query)}


def count(connection: Connection, tenant: int) -> int:
    """Return how many records a tenant has."""
    mine = rationalisation.c.tenant_id == tenant
    return int(connection.execute(select(func.count()).select_from(rationalisation).where(mine)).scalar_one())


def remove(connection: Connection, tenant: int, key: int) -> bool:
    """Delete a record; return whether it was there."""
    mine = and_(rationalisation.c.id == key, rationalisation.c.tenant_id == tenant)
    return connection.execute(delete(rationalisation).where(mine)).rowcount > 0
