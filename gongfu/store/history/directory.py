"""Which points a tenant has: what the history needs to know from the registry, which is a layer above."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from gongfu.kernel.points import ValueType


@dataclass(frozen=True, slots=True)
class PointInfo:
    """A point as queries name it: series id, path of its asset, name, type, UCUM unit."""

    series: int
    asset_path: str
    name: str
    value_type: ValueType
    unit: str


class PointDirectory(Protocol):
    """Points by tenant. All methods block on the records, are called in threads, and never show another tenant's."""

    def by_series(self, tenant: int, series: Collection[int]) -> dict[int, PointInfo]:
        """Return the tenant's points among some series."""
        ...

    def by_name(self, tenant: int, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], PointInfo]:
        """Return the tenant's points among some (asset path, point name)."""
        ...

    def revision(self, tenant: int) -> str:
        """Return a text that changes whenever a point of the tenant, or the path of its asset, changes."""
        ...

    def all_points(self, tenant: int) -> Iterable[PointInfo]:
        """Return all points of the tenant."""
        ...
