"""What opens the process of a model version."""

from collections.abc import Mapping
from pathlib import Path

from gongfu.reason.models.catalogue import Catalogue
from gongfu.reason.models.executor import Executor, Unavailable
from gongfu.reason.models.sandbox.process import ModelProcess
from gongfu.reason.models.spec import ModelSpec


class Processes:
    """Opens confined processes, each with a scratch folder of its own."""

    def __init__(self, catalogue: Catalogue, scratch: Path) -> None:
        self._catalogue = catalogue
        self._scratch = scratch

    def open(self, spec: ModelSpec, parameters: Mapping[str, float], name: str) -> Executor:
        """Return what computes a version; the process itself starts with its first rows."""
        try:
            artifact = self._catalogue.artifact(spec)
        except FileNotFoundError as error:
            return Unavailable(str(error))
        return ModelProcess(str(spec.kind), artifact, self._scratch / name, parameters, spec.limits)
