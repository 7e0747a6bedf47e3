"""Registering a model: the artifact is kept, the sandbox reads it, and what people left out is taken from it."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Subject
from gongfu.reason.models.documents import RegisterBody
from gongfu.reason.models.inspecting import Inspection, InspectRequest, check_against, proposed
from gongfu.reason.models.sandbox.types import Limits
from gongfu.reason.models.service import ModelService, check_limits, refused
from gongfu.reason.models.spec import Kind, ModelSpec
from gongfu.reason.models.types import ModelDefinitionError

Inspect = Callable[[InspectRequest], Awaitable[Inspection]]


async def register(
    service: ModelService,
    inspect: Inspect,
    subject: Subject,
    body: RegisterBody,
    owner: str = "",
) -> ModelSpec:
    """Register a version and return its definition.

    Args:
        service: keeps it, and the artifact.
        inspect: asks the sandbox.
        subject: who registers.
        body: see there.
        owner: empty, or ``app:<id>``.

    Raises:
        Problem: 400 for the request, 404 for an artifact that the tenant has not sent, 422 when it is no model or the
            definition does not fit it; see ``ModelService.register``.
    """
    given = {name: value for name, value in body.spec.items() if name not in ("sha256", "owner")}
    try:
        kind = Kind(given.get("kind", ""))
    except ValueError:
        raise invalid(f"spec.kind must be one of {', '.join(Kind)}") from None
    sha256 = await _artifact(service, subject, body)
    limits = _converted(given.get("limits", {}), Limits)
    try:
        # The process that reads the artifact has them already.
        check_limits(limits)
        inspection = await inspect(InspectRequest(sha256=sha256, kind=kind, limits=limits))
        spec = complete(given, inspection)
    except ModelDefinitionError as error:
        raise refused(str(error)) from None
    await asyncio.to_thread(
        service.register_stored, subject, spec, sha256, inspection.size, owner, inspection.description.warnings
    )
    return spec


def complete(given: dict[str, Any], inspection: Inspection) -> ModelSpec:
    """Return the definition from what people gave and what the artifact says.

    Raises:
        Problem: 400 when a member is not as it must be.
        ModelDefinitionError: the two do not fit each other.
    """
    base: dict[str, Any] = dict(msgspec.to_builtins(proposed(inspection.description, inspection.sha256)))
    merged = {**base, **{name: value for name, value in given.items() if value is not None}}
    spec = _converted(merged, ModelSpec)
    if spec.kind is not Kind.SQL:
        check_against(spec, inspection.description)
    return spec


async def _artifact(service: ModelService, subject: Subject, body: RegisterBody) -> str:
    if bool(body.artifact) == bool(body.sha256):
        raise invalid("give sha256 of an artifact that was sent before, or artifact in base64")
    if body.sha256:
        # Before anything reads it: what the sandbox says of an artifact is for who has it.
        await asyncio.to_thread(service.artifacts.check, subject, body.sha256)
        return body.sha256
    try:
        content = base64.b64decode(body.artifact, validate=True)
    except binascii.Error:
        raise invalid("artifact is not base64") from None
    return (await asyncio.to_thread(service.artifacts.put, subject, content)).sha256


def _converted(document: Any, wanted: Any) -> Any:
    try:
        return msgspec.convert(document, wanted)
    except msgspec.ValidationError as error:
        raise invalid(f"spec: {error}") from None
