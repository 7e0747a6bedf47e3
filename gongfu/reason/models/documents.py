"""Models and bindings as the API shows them, and what it takes."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from gongfu.kernel.times import format_rfc3339
from gongfu.reason.models.sandbox.types import Limits
from gongfu.reason.models.scopes import Scope
from gongfu.reason.models.spec import Parameter, Quota, Words
from gongfu.reason.models.streaming.types import ScopeState, StreamState
from gongfu.reason.models.types import Port
from gongfu.reason.models.versions import Stored


class BindingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request of PUT /v1/models/{id}/bindings. Give ``asset`` for one asset, or ``assets`` for all that match.

    Attributes:
        asset: path of the asset.
        assets: glob of asset paths (``*`` within a level, ``**`` across levels); assets that come later bind by
            themselves.
        type: with ``assets``: only assets of this thing model (``name`` for all versions and what extends them,
            ``name@version`` for one), or with this word as their type.
        points: point path by input port, where it is not the port's own.
        parameters: values of the model's parameters, where they are not the defaults.
        assume_units: take points that declare no unit to have the port's.
        version: version that runs; empty: always the current one.
    """

    asset: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    assets: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    type: Annotated[str, msgspec.Meta(max_length=300)] = ""
    points: dict[str, str] = {}
    parameters: dict[str, float] = {}
    assume_units: bool = False
    version: str = ""


class RegisterBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request of POST /v1/models.

    Attributes:
        spec: members of a definition (``ModelSpec``); what is left out is taken from what the sandbox reads from the
            artifact. ``kind`` must be there.
        sha256: artifact that was sent to ``/v1/models:inspect`` before.
        artifact: or the artifact itself, in base64.
    """

    spec: dict[str, Any]
    sha256: str = ""
    artifact: str = ""


class CurrentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Request of PUT /v1/models/{id}/current."""

    version: str


class PortDocument(msgspec.Struct, frozen=True):
    """A port as the API shows it."""

    name: str
    unit: str
    point: str
    description: str


class BindingDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A binding as the API shows it.

    Attributes:
        id: its key.
        asset_path: path of its one asset; empty for a pattern, or when the asset is gone.
        assets, type, points, parameters, assume_units, version: as in ``BindingBody``.
        owner: empty, or ``app:<id>``.
        status: ``running``, ``failing``, ``waiting``, ``refused`` or ``unknown`` (the role ``models`` does not answer).
        error: why.
        evaluated, failed, incomplete, late, shed, not_numbers, behind, cpu_s: see ``ScopeState``.
        counts: number of assets by state.
        running_version: the version that runs.
        last_at: source time of the last row, RFC 3339.
    """

    id: int
    asset_path: str
    assets: str
    type: str
    points: dict[str, str]
    parameters: dict[str, float]
    assume_units: bool
    version: str
    owner: str
    status: str
    error: str
    evaluated: int
    failed: int
    incomplete: int
    late: int
    shed: int
    not_numbers: int
    counts: dict[str, int]
    running_version: str
    cpu_s: float
    behind: int
    last_at: str | None


class VersionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A version as a list shows it."""

    version: str
    kind: str
    current: bool
    sha256: str
    size: int
    created_by: str
    created_at: str | None
    warnings: list[str]


class ModelDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A model as the API shows it: the definition of its current version, all versions, and the bindings.

    ``removable`` is False for the models that come with Gongfu. Other members: see ``ModelSpec``.
    """

    id: str
    name: str
    title: Words
    version: str
    kind: str
    description: str
    inputs: list[PortDocument]
    outputs: list[PortDocument]
    parameters: list[Parameter]
    tolerance_s: float
    wait_s: float
    step_s: float | None
    state: bool
    limits: Limits
    quota: Quota
    owner: str
    provenance: dict[str, str]
    removable: bool
    versions: list[VersionDocument]
    bindings: list[BindingDocument]


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of a model by one caller."""

    model: str
    caller: str
    calls: int
    rows: int
    cpu_s: float
    failures: int
    refused: int


class UsageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of models over whole hours; at most 1,000 rows, those with most CPU time."""

    time_from: str = msgspec.field(name="from")
    time_to: str = msgspec.field(name="to")
    items: list[UsageRow] = []


def binding_document(scope: Scope, state: StreamState | None) -> BindingDocument:
    """Return a binding with its state; ``state`` is None while the role does not answer."""
    if state is None:
        found = ScopeState(status="unknown", error="the role models does not answer")
    else:
        found = state.bindings.get(str(scope.id), ScopeState(error="the role models has not bound it yet"))
    return BindingDocument(
        id=scope.id,
        asset_path=scope.asset_path,
        assets=scope.assets,
        type=scope.type,
        points=dict(scope.points),
        parameters=dict(scope.parameters),
        assume_units=scope.assume_units,
        version=scope.version,
        owner=scope.owner,
        status=found.status,
        error=found.error,
        evaluated=found.evaluated,
        failed=found.failed,
        incomplete=found.incomplete,
        late=found.late,
        shed=found.shed,
        not_numbers=found.not_numbers,
        counts=found.assets,
        running_version=found.version,
        cpu_s=found.cpu_s,
        behind=found.behind,
        last_at=None if found.last_at is None else format_rfc3339(found.last_at),
    )


def version_document(stored: Stored) -> VersionDocument:
    """Return a version as a list shows it."""
    return VersionDocument(
        version=stored.spec.version,
        kind=str(stored.spec.kind),
        current=stored.current,
        sha256=stored.spec.sha256,
        size=stored.size,
        created_by=stored.created_by,
        created_at=format_rfc3339(stored.created_at) if stored.created_at else None,
        warnings=list(stored.warnings),
    )


def model_document(found: Sequence[Stored], bindings: list[BindingDocument]) -> ModelDocument:
    """Return a model from its versions, newest first."""
    spec = next((one for one in found if one.current), found[0]).spec
    return ModelDocument(
        id=spec.id,
        name=spec.name.any() or spec.id,
        title=spec.name,
        version=spec.version,
        kind=str(spec.kind),
        description=spec.description,
        inputs=[_port(port) for port in spec.inputs],
        outputs=[_port(port) for port in spec.outputs],
        parameters=list(spec.parameters),
        tolerance_s=spec.tolerance_s,
        wait_s=spec.wait_s,
        step_s=spec.step_s,
        state=spec.state,
        limits=spec.limits,
        quota=spec.quota,
        owner=spec.owner,
        provenance=spec.provenance,
        removable=spec.owner != "shipped",
        versions=[version_document(one) for one in found],
        bindings=bindings,
    )


def _port(port: Port) -> PortDocument:
    return PortDocument(port.name, port.unit, port.point, port.description)
