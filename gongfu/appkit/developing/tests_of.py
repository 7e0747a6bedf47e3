"""Run the tests of an app: every ``test_*`` function without arguments of ``tests/test_*.py``. Nothing else is needed;
they are plain functions, so pytest runs them as well."""

import importlib.util
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a test; ``trouble`` is empty when it passed, else what went wrong and where."""

    name: str
    seconds: float
    trouble: str = ""


def run_tests(folder: Path, only: str = "") -> Iterator[Outcome]:
    """Yield the outcomes of the tests of an app one by one; ``only`` is part of the names of those to run."""
    for file in sorted((folder / "tests").glob("test_*.py")):
        try:
            module = _load(file)
        except Exception as error:
            yield Outcome(file.name, 0.0, _told(error, folder))
            continue
        for name, value in vars(module).items():
            if name.startswith("test_") and callable(value) and only in f"{file.name}::{name}":
                yield _run(f"{file.name}::{name}", value, folder)


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gongfu_app_test_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(name: str, test: Callable[[], Any], folder: Path) -> Outcome:
    began = time.perf_counter()
    try:
        test()
    except Exception as error:
        return Outcome(name, time.perf_counter() - began, _told(error, folder))
    return Outcome(name, time.perf_counter() - began)


def _told(error: BaseException, folder: Path) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(folder)]
    lines = [f"{Path(f.filename).relative_to(folder).as_posix()}, line {f.lineno}: {f.line}" for f in frames]
    if isinstance(error, SyntaxError):
        lines.append(f"{error.filename}, line {error.lineno}")
    text = str(error) or "the condition does not hold"
    return "\n".join([f"{type(error).__name__}: {text}", *lines])
