"""What an app brings to the node: thing models, mechanism models and rules, put there and taken away again with it."""

import asyncio
import base64
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from gongfu.appkit.catalogue import find_models
from gongfu.appkit.contract import AppError
from gongfu.appkit.installed.artifacts import python_artifact
from gongfu.appkit.installed.folders import Folders
from gongfu.appkit.installed.types import InstalledApp, InstalledVersion
from gongfu.appkit.manifest import ProvidedModel
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock
from gongfu.reason.models.artifacts import TENANT_BYTES
from gongfu.reason.models.asking import ModelsRole
from gongfu.reason.models.documents import BindingBody, RegisterBody
from gongfu.reason.models.registering import register
from gongfu.reason.models.scopes import all_scopes, remove_scopes
from gongfu.reason.models.service import ModelService
from gongfu.reason.models.spec import ModelSpec
from gongfu.reason.rules.documents import parse_rules
from gongfu.reason.rules.service import RuleService
from gongfu.reason.rules.types import RuleBody
from gongfu.store.objects.folder import ObjectFolder
from gongfu.store.records.engine import writing
from gongfu.thing.service import ModelHead, ThingModels
from gongfu.thing.shelf import DRAFT, RETIRED
from gongfu.thing.types import Model, reference

_KINDS = {".py": "python", ".fmu": "fmu", ".onnx": "onnx", ".csv": "table", ".json": "table", ".sql": "sql"}

# Publishes an announcement of a kind on the bus.
Publish = Callable[[str, object], None]


