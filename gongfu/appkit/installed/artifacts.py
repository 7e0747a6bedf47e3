"""Artifacts of the models in a package: a file as it is, or for Python what it needs of the app's code. Pure."""

import ast
import io
import zipfile
from collections.abc import Callable

from gongfu.appkit.contract import AppError

# What names the model's file in the zip (gongfu/reason/models/kinds/python.py).
_MODEL = "MODEL"
_TIME = (1980, 1, 1, 0, 0, 0)

# Returns the content of a file of the package, None when there is none.
Read = Callable[[str], bytes | None]


def python_artifact(file: str, read: Read) -> bytes:
    """Return a zip of a model's file and of those files of the app that it imports; the same code, the same bytes.

    Only what is imported is in it, so that a version of a model stays the same when other code of the app changes.

    Args:
        file: path in the package, such as ``models/efficiency.py``.
        read: reads a file of the package.

    Raises:
        AppError: a file cannot be read or parsed.
    """
    found: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        content = read(name)
        if content is None:
            raise AppError(400, f"{name} is named in app.toml and is not in the package")
        found[name] = content
        waiting += [one for one in _imported(name, content) if read(one) is not None]
    if len(found) == 1:
        return found[file]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [(_MODEL, file.encode()), *sorted(found.items())]:
            archive.writestr(zipfile.ZipInfo(name, _TIME), content)
    return packed.getvalue()


def _imported(name: str, content: bytes) -> list[str]:
    """Return the paths that a file's imports may mean in the package."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        raise AppError(400, f"{name}: {error}") from None
    folder = name.split("/")[:-1]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(folder) + 1:
            base = folder[: len(folder) - (node.level - 1)]
            module = [*base, *(node.module.split(".") if node.module else [])]
            found += _files(module)
            found += [file for alias in node.names for file in _files([*module, alias.name])]
    return found


def _files(module: list[str]) -> list[str]:
    path = "/".join(module)
    packages = ["/".join(module[: n + 1]) + "/__init__.py" for n in range(len(module))]
    return [f"{path}.py", *packages] if module else []
