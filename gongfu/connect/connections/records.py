"""Table and queries of connections."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy import Connection as Transaction

from gongfu.connect.connections.types import Connection
from gongfu.connect.kit.types import Address
from gongfu.kernel.points import VALUE_TYPES
from gongfu.registry.tables import asset, device, point
from gongfu.store.records.engine import Key, metadata, name_text

connection = Table(
    "connection",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id"), nullable=False),
    Column("name", name_text(200), nullable=False),
    # Without a foreign key: a device may be deleted, its connection then says so.
    Column("device_id", BigInteger, nullable=False),
    Column("protocol", String(60), nullable=False),
    Column("url", Text, nullable=False),
    Column("options", JSON, nullable=False),
    # Names of the options that are in files of their own.
    Column("secrets", JSON, nullable=False),
    Column("addresses", JSON, nullable=False),
    Column("points", Integer, nullable=False),
    Column("paused", Boolean, nullable=False),
    # Machine of a cluster that runs it, "" on a node of one machine.
    Column("instance", String(120), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    UniqueConstraint("tenant_id", "name"),
    sqlite_autoincrement=True,
)

_HEAD = [column for column in connection.c if column.name not in ("addresses", "options")]
_PATH = asset.c.path.label("asset_path")
# Variables of one statement: SQLite takes 32,766.
_CHUNK = 500


def page(transaction: Transaction, tenant: int, after: str | None, limit: int) -> Sequence[Any]:
    """Return connections without addresses, in order of name."""
    query = (
        select(*_HEAD, _PATH)
        .outerjoin(device, device.c.id == connection.c.device_id)
        .outerjoin(asset, asset.c.id == device.c.asset_id)
        .where(connection.c.tenant_id == tenant)
        .order_by(connection.c.name)
        .limit(limit)
    )
    if after is not None:
        query = query.where(connection.c.name > after)
    return transaction.execute(query).all()


def get(transaction: Transaction, tenant: int, key: int) -> Any | None:
    """Return a connection of a tenant with all its columns and the path of its asset."""
    query = (
        select(connection, _PATH)
        .outerjoin(device, device.c.id == connection.c.device_id)
        .outerjoin(asset, asset.c.id == device.c.asset_id)
        .where(connection.c.tenant_id == tenant, connection.c.id == key)
    )
    return transaction.execute(query).first()


def marks(transaction: Transaction, instance: str, key: int = 0) -> list[Any]:
    """Return, of the connections of a machine or the one with a key, what tells that one must begin anew.

    Rows: id, changed_at, device_name, enabled, asset_id, asset_path. Addresses, which may be many, are not read.
    """
    query = (
        select(
            connection.c.id,
            connection.c.changed_at,
            device.c.name.label("device_name"),
            device.c.enabled,
            device.c.asset_id,
            _PATH,
        )
        .outerjoin(device, device.c.id == connection.c.device_id)
        .outerjoin(asset, asset.c.id == device.c.asset_id)
        .where(connection.c.instance == instance)
        .order_by(connection.c.id)
    )
    if key:
        query = query.where(connection.c.id == key)
    return list(transaction.execute(query))


def whole(transaction: Transaction, keys: Sequence[int]) -> dict[int, Any]:
    """Return connections with all their columns, by id."""
    found: dict[int, Any] = {}
    for start in range(0, len(keys), _CHUNK):
        query = select(connection).where(connection.c.id.in_(keys[start : start + _CHUNK]))
        found |= {row.id: row for row in transaction.execute(query)}
    return found


def add(transaction: Transaction, **values: Any) -> int:
    """Add a connection and return its id."""
    return transaction.execute(insert(connection).values(**values).returning(connection.c.id)).scalar_one()


def change(transaction: Transaction, key: int, values: dict[str, Any]) -> None:
    """Change columns of a connection."""
    transaction.execute(update(connection).where(connection.c.id == key).values(**values))


def remove(transaction: Transaction, key: int) -> None:
    """Remove a connection."""
    transaction.execute(delete(connection).where(connection.c.id == key))


def connection_of(row: Any) -> Connection:
    """Return the connection of a row with all its columns."""
    return Connection(
        id=row.id,
        tenant=row.tenant_id,
        name=row.name,
        device=row.device_id,
        protocol=row.protocol,
        url=row.url,
        options=row.options,
        secrets=row.secrets,
        addresses=msgspec.convert(row.addresses, list[Address]),
        paused=row.paused,
        instance=row.instance,
        changed_at=row.changed_at,
    )


def stored(addresses: Iterable[Address]) -> list[dict[str, Any]]:
    """Return addresses as they are stored: without what is as by default."""
    defaults = {f.name: f.default for f in msgspec.structs.fields(Address)}
    return [
        {name: value for name, value in msgspec.structs.asdict(address).items() if value != defaults[name]}
        for address in addresses
    ]


def add_points(
    transaction: Transaction, tenant: int, assets: dict[str, int], addresses: Sequence[Address], now: int
) -> int:
    """Add the points of addresses that are not there, with their units; return how many.

    Args:
        transaction: open.
        tenant: tenant id.
        assets: id of the asset by child path.
        addresses: what is to become points.
        now: UTC ns.
    """
    known = _points_of(transaction, list(assets.values()))
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for address in addresses:
        key = (assets[address.asset], address.point)
        if key in known:
            if address.unit and not known[key].unit:
                transaction.execute(update(point).where(point.c.id == known[key].id).values(unit=address.unit))
        elif key not in rows:
            rows[key] = {
                "tenant_id": tenant,
                "asset_id": key[0],
                "name": address.point,
                "value_type": int(VALUE_TYPES[address.value_type]),
                "unit": address.unit,
                "description": "",
                "created_at": now,
            }
    if rows:
        transaction.execute(insert(point), list(rows.values()))
    return len(rows)


def _points_of(transaction: Transaction, assets: Sequence[int]) -> dict[tuple[int, str], Any]:
    found: dict[tuple[int, str], Any] = {}
    for start in range(0, len(assets), _CHUNK):
        query = select(point.c.id, point.c.asset_id, point.c.name, point.c.unit).where(
            point.c.asset_id.in_(assets[start : start + _CHUNK])
        )
        found |= {(row.asset_id, row.name): row for row in transaction.execute(query)}
    return found


def names_of(transaction: Transaction, tenant: int, names: Collection[str]) -> set[str]:
    """Return those of some names that connections of a tenant have."""
    query = select(connection.c.name).where(connection.c.tenant_id == tenant, connection.c.name.in_(names))
    return set(transaction.execute(query).scalars())
