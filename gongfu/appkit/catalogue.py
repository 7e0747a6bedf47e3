"""Find the models that the apps of this node declare."""

import importlib
import importlib.util
import logging
import pkgutil
from types import ModuleType

from gongfu.reason.models.types import ModelDefinition

_log = logging.getLogger(__name__)


def models_in(module: ModuleType) -> list[ModelDefinition]:
    """Return the models declared in a module, in the order of their declaration."""
    return [value for value in vars(module).values() if isinstance(value, ModelDefinition)]


def find_models(package: str = "gongfu.apps") -> dict[str, ModelDefinition]:
    """Return the models of every ``<package>.<app>.model`` module by id.

    An app that cannot be imported, or a second model of the same id, is logged and left out: one broken app never
    keeps the node from starting.
    """
    found: dict[str, ModelDefinition] = {}
    root = importlib.import_module(package)
    for app in pkgutil.iter_modules(root.__path__):
        name = f"{package}.{app.name}.model"
        try:
            if not app.ispkg or importlib.util.find_spec(name) is None:
                continue
            module = importlib.import_module(name)
        except Exception:
            _log.exception("app %s cannot be loaded; its models are left out", app.name)
            continue
        for definition in models_in(module):
            if definition.id in found:
                _log.error("model id %s is declared twice; the one in %s is left out", definition.id, name)
                continue
            found[definition.id] = definition
    return found
