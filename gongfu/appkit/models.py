"""Mechanism models in the package of an app: what its manifest names, found and read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.context.loading import PACKAGE, LoadError, load_module
from gongfu.appkit.contract import AppError, ModelDefinition
from gongfu.appkit.manifest import ProvidedModel


class ModelFiles:
    """Python models of an app, loaded in this process: for tests of the app's own code.

    Attributes:
        ids: of all of them.
    """

    def __init__(self, folder: Path, provided: Sequence[ProvidedModel], package: str = PACKAGE) -> None:
        self._definitions: dict[str, ModelDefinition] = {}
        for model in provided:
            if model.file.endswith(".py"):
                for definition in definitions_in(folder, model.file, package):
                    self._definitions[definition.id] = definition

    @property
    def ids(self) -> list[str]:
        """Ids of the models."""
        return list(self._definitions)

    def evaluate(self, model: str, columns: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        """Return the outputs of a model for rows of inputs.

        Raises:
            AppError: there is no such model, or a port is missing.
        """
        definition = self._definitions.get(model)
        if definition is None:
            raise AppError(404, f"there is no model {model!r} on the bench; only the app's own Python models are")
        absent = [port.name for port in definition.inputs if port.name not in columns]
        if absent:
            raise AppError(400, f"{model}: inputs {', '.join(absent)} are missing")
        n = len(next(iter(columns.values())))
        found = definition.function(columns, np.full(n, np.nan))
        return {port.name: np.asarray(found[port.name], np.float64) for port in definition.outputs}


def definitions_in(folder: Path, file: str, package: str = PACKAGE) -> list[ModelDefinition]:
    """Return the models a Python file of an app declares, in order.

    Args:
        folder: of the app.
        file: path in it, such as ``models/efficiency.py``; it is loaded as ``models.efficiency`` of the app's package.
        package: name of that package.

    Raises:
        AppError: it cannot be loaded, or declares none.
    """
    try:
        module = load_module(folder, file.removesuffix(".py").replace("/", "."), package)
    except LoadError as error:
        raise AppError(400, str(error)) from error
    found = [value for value in vars(module).values() if isinstance(value, ModelDefinition)]
    if not found:
        raise AppError(400, f"{file} declares no model: decorate a function with @model(...)")
    return found
