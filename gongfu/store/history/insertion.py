"""Inserts into the history: rows that may be there already are looked up first, all others are not.

A row is looked up when its source time is not after the newest one stored of its series. What that is, is remembered
by series (8 B each); of a series that is not known yet, the newest time of the whole table bounds it. So rows in order
cost one comparison, and only late rows, resends and corrections cost a read.

One process at a time inserts the points of a series; after another one has, call ``forget``. Corrections by hand may
come from any process: they are in the table of versions before they are in the table of points.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.block import Columns
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import SECOND
from gongfu.store.history import rollup_tables, schema
from gongfu.store.history.arrivals import Rows, days_of, last_of_series, repeated, resolve, rows_of
from gongfu.store.history.deployment import PART_OF_INSERT
from gongfu.store.history.native import NativeColumn, decode_native, encode_native
from gongfu.store.history.types import Batch, HistoryError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

COLUMN_NAMES = ("series", "time", "value", "quality", "ingested")
# Replaced rows go with the next merge, not with a pass of its own over every insert.
SETTINGS: dict[str, Any] = {"optimize_on_insert": 0}
# Points older than this may lie in a day that is rolled up already; days are rolled up later than this.
LATE_NS = 3600 * SECOND
# Keys and series of one lookup: 0.5 MB of text.
_LOOKUP = 10_000
_READ = {"max_query_size": 4_000_000, "max_ast_elements": 200_000, "max_execution_time": 120, **PART_OF_INSERT}
MAX_AUTHOR = 200
MAX_REASON = 1000


class Insertion:
    """Inserts points through one server. Safe to use from several threads; blocks."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        """Remember settings of inserts, on top of the usual ones."""
        self._settings = {**SETTINGS, **(settings or {})}
        self._lock = threading.Lock()
        # Newest stored source time by series, at least; 0 is not known.
        self._newest: NDArray[np.int64] = np.zeros(0, "<i8")
        self._bounds: dict[str, int] = {}

    def forget(self) -> None:
        """Ask the history anew what it holds: another process may have inserted points of our series."""
        with self._lock:
            self._newest = np.zeros(0, "<i8")
            self._bounds.clear()

    def insert(self, client: "Client", batches: Sequence[Batch]) -> None:
        """Insert batches; rows that repeat what is stored are left out, and versions that are replaced are kept."""
        with self._lock:
            for batch in batches:
                self._insert(client, schema.TABLES[batch.value_type], rows_of(batch))

    def _insert(self, client: "Client", table: str, rows: Rows) -> None:
        newest = self._newest_of(client, table, rows)
        suspect = (rows.times <= newest) | repeated(rows)
        chosen = rows
        if suspect.any():
            at = np.flatnonzero(suspect)
            arrived = rows.take(at)
            present, versions = resolve(_stored(client, table, arrived), arrived)
            self._put_versions(client, table, versions)
            keep = ~suspect
            keep[at[present]] = True
            chosen = rows.take(keep)
        if len(chosen):
            self._put(client, table, chosen)
        ends = last_of_series(rows)
        ids = rows.series[ends]
        self._newest[ids] = np.maximum(rows.times[ends], newest[ends])

    def correct(
        self, client: "Client", value_type: ValueType, columns: Columns, corrected_by: str, reason: str, ingested: int
    ) -> int:
        """Record corrections by hand, then make them; return how many points change.

        When only the first step happened, ``finish`` takes the second.

        Args:
            client: driver's client.
            value_type: type of the series.
            columns: the points as they should be.
            corrected_by: who.
            reason: why.
            ingested: time of the correction, UTC ns, or 0 for now, and in any case after what it replaces.

        Raises:
            HistoryError: no author, no reason, or too long ones.
        """
        check_correction(corrected_by, reason)
        moment = ingested or time.time_ns()
        table = schema.TABLES[value_type]
        with self._lock:
            rows = rows_of(Batch(value_type, columns, np.full(len(columns), moment, "<i8")))
            rows = rows.take(~_followed(rows))
            stored = _stored(client, table, rows)
            if not ingested:
                rows = _after(stored, rows)
            present, versions = resolve(stored, rows)
            changed = rows.take(_differs(stored, rows))
            if not len(changed):
                return 0
            self._put_versions(client, table, versions)
            self._put_versions(client, table, changed, corrected_by, reason)
            chosen = rows.take(present)
            if len(chosen):
                self._put(client, table, chosen)
            return len(changed)

    def _newest_of(self, client: "Client", table: str, rows: Rows) -> NDArray[np.int64]:
        """Return for each row a time after which nothing of its series is stored."""
        top = int(rows.series[-1]) + 1 if len(rows) else 0
        if top > len(self._newest):
            grown = np.zeros(max(top, len(self._newest) * 5 // 4), "<i8")
            grown[: len(self._newest)] = self._newest
            self._newest = grown
        newest = self._newest[rows.series]
        unknown = newest == 0
        if not unknown.any():
            return newest
        if table not in self._bounds:
            self._bounds[table] = _bound(client, table)
        bound = self._bounds[table]
        late = unknown & (rows.times <= bound)
        if late.any():
            since = int(rows.times[late].min())
            ids = np.unique(rows.series[late])
            # Nothing since then: all that is stored of the series is older.
            self._newest[ids] = max(1, since - 1)
            for series, moment in _newest_since(client, table, ids, since):
                self._newest[series] = moment
            newest = self._newest[rows.series]
            unknown = newest == 0
        return np.where(unknown, bound, newest)

    def _put(self, client: "Client", table: str, rows: Rows) -> None:
        if table == "point_double":
            self._mark(client, rows)
        self._send(client, table, _native(table, rows))

    def _mark(self, client: "Client", rows: Rows) -> None:
        """Tell that roll-ups of days change, before they do."""
        series, days = days_of(rows, time.time_ns() - LATE_NS)
        if len(series):
            self._send(client, rollup_tables.CHANGED, [("series", "UInt32", series), ("day", "UInt16", days)])

    def _put_versions(self, client: "Client", table: str, rows: Rows, corrected_by: str = "", reason: str = "") -> None:
        if not len(rows):
            return
        n = len(rows)
        by_hand: list[NativeColumn] = [
            ("corrected_by", "String", [corrected_by] * n),
            ("reason", "String", [reason] * n),
            ("manual", "UInt8", np.full(n, bool(corrected_by), "u1")),
        ]
        self._send(client, schema.versions_of(table), _native(table, rows) + by_hand)

    def _send(self, client: "Client", table: str, columns: list[NativeColumn]) -> None:
        names = [name for name, _, _ in columns]
        client.raw_insert(
            f"{schema.DATABASE}.{table}", names, encode_native(columns), settings=self._settings, fmt="Native"
        )


def check_correction(corrected_by: str, reason: str) -> None:
    """Raise ``HistoryError`` unless there are an author and a reason of allowed length."""
    if not corrected_by or len(corrected_by) > MAX_AUTHOR:
        raise HistoryError(f"a correction has an author, of at most {MAX_AUTHOR} characters")
    if not reason or len(reason) > MAX_REASON:
        raise HistoryError(f"a correction has a reason, of at most {MAX_REASON} characters")


def unfinished(table: str) -> str:
    """Return the statement that inserts corrections by hand which are recorded and not made: a crash lay between.

    Looks at those of the last day; repeating it changes nothing.
    """
    source, names = f"{schema.DATABASE}.{table}", ", ".join(COLUMN_NAMES)
    recent = f"FROM {schema.DATABASE}.{schema.versions_of(table)} WHERE manual = 1 AND ingested > now() - 86400"
    made = (
        f"SELECT series, time, max(ingested) AS present FROM {source} "  # noqa: S608
        f"WHERE (series, time) IN (SELECT series, time {recent}) GROUP BY series, time"
    )
    return (
        f"INSERT INTO {source} ({names}) SELECT {names} "  # noqa: S608
        f"FROM (SELECT {names} {recent} ORDER BY series, time, ingested DESC LIMIT 1 BY series, time) AS recorded "
        f"LEFT JOIN ({made}) AS made ON recorded.series = made.series AND recorded.time = made.time "
        "WHERE recorded.ingested > made.present"
    )


def _native(table: str, rows: Rows) -> list[NativeColumn]:
    return [
        ("series", "UInt32", rows.series),
        ("time", schema.TIME_TYPE, rows.times),
        ("value", schema.VALUE_TYPES[table], rows.values),
        ("quality", "UInt8", rows.qualities),
        ("ingested", schema.INGESTED_TYPE, rows.ingested),
    ]


def _read(client: "Client", statement: str) -> dict[str, Any]:
    return dict(decode_native(client.raw_query(statement, settings=_READ, fmt="Native")))


def _bound(client: "Client", table: str) -> int:
    # Answered from the parts' own bounds, without reading them.
    statement = f"SELECT toUnixTimestamp64Nano(max(time)) AS newest FROM {schema.DATABASE}.{table}"  # noqa: S608
    columns = _read(client, statement)
    return int(columns["newest"][0]) if columns else 0


def _newest_since(client: "Client", table: str, ids: NDArray[np.uint32], since: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start in range(0, len(ids), _LOOKUP):
        chosen = ", ".join(map(str, ids[start : start + _LOOKUP].tolist()))
        columns = _read(
            client,
            f"SELECT series, max(time) AS newest FROM {schema.DATABASE}.{table} "  # noqa: S608
            f"WHERE series IN ({chosen}) AND time >= fromUnixTimestamp64Nano({since}, 'UTC') GROUP BY series",
        )
        if columns:
            found += zip(columns["series"].tolist(), columns["newest"].tolist(), strict=True)
    return found


def _stored(client: "Client", table: str, rows: Rows) -> Rows:
    """Return the present versions of the points of some rows, as far as there are any."""
    first = ~_followed(rows)
    series, times = rows.series[first], rows.times[first].astype("datetime64[ns]")
    found = rows.take(np.zeros(0, dtype="<i8"))
    pieces: list[dict[str, Any]] = []
    for start in range(0, len(series), _LOOKUP):
        part = slice(start, start + _LOOKUP)
        # Texts of one statement at a time: 380 bytes a row, of which there are millions after a crash.
        texts = np.datetime_as_string(times[part]).tolist()
        pairs = zip(series[part].tolist(), texts, strict=True)
        keys = ",".join(f"({one},'{text.replace('T', ' ')}')" for one, text in pairs)
        columns = _read(
            client,
            f"SELECT {', '.join(COLUMN_NAMES)} FROM {schema.DATABASE}.{table} FINAL "  # noqa: S608
            f"WHERE (series, time) IN ({keys}) ORDER BY series, time",
        )
        if columns:
            pieces.append(columns)
    if not pieces:
        return found

    def column(name: str) -> NDArray[Any]:
        parts: list[NDArray[Any]] = []
        for piece in pieces:
            values = piece[name]
            if isinstance(values, list):
                texts_of = np.empty(len(values), dtype=object)
                texts_of[:] = values
                values = texts_of
            parts.append(values)
        return np.concatenate(parts)

    return Rows(column("series"), column("time"), column("value"), column("quality"), column("ingested"))


def _followed(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows are followed by one of the same series and time."""
    same = (rows.series[1:] == rows.series[:-1]) & (rows.times[1:] == rows.times[:-1])
    return np.concatenate([same, np.zeros(min(1, len(rows)), dtype=bool)])


