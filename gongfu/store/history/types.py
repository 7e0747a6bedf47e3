"""History: what the rest of Gongfu asks of the time series store. All times are UTC nanoseconds since 1970."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import Columns
from gongfu.kernel.points import ValueType
from gongfu.store.history.sql_tables import SqlTable


class HistoryError(Exception):
    """The history did not do what was asked.

    Attributes:
        code: ClickHouse error code, 0 when the history was not reached.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class HistoryUnavailable(HistoryError):
    """The history does not answer or is overloaded; the same request may succeed later."""


class HistoryFull(HistoryUnavailable):
    """The disk of the history has no room; nothing of the insert is kept."""


class ShardUnavailable(HistoryUnavailable):
    """One history node of several does not answer.

    Attributes:
        address: its URL, without credentials.
    """

    def __init__(self, address: str, cause: HistoryError) -> None:
        super().__init__(f"history node {address}: {cause}", cause.code)
        self.address = address


class Aggregate(StrEnum):
    """How the values of one step become one value."""

    AVERAGE = "avg"
    MINIMUM = "min"
    MAXIMUM = "max"
    COUNT = "count"
    FIRST = "first"
    LAST = "last"
    MINMAX = "minmax"


class Order(StrEnum):
    """Order of the points of a series by source time."""

    ASCENDING = "asc"
    DESCENDING = "desc"


@dataclass(frozen=True, slots=True)
class Batch:
    """Points of one value type, of any tenants, for one insert.

    Attributes:
        value_type: type of the values.
        columns: series, source times (UTC ns), qualities and values, all of length n.
        ingested: ``int64[n]`` ingest times, UTC ns; stored with millisecond resolution.
    """

    value_type: ValueType
    columns: Columns
    ingested: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.columns)


