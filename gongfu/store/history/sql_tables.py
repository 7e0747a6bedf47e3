"""Tables that users' SQL may name, and how those that come from the records reach the history.

``points``, ``points_int64``, ``points_boolean`` and ``points_text`` are the points themselves, joined with ``series``,
which names them. ``series`` and further tables (assets, devices, alarms) are copies of records, kept a partition a
tenant: before a query, a copy whose revision has changed is replaced as a whole and atomically.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gongfu.store.history.directory import PointDirectory

DATABASE = "gongfu"
COLUMN_TYPES = frozenset({"String", "UInt8", "UInt32", "UInt64", "Int64", "Float64", "DateTime64(9, 'UTC')"})


@dataclass(frozen=True, slots=True)
class SqlTable:
    """A table of records: public name, and columns with their ClickHouse types (of ``COLUMN_TYPES``).

    Times are ``DateTime64(9, 'UTC')``, given as UTC ns; an absent text is empty, an absent time 0.
    """

    name: str
    columns: tuple[tuple[str, str], ...]

    @property
    def stored(self) -> str:
        """Name of the table in the history's database."""
        return self.name if self.name.startswith("series") else f"record_{self.name}"

    @property
    def beside(self) -> "SqlTable":
        """The table that is filled before its rows replace those of this one."""
        return SqlTable(f"{self.name}_new", self.columns)

    def create(self) -> str:
        """Return the statement that makes the table."""
        columns = ", ".join(f"`{name}` {type_name} CODEC(ZSTD(1))" for name, type_name in self.columns)
        return (
            f"CREATE TABLE IF NOT EXISTS {DATABASE}.{self.stored} (tenant UInt32, {columns}) ENGINE = MergeTree "
            f"PARTITION BY tenant ORDER BY `{self.columns[0][0]}` SETTINGS auto_statistics_types = ''"
        )


SERIES = SqlTable(
    "series", (("series", "UInt32"), ("asset", "String"), ("point", "String"), ("unit", "String"), ("type", "String"))
)


class RecordSource(Protocol):
    """Rows of one table by tenant; methods block and are called in threads."""

    @property
    def table(self) -> SqlTable:
        """The table."""
        ...

    def revision(self, tenant: int) -> str:
        """Return a text that changes whenever a row of the tenant does."""
        ...

    def rows(self, tenant: int) -> Iterable[Sequence[Any]]:
        """Return all rows of the tenant, in the order of the table's columns."""
        ...


class PointSource:
    """``series`` out of the point directory."""

    table = SERIES

    def __init__(self, directory: PointDirectory) -> None:
        self._directory = directory

    def revision(self, tenant: int) -> str:
        """See ``RecordSource``."""
        return self._directory.revision(tenant)

    def rows(self, tenant: int) -> Iterable[Sequence[Any]]:
        """See ``RecordSource``."""
        for point in self._directory.all_points(tenant):
            yield (point.series, point.asset_path, point.name, point.unit, point.value_type.label)


class TablePublisher(Protocol):
    """The part of a history that takes copies of records."""

    async def publish(self, table: SqlTable, tenant: int, columns: Mapping[str, Sequence[Any]]) -> None:
        """Replace all rows of a tenant, atomically."""
        ...


class SqlTables:
    """Keeps the copies in step. One per process that answers SQL."""

    def __init__(self, publisher: TablePublisher, sources: Sequence[RecordSource]) -> None:
        self._publisher = publisher
        self._sources = {source.table.name: source for source in sources}
        self._synced: dict[tuple[str, int], str] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def tables(self) -> dict[str, SqlTable]:
        """Tables of records by public name."""
        return {name: source.table for name, source in self._sources.items()}

    async def sync(self, tenant: int, names: Collection[str]) -> None:
        """Bring the named copies up to date for a tenant; names without a source are left alone.

        Raises:
            HistoryError: the history did not take the rows.
        """
        for name in sorted(names):
            source = self._sources.get(name)
            if source is not None:
                async with self._locks.setdefault(name, asyncio.Lock()):
                    await self._sync_one(source, tenant)

    async def _sync_one(self, source: RecordSource, tenant: int) -> None:
        key = (source.table.name, tenant)
        revision = await asyncio.to_thread(source.revision, tenant)
        if self._synced.get(key) == revision:
            return
        columns = await asyncio.to_thread(_columns, source, tenant)
        await self._publisher.publish(source.table, tenant, columns)
        # Rows may have changed since ``revision``: then the next sync sees another one and copies again.
        self._synced[key] = revision


def _columns(source: RecordSource, tenant: int) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name, _ in source.table.columns}
    into = list(columns.values())
    for row in source.rows(tenant):
        for column, value in zip(into, row, strict=True):
            column.append(value)
    return columns