def _positions(stored: Rows, rows: Rows) -> NDArray[np.int64]:
    """Return for each row the index of its stored version, or -1; both are ordered by series and time."""
    index = {key: i for i, key in enumerate(zip(stored.series.tolist(), stored.times.tolist(), strict=True))}
    return np.array(
        [index.get(key, -1) for key in zip(rows.series.tolist(), rows.times.tolist(), strict=True)], dtype="<i8"
    )


def _after(stored: Rows, rows: Rows) -> Rows:
    """Return the rows with ingest times after those of what they replace, whatever the clocks say."""
    at = _positions(stored, rows)
    ingested = rows.ingested.copy()
    has = at >= 0
    ingested[has] = np.maximum(ingested[has], stored.ingested[at[has]] + 1)
    return Rows(rows.series, rows.times, rows.values, rows.qualities, ingested)


def _differs(stored: Rows, rows: Rows) -> NDArray[np.bool_]:
    """Return which rows are not what is stored."""
    at = _positions(stored, rows)
    has = at >= 0
    differs = ~has
    mine = rows.values.view("<i8") if rows.values.dtype.kind == "f" else rows.values
    theirs = stored.values.view("<i8") if stored.values.dtype.kind == "f" else stored.values
    same = np.asarray(mine[has] == theirs[at[has]], dtype=bool) & (rows.qualities[has] == stored.qualities[at[has]])
    differs[has] = ~same
    return differs
