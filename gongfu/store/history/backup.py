"""Backup of the history: Parquet files and a manifest, taken while inserts go on, verified bit by bit.

A backup holds every point that was acknowledged before it began, and maybe later ones, and all versions of points that
have several. Roll-ups are not in it: they are built again. It works against any ClickHouse server, and the files are
readable without Gongfu. The manifest is written last: a directory without it is no backup.

Names of points are in the records; their backup and the writer's position belong to the caller. Copy the position
before the export: points after it are then inserted again from the block log, which changes nothing.
"""

import hashlib
import io
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gongfu.kernel.times import format_rfc3339
from gongfu.store.history.native import decode_native
from gongfu.store.history.rollup_tables import CHANGED, DAYS
from gongfu.store.history.schema import DATABASE, POINT_TABLES, versions_of
from gongfu.store.history.types import HistoryError

if TYPE_CHECKING:
    from gongfu.store.history.client import ClickHouseHistory

MANIFEST = "manifest.json"
FILE_ROWS = 2_000_000
_COLUMNS = ("series", "time", "value", "quality", "ingested")
_BY_HAND = ("corrected_by", "reason", "manual")
TABLES = (*POINT_TABLES, *(versions_of(table) for table in POINT_TABLES))
# Parquet of the engine: lossless for every column; zstd keeps it near the size on disk.
_PARQUET = {"output_format_parquet_compression_method": "zstd", "max_execution_time": 600}


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file: points with keys from ``first`` to ``last``, (series, UTC ns), both included."""

    name: str
    rows: int
    bytes: int
    sha256: str
    first: tuple[int, int]
    last: tuple[int, int]
    crc32: dict[str, int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    format: int = 1
    created: str = ""
    engine: str = ""
    rows: dict[str, int]
    files: dict[str, list[BackupFile]]


class BackupError(Exception):
    """A backup is damaged or incomplete, or the history does not hold what was restored."""


@dataclass(frozen=True, slots=True)
class _Key:
    series: int
    time: int

    def sql(self) -> str:
        return f"(toUInt32({self.series}), fromUnixTimestamp64Nano({self.time}, 'UTC'))"


def export_history(store: "ClickHouseHistory", directory: Path) -> Manifest:
    """Write all points into a new directory and return its manifest; blocks.

    Raises:
        FileExistsError: the directory exists and is not empty.
        HistoryError: the history did not answer.
        OSError: the files cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty")
    files = {table: [_write(store, directory, table, n, low, high) for n, low, high in _pages(store, table)]
             for table in TABLES}  # fmt: skip
    manifest = Manifest(
        created=format_rfc3339(time.time_ns() // 1_000_000_000 * 1_000_000_000),
        engine=str(store.call(lambda client: client.command("SELECT version()"))),
        rows={table: sum(file.rows for file in some) for table, some in files.items()},
        files=files,
    )
    _durable(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of a backup.

    Raises:
        BackupError: there is none, or it is not one.
    """
    try:
        manifest = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupError(f"{directory} holds no complete backup of a history: {MANIFEST} is missing") from None
    except msgspec.MsgspecError as error:
        raise BackupError(f"{directory / MANIFEST} is damaged: {error}") from None
    if manifest.format != 1:
        raise BackupError(f"backup format {manifest.format} is not known")
    return manifest


def verify_history(directory: Path) -> Manifest:
    """Check the files of a backup against its manifest; needs no history.

    Raises:
        BackupError: a file is missing or changed.
    """
    manifest = read_manifest(directory)
    for files in manifest.files.values():
        for file in files:
            try:
                data = (directory / file.name).read_bytes()
            except OSError as error:
                raise BackupError(f"{file.name} cannot be read: {error}") from None
            if hashlib.sha256(data).hexdigest() != file.sha256:
                raise BackupError(f"{file.name} has changed since the backup")
    return manifest


def import_history(store: "ClickHouseHistory", directory: Path) -> Manifest:
    """Verify a backup, insert it, and compare every column of what the history then holds; blocks.

    Points that the history already has are kept unless the backup has a later correction of them, so the comparison is
    only sound for a history that was empty: that is required.

    Raises:
        BackupError: the backup is damaged, the history is not empty, or holds something else afterwards.
        HistoryError: the history did not take it.
    """
    manifest = verify_history(directory)
    for table in TABLES:
        if _count(store, table):
            raise BackupError(f"the history is not empty: {table} has points")
    for table, files in manifest.files.items():
        if table not in TABLES:
            raise BackupError(f"unknown table {table!r} in the backup")
        for file in files:
            data = (directory / file.name).read_bytes()
            store.call(
                lambda client, t=table, d=data: client.raw_insert(f"{DATABASE}.{t}", _names(t), d, fmt="Parquet")
            )
        for file in files:
            found = _read(store, table, _Key(*file.first), _Key(*file.last))
            if _sums(table, found) != file.crc32 or len(found["series"]) != file.rows:
                raise BackupError(f"the history does not hold what {file.name} does")
        if _count(store, table) != manifest.rows[table]:
            raise BackupError(f"{table} holds another number of points than the backup")
    # Roll-ups that were built meanwhile did not know all points.
    statement = (
        f"INSERT INTO {DATABASE}.{CHANGED} (series, day) SELECT DISTINCT series, toUInt16(toDate(time, 'UTC')) "  # noqa: S608
        f"FROM {DATABASE}.point_double WHERE (SELECT count() FROM {DATABASE}.{DAYS}) > 0"
    )
    store.call(lambda client: client.command(statement))
    return manifest


def _names(table: str) -> tuple[str, ...]:
    return _COLUMNS if table in POINT_TABLES else (*_COLUMNS, *_BY_HAND)


def _count(store: "ClickHouseHistory", table: str) -> int:
    statement = f"SELECT count() FROM {DATABASE}.{table} FINAL"  # noqa: S608
    return int(str(store.call(lambda client: client.command(statement))))


def _pages(store: "ClickHouseHistory", table: str) -> Iterator[tuple[int, _Key | None, _Key]]:
    """Yield number, key before the first point, and key of the last point of each file."""
    low: _Key | None = None
    number = 0
    while True:
        # A point that arrives meanwhile inside an earlier page is not in this backup; it was not promised.
        high = _boundary(store, table, low, FILE_ROWS - 1) or _boundary(store, table, low, None)
        if high is None:
            return
        yield number, low, high
        low, number = high, number + 1


def _boundary(store: "ClickHouseHistory", table: str, low: _Key | None, offset: int | None) -> _Key | None:
    """Return the key at an offset after ``low``, or the last one of all, or None when there is none."""
    after = f"WHERE (series, time) > {low.sql()}" if low else ""
    order = "series, time LIMIT 1" if offset is not None else "series DESC, time DESC LIMIT 1"
    skip = f" OFFSET {offset}" if offset else ""
    statement = f"SELECT series, time FROM {DATABASE}.{table} FINAL {after} ORDER BY {order}{skip}"  # noqa: S608
    columns = decode_native(store.call(lambda client: client.raw_query(statement, settings=_LONG, fmt="Native")))
    return _Key(int(columns["series"][0]), int(columns["time"][0])) if columns else None


_LONG = {"max_execution_time": 600}


def _range(table: str, low: _Key | None, high: _Key, *, include_low: bool = False) -> str:
    begin = f"(series, time) {'>=' if include_low else '>'} {low.sql()} AND " if low else ""
    return (
        f"SELECT {', '.join(_selected(table))} FROM {DATABASE}.{table} FINAL "  # noqa: S608
        f"WHERE {begin}(series, time) <= {high.sql()} ORDER BY series, time, ingested"
    )


def _selected(table: str) -> list[str]:
    texts = ("corrected_by", "reason")
    return [f"CAST({name} AS String) AS {name}" if name in texts else name for name in _names(table)]


def _write(
    store: "ClickHouseHistory", directory: Path, table: str, number: int, low: _Key | None, high: _Key
) -> BackupFile:
    import pyarrow.parquet as pq

    statement = _range(table, low, high)
    data = store.call(lambda client: client.raw_query(statement, settings=_PARQUET, fmt="Parquet"))
    name = f"{table}-{number:05d}.parquet"
    _durable(directory / name, data)
    read = pq.read_table(io.BytesIO((directory / name).read_bytes()))
    columns = {column: _plain(read.column(column)) for column in _names(table)}
    first = (int(columns["series"][0]), int(columns["time"][0]))
    return BackupFile(
        name=name,
        rows=read.num_rows,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        first=first,
        last=(int(columns["series"][-1]), int(columns["time"][-1])),
        crc32=_sums(table, columns),
    )


def _plain(column: Any) -> Any:
    """Return an Arrow column as the Native reader gives it: an integer or float array, or a list of strings."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_binary(column.type) or pa.types.is_string(column.type):
        return [item if isinstance(item, str) else item.decode() for item in column.to_pylist()]
    return column.to_numpy()


def _read(store: "ClickHouseHistory", table: str, first: _Key, last: _Key) -> dict[str, Any]:
    statement = _range(table, first, last, include_low=True)
    raw = store.call(lambda client: client.raw_query(statement, settings=_LONG, fmt="Native"))
    columns = decode_native(raw)
    if not columns:
        raise HistoryError(f"{table} holds none of the points of a file")
    return dict(columns)


def _sums(table: str, columns: dict[str, Any]) -> dict[str, int]:
    """Return the CRC-32 of each column's values, whatever way they came."""
    sums: dict[str, int] = {}
    for name in _names(table):
        values: np.ndarray[Any, Any] | Sequence[str] = columns[name]
        if isinstance(values, np.ndarray):
            sums[name] = zlib.crc32(np.ascontiguousarray(values).tobytes())
        else:
            sums[name] = zlib.crc32("\0".join(f"{len(value)}:{value}" for value in values).encode())
    return sums


def _durable(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
