"""History through clickhouse-connect: against the node's own history process or any ClickHouse server.

``clickhouse_connect`` is imported when the first request is made (16 MB, 0.4 s). Requests run in threads; the event
loop stays free.
"""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from gongfu.kernel.block import Columns
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.store.history import rolled_aggregates, schema, statements
from gongfu.store.history.deployment import INSERT_SETTINGS, RECORD_SETTINGS, deployed
from gongfu.store.history.insertion import Insertion, check_correction
from gongfu.store.history.native import NativeColumn, decode_native, encode_native
from gongfu.store.history.rolled import read_rolled, rolled_days
from gongfu.store.history.samples import repeats, samples_of, together
from gongfu.store.history.sql_tables import SqlTable
from gongfu.store.history.statement_http import ServerAway, StatementConnections, StatementRefused
from gongfu.store.history.types import (
    Aggregate,
    Batch,
    HistoryError,
    HistoryFull,
    HistoryUnavailable,
    Order,
    RollupLevel,
    Samples,
    SqlLimits,
    SqlResult,
    TableSize,
    Version,
)
from gongfu.store.history.versions import points_as_of, read_versions, versions_of_point

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

logger = logging.getLogger(__name__)

T = TypeVar("T")

_NO_SPACE = frozenset({243})
# UNKNOWN_TABLE, UNKNOWN_DATABASE
_NO_TABLE = frozenset({60, 81})
# TOO_MANY_SIMULTANEOUS_QUERIES, NETWORK_ERROR, SOCKET_TIMEOUT, MEMORY_LIMIT_EXCEEDED, TOO_MANY_PARTS, ABORTED
_TEMPORARY = frozenset({202, 209, 210, 236, 241, 252})
# For the points of one series: most of the time of such a read goes into planning it, and the engine's older analyzer
# takes a tenth less of it for a statement without joins and subqueries.
_QUICK = {"enable_analyzer": 0}
# UNKNOWN_SETTING, READONLY, SETTING_CONSTRAINT_VIOLATION
_NOT_SETTABLE = frozenset({115, 164, 452})
READ_THREADS = 6
WRITE_THREADS = 2
_DAY = 86_400 * SECOND
_EXACT_JSON = 2**53 - 1


