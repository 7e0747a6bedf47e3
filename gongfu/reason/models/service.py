"""What people and apps do with models: register versions, bind them to assets, look at them."""

from collections.abc import Callable, Mapping
from itertools import groupby

import msgspec
from sqlalchemy import Connection, Engine, select

from gongfu.kernel.errors import Problem, conflict, invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339
from gongfu.reason.models import records, versions
from gongfu.reason.models.artifacts import TENANT_BYTES, Artifacts, claim_again, not_sent
from gongfu.reason.models.binding import check_inputs, check_output, port_paths
from gongfu.reason.models.calling.types import MAX_WALL_S
from gongfu.reason.models.calling.usage import HOUR_NS, usage_of
from gongfu.reason.models.catalogue import Catalogue
from gongfu.reason.models.documents import (
    BindingBody,
    ModelDocument,
    UsageDocument,
    UsageRow,
    binding_document,
    model_document,
)
from gongfu.reason.models.sandbox.types import Limits
from gongfu.reason.models.scopes import Scope, all_scopes, put_scope, remove_scopes
from gongfu.reason.models.spec import ModelSpec, check_spec, parameter_values
from gongfu.reason.models.streaming.types import StreamState
from gongfu.reason.models.tables import model_scope
from gongfu.reason.models.types import ModelDefinition, ModelDefinitionError
from gongfu.reason.models.versions import Stored
from gongfu.reason.rules.service import Announce, RuleChange
from gongfu.registry import audit
from gongfu.store.objects.folder import ObjectFolder
from gongfu.store.records.engine import reading, writing

__all__ = ["BindingBody", "ModelDocument", "ModelService"]

MAX_VERSIONS = 100
MAX_MODELS = 1000
MAX_SCOPES = 10_000
_MOST_USAGE = 1000
_MAX_LIMIT_S, _MAX_MEMORY = 600.0, 8 * 1024**3


