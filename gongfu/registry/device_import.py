"""Import of many devices: one JSON document a line, a transaction a batch, errors by line.

A device that is there already is left as it is and counted, so an import that was cut off is simply run again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from threading import Lock
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Table, select, text
from sqlalchemy.exc import IntegrityError

from gongfu.kernel.errors import Problem, conflict
from gongfu.kernel.permissions import Subject
from gongfu.kernel.points import VALUE_TYPES
from gongfu.kernel.times import Clock
from gongfu.registry import asset_records, audit, device_secrets
from gongfu.registry.assets import check_attributes, check_type
from gongfu.registry.changes import Announce, RegistryChange
from gongfu.registry.names import check_device_name, check_name, check_path
from gongfu.registry.tables import asset, device, point
from gongfu.registry.text_search import bulk_search
from gongfu.store.records.engine import compact_json, writing

MAX_ERRORS = 1000
_CHUNK = 500
_ATTEMPTS = 3
_HEX = frozenset("0123456789abcdef")
# From so many assets on that get the same points, the database makes the rows.
_SAME_POINTS = 4
# Points of one statement, two variables each.
_SHAPE = 1000
_REMEMBERED = 100_000

_POINT_COLUMNS = ("tenant_id", "asset_id", "name", "value_type", "unit", "description", "created_at")

# Names and types of the points of a line, in order.
_Points = tuple[tuple[str, str], ...]


class ImportRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One line. ``points`` are names with types (``double``, …) that are made with the device, so that its first values
    need no look at the records. ``secret_hash`` is what another import of this node's key gave; without it and
    ``secret`` one is made and told."""

    name: str
    asset: str | None = None
    type: str = ""
    attributes: dict[str, Any] = {}
    points: dict[str, str] = {}
    secret: str | None = None
    secret_hash: str | None = None
    enabled: bool = True


class LineError(msgspec.Struct, frozen=True):
    """Why a line was not taken; lines count from 1."""

    line: int
    error: str


class NewDeviceSecret(msgspec.Struct, frozen=True):
    """The secret of a device that was made, shown this once."""

    name: str
    secret: str


class ImportAnswer(msgspec.Struct, frozen=True):
    """What became of the lines: devices made, devices that were there already, lines with errors (the first 1,000)."""

    created: int
    existing: int
    failed: int
    secrets: list[NewDeviceSecret]
    errors: list[LineError]


@dataclass(slots=True)
class _Row:
    line: int
    given: ImportRow
    path: str
    points: _Points
    secret_hash: str
    secret: str | None


@dataclass(slots=True)
class _Outcome:
    created: int = 0
    existing: int = 0
    failed: int = 0
    secrets: list[NewDeviceSecret] = field(default_factory=list[NewDeviceSecret])
    errors: list[LineError] = field(default_factory=list[LineError])

    def fail(self, line: int, error: str) -> None:
        self.failed += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(LineError(line, error))


