"""Tables and queries of suppressions, and the append-only journal of what was done about alarms as such."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    insert,
    select,
    update,
)

from gongfu.reason.alarms.states import State
from gongfu.reason.alarms.suppression.types import Design, Suppression
from gongfu.store.records.engine import Key, metadata, name_text

suppression = Table(
    "alarm_suppression",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("rule_id", BigInteger, nullable=False),
    Column("asset", name_text(1000), nullable=False),
    Column("point", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("work_order", String(120), nullable=False),
    Column("design_id", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String(120), nullable=False),
    Column("until", BigInteger, nullable=True),
    Column("ended_at", BigInteger, nullable=True),
    Column("ended_by", String(120), nullable=False),
    Index("ix_alarm_suppression_ended_at", "ended_at", "tenant_id"),
    sqlite_autoincrement=True,
)

operation = Table(
    "alarm_operation",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("operation", String(32), nullable=False),
    Column("resource", String(300), nullable=False),
    Column("by_user", String(120), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_alarm_operation_tenant_id_id", "tenant_id", "id"),
    sqlite_autoincrement=True,
)

design = Table(
    "alarm_design",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("name", name_text(200), nullable=False),
    Column("definition", JSON, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", String(120), nullable=False),
    UniqueConstraint("tenant_id", "name"),
    sqlite_autoincrement=True,
)


def in_force(connection: Connection) -> list[Suppression]:
    """Return the suppressions of all tenants that have not ended."""
    c = suppression.c
    columns = (c.id, c.tenant_id, c.kind, c.rule_id, c.asset, c.point, c.until, c.design_id)
    rows = connection.execute(select(*columns).where(c.ended_at.is_(None)).order_by(c.id))
    return [
        Suppression(row.id, row.tenant_id, State(row.kind), row.rule_id, row.asset, row.point, row.until, row.design_id)
        for row in rows
    ]


def is_in_force(key: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return an expression: whether the suppression of a number has not ended."""
    return key.in_(select(suppression.c.id).where(suppression.c.ended_at.is_(None)))


def list_of(connection: Connection, tenant: int, limit: int, *, ended: bool = False) -> Sequence[Row[Any]]:
    """Return suppressions of a tenant, newest first: those in force, or those that have ended."""
    c = suppression.c
    which = c.ended_at.is_not(None) if ended else c.ended_at.is_(None)
    query = select(suppression).where(c.tenant_id == tenant, which).order_by(c.id.desc()).limit(limit)
    return connection.execute(query).all()


def one(connection: Connection, tenant: int, key: int) -> Row[Any] | None:
    """Return a suppression of a tenant."""
    mine = and_(suppression.c.id == key, suppression.c.tenant_id == tenant)
    return connection.execute(select(suppression).where(mine).with_for_update()).one_or_none()


def add(connection: Connection, **values: Any) -> int:
    """Insert a suppression and return its number."""
    whole = {
        "rule_id": 0,
        "point": "*",
        "reason": "",
        "work_order": "",
        "design_id": 0,
        "until": None,
        "ended_at": None,
        "ended_by": "",
    } | values
    key = connection.execute(insert(suppression).values(whole)).inserted_primary_key
    assert key is not None
    return int(key[0])


def end(connection: Connection, key: int, now: int, by: str) -> bool:
    """End a suppression; return whether it was in force."""
    c = suppression.c
    query = update(suppression).where(c.id == key, c.ended_at.is_(None)).values(ended_at=now, ended_by=by)
    return connection.execute(query).rowcount == 1


def expired(connection: Connection, now: int) -> Sequence[Row[Any]]:
    """Return the suppressions whose time is over and that have not ended yet."""
    c = suppression.c
    return connection.execute(select(suppression).where(c.ended_at.is_(None), c.until <= now)).all()


def of_the_future(connection: Connection, now: int) -> Sequence[Row[Any]]:
    """Return the shelves that were begun at a later time than this: the clock was set back since, and a shelf must not
    last for as long as the clock was wrong."""
    c = suppression.c
    query = select(suppression).where(c.ended_at.is_(None), c.created_at > now, c.until.is_not(None))
    return connection.execute(query.where(c.kind == str(State.SHELVED))).all()


def begin_again(connection: Connection, row: Row[Any], now: int) -> None:
    """Let a suppression last from now for as long as it was meant to."""
    values = {"created_at": now, "until": now + (row.until - row.created_at)}
    connection.execute(update(suppression).where(suppression.c.id == row.id).values(values))


def set_until(connection: Connection, key: int, until: int | None) -> None:
    """Set when a suppression ends by itself."""
    connection.execute(update(suppression).where(suppression.c.id == key).values(until=until))


def designs(connection: Connection, tenant: int | None = None, *, lock: bool = False) -> dict[int, tuple[int, Design]]:
    """Return ``{id: (tenant, design)}`` in order of name, of one or all tenants; ``lock`` keeps others from doing so
    with the same wish until the transaction ends."""
    query = select(design).order_by(design.c.name, design.c.id)
    if lock:
        query = query.with_for_update()
    if tenant is not None:
        query = query.where(design.c.tenant_id == tenant)
    return {
        row.id: (row.tenant_id, msgspec.convert(row.definition, Design, strict=False))
        for row in connection.execute(query)
    }


def put_design(connection: Connection, tenant: int, key: int, item: Design, now: int, by: str) -> int | None:
    """Insert a design (key 0) or replace one; return its number, None when it is not there."""
    values = {"name": item.name, "definition": msgspec.to_builtins(item), "updated_at": now, "updated_by": by}
    if not key:
        made = connection.execute(insert(design).values(tenant_id=tenant, **values)).inserted_primary_key
        assert made is not None
        return int(made[0])
    mine = and_(design.c.id == key, design.c.tenant_id == tenant)
    return key if connection.execute(update(design).where(mine).values(values)).rowcount else None


def remove_design(connection: Connection, tenant: int, key: int) -> bool:
    """Delete a design; return whether it was there."""
    mine = and_(design.c.id == key, design.c.tenant_id == tenant)
    return connection.execute(delete(design).where(mine)).rowcount > 0


def note(
    connection: Connection, tenant: int, now: int, what: str, resource: str, by: str = "", detail: str = ""
) -> None:
    """Append to the journal of what was done about alarms as such: shelved, put in service, a flood began."""
    note_all(connection, tenant, now, what, [(resource, detail)], by)


def note_all(
    connection: Connection, tenant: int, now: int, what: str, told: Iterable[tuple[str, str]], by: str = ""
) -> None:
    """Append what was done to several resources; ``told`` is ``(resource, detail)``."""
    values = {"tenant_id": tenant, "time": now, "operation": what, "by_user": by}
    rows = [{**values, "resource": resource[:300], "detail": detail[:4000]} for resource, detail in told]
    if rows:
        connection.execute(insert(operation), rows)


def operations(connection: Connection, tenant: int, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """Return the journal of a tenant, newest first."""
    query = select(operation).where(operation.c.tenant_id == tenant).order_by(operation.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(operation.c.id < before)
    return connection.execute(query).all()