class ClickHouseHistory:
    """``HistoryStore`` on ClickHouse's HTTP protocol. Safe to use from several tasks and threads."""

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        *,
        query_seconds: float = 30.0,
        request_seconds: float = 120.0,
        cluster: str = "",
    ) -> None:
        """Remember where the history is; nothing is opened yet.

        Args:
            url: ``http://host:port`` or ``https://host:port``.
            user: user name.
            password: its password, never logged.
            query_seconds: most seconds a read may take in the server.
            request_seconds: most seconds to wait for any answer.
            cluster: name of the ClickHouse cluster whose tables are made on all its servers; empty for one server.
        """
        self._url = urlsplit(url)
        self._user = user
        self._password = password
        self._query_seconds = query_seconds
        self._request_seconds = request_seconds
        self._cluster = cluster
        self._insertion = Insertion(INSERT_SETTINGS if cluster else None)
        self._reading = StatementConnections(self._url, user, password, request_seconds)
        self._quick: Mapping[str, int] = _QUICK
        self._client: Client | None = None
        self._prepared = False
        self._opening = threading.Lock()
        # Own threads: slow reads hold up neither inserts nor other work of the process. Made when needed.
        self._readers = ThreadPoolExecutor(READ_THREADS, "history-read")
        self._writers = ThreadPoolExecutor(WRITE_THREADS, "history-write")

    def client(self) -> "Client":
        """Return the clickhouse-connect client; connects when needed, and blocks for it.

        Raises:
            HistoryUnavailable: the server does not answer.
        """
        with self._opening:
            if self._client is None:
                self._client = self._guarded(self._connect)
            return self._client

    def _connect(self) -> "Client":
        import clickhouse_connect

        secure = self._url.scheme == "https"
        # Retries are ours: the driver would log every failed attempt.
        logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        return clickhouse_connect.get_client(
            host=self._url.hostname or "127.0.0.1",
            port=self._url.port or (8443 if secure else 8123),
            secure=secure,
            username=self._user,
            password=self._password,
            compress=False,
            autogenerate_session_id=False,
            connect_timeout=5,
            send_receive_timeout=int(self._request_seconds),
            client_name="gongfu",
        )

    @staticmethod
    def _guarded(action: Callable[[], T]) -> T:
        """Run an action and tell its failures in our words."""
        from clickhouse_connect.driver.exceptions import ClickHouseError

        try:
            return action()
        except ClickHouseError as error:
            raise _translated(error) from None

    def call(self, action: Callable[["Client"], T]) -> T:
        """Run an action with the driver's client and return its result; blocks.

        Raises:
            HistoryError: what the driver raised, in our words.
        """
        client = self.client()
        try:
            return self._guarded(lambda: action(client))
        except HistoryError as error:
            if error.code not in _NO_TABLE or self._prepared:
                raise
        # A ClickHouse server that is not the node's own gets its tables when they are first missed.
        self._prepared = True
        self._guarded(lambda: _create(client, self._cluster))
        return self._guarded(lambda: action(client))

    @property
    def address(self) -> str:
        """Scheme, host and port, without credentials."""
        return f"{self._url.scheme}://{self._url.hostname}:{self._url.port or ''}".rstrip(":")

    async def run(self, action: Callable[["Client"], T]) -> T:
        """Run a reading action with the driver's client in a thread; see ``call``."""
        return await self._within(self._readers, action)

    async def _within(self, threads: ThreadPoolExecutor, action: Callable[["Client"], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, self.call, action)

    async def insert(self, batches: Sequence[Batch]) -> None:
        """See ``HistoryStore``."""
        filled = [batch for batch in batches if len(batch)]
        if filled:
            await self._within(self._writers, lambda client: self._insertion.insert(client, filled))

    def forget(self) -> None:
        """See ``HistoryStore``."""
        self._insertion.forget()

    async def correct(
        self, value_type: ValueType, columns: Columns, *, corrected_by: str, reason: str, ingested: int | None = None
    ) -> int:
        """See ``HistoryStore``."""
        check_correction(corrected_by, reason)
        if not len(columns):
            return 0
        return await self._within(
            self._writers,
            lambda client: self._insertion.correct(client, value_type, columns, corrected_by, reason, ingested or 0),
        )

    async def versions(self, value_type: ValueType, series: int, time: int) -> list[Version]:
        """See ``HistoryStore``."""
        return read_versions(await self._read(versions_of_point(value_type, series, time)))

    async def rolled(
        self, level: RollupLevel, series: Sequence[int], time_from: int, time_to: int
    ) -> dict[int, list[tuple[int, int]]]:
        """See ``HistoryStore``."""
        if not series or time_to <= time_from:
            return {}
        return read_rolled(await self._read(rolled_days(level, series, time_from, time_to)))

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
        if not series:
            return samples_of(value_type, b"", limit, value_type)
        if as_of is not None:
            statement = points_as_of(
                value_type, series, time_from, time_to, order=order, limit=limit, good_only=good_only, as_of=as_of
            )
            return samples_of(value_type, await self._read(statement), limit, value_type)
        # What is replaced and not merged away yet is rare: it is looked for, and only then read again with FINAL.
        for final in (True,) if good_only else (False, True):
            statement = statements.points(
                value_type, series, time_from, time_to, order=order, limit=limit, good_only=good_only, final=final
            )
            quick = not final and len(series) == 1 and not self._cluster
            found = decode_native(await self._read(statement, self._quick if quick else {}))
            if final or not repeats(found):
                return samples_of(value_type, found, limit, value_type)
        raise AssertionError("unreachable")

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
        result = ValueType.DOUBLE if how in (Aggregate.AVERAGE, Aggregate.COUNT) else value_type
        if not series:
            return samples_of(result, b"", limit, result)
        statement = statements.aggregates(
            value_type, series, time_from, time_to, how=how, step=step, order=order, limit=limit, good_only=good_only
        )
        level = rolled_aggregates.level_for(value_type, series, time_from, time_to, how, step)
        if level is not None and good_only and (ranges := await self.rolled(level, series, time_from, time_to)):
            parts = {one: rolled_aggregates.split(ranges.get(one, ()), time_from, time_to, level) for one in series}
            if max(len(holes) for _, holes in parts.values()) <= rolled_aggregates.MAX_HOLES:
                statement = rolled_aggregates.aggregates(parts, level, how=how, step=step, order=order, limit=limit)
        return samples_of(result, await self._read(statement), limit, result)

    async def latest(self, value_type: ValueType, series: Sequence[int]) -> Samples:
        """See ``HistoryStore``. Looks at the last day first: a series that is alive is found there."""
        now = time.time_ns()
        missing = list(dict.fromkeys(int(one) for one in series))
        found: list[Samples] = []
        for time_from in (now - _DAY, 0):
            if not missing:
                break
            raw = await self._read(statements.newest(value_type, missing, time_from))
            samples = samples_of(value_type, raw, 1, value_type)
            found.append(samples)
            seen = set(samples.columns.series.tolist())
            missing = [one for one in missing if one not in seen]
        return together(value_type, found)

    async def sql(self, statement: str, row_filters: Mapping[str, str], limits: SqlLimits) -> SqlResult:
        """See ``HistoryStore``."""
        settings = sql_settings(row_filters, limits)
        raw = await self._within(
            self._readers, lambda client: client.raw_query(statement, settings=settings, fmt="JSONCompact")
        )
        return sql_result(raw, limits)

    async def publish(self, table: SqlTable, tenant: int, columns: Mapping[str, Sequence[Any]]) -> None:
        """See ``HistoryStore``."""
        cluster = self._cluster
        await self._within(self._writers, lambda client: _publish(client, table, tenant, columns, cluster))

    async def sizes(self) -> dict[str, TableSize]:
        """See ``HistoryStore``."""
        raw = await self._within(self._readers, lambda client: client.raw_query(statements.sizes(), fmt="TabSeparated"))
        rows = [line.split("\t") for line in raw.decode().splitlines()]
        return {name: TableSize(int(n), int(size), int(parts)) for name, n, size, parts in rows}

    async def close(self) -> None:
        """See ``HistoryStore``."""
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            client.close()
        self._reading.close()
        self._readers.shutdown(wait=False)
        self._writers.shutdown(wait=False)

    async def _read(self, statement: str, further: Mapping[str, Any] | None = None) -> bytes:
        settings = {"max_execution_time": self._query_seconds, **(further or {})}
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read_now, statement, settings)

    def _read_now(self, statement: str, settings: Mapping[str, Any]) -> bytes:
        try:
            return self._reading.read(statement, settings, "Native")
        except (StatementRefused, ServerAway) as error:
            if error.code in _NOT_SETTABLE and not _QUICK.keys().isdisjoint(settings):
                self._quick = {}  # a server whose administrator does not allow it
                return self._read_now(statement, {k: v for k, v in settings.items() if k not in _QUICK})
            if error.code not in _NO_TABLE:
                raise _translated(error) from None
        # Through the driver, which makes the tables of a ClickHouse server.
        return self.call(lambda client: client.raw_query(statement, settings=dict(settings), fmt="Native"))