class DeviceImport:
    """Imports devices; ``add`` blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock, announce: Announce, device_key: bytes) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce
        self._key = device_key
        # Lines of one request are read while those of another are written: writers would wait in steps of the
        # database's busy handler otherwise.
        self._one_writes = Lock()
        self._decode = msgspec.json.Decoder(ImportRow).decode
        # Paths whose names were checked: devices share all but the last.
        self._checked: set[str] = set()
        # Points whose names were checked: most devices have those of another.
        self._checked_points: set[_Points] = set()

    def add(self, subject: Subject, lines: Iterable[bytes], first_line: int = 1) -> ImportAnswer:
        """Add the devices of some lines in one transaction; empty lines are skipped.

        Raises:
            Problem: 409 when other writers were in the way again and again; nothing of the batch was taken.
        """
        outcome = _Outcome()
        rows = self._read(lines, first_line, outcome)
        done = outcome
        for attempt in range(_ATTEMPTS):
            done = _Outcome(0, 0, outcome.failed, [], list(outcome.errors))
            try:
                if rows:
                    with self._one_writes, writing(self._engine) as connection, bulk_search(connection):
                        self._write(connection, subject, rows, done)
                break
            except IntegrityError:
                # A front door added one of the assets, or somebody one of the devices, at the same moment.
                if attempt + 1 == _ATTEMPTS:
                    raise conflict("other writers add the same assets or devices; try again") from None
        if done.created:
            self._announce(
                RegistryChange(
                    kind="device", id=0, name=f"{done.created} devices", tenant=subject.tenant, change="created"
                )
            )
        return ImportAnswer(done.created, done.existing, done.failed, done.secrets, done.errors)

    def _read(self, lines: Iterable[bytes], first_line: int, outcome: _Outcome) -> list[_Row]:
        rows: dict[str, _Row] = {}
        for number, line in enumerate(lines, first_line):
            if not line.strip():
                continue
            try:
                row = self._row(number, line)
                if row.given.name in rows:
                    raise ValueError(f"the device is on line {rows[row.given.name].line} too")
                rows[row.given.name] = row
            except Problem as problem:
                outcome.fail(number, problem.detail or problem.title)
            except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
                outcome.fail(number, str(error)[:300])
        return list(rows.values())

    def _row(self, number: int, line: bytes) -> _Row:
        given = self._decode(line)
        name = check_device_name(given.name)
        path = given.asset if given.asset is not None else name
        parent, _, last = path.rpartition("/")
        if len(path) > 1000 or parent not in self._checked:
            check_path(path)
            _remember(self._checked, parent)
        else:
            check_name(last, "asset name")
        if given.type:
            check_type(given.type)
        if given.attributes:
            check_attributes(given.attributes)
        points = tuple(given.points.items())
        if points not in self._checked_points:
            _check_points(points)
            if len(points) <= _SHAPE:
                _remember(self._checked_points, points, _REMEMBERED // _SHAPE)
        if given.secret_hash is not None:
            if len(given.secret_hash) != 64 or not _HEX.issuperset(given.secret_hash):
                raise ValueError("secret_hash must be 64 hexadecimal digits in lower case")
            return _Row(number, given, path, points, given.secret_hash, None)
        if given.secret is not None:
            device_secrets.check_imported(given.secret)
            return _Row(number, given, path, points, device_secrets.hash_secret(self._key, given.secret), None)
        secret = device_secrets.new_secret()
        return _Row(number, given, path, points, device_secrets.hash_secret(self._key, secret), secret)

    def _write(self, connection: Connection, subject: Subject, rows: Sequence[_Row], outcome: _Outcome) -> None:
        tenant, now = subject.tenant, self._clock.now_ns()
        there = _existing(connection, [row.given.name for row in rows])
        fresh: list[_Row] = []
        for row in rows:
            owner = there.get(row.given.name)
            if owner is None:
                fresh.append(row)
            elif owner == tenant:
                outcome.existing += 1
            else:
                outcome.fail(row.line, "the device name is taken on this node")
        if not fresh:
            return
        asset_records.lock_tree(connection, tenant)
        ids = _make_assets(connection, tenant, fresh, now)
        _insert(
            connection,
            device,
            (
                "tenant_id",
                "name",
                "asset_id",
                "secret_hash",
                "enabled",
                "publish_filters",
                "subscribe_filters",
                "created_at",
            ),
            [
                (tenant, row.given.name, ids[row.path], row.secret_hash, row.given.enabled, "[]", "[]", now)
                for row in fresh
            ],
        )
        _make_points(connection, tenant, fresh, ids, now)
        names = f"{fresh[0].given.name} … {fresh[-1].given.name}"
        audit.record(connection, subject, "device.import", "device", now, f"{len(fresh)} devices: {names}")
        outcome.created = len(fresh)
        outcome.secrets = [NewDeviceSecret(row.given.name, row.secret) for row in fresh if row.secret is not None]


def _check_points(points: _Points) -> None:
    for name, type_name in points:
        check_name(name, "point name")
        if type_name not in VALUE_TYPES:
            raise ValueError(f"point {name!r}: type must be one of {', '.join(VALUE_TYPES)}")


def _remember(known: set[Any], item: Any, most: int = _REMEMBERED) -> None:
    if len(known) >= most:
        known.clear()
    known.add(item)


def _existing(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Return the tenants of the devices among some names."""
    found: dict[str, int] = {}
    for start in range(0, len(names), _CHUNK):
        query = select(device.c.name, device.c.tenant_id).where(device.c.name.in_(names[start : start + _CHUNK]))
        found.update((row.name, row.tenant_id) for row in connection.execute(query))
    return found


