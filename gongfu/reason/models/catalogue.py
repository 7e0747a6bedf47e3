"""All models of a tenant: those that come with Gongfu, and those that were registered."""

import sys
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection

from gongfu.reason.models import versions
from gongfu.reason.models.spec import Kind, ModelSpec, spec_of
from gongfu.reason.models.types import ModelDefinition
from gongfu.reason.models.versions import Stored
from gongfu.store.objects.folder import ObjectFolder


class Catalogue:
    """Finds models; methods with a connection block on the records."""

    def __init__(self, shipped: Mapping[str, ModelDefinition], objects: ObjectFolder | None = None) -> None:
        """Look up in ``shipped`` models by id, then in the records; artifacts are in ``objects``."""
        self.shipped = shipped
        self._specs = {key: spec_of(definition) for key, definition in shipped.items()}
        self._objects = objects

    def all(self, connection: Connection, tenant: int) -> list[Stored]:
        """Return every version of every model, in order of id, newest first."""
        found = [Stored(spec) for spec in self._specs.values()]
        found += [one for one in versions.versions(connection, tenant) if one.spec.id not in self._specs]
        return sorted(found, key=lambda one: one.spec.id)

    def find(self, connection: Connection, tenant: int, name: str, version: str = "") -> Stored | None:
        """Return a version; by default the current one."""
        spec = self._specs.get(name)
        if spec is not None:
            return Stored(spec) if version in ("", spec.version) else None
        return versions.find(connection, tenant, name, version)

    def artifact(self, spec: ModelSpec) -> Path:
        """Return the file that a model's process loads.

        Raises:
            FileNotFoundError: it is gone.
        """
        if spec.id in self._specs:
            module = sys.modules[self.shipped[spec.id].function.__module__]
            path = Path(module.__file__ or "")
        else:
            assert self._objects is not None
            path = self._objects.path(spec.sha256)
        if spec.kind is not Kind.SQL and not path.is_file():
            raise FileNotFoundError(f"the artifact of {spec.id} {spec.version} is not in the object store: {path}")
        return path