def sql_settings(row_filters: Mapping[str, str], limits: SqlLimits) -> dict[str, Any]:
    """Return the engine's settings for a statement of a user: nothing but reading, within bounds."""
    return {
        "database": schema.SANDBOX_DATABASE,
        "readonly": 1,
        "additional_table_filters": dict(row_filters),
        "max_execution_time": limits.seconds,
        "max_memory_usage": limits.memory_bytes,
        "max_rows_to_read": limits.rows_to_read,
        "limit": limits.rows + 1,
        "max_result_bytes": 64_000_000,
        "date_time_output_format": "iso",
        "output_format_json_quote_64bit_integers": 0,
        "output_format_json_named_tuples_as_objects": 1,
    }


def sql_result(raw: bytes, limits: SqlLimits) -> SqlResult:
    """Return the result in an answer of format JSONCompact that may have one row more than the limit."""
    document = json.loads(raw)
    rows = document["data"]
    columns = [(column["name"], column["type"]) for column in document["meta"]]
    return SqlResult(columns, _exact(rows[: limits.rows]), len(rows) > limits.rows)


def _translated(error: Exception) -> HistoryError:
    code = int(getattr(error, "code", None) or 0)
    message = str(error)
    if code in _NO_SPACE or "No space left on device" in message or "errno: 28" in message:
        return HistoryFull(message, code)
    if code in _TEMPORARY or code == 0:
        return HistoryUnavailable(message, code)
    return HistoryError(message, code)


def _create(client: "Client", cluster: str) -> None:
    """Create databases and tables where they are missing."""
    alp = client.command("SELECT count() FROM system.codecs WHERE name = 'ALP'") == 1
    for statement in deployed(schema.statements(alp=alp), cluster):
        client.command(statement, settings={"allow_experimental_codecs": 1} if alp else None)


def _publish(
    client: "Client", table: SqlTable, tenant: int, columns: Mapping[str, Sequence[Any]], cluster: str
) -> None:
    """Fill a table beside, then exchange the tenant's partition: readers see the old rows or the new ones.

    One process publishes at a time. The table beside stays: chDB removes dropped tables only when it starts.
    """
    beside = table.beside
    settings = RECORD_SETTINGS if cluster else None
    for statement in deployed([table.create(), beside.create()], cluster):
        client.command(statement)
    stored, source = f"{schema.DATABASE}.{table.stored}", f"{schema.DATABASE}.{beside.stored}"
    partition = int(tenant)
    client.command(f"ALTER TABLE {source} DROP PARTITION {partition}", settings=settings)
    n = len(columns[table.columns[0][0]])
    if n:
        types = dict(table.columns)
        own: list[NativeColumn] = [("tenant", "UInt32", np.full(n, partition, "<u4"))]
        body = encode_native(own + [(name, types[name], values) for name, values in columns.items()])
        client.raw_insert(source, ["tenant", *columns], body, settings=settings, fmt="Native")
    client.command(f"ALTER TABLE {stored} REPLACE PARTITION {partition} FROM {source}", settings=settings)
    client.command(f"ALTER TABLE {source} DROP PARTITION {partition}", settings=settings)
    counted = client.command(f"SELECT count() FROM {stored} WHERE tenant = {partition}")  # noqa: S608
    if counted != n:
        raise HistoryUnavailable(f"table {table.name}: {counted} rows instead of {n}, published twice at a time")


def _exact(value: Any) -> Any:
    """Return a JSON value in which integers beyond ±(2^53 - 1) are decimal text (RFC 7493 §2.2)."""
    if isinstance(value, list):
        return [_exact(item) for item in value]
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, int) and not -_EXACT_JSON <= value <= _EXACT_JSON:
        return str(value)
    return value
