"""Points as the API shows them. Points are made by the front door when a value of them first arrives."""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Engine

from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import Clock
from gongfu.registry import asset_records, audit, point_records
from gongfu.registry.changes import Announce, RegistryChange
from gongfu.registry.live import LatestValue
from gongfu.store.records.engine import reading, writing

_UNIT_LIMIT = 40
_DESCRIPTION_LIMIT = 2000


class PointDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A point; ``series`` is its id in queries, ``unit`` a UCUM code, ``latest`` its newest value."""

    series: int
    asset_id: int
    asset_path: str
    name: str
    type: str
    unit: str
    description: str
    latest: LatestValue | None = None


class PointPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to describe a point."""

    unit: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET


class Points:
    """Points of tenants; every method blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock, announce: Announce) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce

    def page(
        self,
        subject: Subject,
        after: tuple[str, str] | None,
        limit: int,
        *,
        search: str = "",
        asset: int | None = None,
        subtree: bool = False,
    ) -> tuple[list[PointDocument], tuple[str, str] | None]:
        """Return points in order of asset path and name, and the key of the next page.

        Args:
            subject: who asks.
            after: (asset path, name) of the last point of the page before.
            limit: greatest number.
            search: text in the name or in the asset path, see ``text_search``.
            asset: id of the asset.
            subtree: also points of all assets below it.

        Raises:
            Problem: 404 when the tenant has no such asset.
        """
        with reading(self._engine) as connection:
            path = None
            if asset is not None:
                row = asset_records.by_id(connection, subject.tenant, asset)
                if row is None:
                    raise not_found(f"asset {asset}")
                path = row.path
            rows = point_records.page(
                connection,
                subject.tenant,
                after,
                limit + 1,
                search=search,
                asset_id=None if subtree else asset,
                subtree=path if subtree else None,
            )
        items = [_document(row) for row in rows[:limit]]
        return items, (items[-1].asset_path, items[-1].name) if len(rows) > limit else None

    def some(self, subject: Subject, series: Collection[int]) -> list[PointDocument]:
        """Return those of some series that belong to the subject's tenant, in no order."""
        with reading(self._engine) as connection:
            return [_document(row) for row in point_records.by_ids(connection, subject.tenant, series)]

    def change(self, subject: Subject, series: int, patch: PointPatch) -> PointDocument:
        """Set unit or description of a point.

        Raises:
            Problem: 400 for a unit that is not UCUM, 404.
        """
        values: dict[str, Any] = {}
        if patch.unit is not msgspec.UNSET:
            values["unit"] = _check_unit(patch.unit)
        if patch.description is not msgspec.UNSET:
            if len(patch.description) > _DESCRIPTION_LIMIT or "\0" in patch.description:
                raise invalid(f"description must have at most {_DESCRIPTION_LIMIT} characters and no U+0000")
            values["description"] = patch.description
        with writing(self._engine) as connection:
            row = point_records.by_id(connection, subject.tenant, series)
            if row is None:
                raise not_found(f"point {series}")
            point_records.change(connection, series, values)
            resource = f"point/{row.asset_path}/{row.name}"
            detail = ", ".join(f"{name}={value}" for name, value in values.items())
            audit.record(connection, subject, "point.update", resource, self._clock.now_ns(), detail)
            document = _document(point_records.by_id(connection, subject.tenant, series))
        self._announce(
            RegistryChange(kind="point", id=series, name=document.name, tenant=subject.tenant, change="updated")
        )
        return document


def _check_unit(text: str) -> str:
    if not text:
        return text
    if len(text) > _UNIT_LIMIT:
        raise invalid(f"unit must have at most {_UNIT_LIMIT} characters")
    # Imported here: the UCUM tables take memory that a node which edits no units never needs.
    from gongfu.kernel.units import check_unit

    try:
        check_unit(text)
    except ValueError as error:
        raise invalid(str(error)) from None
    return text


def _document(row: Any) -> PointDocument:
    return PointDocument(
        series=row.id,
        asset_id=row.asset_id,
        asset_path=row.asset_path,
        name=row.name,
        type=ValueType(row.value_type).label,
        unit=row.unit,
        description=row.description,
    )
