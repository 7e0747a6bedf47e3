"""History over several nodes: ``HistoryStore`` on N ClickHouse HTTP addresses, each of which has some of the series.

The shard of a series is ``series % N``: the order of the addresses is part of the configuration and must not change
once there are points. Copies of records are on every node. Reads of series ask only the nodes that own them; users'
SQL asks all (``scatter.py``). A node that is away is named by its address in the error: reads of the other nodes'
series go on, inserts wait in the block log.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from gongfu.kernel.block import Columns
from gongfu.kernel.points import ValueType
from gongfu.store.history.client import ClickHouseHistory, sql_result, sql_settings
from gongfu.store.history.row_binary import RowBinaryError, read_row_binary
from gongfu.store.history.samples import combined, taken
from gongfu.store.history.sql_tables import SqlTable
from gongfu.store.history.types import (
    Aggregate,
    Batch,
    HistoryError,
    HistoryFull,
    HistoryUnavailable,
    Order,
    RollupLevel,
    Samples,
    ShardUnavailable,
    SqlLimits,
    SqlResult,
    TableSize,
    Version,
)

T = TypeVar("T")

# Of the partial results of one statement, all nodes together.
PARTIAL_BYTES = 128_000_000


class ShardedHistory:
    """``HistoryStore`` over several ``ClickHouseHistory``. Safe to use from several tasks."""

    def __init__(self, shards: Sequence[ClickHouseHistory]) -> None:
        """Take the nodes in the order that the configuration gives; nothing is opened yet.

        Raises:
            ValueError: no node.
        """
        if not shards:
            raise ValueError("a history needs at least one node")
        self._shards = tuple(shards)
        self._turn = itertools.count()

    @property
    def shards(self) -> tuple[ClickHouseHistory, ...]:
        """The nodes; series s is on node ``s % len(shards)``."""
        return self._shards

    def owner(self, series: int) -> ClickHouseHistory:
        """Return the node that has a series."""
        return self._shards[int(series) % len(self._shards)]

    async def insert(self, batches: Sequence[Batch]) -> None:
        """See ``HistoryStore``. When one node fails the whole insert does; repeating it changes nothing elsewhere."""
        split = [self._part(batches, index) for index in range(len(self._shards))]
        await self._each(
            [(shard, part) for shard, part in zip(self._shards, split, strict=True) if part],
            lambda shard, part: shard.insert(part),
        )

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
        """See ``HistoryStore``."""
        return await self._read(
            series,
            lambda shard, own: shard.query(
                value_type, own, time_from, time_to, order=order, limit=limit, good_only=good_only, as_of=as_of
            ),
        )

    def forget(self) -> None:
        """See ``HistoryStore``."""
        for shard in self._shards:
            shard.forget()

    async def correct(
        self, value_type: ValueType, columns: Columns, *, corrected_by: str, reason: str, ingested: int | None = None
    ) -> int:
        """See ``HistoryStore``. When one node fails, others may be corrected; repeating it changes only the rest."""
        owners = columns.series % len(self._shards)
        asked = [
            (shard, taken(columns, own))
            for index, shard in enumerate(self._shards)
            if len(own := np.flatnonzero(owners == index))
        ]
        changed = await self._each(
            asked,
            lambda shard, own: shard.correct(
                value_type, own, corrected_by=corrected_by, reason=reason, ingested=ingested
            ),
        )
        return sum(changed)

    async def versions(self, value_type: ValueType, series: int, time: int) -> list[Version]:
        """See ``HistoryStore``."""
        owner = self.owner(series)
        return await self._told(owner, owner.versions(value_type, series, time))

    async def rolled(
        self, level: RollupLevel, series: Sequence[int], time_from: int, time_to: int
    ) -> dict[int, list[tuple[int, int]]]:
        """See ``HistoryStore``."""
        by_shard: dict[int, list[int]] = {}
        for one in series:
            by_shard.setdefault(int(one) % len(self._shards), []).append(int(one))
        answers = await self._each(
            [(self._shards[index], own) for index, own in by_shard.items()],
            lambda shard, own: shard.rolled(level, own, time_from, time_to),
        )
        return {one: ranges for answer in answers for one, ranges in answer.items()}

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
        """See ``HistoryStore``."""
        return await self._read(
            series,
            lambda shard, own: shard.aggregate(
                value_type, own, time_from, time_to, how=how, step=step, order=order, limit=limit, good_only=good_only
            ),
        )

    async def latest(self, value_type: ValueType, series: Sequence[int]) -> Samples:
        """See ``HistoryStore``."""
        return await self._read(series, lambda shard, own: shard.latest(value_type, own))

    async def sql(self, statement: str, row_filters: Mapping[str, str], limits: SqlLimits) -> SqlResult:
        """See ``HistoryStore``.

        Raises:
            Problem: 422, the statement cannot be merged from several nodes.
        """
        if len(self._shards) == 1:
            return await self._shards[0].sql(statement, row_filters, limits)
        # The parser takes 30 MB and half a second: imported with the first statement.
        from gongfu.store.history.scatter import needs_names, plan

        names = None
        if await asyncio.to_thread(needs_names, statement):
            shape = f"SELECT * FROM ({statement}) LIMIT 0"  # noqa: S608 (the sandbox's own text)
            found = await self._any(lambda shard: shard.sql(shape, row_filters, limits))
            names = [name for name, _ in found.columns]
        planned = await asyncio.to_thread(plan, statement, limits.rows, names)
        if not planned.parts:
            return await self._any(lambda shard: shard.sql(planned.final, row_filters, limits))
        return await self._merge(planned.parts, planned.final, row_filters, limits)

    async def _merge(
        self, parts: Sequence[str], final: str, row_filters: Mapping[str, str], limits: SqlLimits
    ) -> SqlResult:
        from clickhouse_connect.driver.external import ExternalData

        settings = sql_settings(row_filters, limits)
        bound = PARTIAL_BYTES // (len(self._shards) * len(parts))
        partial = {name: value for name, value in settings.items() if name != "limit"} | {"max_result_bytes": bound}
        asked = [(shard, part) for part in parts for shard in self._shards]
        answers = await self._each(
            asked,
            lambda shard, part: shard.run(
                lambda client: client.raw_query(part, settings=partial, fmt="RowBinaryWithNamesAndTypes")
            ),
        )
        external = ExternalData()
        count = len(self._shards)
        for index in range(len(parts)):
            structure, rows = await asyncio.to_thread(_joined, answers[index * count : (index + 1) * count])
            external.add_file(file_name=f"gongfu_part_{index}", data=rows, fmt="RowBinary", structure=structure)
        merging = self._shards[next(self._turn) % count]
        raw = await self._told(
            merging,
            merging.run(
                lambda client: client.raw_query(final, settings=settings, fmt="JSONCompact", external_data=external)
            ),
        )
        return sql_result(raw, limits)

    async def publish(self, table: SqlTable, tenant: int, columns: Mapping[str, Sequence[Any]]) -> None:
        """See ``HistoryStore``. Atomic on each node; a query that runs meanwhile may see the old rows on some."""
        await self._each(
            [(shard, None) for shard in self._shards], lambda shard, _: shard.publish(table, tenant, columns)
        )

    async def sizes(self) -> dict[str, TableSize]:
        """See ``HistoryStore``. Sums over the nodes."""
        found = await self._each([(shard, None) for shard in self._shards], lambda shard, _: shard.sizes())
        total: dict[str, TableSize] = {}
        for sizes in found:
            for name, size in sizes.items():
                old = total.get(name, TableSize(0, 0, 0))
                total[name] = TableSize(
                    old.rows + size.rows, old.bytes_on_disk + size.bytes_on_disk, old.parts + size.parts
                )
        return total

    async def close(self) -> None:
        """See ``HistoryStore``."""
        for shard in self._shards:
            await shard.close()

    def _part(self, batches: Sequence[Batch], index: int) -> list[Batch]:
        """Return what belongs to one node."""
        part: list[Batch] = []
        for batch in batches:
            own = np.flatnonzero(batch.columns.series % len(self._shards) == index)
            if len(own) == len(batch) and len(own):
                part.append(batch)
            elif len(own):
                columns = taken(batch.columns, own)
                part.append(Batch(batch.value_type, columns, batch.ingested[own]))
        return part

    async def _read(
        self, series: Sequence[int], read: Callable[[ClickHouseHistory, list[int]], Awaitable[Samples]]
    ) -> Samples:
        """Return what the owners of some series answer, as one."""
        by_shard: dict[int, list[int]] = {}
        for one in series:
            by_shard.setdefault(int(one) % len(self._shards), []).append(int(one))
        if not by_shard:
            by_shard = {0: []}
        answers = await self._each([(self._shards[index], own) for index, own in by_shard.items()], read)
        return answers[0] if len(answers) == 1 else combined(answers)

    async def _each(
        self, asked: Sequence[tuple[ClickHouseHistory, Any]], ask: Callable[[ClickHouseHistory, Any], Awaitable[T]]
    ) -> list[T]:
        """Ask nodes beside each other; all have answered or failed when this returns or raises the first failure."""
        answers = await asyncio.gather(
            *(self._told(shard, ask(shard, what)) for shard, what in asked), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def _any(self, ask: Callable[[ClickHouseHistory], Awaitable[T]]) -> T:
        """Ask one node after another until one is there."""
        first = next(self._turn)
        for attempt in range(len(self._shards)):
            shard = self._shards[(first + attempt) % len(self._shards)]
            try:
                return await self._told(shard, ask(shard))
            except HistoryUnavailable:
                if attempt == len(self._shards) - 1:
                    raise
        raise AssertionError("unreachable")

    async def _told(self, shard: ClickHouseHistory, asked: Awaitable[T]) -> T:
        """Await an answer; a node that is away is named."""
        try:
            return await asked
        except (HistoryFull, ShardUnavailable):
            raise
        except HistoryUnavailable as error:
            raise ShardUnavailable(shard.address, error) from None


def _joined(answers: Sequence[bytes]) -> tuple[str, bytes]:
    """Return columns and rows of the nodes' answers to one statement.

    Raises:
        HistoryError: the nodes give different columns, or two columns of one name.
    """
    try:
        read = [read_row_binary(answer) for answer in answers]
    except RowBinaryError as error:
        raise HistoryUnavailable(f"unreadable partial result: {error}") from None
    if any((one.names, one.types) != (read[0].names, read[0].types) for one in read):
        raise HistoryError("the history nodes give different columns: they must have one version")
    if len(set(read[0].names)) != len(read[0].names):
        raise HistoryError("give the columns different names (AS)")
    return read[0].structure, b"".join(one.rows for one in read)
