"""Load the module of an app from its folder."""

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from gongfu.appkit.contract import App

PACKAGE = "gongfu_app"


class LoadError(Exception):
    """The module of an app cannot be loaded; the text says where and why."""


def load_app(folder: Path, module: str, package: str = PACKAGE) -> App:
    """Return ``app`` of a module, loaded anew; the folder becomes a package, so that relative imports work.

    Args:
        folder: where ``app.toml`` is.
        module: dotted name in the folder.
        package: name of the package; what was loaded under it before is forgotten.

    Raises:
        LoadError: it cannot be imported, or has no ``app``.
    """
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
    found = getattr(load_module(folder, module, package), "app", None)
    if not isinstance(found, App):
        raise LoadError(f"{module}.py has no `app = App()`")
    return found


def load_module(folder: Path, module: str, package: str = PACKAGE) -> ModuleType:
    """Return a module of an app; arguments as ``load_app``.

    Raises:
        LoadError: it cannot be imported.
    """
    if package not in sys.modules:
        importlib.invalidate_caches()
        spec = ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[package] = importlib.util.module_from_spec(spec)
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    try:
        return importlib.import_module(f"{package}.{module}")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise LoadError(f"{module}: {told(error, folder)}") from error


def told(error: BaseException, folder: Path) -> str:
    """Return an exception in one line: what, and the line of the app's own code it comes from."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(folder):
            place = f" ({file.relative_to(folder).as_posix()}, line {trace.tb_lineno})"
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(folder):
        place = f" ({Path(error.filename).relative_to(folder).as_posix()}, line {error.lineno})"
    text = error.msg if isinstance(error, SyntaxError) and place else str(error)
    return f"{type(error).__name__}: {text}{place}"[:2000]