class ModelService:
    """Models of the node and of the caller's tenant. Methods block on the records: call them in a thread."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        announce: Announce,
        models: Mapping[str, ModelDefinition],
        objects: ObjectFolder | None = None,
        tenant_bytes: int = TENANT_BYTES,
    ) -> None:
        """Serve ``models`` that come with Gongfu, and those whose artifacts are in ``objects``: of each tenant at most
        ``tenant_bytes``."""
        self._engine = engine
        self._clock = clock
        self._announce = announce
        self.artifacts = Artifacts(engine, clock, objects, tenant_bytes)
        self._catalogue = Catalogue(models, objects)

    def list_all(self, subject: Subject, state: StreamState | None, only: str | None = None) -> list[ModelDocument]:
        """Return all models, or one, with the caller's bindings."""
        with reading(self._engine) as connection:
            scopes = all_scopes(connection, subject.tenant, only)
            found = self._catalogue.all(connection, subject.tenant)
        return [
            model_document(list(group), [binding_document(scope, state) for scope in scopes if scope.model == name])
            for name, group in groupby(found, key=lambda one: one.spec.id)
            if only is None or name == only
        ]

    def get(self, subject: Subject, model: str, state: StreamState | None) -> ModelDocument:
        """Return a model.

        Raises:
            Problem: 404.
        """
        found = self.list_all(subject, state, model)
        if not found:
            raise not_found(f"model {model[:120]}")
        return found[0]

    def spec(self, subject: Subject, model: str, version: str = "") -> ModelSpec:
        """Return the definition of a version, by default of the current one.

        Raises:
            Problem: 404.
        """
        with reading(self._engine) as connection:
            return self._find(connection, subject.tenant, model, version)

    def register(
        self,
        subject: Subject,
        spec: ModelSpec,
        artifact: bytes,
        owner: str = "",
        warnings: tuple[str, ...] = (),
    ) -> str:
        """Keep a version, which becomes the current one; return it. The same content again changes nothing.

        Args:
            subject: who does it.
            spec: the definition; its ``sha256`` and ``owner`` are set here.
            artifact: the file; the statement of a SQL model.
            owner: empty, or ``app:<id>``: only that owner changes or removes the model.
            warnings: what the sandbox said of the artifact.

        Raises:
            Problem: 422 ``model-refused`` for the definition, 409 when the version is there with another content, when
                the model is another owner's, or when it comes with Gongfu; 413 for the size, 507 for the quota.
        """
        stored = self.artifacts.put(subject, artifact)
        return self.register_stored(subject, spec, stored.sha256, stored.size, owner, warnings)

    def register_stored(
        self,
        subject: Subject,
        spec: ModelSpec,
        sha256: str,
        size: int,
        owner: str = "",
        warnings: tuple[str, ...] = (),
    ) -> str:
        """As ``register``, for an artifact that the tenant has sent before.

        Raises:
            Problem: as there; 404 when the tenant has not sent it, whoever else has.
        """
        spec = msgspec.structs.replace(spec, sha256=sha256, owner=owner)
        try:
            check_spec(spec)
            check_limits(spec.limits)
        except ModelDefinitionError as error:
            raise refused(str(error)) from None
        if spec.id in self._catalogue.shipped:
            raise conflict(f"{spec.id} comes with Gongfu; choose another id")
        now, tenant = self._clock.now_ns(), subject.tenant
        with writing(self._engine) as connection:
            there = versions.versions(connection, tenant, spec.id)
            known = next((one for one in there if one.spec.version == spec.version), None)
            if known is not None:
                if known.spec == spec:
                    return spec.version
                raise conflict(f"{spec.id} {spec.version} is there already and differs; a version never changes")
            self._check_owner(connection, tenant, spec.id, owner)
            if not claim_again(connection, tenant, sha256, now):
                raise not_sent(sha256)
            if len(there) >= MAX_VERSIONS:
                raise conflict(f"{spec.id} has {MAX_VERSIONS} versions; remove old ones")
            if not there and len({one.spec.id for one in versions.versions(connection, tenant)}) >= MAX_MODELS:
                raise conflict(f"there are {MAX_MODELS} models already")
            versions.add(connection, tenant, Stored(spec, size, warnings, subject.name, now))
            audit.record(connection, subject, "model.register", f"model/{spec.id}", now, f"{spec.version} {sha256}")
        self._announce(RuleChange("binding", 0, tenant, "updated"))
        return spec.version

    def set_current(self, subject: Subject, model: str, version: str, owner: str = "") -> None:
        """Let a version be the one that runs where none is said.

        Raises:
            Problem: 404; 409 for another owner's or a shipped model.
        """
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            self._find(connection, subject.tenant, model, version)
            self._check_owner(connection, subject.tenant, model, owner)
            versions.set_current(connection, subject.tenant, model, version, now)
            audit.record(connection, subject, "model.current", f"model/{model}", now, version)
        self._announce(RuleChange("binding", 0, subject.tenant, "updated"))

    def remove(self, subject: Subject, model: str, version: str = "", owner: str = "") -> None:
        """Remove a version, or the model with all versions and bindings. What it wrote stays.

        Raises:
            Problem: 404; 409 for another owner's or a shipped model, or a version that a binding names.
        """
        now, tenant = self._clock.now_ns(), subject.tenant
        with writing(self._engine) as connection:
            self._find(connection, tenant, model, version)
            self._check_owner(connection, tenant, model, owner)
            scopes = all_scopes(connection, tenant, model)
            if version:
                named = [scope for scope in scopes if scope.version == version]
                if named:
                    raise conflict(f"{model} {version} runs at {named[0].where}; remove that binding first")
            versions.remove(connection, tenant, model, version)
            if versions.owner_of(connection, tenant, model) is None:
                remove_scopes(connection, [scope.id for scope in scopes])
            audit.record(connection, subject, "model.remove", f"model/{model}", now, version)
        self._announce(RuleChange("binding", 0, tenant, "deleted"))

    def remove_owned(self, subject: Subject, owner: str) -> None:
        """Remove all models and bindings of an owner: what an app leaves behind."""
        tenant = subject.tenant
        with writing(self._engine) as connection:
            for name in {one.spec.id for one in versions.versions(connection, tenant) if one.spec.owner == owner}:
                versions.remove(connection, tenant, name)
                remove_scopes(connection, [scope.id for scope in all_scopes(connection, tenant, name)])
            own = [scope.id for scope in all_scopes(connection, tenant) if scope.owner == owner]
            remove_scopes(connection, own)
            audit.record(connection, subject, "model.remove", f"owner/{owner}", self._clock.now_ns())
        self._announce(RuleChange("binding", 0, tenant, "deleted"))

    def bind(self, subject: Subject, model: str, body: BindingBody, owner: str = "") -> int:
        """Bind a model to an asset, or to all assets that match; return the binding's id. Points that are not there
        yet are waited for.

        Raises:
            Problem: 404 when model or asset is not there; 400 when a port or a parameter is; 422 ``binding-refused``
                when a point of the asset that is there does not fit: its unit does not convert or is not declared, or
                it holds text.
        """
        now, tenant = self._clock.now_ns(), subject.tenant
        if bool(body.asset) == bool(body.assets):
            raise invalid("give asset, or assets with or without type")
        if body.type and body.asset:
            raise invalid("type goes with assets, not with one asset")
        with writing(self._engine) as connection:
            spec = self._find(connection, tenant, model, body.version)
            names = {port.name for port in spec.inputs}
            if unknown := sorted(set(body.points) - names):
                raise invalid(f"model {model} has no input {unknown[0]!r}; it has {', '.join(sorted(names))}")
            try:
                parameter_values(spec, body.parameters)
            except ModelDefinitionError as error:
                raise invalid(str(error)) from None
            asset = 0
            if body.asset:
                found = records.asset_of(connection, tenant, body.asset)
                if found is None:
                    raise not_found(f"asset {body.asset}")
                asset = found
            scope = Scope(
                0,
                tenant,
                model,
                body.version,
                asset,
                body.asset,
                body.type,
                body.assets,
                body.points,
                body.parameters,
                body.assume_units,
                owner,
            )
            if asset:
                _check_fit(connection, scope, spec)
            if len(all_scopes(connection, tenant)) >= MAX_SCOPES:
                raise conflict(f"there are {MAX_SCOPES} bindings already; bind by type and pattern")
            key = put_scope(connection, scope, now)
            audit.record(connection, subject, "model.bind", f"model/{model}", now, scope.where)
        self._announce(RuleChange("binding", key, tenant, "updated"))
        return key

    def unbind(self, subject: Subject, model: str, asset_path: str) -> None:
        """Remove the binding to one asset; what the model wrote stays.

        Raises:
            Problem: 404 when there is none.
        """
        self._unbind(subject, model, lambda scope: bool(scope.asset) and scope.asset_path == asset_path, asset_path)

    def unbind_by_id(self, subject: Subject, model: str, key: int) -> None:
        """Remove a binding; what the model wrote stays.

        Raises:
            Problem: 404 when there is none.
        """
        self._unbind(subject, model, lambda scope: scope.id == key, f"binding {key}")

    def _unbind(self, subject: Subject, model: str, chosen: Callable[[Scope], bool], words: str) -> None:
        now = self._clock.now_ns()
        with writing(self._engine) as connection:
            found = [scope for scope in all_scopes(connection, subject.tenant, model) if chosen(scope)]
            if not found:
                raise not_found(f"binding of {model[:120]} to {words}")
            remove_scopes(connection, [scope.id for scope in found])
            audit.record(connection, subject, "model.unbind", f"model/{model}", now, found[0].where)
        self._announce(RuleChange("binding", found[0].id, subject.tenant, "deleted"))

    def any_bound(self) -> bool:
        """Return whether any tenant has bound a model, so that the role must run."""
        with reading(self._engine) as connection:
            return connection.execute(select(model_scope.c.id).limit(1)).first() is not None

    def usage(self, subject: Subject, model: str | None, hours: int) -> UsageDocument:
        """Return who called what in the last hours, the present one included."""
        end = self._clock.now_ns() // HOUR_NS + 1
        begin = end - hours
        with reading(self._engine) as connection:
            rows = usage_of(connection, subject.tenant, model, begin, end, _MOST_USAGE)
        return UsageDocument(
            time_from=format_rfc3339(begin * HOUR_NS),
            time_to=format_rfc3339(end * HOUR_NS),
            items=[
                UsageRow(
                    model=row.model,
                    caller=row.caller,
                    calls=row.calls,
                    rows=row.rows,
                    cpu_s=row.cpu_us / 1e6,
                    failures=row.failures,
                    refused=row.refused,
                )
                for row in rows
            ],
        )

    def _find(self, connection: Connection, tenant: int, model: str, version: str) -> ModelSpec:
        stored = self._catalogue.find(connection, tenant, model, version)
        if stored is None:
            raise not_found(f"model {model[:120]}{f' {version[:40]}' if version else ''}")
        return stored.spec

    def _check_owner(self, connection: Connection, tenant: int, model: str, owner: str) -> None:
        if model in self._catalogue.shipped:
            raise conflict(f"{model} comes with Gongfu")
        known = versions.owner_of(connection, tenant, model)
        if known is not None and known != owner:
            raise conflict(f"{model} belongs to {known or 'people, not to an app'}")


