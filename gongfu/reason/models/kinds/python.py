"""Python models: one file with a function that ``gongfu.appkit.contract.model`` declares, or a zip of a package.

Without state, the function is called once for the rows of all assets. With state (it takes ``columns, dt, state``), it
is called for each asset, with None at first, and returns ``(columns, state)``.
"""

import importlib.machinery
import importlib.util
import inspect
import re
import sys
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np

from gongfu.reason.models.kinds.keeping import Keeping
from gongfu.reason.models.kinds.types import Computed, Evaluator, KindError, refused
from gongfu.reason.models.sandbox.types import Column, Description, FailureReason, PortFact, Rows
from gongfu.reason.models.types import ModelDefinition, ModelDefinitionError

_ARRAY = 1
_NAME = "gongfu_model"
_MOST_UNPACKED = 50 << 20
_MODULE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*/)*[A-Za-z_][A-Za-z0-9_]*\.py", re.ASCII)


def told(error: BaseException, file: str) -> str:
    """Return what a model raised, for people: type, message, and the line of the model's own file."""
    line = ""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(file):
            line = f" (line {trace.tb_lineno})"
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.lineno is not None:
        line = f" (line {error.lineno})"
        return f"SyntaxError: {error.msg}{line}"
    return f"{type(error).__name__}: {str(error)[:500]}{line}"


def load(artifact: Path, parameters: Mapping[str, float], scratch: Path) -> Evaluator:
    """Import the file, or the package that is unpacked into ``scratch``, and return its one model.

    Raises:
        KindError: it cannot be imported, or declares no model or several.
    """
    definition, place = _definition(artifact, scratch)
    names = {each.name: each for each in getattr(definition, "parameters", ())}
    unknown = sorted(set(parameters) - set(names))
    if unknown:
        raise refused(f"the model has no parameter {unknown[0]!r}")
    function: Callable[..., Any] = definition.function
    positional = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) and each.default is each.empty
    ]
    if names:
        values = {name: float(each.default) for name, each in names.items()} | dict(parameters)
        function = partial(function, **values)
        positional = [each for each in positional if each.name not in names]
    if len(positional) not in (2, 3):
        raise refused("the function takes (columns, dt), or (columns, dt, state) when it keeps state")
    if len(positional) == 2:
        return Stateless(definition, function, str(place))
    return Stateful(definition, function, str(place))


def _definition(artifact: Path, scratch: Path) -> tuple[ModelDefinition, Path]:
    packed = zipfile.is_zipfile(artifact)
    place = scratch / "package" if packed else artifact
    try:
        module = _package(artifact, place) if packed else _file(artifact)
    except ModelDefinitionError as error:
        raise refused(f"the model is declared wrongly: {error}") from None
    except KindError:
        raise
    except Exception as error:
        raise refused(f"the file cannot be imported: {told(error, str(place))}") from error
    found = {id(each): each for each in vars(module).values() if isinstance(each, ModelDefinition)}
    if not found:
        raise refused("the file declares no model; decorate a function with gongfu.appkit.contract.model")
    if len(found) > 1:
        ids = ", ".join(sorted(each.id for each in found.values()))
        raise refused(f"the file declares {len(found)} models ({ids}); a file holds one")
    return next(iter(found.values())), place


