"""What people do with models: see them, bind them to assets."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from sqlalchemy import Engine

from gongfu.kernel.errors import Problem, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.reason.models import records
from gongfu.reason.models.records import BindingRow
from gongfu.reason.models.resolver import look, look_at_outputs
from gongfu.reason.models.types import ModelDefinition, Port
from gongfu.reason.rules.service import Announce, RuleChange
from gongfu.reason.status import BindingState, ReasonState
from gongfu.registry import audit
from gongfu.store.records.engine import reading, writing


class BindingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request of PUT /v1/models/{id}/bindings.

    Attributes:
        asset: path of the asset.
        points: point path by input port, where it is not the port's own.
        assume_units: take points that declare no unit to have the port's.
    """

    asset: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    points: dict[str, str] = {}
    assume_units: bool = False


class PortDocument(msgspec.Struct, frozen=True):
    """A port as the API shows it."""

    name: str
    unit: str
    point: str
    description: str


class BindingDocument(msgspec.Struct, frozen=True):
    """A binding as the API shows it; ``status`` is ``running``, ``failing``, ``waiting``, ``refused`` or ``unknown``
    (the worker does not answer). ``last_at`` is RFC 3339 UTC."""

    asset_path: str
    status: str
    error: str
    evaluated: int
    failed: int
    incomplete: int
    last_at: str | None
    points: dict[str, str]
    assume_units: bool


class ModelDocument(msgspec.Struct, frozen=True):
    """A model as the API shows it."""

    id: str
    name: str
    version: str
    description: str
    inputs: list[PortDocument]
    outputs: list[PortDocument]
    bindings: list[BindingDocument]


def _port(port: Port) -> PortDocument:
    return PortDocument(port.name, port.unit, port.point, port.description)


def _binding(row: BindingRow, state: ReasonState | None) -> BindingDocument:
    if state is None:
        found = BindingState(status="unknown", error="the worker does not answer")
    else:
        found = state.models.get(str(row.id), BindingState(error="the worker has not bound it yet"))
    return BindingDocument(
        row.asset_path,
        found.status,
        found.error,
        found.evaluated,
        found.failed,
        found.incomplete,
        None if found.last_at is None else format_rfc3339(found.last_at),
        dict(row.points),
        row.assume_units,
    )


class ModelService:
    """Models of the node and bindings of the caller's tenant. Methods block on the records: call them in a thread."""

    def __init__(self, engine: Engine, clock: Clock, announce: Announce, models: Mapping[str, ModelDefinition]) -> None:
        self._engine = engine
        self._clock = clock
        self._announce = announce
        self._models = models

    def list_all(self, subject: Subject, state: ReasonState | None) -> list[ModelDocument]:
        """Return all models with the caller's bindings."""
        with reading(self._engine) as connection:
            rows = records.bindings(connection, subject.tenant)
        return [
            ModelDocument(
                model.id,
                model.name,
                model.version,
                model.description,
                [_port(port) for port in model.inputs],
                [_port(port) for port in model.outputs],
                [_binding(row, state) for row in rows if row.model == model.id],
            )
            for model in sorted(self._models.values(), key=lambda model: model.id)
        ]

    def bind(self, subject: Subject, model: str, body: BindingBody) -> None:
        """Bind a model to an asset. Points that are not there yet are waited for.

        Raises:
            Problem: 404 when model or asset is not there; 400 when a port is; 422 ``binding-refused`` when a point
                that is there does not fit: its unit does not convert or is not declared, or it holds text.
        """
        definition = self._definition(model)
        names = {port.name for port in definition.inputs}
        unknown = sorted(set(body.points) - names)
        if unknown:
            raise invalid(f"model {model} has no input {unknown[0]!r}; it has {', '.join(sorted(names))}")
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            asset = records.asset_of(connection, subject.tenant, body.asset)
            if asset is None:
                raise not_found(f"asset {body.asset}")
            row = BindingRow(0, subject.tenant, model, asset, body.asset, body.points, body.assume_units)
            refused = look(connection, row, definition).refused + look_at_outputs(connection, row, definition)
            if refused:
                raise Problem(
                    422, "binding-refused", "The model does not fit the asset", "; ".join(refused), {"reasons": refused}
                )
            key = records.put_binding(connection, subject.tenant, model, asset, body.points, body.assume_units, now)
            audit.record(connection, subject, "model.bind", f"model/{model}", now, body.asset)
        self._announce(RuleChange("binding", key, subject.tenant, "updated"))

    def unbind(self, subject: Subject, model: str, asset_path: str) -> None:
        """Remove a binding; what the model wrote stays.

        Raises:
            Problem: 404 when there is none.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            key = records.remove_binding(connection, subject.tenant, model, asset_path)
            if key is None:
                raise not_found(f"binding of {model[:120]} to {asset_path}")
            audit.record(connection, subject, "model.unbind", f"model/{model}", now, asset_path)
        self._announce(RuleChange("binding", key, subject.tenant, "deleted"))

    def _definition(self, model: str) -> ModelDefinition:
        definition = self._models.get(model)
        if definition is None:
            raise not_found(f"model {model[:120]}")
        return definition