class NodeProvisions:
    """Implements ``lifecycle.Provisions`` with the services of the node.

    Args:
        engine: the records.
        clock: present time.
        folders: where the code of apps is.
        publish: announces changes to the other roles.
        objects: where artifacts of models are kept.
        role: reads artifacts behind walls: code of an app never runs in this process.
        tenant_bytes: artifacts that a tenant may have, with those of its apps.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        folders: Folders,
        publish: Publish,
        objects: ObjectFolder,
        role: ModelsRole,
        tenant_bytes: int = TENANT_BYTES,
    ) -> None:
        self._engine = engine
        self._folders = folders
        self._things = ThingModels(engine, clock)
        self._rules = RuleService(engine, clock, lambda change: publish("rule", change))
        self._models = ModelService(
            engine, clock, lambda change: publish("rule", change), find_models(), objects, tenant_bytes
        )
        self._publish = publish
        self._role = role

    async def plan(self, subject: Subject, app: InstalledApp, version: InstalledVersion) -> InstalledVersion:
        """Return the version with the thing models that it and those before it made, and those that it is going to.

        Raises:
            AppError: a file of it cannot be read.
        """
        folder = self._folders.code(app.app, version.generation)
        planned = await asyncio.to_thread(self._planned, subject, app, folder, version)
        made = tuple(sorted({*app.current.thing_models, *planned}))
        return msgspec.structs.replace(version, thing_models=made)

    async def retire(self, subject: Subject, thing_models: frozenset[str]) -> None:
        """Retire thing models; those that are not there are none."""
        await asyncio.to_thread(self._retire, subject, sorted(thing_models))

    async def apply(self, subject: Subject, app: InstalledApp, version: InstalledVersion) -> InstalledVersion:
        """Let exactly what a version brings be there; return the version with what was made.

        Raises:
            Problem, AppError: something cannot be.
        """
        folder, provides = self._folders.code(app.app, version.generation), version.manifest.provides
        rules = await asyncio.to_thread(_rules_in, folder, provides.rules)
        things = await asyncio.to_thread(self._make_thing_models, subject, folder, version)
        models = [await self._put_model(subject, app, folder, model) for model in provides.models]
        await asyncio.to_thread(self._settle, subject, app, rules, models)
        return msgspec.structs.replace(
            version, thing_models=things, models=tuple(sorted({model.id for model in models}))
        )

    async def remove(self, subject: Subject, app: InstalledApp) -> None:
        """Take away everything the app brought. A thing model is retired: assets may be of it."""
        await asyncio.to_thread(self._remove, subject, app)

    async def _put_model(self, subject: Subject, app: InstalledApp, folder: Path, provided: ProvidedModel) -> ModelSpec:
        artifact, given = await asyncio.to_thread(_artifact, folder, provided.file)
        body = RegisterBody(spec=given, artifact=base64.b64encode(artifact).decode())
        spec = await register(self._models, self._role.inspect, subject, body, owner_of(app))
        await asyncio.to_thread(self._bind, subject, app, spec, provided)
        await self._role.want()
        return spec

    def _bind(self, subject: Subject, app: InstalledApp, spec: ModelSpec, provided: ProvidedModel) -> None:
        owner = owner_of(app)
        self._models.set_current(subject, spec.id, spec.version, owner)
        kept: set[int] = set()
        for one in provided.bind:
            body = BindingBody(assets=one.assets, type=one.type, points=one.points)
            kept.add(self._models.bind(subject, spec.id, body, owner))
        with writing(self._engine) as connection:
            scopes = all_scopes(connection, subject.tenant, spec.id)
            remove_scopes(connection, [one.id for one in scopes if one.owner == owner and one.id not in kept])

    def _settle(self, subject: Subject, app: InstalledApp, rules: list[RuleBody], models: list[ModelSpec]) -> None:
        """Put the rules, and take away rules and models that this version does not bring."""
        owner = owner_of(app)
        for rule in rules:
            self._rules.put(subject, rule, owner)
        self._rules.remove_owned(subject, owner, keep=[rule.name for rule in rules])
        brought = {(model.id, model.version) for model in models}
        for document in self._models.list_all(subject, None):
            for one in document.versions:
                if document.owner == owner and (document.id, one.version) not in brought:
                    self._forget(subject, document.id, one.version, owner)

    def _forget(self, subject: Subject, model: str, version: str, owner: str) -> None:
        try:
            self._models.remove(subject, model, version, owner)
        except Problem as problem:
            if problem.status not in (404, 409):  # 409: somebody has bound this very version
                raise

    def _remove(self, subject: Subject, app: InstalledApp) -> None:
        owner = owner_of(app)
        self._rules.remove_owned(subject, owner)
        self._models.remove_owned(subject, owner)
        versions = [one for one in (app.current, app.previous, app.pending) if one is not None]
        self._retire(subject, sorted({one for version in versions for one in version.thing_models}))

    def _retire(self, subject: Subject, thing_models: Sequence[str]) -> None:
        for wanted in thing_models:
            try:
                self._things.retire(subject, wanted)
            except Problem as problem:
                if problem.status not in (404, 409):
                    raise

    def _planned(self, subject: Subject, app: InstalledApp, folder: Path, version: InstalledVersion) -> set[str]:
        planned: set[str] = set()
        for model in _thing_models_in(folder, version):
            there, newest = self._there(subject, model, app.current.thing_models)
            if there is None:
                planned.add(reference(model.name, newest + 1))
            elif there.state == RETIRED:
                planned.add(there.reference)
        return planned

    def _make_thing_models(self, subject: Subject, folder: Path, version: InstalledVersion) -> tuple[str, ...]:
        made: set[str] = set(version.thing_models)
        for model in _thing_models_in(folder, version):
            there, _ = self._there(subject, model, version.thing_models)
            if there is not None and there.state == RETIRED:
                made.add(self._things.reinstate(subject, there.reference).reference)
            elif there is None or there.state == DRAFT:
                document, new = self._things.create(subject, model, publish=True)
                if new:
                    made.add(document.reference)
        return tuple(sorted(made))

    def _there(self, subject: Subject, model: Model, made: tuple[str, ...]) -> tuple[ModelHead | None, int]:
        """Return the version with this content, the newest or one that the app made; and the number of the newest.

        An earlier version of an app must find its own again, else each way back would make another."""
        try:
            versions = self._things.versions(subject, model.name)
        except Problem:
            return None, 0
        for head in versions:
            looked_at = head is versions[0] or head.reference in made
            if looked_at and self._things.get(subject, head.reference).model == model:
                return head, versions[0].version
        return None, versions[0].version


def _thing_models_in(folder: Path, version: InstalledVersion) -> list[Model]:
    found: list[Model] = []
    for file in version.manifest.provides.thing_models:
        try:
            found.append(msgspec.json.decode(_read(folder, file), type=Model))
        except msgspec.MsgspecError as error:
            raise AppError(400, f"{file}: {error}") from None
    return found


def owner_of(app: InstalledApp) -> str:
    """Return the owner under which the node keeps what an app brought."""
    return f"app:{app.app}"


def _rules_in(folder: Path, files: tuple[str, ...]) -> list[RuleBody]:
    found: list[RuleBody] = []
    for file in files:
        try:
            found += parse_rules(_read(folder, file))
        except Problem as problem:
            raise AppError(400, f"{file}: {problem.detail}") from None
    return found


def _artifact(folder: Path, file: str) -> tuple[bytes, dict[str, Any]]:
    """Return the artifact of a model, and what its description beside it says.

    Raises:
        AppError: a file cannot be read, or is of no kind of model.
    """
    path = Path(file)
    kind = _KINDS.get(path.suffix)
    if kind is None:
        raise AppError(400, f"{file}: a model is one of {', '.join(_KINDS)}")
    beside = path.with_suffix(".toml")
    given: dict[str, Any] = {}
    if (folder / beside).is_file():
        try:
            given = tomllib.loads(_read(folder, beside.as_posix()).decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise AppError(400, f"{beside}: {error}") from None
    given.setdefault("kind", kind)
    if kind != "python":
        return _read(folder, file), given

    def read(name: str) -> bytes | None:
        return (folder / name).read_bytes() if (folder / name).is_file() else None

    return python_artifact(file, read), given


def _read(folder: Path, file: str) -> bytes:
    try:
        return (folder / file).read_bytes()
    except OSError as error:
        raise AppError(400, f"{file} is named in app.toml and cannot be read: {error.strerror}") from None