def _file(artifact: Path) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader(_NAME, str(artifact))
    spec = importlib.util.spec_from_loader(_NAME, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    loader.exec_module(module)
    return module


def _package(artifact: Path, place: Path) -> ModuleType:
    """A zip is a package; its file MODEL names the one that declares the model, such as ``models/pump.py``."""
    with zipfile.ZipFile(artifact) as packed:
        if "MODEL" not in packed.namelist():
            raise refused("the zip has no file MODEL that names the model's file")
        named = packed.read("MODEL").decode(errors="replace").strip()
        if named not in packed.namelist() or not _MODULE.fullmatch(named):
            raise refused(f"MODEL names {named[:100]!r}, which is no Python file of the zip")
        if sum(each.file_size for each in packed.infolist()) > _MOST_UNPACKED:
            raise refused(f"the package is larger than {_MOST_UNPACKED >> 20} MiB unpacked")
        # zipfile takes ".." and "/" out of names.
        packed.extractall(place)
    package = ModuleType(_NAME)
    package.__path__ = [str(place)]
    sys.modules[_NAME] = package
    return importlib.import_module(f"{_NAME}.{named.removesuffix('.py').replace('/', '.')}")


def _description(definition: ModelDefinition, has_state: bool) -> Description:
    def port(each: Any) -> PortFact:
        return PortFact(each.name, each.unit, each.description, each.point)

    return Description(
        kind="python",
        id=definition.id,
        version=definition.version,
        name=definition.name if isinstance(definition.name, str) else "",
        description=definition.description,
        inputs=tuple(port(each) for each in definition.inputs),
        outputs=tuple(port(each) for each in definition.outputs),
        has_state=has_state,
        tolerance_s=definition.tolerance_s,
        facts={"python": sys.version.split()[0], "numpy": np.__version__},
    )


class Stateless:
    """A function of columns, called once for all rows."""

    def __init__(self, definition: ModelDefinition, function: Callable[..., Any], file: str) -> None:
        self.description = _description(definition, False)
        self._function = function
        self._file = file

    def evaluate(self, rows: Rows, keep: bool) -> Computed:
        """See kinds.types.Evaluator."""
        del keep
        found = call(self._function, self._file, rows.columns, rows.dt)
        columns = checked(found, self.description, len(rows.times))
        return Computed(columns, [None] * len(rows.assets), {}, {})

    def states(self, assets: list[int]) -> list[bytes | None]:
        """There are none."""
        return [None] * len(assets)

    def let_go(self, but: set[int]) -> None:
        """There are none."""


class Stateful(Keeping[Any]):
    """A function of columns and state, called for each asset."""

    def __init__(self, definition: ModelDefinition, function: Callable[..., Any], file: str) -> None:
        super().__init__()
        self.description = _description(definition, True)
        self._function = function
        self._file = file

    def begin(self, asset: int) -> Any:
        """An asset begins with None."""
        del asset

    def restore(self, asset: int, state: bytes) -> Any:
        """See Keeping."""
        del asset
        return unpack(state)

    def save(self, live: Any) -> bytes:
        """See Keeping."""
        return pack(live)

    def open(self, rows: Rows) -> None:
        """See Keeping."""
        self._rows = rows
        self._columns = {port.name: np.full(len(rows.times), np.nan) for port in self.description.outputs}

    def run(self, live: Any, start: int, end: int) -> Any:
        """See Keeping."""
        part = slice(start, end)
        columns = {name: column[part] for name, column in self._rows.columns.items()}
        found = call(self._function, self._file, columns, self._rows.dt[part], live)
        if not isinstance(found, tuple) or len(found) != 2:  # pyright: ignore[reportUnknownArgumentType]
            raise KindError(FailureReason.SHAPE, "a model with state returns (columns, state)")
        results, state = found  # pyright: ignore[reportUnknownVariableType]
        for name, column in checked(results, self.description, end - start).items():
            self._columns[name][part] = column
        return state  # pyright: ignore[reportUnknownVariableType]

    def outputs(self) -> dict[str, Column]:
        """See Keeping."""
        return self._columns


def call(function: Callable[..., Any], file: str, *arguments: Any) -> Any:
    """Call a model's function.

    Raises:
        KindError: RAISED, or MEMORY when there was none left.
    """
    try:
        return function(*arguments)
    except MemoryError:
        raise KindError(FailureReason.MEMORY, "the model ran out of memory") from None
    except Exception as error:
        raise KindError(FailureReason.RAISED, told(error, file)) from error


def checked(found: Any, description: Description, rows: int) -> dict[str, Column]:
    """Return float64[rows] by output.

    Raises:
        KindError: SHAPE.
    """
    if not isinstance(found, Mapping):
        raise KindError(FailureReason.SHAPE, f"it returned {type(found).__name__}, not columns by output name")
    columns: dict[str, Column] = {}
    for port in description.outputs:
        if port.name not in found:
            raise KindError(FailureReason.SHAPE, f"it returned no column {port.name}")
        try:
            column = np.asarray(found[port.name], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise KindError(FailureReason.SHAPE, f"column {port.name} holds no numbers: {error}") from None
        if column.shape != (rows,):
            raise KindError(FailureReason.SHAPE, f"column {port.name} has shape {column.shape}, not ({rows},)")
        columns[port.name] = column
    return columns


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":  # pyright: ignore[reportUnknownMemberType]
        head = msgspec.msgpack.encode((value.dtype.str, value.shape))  # pyright: ignore[reportUnknownMemberType]
        return msgspec.msgpack.Ext(_ARRAY, len(head).to_bytes(4, "little") + head + value.tobytes())
    raise NotImplementedError(type(value).__name__)


def _decode(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise ValueError(f"extension {code}")
    end = 4 + int.from_bytes(data[:4], "little")
    kind, shape = msgspec.msgpack.decode(data[4:end], type=tuple[str, tuple[int, ...]])
    return np.frombuffer(data[end:], dtype=np.dtype(kind)).reshape(shape).copy()


def pack(state: Any) -> bytes:
    """Return a state of numbers, text, lists, dictionaries and NumPy arrays of numbers as bytes.

    Raises:
        KindError: SHAPE: it holds something else.
    """
    try:
        return msgspec.msgpack.encode(state, enc_hook=_encode)
    except (NotImplementedError, TypeError, OverflowError, RecursionError) as error:
        raise KindError(
            FailureReason.SHAPE, f"a state holds numbers, text, lists, dictionaries and arrays of numbers, not {error}"
        ) from None


def unpack(state: bytes) -> Any:
    """Return what :func:`pack` was given; tuples come back as lists.

    Raises:
        KindError: REFUSED: these bytes are no state.
    """
    try:
        return msgspec.msgpack.decode(state, ext_hook=_decode)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise refused(f"the stored state cannot be read: {error}") from None