def _make_assets(connection: Connection, tenant: int, rows: Sequence[_Row], now: int) -> dict[str, int]:
    """Return the ids of the assets of the rows by path, adding them and those above where missing."""
    wanted: dict[str, _Row | None] = {}
    for row in rows:
        wanted[row.path] = row
        parent = row.path.rpartition("/")[0]
        while parent and parent not in wanted:
            wanted[parent] = None
            parent = parent.rpartition("/")[0]
    ids: dict[str, int] = {}
    paths = list(wanted)
    for start in range(0, len(paths), _CHUNK):
        chunk = paths[start : start + _CHUNK]
        query = select(asset.c.id, asset.c.path).where(asset.c.tenant_id == tenant, asset.c.path.in_(chunk))
        ids.update((row.path, row.id) for row in connection.execute(query))
    for path in [path for path in ids if (row := wanted[path]) is not None and row.given.attributes]:
        row = wanted[path]
        known = asset_records.by_id(connection, tenant, ids[path])
        assert row is not None
        assert known is not None
        asset_records.change(connection, ids[path], {"attributes": {**known.attributes, **row.given.attributes}})
    missing = sorted((path for path in paths if path not in ids), key=lambda path: path.count("/"))
    if not missing:
        return ids
    # Ids are taken beforehand, so that no row needs to be read back.
    ids.update(zip(missing, _new_ids(connection, len(missing)), strict=True))
    values: list[tuple[Any, ...]] = []
    for path in missing:
        above, _, name = path.rpartition("/")
        row = wanted[path]
        attributes = compact_json(row.given.attributes) if row and row.given.attributes else "{}"
        parent_id = ids[above] if above else None
        values.append((ids[path], tenant, parent_id, name, path, row.given.type if row else "", attributes, now))
    columns = ("id", "tenant_id", "parent_id", "name", "path", "type", "attributes", "created_at")
    _insert(connection, asset, columns, values)
    return ids


def _new_ids(connection: Connection, number: int) -> list[int]:
    """Return ids of assets that nobody else gets. SQLite: the write lock is held."""
    if connection.dialect.name == "sqlite":
        last = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'asset'")).scalar() or 0
        return list(range(last + 1, last + number + 1))
    query = text("SELECT nextval(pg_get_serial_sequence('asset', 'id')) FROM generate_series(1, :number)")
    return list(connection.execute(query, {"number": number}).scalars())


def _make_points(connection: Connection, tenant: int, rows: Sequence[_Row], ids: dict[str, int], now: int) -> None:
    by_shape: dict[_Points, list[int]] = {}
    for row in rows:
        if row.points:
            by_shape.setdefault(row.points, []).append(ids[row.path])
    single: list[tuple[Any, ...]] = []
    for points, assets in by_shape.items():
        typed = [(name, int(VALUE_TYPES[type_name])) for name, type_name in points]
        if len(assets) >= _SAME_POINTS:
            for start in range(0, len(typed), _SHAPE):
                _spread(connection, tenant, assets, typed[start : start + _SHAPE], now)
        else:
            single += [(tenant, asset_id, name, kind, "", "", now) for asset_id in assets for name, kind in typed]
    if single:
        _insert(connection, point, _POINT_COLUMNS, single, "ON CONFLICT DO NOTHING")


def _spread(
    connection: Connection, tenant: int, assets: Sequence[int], points: Sequence[tuple[str, int]], now: int
) -> None:
    """Add the same points to each of some assets: a third of the time that as many single rows take."""
    into = f"INSERT INTO point ({', '.join(_POINT_COLUMNS)})"
    if connection.dialect.name == "sqlite":
        # The outer loop is that of the assets: points of one have ids that follow each other.
        statement = (
            f"{into} SELECT ?, a.value, p.column1, p.column2, '', '', ? "  # noqa: S608 (names of the schema)
            f"FROM json_each(?) a CROSS JOIN (VALUES {', '.join(['(?, ?)'] * len(points))}) p "
            "WHERE true ON CONFLICT DO NOTHING"
        )
        given: tuple[Any, ...] = (tenant, now, compact_json(assets), *chain.from_iterable(points))
    else:
        statement = (
            f"{into} SELECT %s, a.id, p.name, p.kind, '', '', %s "  # noqa: S608 (names of the schema)
            "FROM unnest(CAST(%s AS bigint[])) WITH ORDINALITY AS a(id, place) "
            "CROSS JOIN unnest(CAST(%s AS text[]), CAST(%s AS integer[])) WITH ORDINALITY AS p(name, kind, place) "
            "ORDER BY a.place, p.place ON CONFLICT DO NOTHING"
        )
        given = (tenant, now, list(assets), [name for name, _ in points], [kind for _, kind in points])
    connection.exec_driver_sql(statement, given)


def _insert(
    connection: Connection, into: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], rest: str = ""
) -> None:
    """Insert rows as they are: SQLAlchemy's own way takes three times as long for so many."""
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    statement = f"INSERT INTO {into.name} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))}) {rest}"  # noqa: S608 (names of the schema)
    connection.exec_driver_sql(statement, list(rows))
