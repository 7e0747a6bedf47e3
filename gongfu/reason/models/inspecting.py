"""Looking at an artifact before it is registered: the sandbox reads it, and a definition is proposed."""

import secrets
from pathlib import Path

import msgspec

from gongfu.kernel.errors import Problem, not_found
from gongfu.reason.models.sandbox.process import ModelProcess
from gongfu.reason.models.sandbox.types import Description, Limits, ModelFailure
from gongfu.reason.models.spec import Kind, ModelSpec, Parameter, Words
from gongfu.reason.models.types import ModelDefinitionError, Port
from gongfu.store.objects.folder import ObjectError, ObjectFolder


class InspectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request of ``svc.models.inspect``."""

    sha256: str
    kind: Kind
    limits: Limits = msgspec.field(default_factory=Limits)


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What the sandbox read; ``sha256`` names the artifact, which is kept for a day unless it is registered."""

    sha256: str
    size: int
    description: Description


class Inspector:
    """Reads artifacts in confined processes."""

    def __init__(self, objects: ObjectFolder, scratch: Path) -> None:
        self._objects = objects
        self._scratch = scratch

    async def inspect(self, request: InspectRequest) -> Inspection:
        """Return what an artifact says of itself.

        Raises:
            Problem: 404 when there is no such object; 422 ``artifact-refused`` with the reason.
        """
        try:
            path = self._objects.path(request.sha256)
            size = path.stat().st_size
        except (ObjectError, FileNotFoundError):
            raise not_found(f"artifact {request.sha256[:80]}") from None
        if request.kind is Kind.SQL:
            return Inspection(sha256=request.sha256, size=size, description=Description(kind="sql"))
        folder = self._scratch / f"inspect-{secrets.token_hex(6)}"
        process = ModelProcess(str(request.kind), path, folder, {}, request.limits)
        try:
            description = await process.start()
        except ModelFailure as failure:
            raise Problem(
                422,
                "artifact-refused",
                "The artifact is no model that can run",
                failure.detail,
                {"reason": failure.reason},
            ) from None
        finally:
            await process.close()
        return Inspection(sha256=request.sha256, size=size, description=description)


def proposed(description: Description, sha256: str) -> ModelSpec:
    """Return a definition from what an artifact says; id and version are empty where it says none.

    Raises:
        ModelDefinitionError: a port of it cannot be one of ours.
    """
    return ModelSpec(
        id=description.id,
        version=description.version,
        kind=Kind(description.kind),
        name=Words(en=description.name),
        description=description.description,
        inputs=tuple(Port(port.name, port.unit or "1", port.point, port.description) for port in description.inputs),
        outputs=tuple(Port(port.name, port.unit or "1", port.point, port.description) for port in description.outputs),
        parameters=tuple(
            Parameter(
                name=item.name,
                unit=item.unit or "1",
                default=item.default,
                minimum=item.minimum,
                maximum=item.maximum,
                description=item.description,
            )
            for item in description.parameters
        ),
        tolerance_s=description.tolerance_s or 0.0,
        state=description.has_state,
        sha256=sha256,
    )


def check_against(spec: ModelSpec, description: Description) -> None:
    """Check that a definition has the ports of its artifact: by name, with units that the artifact agrees to.

    Raises:
        ModelDefinitionError: it has not; the message says which.
    """
    for word, mine, its in (
        ("input", spec.inputs, description.inputs),
        ("output", spec.outputs, description.outputs),
    ):
        names = {port.name: port for port in its}
        for port in mine:
            found = names.get(port.name)
            if found is None:
                have = ", ".join(names) or "none"
                raise ModelDefinitionError(f"the artifact has no {word} {port.name!r}; it has {have}")
            if found.unit and found.unit != port.unit:
                raise ModelDefinitionError(
                    f"{word} {port.name}: the definition says {port.unit}, the artifact {found.unit}; "
                    "a point's unit is converted when it is bound"
                )
        if word == "input" and (rest := sorted(set(names) - {port.name for port in mine})):
            raise ModelDefinitionError(f"the definition leaves out input {rest[0]!r} of the artifact")
