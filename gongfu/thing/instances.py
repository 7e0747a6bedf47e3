"""Assets of a thing model: making them, letting assets become of one, and looking how well they fit."""

import re
from typing import Annotated, Any

import msgspec
from sqlalchemy import Connection, Engine

from gongfu.kernel.errors import conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.points import ValueType
from gongfu.kernel.times import Clock
from gongfu.registry import asset_records, audit
from gongfu.registry.assets import check_attributes
from gongfu.registry.changes import Announce, RegistryChange
from gongfu.registry.names import check_path
from gongfu.store.records.engine import reading, writing
from gongfu.thing import records
from gongfu.thing.compiled import CompiledModel
from gongfu.thing.service import find, inherited
from gongfu.thing.shelf import PUBLISHED
from gongfu.thing.types import Model, parse_reference, reference

MAX_AT_ONCE = 1000
# RFC 3650 §2: prefix of digits or letters in levels, "/", suffix.
_HANDLE = re.compile(r"[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*/[^\x00-\x20\x7f]+")
_HANDLE_LIMIT = 512


class NewInstance(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An asset that is to be of a model; it is made where there is none at the path.

    Attributes:
        path: path of the asset.
        identifier: its identifier (handle ``prefix/suffix``), kept as the attribute ``identifier``; empty: as it is.
        attributes: further attributes, put over those it has.
    """

    path: str
    identifier: str = ""
    attributes: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class NewInstances(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to let up to 1,000 assets be of a model: all or none."""

    items: Annotated[list[NewInstance], msgspec.Meta(min_length=1, max_length=MAX_AT_ONCE)]


class Misfit(msgspec.Struct, frozen=True):
    """A point that is not as the model says."""

    point: str
    reason: str
    detail: str


class Instance(msgspec.Struct, frozen=True):
    """An asset of a model; ``misfits`` says where its points are not as the model says."""

    asset_id: int
    path: str
    type: str
    identifier: str
    points: int
    misfits: list[Misfit]


class Instances:
    """Assets of models; every method is one transaction and blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock, announce: Announce) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce

    def page(self, subject: Subject, wanted: str, after: str | None, limit: int) -> list[Instance]:
        """Return up to ``limit`` assets of a version, or of all versions of a model, after a path.

        Raises:
            Problem: 404 for the model.
        """
        with reading(self._engine) as connection:
            models = self._models(connection, subject.tenant, wanted)
            rows = records.instances(connection, subject.tenant, list(models), after, limit)
            return [self._instance(connection, row, models[row.type]) for row in rows]

    def bind(self, subject: Subject, wanted: str, request: NewInstances) -> list[Instance]:
        """Let assets be of a published version; their points are made, and get its units where they have none.

        Raises:
            Problem: 400 for names, 404 for the model, 409 when the version takes no assets.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            asset_records.lock_tree(connection, subject.tenant)
            name, model = self._published(connection, subject.tenant, wanted)
            made = [self._bind(connection, subject, name, model, item, now) for item in request.items]
            detail = f"{len(made)} assets, the first {request.items[0].path}"
            audit.record(connection, subject, "thing-model.bind", f"thing-model/{name}", now, detail)
            found = [self._instance(connection, row, model) for row in made]
        for item in found:
            self._announce(
                RegistryChange(
                    kind="asset",
                    id=item.asset_id,
                    name=item.path,
                    tenant=subject.tenant,
                    change="updated",
                    typed=True,
                )
            )
        return found

    def _bind(
        self, connection: Connection, subject: Subject, name: str, model: Model, item: NewInstance, now: int
    ) -> Any:
        path = item.path
        key, _ = asset_records.ensure(connection, subject.tenant, check_path(path), now)
        row = asset_records.by_id(connection, subject.tenant, key)
        assert row is not None
        attributes = {**row.attributes, **item.attributes}
        if item.identifier:
            attributes["identifier"] = check_identifier(item.identifier)
        asset_records.change(connection, key, {"type": name, "attributes": check_attributes(attributes)})
        self._make_points(connection, subject.tenant, key, name, model, now)
        return asset_records.by_id(connection, subject.tenant, key)

    @staticmethod
    def _make_points(connection: Connection, tenant: int, key: int, name: str, model: Model, now: int) -> None:
        checks = CompiledModel(name, model).checks
        there = {row.name: row for row in records.points_of(connection, [key])}
        for point, check in checks.items():
            row = there.get(point)
            if row is not None and not row.unit and check.unit:
                records.set_unit(connection, row.id, check.unit)
        new = [
            {
                "tenant_id": tenant,
                "asset_id": key,
                "name": point,
                "value_type": int(check.value_type),
                "unit": check.unit,
                "description": check.text,
                "created_at": now,
            }
            for point, check in checks.items()
            if point not in there
        ]
        records.add_points(connection, new)

    @staticmethod
    def _published(connection: Connection, tenant: int, wanted: str) -> tuple[str, Model]:
        row = find(connection, tenant, wanted)
        name = reference(row.name, row.version)
        if row.state != PUBLISHED:
            raise conflict(f"{name} is {'a draft; publish it first' if row.state == 'draft' else 'retired'}")
        model = inherited(connection, tenant, msgspec.convert(row.body, Model))
        if model.abstract:
            raise conflict(f"{name} is abstract: it is there to be extended")
        return name, model

    @staticmethod
    def _models(connection: Connection, tenant: int, wanted: str) -> dict[str, Model]:
        if parse_reference(wanted) is not None:
            rows = [find(connection, tenant, wanted)]
        else:
            rows = records.bodies(connection, tenant, wanted)
        if not rows:
            raise not_found(f"thing model {wanted[:200]!r}")
        return {
            reference(row.name, row.version): inherited(connection, tenant, msgspec.convert(row.body, Model))
            for row in rows
        }

    @staticmethod
    def _instance(connection: Connection, row: Any, model: Model) -> Instance:
        points = records.points_of(connection, [row.id])
        misfits = _misfits(row.type, model, points)
        identifier = row.attributes.get("identifier", "")
        return Instance(
            row.id, row.path, row.type, identifier if isinstance(identifier, str) else "", len(points), misfits
        )


def check_identifier(text: str) -> str:
    """Return an identifier that has the form of a handle (RFC 3650 §2).

    Raises:
        Problem: 400.
    """
    if len(text) > _HANDLE_LIMIT or _HANDLE.fullmatch(text) is None:
        raise invalid(f"identifier must be prefix/suffix with at most {_HANDLE_LIMIT} characters")
    return text


def check_asset_type(connection: Connection, tenant: int, text: str) -> None:
    """Check the type that an asset gets: a word, or ``name@version`` of a model that takes assets.

    Raises:
        Problem: 400.
    """
    name = parse_reference(text)
    if name is None:
        return
    row = records.version(connection, tenant, *name)
    if row is None or row.state != PUBLISHED or row.body.get("abstract"):
        raise invalid(f"type {text!r} names a thing model, and there is no published one of this version for assets")


def _misfits(name: str, model: Model, points: Any) -> list[Misfit]:
    checks = CompiledModel(name, model).checks
    misfits: list[Misfit] = []
    there: set[str] = set()
    for row in points:
        there.add(row.name)
        check = checks.get(row.name)
        if check is None:
            misfits.append(Misfit(row.name, "model_unknown_point", "the model has no such property"))
            continue
        if row.value_type != check.value_type:
            detail = f"the point is {ValueType(row.value_type).label}, the model says {check.value_type.label}"
            misfits.append(Misfit(row.name, "model_type", detail))
        if row.unit != check.unit:
            detail = f"the point is in {row.unit or 'no unit'}, the model says {check.unit or 'none'}"
            misfits.append(Misfit(row.name, "model_unit", detail))
    text = "the asset has no such point"
    misfits.extend(Misfit(missing, "model_missing_point", text) for missing in checks.keys() - there)
    return sorted(misfits, key=lambda misfit: misfit.point)
