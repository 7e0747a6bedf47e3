"""From the name of a kind to what loads its artifacts; the libraries of a kind are imported when it is asked for."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from gongfu.reason.models.kinds.types import Evaluator, refused

KINDS = ("python", "fmu", "onnx", "table")


def load(kind: str, artifact: Path, parameters: Mapping[str, float], scratch: Path) -> Evaluator:
    """Load an artifact, in the process that is to run it.

    Raises:
        KindError: the artifact is refused; the detail says why.
    """
    if kind not in KINDS:
        raise refused(f"there is no kind of model {kind!r}; there are {', '.join(KINDS)}")
    if not artifact.is_file():
        raise refused("the artifact is not there")
    module: Any = import_module(f"gongfu.reason.models.kinds.{kind}")
    if kind in ("fmu", "python"):
        return module.load(artifact, parameters, scratch)
    return module.load(artifact, parameters)
