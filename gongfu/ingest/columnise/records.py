"""Queries of the data path on the registry: find or make assets and points, count drops. The only SQL of columnise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, select
from sqlalchemy.dialects import sqlite

from gongfu.ingest.columnise.limits import MAX_NAME, MAX_PATH, TelemetryLimits
from gongfu.ingest.columnise.quotas import QuotaCounts
from gongfu.ingest.columnise.reasons import Reason
from gongfu.kernel.points import Series, ValueType
from gongfu.registry.tables import asset, drop_count, point
from gongfu.registry.text_search import bulk_search
from gongfu.store.records.engine import reading, writing
from gongfu.thing.compiled import CompiledModel
from gongfu.thing.shelf import Shelf

_CHUNK = 400


@dataclass(frozen=True, slots=True)
class Want:
    """Points a payload needs.

    Attributes:
        tenant: tenant id.
        own: id of the writer's own asset.
        child: path below it, empty for the own asset.
        names: names without a series, with the type each gets if it is new.
        complete: the caller has all points of the asset that were there before; only ``names`` are looked up.
    """

    tenant: int
    own: int
    child: str
    names: dict[str, ValueType]
    complete: bool


@dataclass(slots=True)
class Found:
    """Answer to a ``Want``.

    Attributes:
        asset: asset id, 0 when there is none; ``refused`` then says why.
        points: series by name: those wanted, and all others unless the want was ``complete``.
        refused: why nothing (asset 0) or why new points were refused.
        model: thing model of the asset.
    """

    asset: int = 0
    points: dict[str, Series] = field(default_factory=dict[str, Series])
    refused: Reason | None = None
    model: CompiledModel | None = None

    def lacks(self, want: Want) -> list[str]:
        """Return the names that are wanted and are to be made: there is no such point, and the model allows one."""
        model = self.model
        return [name for name in want.names if name not in self.points and (model is None or model.takes(name))]


def _insert(connection: Connection, table: Table) -> Any:
    """Return an INSERT that can say what happens on conflict; both databases spell it the same way."""
    if connection.dialect.name == "postgresql":
        # Imported here: takes 0.03 s and 1 MB, which a node on SQLite never needs.
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    return sqlite.insert(table)


def _chunks(items: Iterable[Any]) -> Iterable[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def find_or_make(
    engine: Engine,
    wants: Sequence[Want],
    limits: TelemetryLimits,
    now: int,
    quotas: QuotaCounts | None = None,
    shelf: Shelf | None = None,
) -> list[Found]:
    """Return what is asked for, making assets and points that are not there, within the quotas of each device.

    Several processes may do this at once: the unique constraints decide, and all see the same series. Reads first and
    writes only when something is missing, in one transaction.

    Args:
        engine: the records.
        wants: what is needed.
        limits: quotas.
        now: creation time, UTC ns.
        quotas: numbers remembered from call to call.
        shelf: thing models; without it, assets have none.
    """
    found = [Found() for _ in wants]
    with reading(engine) as connection:
        if _Pass(connection, wants, found, shelf).read():
            return found
    found = [Found() for _ in wants]
    quotas = QuotaCounts() if quotas is None else quotas
    try:
        with writing(engine) as connection, bulk_search(connection):
            _Pass(connection, wants, found, shelf).write(limits, now, quotas)
    except BaseException:
        quotas.forget()
        raise
    return found


class _Pass:
    """One pass over the wants on one connection."""

    def __init__(self, connection: Connection, wants: Sequence[Want], found: list[Found], shelf: Shelf | None) -> None:
        self._connection = connection
        self._shelf = shelf
        self._types: dict[int, str] = {}
        self._wants = wants
        self._found = found
        self._own: dict[int, tuple[int, str]] = {}
        self._ids: dict[tuple[int, str], int] = {}

    def read(self) -> bool:
        """Look everything up; return whether all is there."""
        self._load_own()
        self._load_assets(self._paths(self._wants))
        self._load_points()
        return all(
            entry.refused is not None or (entry.asset and not entry.lacks(want))
            for want, entry in zip(self._wants, self._found, strict=True)
        )

    def write(self, limits: TelemetryLimits, now: int, quotas: QuotaCounts) -> None:
        """Look everything up and make what is missing."""
        self._load_own()
        self._load_assets(self._paths(self._wants))
        self._make_assets(limits, now, quotas)
        self._load_points()
        self._make_points(limits, now, quotas)

    def _load_own(self) -> None:
        for chunk in _chunks({want.own for want in self._wants}):
            query = select(asset.c.id, asset.c.tenant_id, asset.c.path, asset.c.type).where(asset.c.id.in_(chunk))
            for row in self._connection.execute(query):
                self._note_type(row)
                self._own[row.id] = (row.tenant_id, row.path)
                self._ids[row.tenant_id, row.path] = row.id

    def _path(self, want: Want) -> str | None:
        """Return the full path of the asset of a want, or None when its device has no asset (any more)."""
        tenant, path = self._own.get(want.own, (0, ""))
        if tenant != want.tenant:
            return None
        return f"{path}/{want.child}" if want.child else path

    def _paths(self, wants: Iterable[Want]) -> set[tuple[int, str]]:
        """Return (tenant, path) of all assets of the wants that are below the own asset, with those on the way."""
        paths: set[tuple[int, str]] = set()
        for want in wants:
            path = self._path(want)
            own = self._own[want.own][1] if path is not None else ""
            while path is not None and len(path) > len(own) and (want.tenant, path) not in paths:
                paths.add((want.tenant, path))
                path = path.rpartition("/")[0]
        return paths

    def _load_assets(self, paths: Iterable[tuple[int, str]]) -> None:
        wanted: dict[int, list[str]] = {}
        for tenant, path in paths:
            if (tenant, path) not in self._ids:
                wanted.setdefault(tenant, []).append(path)
        # Not pairs of tenant and path: SQLite would walk all assets for them.
        for tenant, some in wanted.items():
            for chunk in _chunks(some):
                query = select(asset.c.id, asset.c.path, asset.c.type)
                query = query.where(asset.c.tenant_id == tenant, asset.c.path.in_(chunk))
                for row in self._connection.execute(query):
                    self._note_type(row)
                    self._ids[tenant, row.path] = row.id

    def _note_type(self, row: Any) -> None:
        if row.type:
            self._types[row.id] = row.type

    def _make_assets(self, limits: TelemetryLimits, now: int, quotas: QuotaCounts) -> None:
        most = limits.max_assets_per_device
        granted: set[tuple[int, str]] = set()
        for want, entry in zip(self._wants, self._found, strict=True):
            path = self._path(want)
            if path is None:
                continue
            if len(path) > MAX_PATH or any(len(name) > MAX_NAME for name in want.child.split("/")):
                entry.refused = Reason.NAME_INVALID
                continue
            new = self._paths([want]) - self._ids.keys() - granted
            if not new:
                continue
            if quotas.room("assets", want.own, most, len(new), partial(self._count_assets, want, granted), now) < len(
                new
            ):
                entry.refused = Reason.ASSET_QUOTA
                continue
            quotas.granted("assets", want.own, len(new))
            granted |= new
        by_depth: dict[int, list[tuple[int, str]]] = {}
        for tenant, path in granted:
            by_depth.setdefault(path.count("/"), []).append((tenant, path))
        for _, level in sorted(by_depth.items()):
            statement = _insert(self._connection, asset).on_conflict_do_nothing()
            self._connection.execute(
                statement,
                [
                    {
                        "tenant_id": tenant,
                        "parent_id": self._ids[tenant, path.rpartition("/")[0]],
                        "name": path.rpartition("/")[2],
                        "path": path,
                        "type": "",
                        "attributes": {},
                        "created_at": now,
                    }
                    for tenant, path in level
                ],
            )
            self._load_assets(level)

    def _below(self, want: Want) -> Any:
        """Return the condition that an asset is below the writer's own: a range of the path index."""
        path = self._own[want.own][1]
        # "0" is the character after "/".
        return (asset.c.tenant_id == want.tenant) & (asset.c.path > f"{path}/") & (asset.c.path < f"{path}0")

    def _count_assets(self, want: Want, granted: set[tuple[int, str]]) -> int:
        """Return the number of assets below the writer's own, with those that are about to be made."""
        query = select(func.count()).select_from(asset).where(self._below(want))
        path = self._own[want.own][1] + "/"
        made = sum(tenant == want.tenant and other.startswith(path) for tenant, other in granted)
        return self._connection.execute(query).scalar_one() + made

    def _load_points(self) -> None:
        whole: dict[int, list[Found]] = {}
        for want, entry in zip(self._wants, self._found, strict=True):
            path = self._path(want)
            if path is None:
                entry.refused = Reason.ASSET_UNKNOWN
                continue
            entry.asset = self._ids.get((want.tenant, path), 0)
            if not entry.asset:
                continue
            if self._shelf is not None and entry.asset in self._types:
                entry.model = self._shelf.find(self._connection, want.tenant, self._types[entry.asset])
            if want.complete:
                self._load_named(entry, want.names)
            else:
                whole.setdefault(entry.asset, []).append(entry)
        for chunk in _chunks(whole):
            query = select(point.c.id, point.c.asset_id, point.c.name, point.c.value_type)
            for row in self._connection.execute(query.where(point.c.asset_id.in_(chunk))):
                series = Series(row.id, ValueType(row.value_type))
                for entry in whole[row.asset_id]:
                    entry.points[row.name] = series

    def _load_named(self, entry: Found, names: Iterable[str]) -> None:
        for chunk in _chunks(names):
            query = select(point.c.id, point.c.name, point.c.value_type)
            query = query.where(point.c.asset_id == entry.asset, point.c.name.in_(chunk))
            for row in self._connection.execute(query):
                entry.points[row.name] = Series(row.id, ValueType(row.value_type))

    def _make_points(self, limits: TelemetryLimits, now: int, quotas: QuotaCounts) -> None:
        most = limits.max_points_per_device
        rows: dict[tuple[int, str], dict[str, Any]] = {}
        planned: dict[int, int] = {}
        made: list[tuple[Found, list[str]]] = []
        for want, entry in zip(self._wants, self._found, strict=True):
            if not entry.asset:
                continue
            new = entry.lacks(want)
            if not new:
                continue
            count = partial(self._count_points, want, planned)
            room = quotas.room("points", want.own, most, len(new), count, now)
            if len(new) > room:
                entry.refused = Reason.POINT_QUOTA
                new = new[: max(0, room)]
            before = len(rows)
            for name in new:
                # The first of several payloads decides the type, as if they had come one after another.
                if (entry.asset, name) not in rows:
                    check = None if entry.model is None else entry.model.checks.get(name)
                    rows[entry.asset, name] = {
                        "tenant_id": want.tenant,
                        "asset_id": entry.asset,
                        "name": name,
                        "value_type": int(want.names[name] if check is None else check.value_type),
                        "unit": "" if check is None else check.unit,
                        "description": "" if check is None else check.text,
                        "created_at": now,
                    }
            quotas.granted("points", want.own, len(rows) - before)
            planned[want.own] = planned.get(want.own, 0) + len(rows) - before
            made.append((entry, new))
        if not rows:
            return
        statement = _insert(self._connection, point).on_conflict_do_nothing()
        statement = statement.returning(point.c.id, point.c.asset_id, point.c.name, point.c.value_type)
        series = {
            (row.asset_id, row.name): Series(row.id, ValueType(row.value_type))
            for row in self._connection.execute(statement, list(rows.values()))
        }
        for entry, names in made:
            found = {name: series[entry.asset, name] for name in names if (entry.asset, name) in series}
            entry.points.update(found)
            if len(found) < len(names):  # another process made them a moment ago
                self._load_named(entry, [name for name in names if name not in found])

    def _count_points(self, want: Want, planned: dict[int, int]) -> int:
        """Return the number of points at and below the writer's own asset, with those that are about to be made."""
        own = select(func.count()).select_from(point).where(point.c.asset_id == want.own)
        below = select(func.count()).select_from(point.join(asset, asset.c.id == point.c.asset_id))
        return (
            planned.get(want.own, 0)
            + self._connection.execute(own).scalar_one()
            + self._connection.execute(below.where(self._below(want))).scalar_one()
        )


@dataclass(slots=True)
class Drops:
    """What one device lost for one reason since the last time it was written."""

    count: int
    last_at: int
    detail: str


def add_drops(engine: Engine, drops: dict[tuple[int, int, str, str], Drops]) -> None:
    """Add counts to ``drop_count``; keys are (tenant, device, kind, reason)."""
    if not drops:
        return
    with writing(engine) as connection:
        statement = _insert(connection, drop_count)
        statement = statement.on_conflict_do_update(
            index_elements=["tenant_id", "device_id", "kind", "reason"],
            set_={
                "count": drop_count.c.count + statement.excluded.count,
                "last_at": statement.excluded.last_at,
                "last_detail": statement.excluded.last_detail,
            },
        )
        connection.execute(
            statement,
            [
                {
                    "tenant_id": tenant,
                    "device_id": device,
                    "kind": kind,
                    "reason": reason,
                    "count": entry.count,
                    "last_at": entry.last_at,
                    "last_detail": entry.detail,
                }
                # In one order everywhere, so that two processes cannot wait for each other's rows.
                for (tenant, device, kind, reason), entry in sorted(drops.items(), key=lambda item: item[0])
            ],
        )