def refused(detail: str) -> Problem:
    """Return the problem for a definition that cannot be taken (422)."""
    return Problem(422, "model-refused", "The model is not taken", detail)


def check_limits(limits: Limits) -> None:
    """Check that limits are such that a node can keep them.

    Raises:
        ModelDefinitionError: the first one that is out of bounds.
    """
    for name, value, most in (
        ("cpu_s", limits.cpu_s, _MAX_LIMIT_S),
        ("wall_s", limits.wall_s, MAX_WALL_S),
        ("start_wall_s", limits.start_wall_s, _MAX_LIMIT_S),
    ):
        if not 0.01 <= value <= most:
            raise ModelDefinitionError(f"limit {name} must be 0.01 to {most:g} s")
    if not 16 * 1024**2 <= limits.memory_bytes <= _MAX_MEMORY:
        raise ModelDefinitionError("limit memory_bytes must be 16 MiB to 8 GiB")
    if not 1024 <= limits.output_bytes <= 1024**3:
        raise ModelDefinitionError("limit output_bytes must be 1 KiB to 1 GiB")


def _check_fit(connection: Connection, scope: Scope, spec: ModelSpec) -> None:
    """Check the points of one asset that are there already; nothing is made."""
    paths = port_paths(spec.inputs, scope.points)
    found = records.find_points(connection, scope.tenant, scope.asset_path, list(paths.values()))
    check = check_inputs(spec, scope.points, found, scope.assume_units)
    inputs = list(check.bound)
    for port in spec.outputs:
        point = records.find_point(connection, scope.asset, port.point)
        if point is not None:
            check_output(check, port, point, inputs)
    if check.refused:
        raise Problem(
            422,
            "binding-refused",
            "The model does not fit the asset",
            "; ".join(check.refused),
            {"reasons": check.refused},
        )
