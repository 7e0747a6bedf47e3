"""Assets and devices as tables of users' SQL; implement ``gongfu.store.history.sql_tables.RecordSource``."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Engine

from gongfu.registry import asset_records, audit_records, device_records
from gongfu.store.history.sql_tables import SqlTable
from gongfu.store.records.engine import reading

_PAGE = 5000
_TIME = "DateTime64(9, 'UTC')"


class AssetSource:
    """``assets``: path, name, type, attributes (JSON text), created."""

    table = SqlTable(
        "assets",
        (("asset", "String"), ("name", "String"), ("type", "String"), ("attributes", "String"), ("created", _TIME)),
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def revision(self, tenant: int) -> str:
        """Return a text that changes whenever an asset of the tenant does."""
        with reading(self._engine) as connection:
            # Front doors add assets; every other change is a write of the API, which the audit has.
            count, last = asset_records.extent(connection, tenant)
            return f"{count}.{last}.{audit_records.last_of(connection, tenant, ('asset.', 'device.'))}"

    def rows(self, tenant: int) -> Iterable[Sequence[Any]]:
        """Return all assets of the tenant in the order of the columns."""
        after: str | None = None
        while True:
            with reading(self._engine) as connection:
                rows = asset_records.plain_page(connection, tenant, after, _PAGE)
            for row in rows:
                attributes = msgspec.json.encode(row.attributes).decode()
                yield (row.path, row.name, row.type, attributes, row.created_at)
            if len(rows) < _PAGE:
                return
            after = rows[-1].path


class DeviceSource:
    """``devices``: name, asset path, enabled, created."""

    table = SqlTable("devices", (("device", "String"), ("asset", "String"), ("enabled", "UInt8"), ("created", _TIME)))

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def revision(self, tenant: int) -> str:
        """Return a text that changes whenever a device of the tenant, or the path of its asset, does."""
        with reading(self._engine) as connection:
            return str(audit_records.last_of(connection, tenant, ("asset.", "device.")))

    def rows(self, tenant: int) -> Iterable[Sequence[Any]]:
        """Return all devices of the tenant in the order of the columns."""
        after: str | None = None
        while True:
            with reading(self._engine) as connection:
                rows = device_records.page(connection, tenant, after, _PAGE)
            for row in rows:
                yield (row.name, row.asset_path, int(row.enabled), row.created_at)
            if len(rows) < _PAGE:
                return
            after = rows[-1].name
