"""The points of a tenant as apps know them: asset, name, unit, thing models; by series and by name."""

import threading
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import IntegrityError

from gongfu.appkit.contract import AppError
from gongfu.appkit.grants import PointPlace
from gongfu.kernel.points import ValueType
from gongfu.registry.names import check_name
from gongfu.registry.tables import asset, point
from gongfu.store.records.engine import reading, writing
from gongfu.thing.shelf import chain_of
from gongfu.thing.types import parse_reference

_COLUMNS = (
    point.c.id,
    point.c.name,
    point.c.unit,
    point.c.value_type,
    asset.c.id.label("asset_id"),
    asset.c.path.label("asset_path"),
    asset.c.type.label("asset_type"),
)


@dataclass(frozen=True, slots=True)
class KnownPoint:
    """A point: series id, id of its asset, where grants see it, UCUM unit, type of value, type of its asset."""

    series: int
    asset: int
    place: PointPlace
    unit: str
    value_type: ValueType
    type: str


class Directory:
    """Points of one tenant, read from the records when they change. Methods block; any thread may call them.

    Attributes:
        epoch: changes when everything was read anew; otherwise points are only added.
        newest: greatest series id known.
    """

    def __init__(self, engine: Engine, tenant: int) -> None:
        self._engine = engine
        self._tenant = tenant
        self._lock = threading.Lock()
        self._names: dict[str, tuple[str, ...]] = {}
        self.by_series: dict[int, KnownPoint] = {}
        self.by_name: dict[tuple[str, str], KnownPoint] = {}
        self.epoch = 0
        self.newest = 0

    def reload(self) -> None:
        """Read everything anew: something was changed or removed.

        Raises:
            SQLAlchemyError: the records do not answer.
        """
        with self._lock:
            self._names.clear()
            points = self._read(0)
            self.by_series = {known.series: known for known in points}
            self.by_name = {(known.place.asset, known.place.point): known for known in points}
            self.newest = max(self.by_series, default=0)
            self.epoch += 1

    def read_new(self) -> None:
        """Read the points that were added since.

        Raises:
            SQLAlchemyError: the records do not answer.
        """
        with self._lock:
            found = self._read(self.newest)
            if not found:
                return
            self.by_series.update({known.series: known for known in found})
            self.by_name.update({(known.place.asset, known.place.point): known for known in found})
            self.newest = max(self.newest, max(known.series for known in found))

    def place(self, asset_path: str, name: str) -> PointPlace:
        """Return where a point is or would be: with the types of its asset."""
        known = self.by_name.get((asset_path, name))
        if known is not None:
            return known.place
        with reading(self._engine) as connection:
            row = connection.execute(_asset(self._tenant, asset_path)).one_or_none()
            return PointPlace(asset_path, name, () if row is None else self._types(connection, row.type))

    def ensure(
        self, asset_path: str, name: str, value_type: ValueType, unit: str, description: str, now: int
    ) -> KnownPoint:
        """Return a point, made when it is not there.

        Raises:
            AppError: there is no such asset, or the name is not fit.
        """
        known = self.by_name.get((asset_path, name))
        if known is None:
            check_name(name, "point name")
            with writing(self._engine) as connection:
                row = connection.execute(_asset(self._tenant, asset_path)).one_or_none()
                if row is None:
                    raise AppError(404, f"there is no asset {asset_path!r}")
                values = {
                    "tenant_id": self._tenant,
                    "asset_id": row.id,
                    "name": name,
                    "value_type": int(value_type),
                    "unit": unit,
                    "description": description,
                    "created_at": now,
                }
                try:
                    with connection.begin_nested():
                        connection.execute(insert(point).values(values))
                except IntegrityError:
                    pass  # a device wrote it in this moment
            self.read_new()
            known = self.by_name.get((asset_path, name))
        if known is None:
            raise AppError(503, f"point {name!r} of {asset_path!r} cannot be made now")
        return known

    def _read(self, after: int) -> list[KnownPoint]:
        query = select(*_COLUMNS).join(asset, asset.c.id == point.c.asset_id)
        query = query.where(point.c.tenant_id == self._tenant, point.c.id > after)
        with reading(self._engine) as connection:
            return [self._known(connection, row) for row in connection.execute(query)]

    def _known(self, connection: Connection, row: Any) -> KnownPoint:
        place = PointPlace(row.asset_path, row.name, self._types(connection, row.asset_type))
        return KnownPoint(row.id, row.asset_id, place, row.unit, ValueType(row.value_type), row.asset_type)

    def _types(self, connection: Connection, kind: str) -> tuple[str, ...]:
        """Return the names of a type and of what it extends."""
        if not kind:
            return ()
        if kind not in self._names:
            name = parse_reference(kind)
            chain = chain_of(connection, self._tenant, *name) if name is not None else []
            own = (kind.partition("@")[0],)
            self._names[kind] = tuple({*own, *(model.name for model in chain)})
        return self._names[kind]


def _asset(tenant: int, path: str) -> Any:
    return select(asset.c.id, asset.c.type).where(asset.c.tenant_id == tenant, asset.c.path == path)