@dataclass(frozen=True, slots=True)
class Samples:
    """Points that a query found, of one value type, ordered by series and then source time.

    Attributes:
        columns: as stored; for booleans ``uint8`` 0 or 1.
        ingested: ``int64[n]`` ingest times, UTC ns (whole milliseconds); empty for aggregates.
        truncated: True when some series has more points than the limit.
    """

    columns: Columns
    ingested: NDArray[np.int64]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a point: what it was from ``ingested`` on, until the next version.

    Attributes:
        ingested: when the history learned it, UTC ns (whole milliseconds).
        value: float, int, 0 or 1 for booleans, or text.
        quality: quality byte.
        corrected_by: who corrected it by hand; empty for what a device sent.
        reason: the reason that was given; empty for what a device sent.
    """

    ingested: int
    value: float | int | str
    quality: int
    corrected_by: str = ""
    reason: str = ""


class RollupLevel(StrEnum):
    """Length of the buckets of a roll-up table."""

    MINUTE = "1m"
    HOUR = "1h"

    @property
    def seconds(self) -> int:
        """Length of a bucket in seconds."""
        return 60 if self is RollupLevel.MINUTE else 3600


@dataclass(frozen=True, slots=True)
class SqlLimits:
    """Bounds of one SQL query of a user."""

    rows: int = 10_000
    seconds: float = 30.0
    memory_bytes: int = 400_000_000
    rows_to_read: int = 500_000_000


@dataclass(frozen=True, slots=True)
class SqlResult:
    """Answer of a SQL query: names and ClickHouse types of the columns, and rows of JSON values."""

    columns: list[tuple[str, str]]
    rows: list[list[Any]]
    truncated: bool


@dataclass(frozen=True, slots=True)
class TableSize:
    """Size of one table: rows and bytes of its active parts (versions not yet merged away count as rows)."""

    rows: int
    bytes_on_disk: int
    parts: int


class HistoryStore(Protocol):
    """Typed time series, addressed by series id. Whoever calls has checked the tenant of the series.

    One row per (series, source time): a later insert of the same pair is a correction and replaces the earlier one in
    every read. All methods may raise ``HistoryUnavailable`` and ``HistoryError``.
    """

    async def insert(self, batches: Sequence[Batch]) -> None:
        """Insert batches; on return all of them are durable (fsync) and readable. Repeating an insert changes nothing.

        Raises:
            HistoryFull: no room on disk.
        """
        ...

    def forget(self) -> None:
        """Ask anew what is stored before the next insert: another process may have inserted points of our series."""
        ...

    async def query(
        self,
        value_type: ValueType,
        series: Sequence[int],
        time_from: int,
        time_to: int,
        *,
        order: Order = Order.ASCENDING,
        limit: int = 10_000,
        good_only: bool = False,
        as_of: int | None = None,
    ) -> Samples:
        """Return points of series of one type in ``[time_from, time_to)``, at most ``limit`` of each series.

        With ``as_of`` (UTC ns, whole milliseconds count) each point is the version that the history had learned by
        then; points it had not are absent. Without it, each is the newest version.
        """
        ...

    async def correct(
        self, value_type: ValueType, columns: Columns, *, corrected_by: str, reason: str, ingested: int | None = None
    ) -> int:
        """Correct or add points by hand; the versions they replace stay readable. Return how many points changed.

        A point that already has this value and quality is left alone, so repeating a correction changes nothing.

        Args:
            value_type: type of the series.
            columns: the points as they should be.
            corrected_by: who corrects, not empty, at most 200 characters.
            reason: why, not empty, at most 1,000 characters.
            ingested: time of the correction, UTC ns; default now. Later than the versions it replaces, else they stay.

        Raises:
            HistoryError: no author or no reason.
        """
        ...

    async def versions(self, value_type: ValueType, series: int, time: int) -> list[Version]:
        """Return the versions of the point of a series at a source time, oldest first; the last one is what reads show.

        A resend of the same value and quality is no version of its own.
        """
        ...

    async def rolled(
        self, level: RollupLevel, series: Sequence[int], time_from: int, time_to: int
    ) -> dict[int, list[tuple[int, int]]]:
        """Return by series the ranges ``[from, to)`` (UTC ns, ascending, whole UTC days) whose roll-ups are final.

        Inside of them table ``rollup_double_<level>`` has exactly the buckets that have points; outside, read the
        points. Only series of type double; a range is absent where the points are sparse, new, or changed since.
        """
        ...

    async def aggregate(
        self,
        value_type: ValueType,
        series: Sequence[int],
        time_from: int,
        time_to: int,
        *,
        how: Aggregate,
        step: int,
        order: Order = Order.ASCENDING,
        limit: int = 10_000,
        good_only: bool = True,
    ) -> Samples:
        """Return one value a step, two for ``minmax`` (the points themselves), at most ``limit`` values a series.

        Steps are aligned to 1970-01-01T00:00Z; the time of a value is the start of its step, except for ``minmax``,
        ``first`` and ``last``, which are points and keep their time. The quality is the worst of the step. Values that
        are not finite never take part. ``avg`` and ``count`` give doubles for every type.

        Args:
            value_type: type of the series; text types know ``count``, ``first`` and ``last`` only.
            series: series ids.
            time_from: first source time, UTC ns.
            time_to: end, exclusive.
            how: the aggregate.
            step: length of a step in ns.
            order: by time.
            limit: most values a series.
            good_only: leave out points whose quality is not good.

        Raises:
            HistoryError: the aggregate is not defined for the type.
        """
        ...

    async def latest(self, value_type: ValueType, series: Sequence[int]) -> Samples:
        """Return the point with the greatest source time of each series that has any."""
        ...

    async def sql(self, statement: str, row_filters: Mapping[str, str], limits: SqlLimits) -> SqlResult:
        """Run one read-only statement that the sandbox has rewritten.

        Args:
            statement: the SELECT.
            row_filters: conditions by stored table, put on every read whatever the statement says.
            limits: bounds.
        """
        ...

    async def publish(self, table: SqlTable, tenant: int, columns: Mapping[str, Sequence[Any]]) -> None:
        """Replace all rows of a tenant in a table of records, atomically."""
        ...

    async def sizes(self) -> dict[str, TableSize]:
        """Return the size of each table by name."""
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...
