"""Points as the history's queries name them; implements ``gongfu.store.history.directory.PointDirectory``."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Engine

from gongfu.kernel.points import ValueType
from gongfu.registry import audit_records, point_records
from gongfu.store.history.directory import PointInfo
from gongfu.store.records.engine import reading

_CHUNK = 400
_PAGE = 5000
_MAX_SERIES = 2**32 - 1


class RegistryPoints:
    """Points by tenant; every method blocks on the records."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def by_series(self, tenant: int, series: Collection[int]) -> dict[int, PointInfo]:
        """Return the tenant's points among some series; numbers that no series can have are no points."""
        found: dict[int, PointInfo] = {}
        with reading(self._engine) as connection:
            for chunk in _chunks([key for key in series if 0 <= key <= _MAX_SERIES]):
                for row in point_records.by_ids(connection, tenant, chunk):
                    found[row.id] = _info(row)
        return found

    def by_name(self, tenant: int, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], PointInfo]:
        """Return the tenant's points among some (asset path, point name)."""
        found: dict[tuple[str, str], PointInfo] = {}
        with reading(self._engine) as connection:
            for chunk in _chunks(names):
                for row in point_records.by_names(connection, tenant, chunk):
                    found[row.asset_path, row.name] = _info(row)
        return found

    def revision(self, tenant: int) -> str:
        """Return a text that changes whenever a point of the tenant, or the path of its asset, changes.

        Front doors add points; everything else is a write of the API, which the audit has.
        """
        with reading(self._engine) as connection:
            count, last = point_records.extent(connection, tenant)
            write = audit_records.last_of(connection, tenant, ("asset.", "point."))
        return f"{count}.{last}.{write}"

    def all_points(self, tenant: int) -> Iterable[PointInfo]:
        """Return all points of the tenant, read page by page."""
        after: tuple[str, str] | None = None
        while True:
            with reading(self._engine) as connection:
                rows = point_records.page(connection, tenant, after, _PAGE)
            yield from map(_info, rows)
            if len(rows) < _PAGE:
                return
            after = (rows[-1].asset_path, rows[-1].name)


def _info(row: Any) -> PointInfo:
    return PointInfo(row.id, row.asset_path, row.name, ValueType(row.value_type), row.unit)


def _chunks(items: Collection[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
