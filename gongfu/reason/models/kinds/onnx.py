"""ONNX graphs on onnxruntime's CPU provider, one thread: rows by columns in, rows by columns out.

An input of shape ``(rows)`` or ``(rows, 1)`` is a port; one of ``(rows, k)`` is k ports, named by the model's metadata
(``input_columns`` and ``output_columns``: a JSON list, or names with commas between them). Units stand in the metadata
``units``, a JSON object from port to UCUM code.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gongfu.reason.models.kinds.types import Computed, KindError, refused
from gongfu.reason.models.sandbox.types import Column, Description, FailureReason, PortFact, Rows

_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
_MOST_COLUMNS = 500
# Rows that go into the graph at once, so that its inner arrays stay small.
_PORTION = 65_536


class _Tensor(NamedTuple):
    """An input or output of the graph and the ports it is made of. ``flat``: shape (rows), not (rows, columns)."""

    name: str
    kind: type[np.generic]
    ports: list[str]
    flat: bool
    single: bool


def load(artifact: Path, parameters: Mapping[str, float]) -> "Onnx":
    """Load a graph.

    Raises:
        KindError: it is none, uses operators that are not known, or has other shapes than rows by columns.
    """
    try:
        import onnxruntime
    except ImportError:
        raise refused("ONNX models need the extra 'onnx' of gongfu (onnxruntime), which is not installed") from None
    if parameters:
        raise refused(f"an ONNX model has no parameters; {next(iter(parameters))!r} is given")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    try:
        session: Any = onnxruntime.InferenceSession(str(artifact), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime's errors have no common base.
        text = " ".join(str(error).replace(str(artifact), "the file").split())
        raise refused(f"not an ONNX model that can run here: {text[:500]}") from None
    return Onnx(session)


class Onnx:
    """A loaded graph; it has no state."""

    def __init__(self, session: Any) -> None:
        self._session = session
        found = session.get_modelmeta()
        metadata: dict[str, str] = dict(found.custom_metadata_map)
        warnings: list[str] = []
        taken: set[str] = set()
        names = _listed(metadata.get("input_columns") or metadata.get("columns") or "", "input_columns")
        self._inputs = _tensors(session.get_inputs(), names, taken, warnings, True)
        names = _listed(metadata.get("output_columns", ""), "output_columns")
        self._outputs = _tensors(session.get_outputs(), names, set(), warnings, False)
        if not self._outputs:
            raise refused("the model has no output of shape (rows) or (rows, columns) with numbers: " + warnings[0])
        units = _units(metadata.get("units", ""))
        self.description = Description(
            kind="onnx",
            version=str(found.version or ""),
            name=str(found.graph_name or ""),
            description=str(found.description or found.graph_description or ""),
            inputs=tuple(_port(name, units, warnings) for each in self._inputs for name in each.ports),
            outputs=tuple(_port(name, units, warnings) for each in self._outputs for name in each.ports),
            facts={"producer": str(found.producer_name or "unknown"), "runtime": "onnxruntime, CPU, one thread"},
            warnings=tuple(warnings),
        )

    def evaluate(self, rows: Rows, keep: bool) -> Computed:
        """See kinds.types.Evaluator."""
        del keep
        n = len(rows.times)
        columns: dict[str, Column] = {port.name: np.empty(n) for port in self.description.outputs}
        portion = 1 if any(each.single for each in self._inputs) else _PORTION
        for start in range(0, n, portion):
            self._run(rows.columns, slice(start, min(start + portion, n)), columns)
        return Computed(columns, [None] * len(rows.assets), {}, {})

    def _run(self, given: Mapping[str, Column], part: slice, into: Mapping[str, Column]) -> None:
        feed = {each.name: _fed(each, [given[name][part] for name in each.ports]) for each in self._inputs}
        try:
            found = self._session.run([each.name for each in self._outputs], feed)
        except Exception as error:
            text = " ".join(str(error).split())
            raise KindError(FailureReason.RAISED, f"the graph failed: {text[:500]}") from None
        n = part.stop - part.start
        for each, values in zip(self._outputs, found, strict=True):
            table = np.asarray(values)
            if table.size != n * len(each.ports):
                shape = f"{table.shape}, not {n} rows of {len(each.ports)}"
                raise KindError(FailureReason.SHAPE, f"output {each.name} has shape {shape}")
            table = table.reshape(n, len(each.ports))
            for index, name in enumerate(each.ports):
                into[name][part] = table[:, index]

    def states(self, assets: list[int]) -> list[bytes | None]:
        """There are none."""
        return [None] * len(assets)

    def let_go(self, but: set[int]) -> None:
        """There are none."""


def _fed(tensor: _Tensor, columns: Sequence[Column]) -> Any:
    table = columns[0] if tensor.flat else np.stack(columns, axis=1)
    if tensor.kind is np.bool_:
        return table != 0
    if np.issubdtype(tensor.kind, np.integer):
        # NaN has no integer: 0, as nothing better can be said; the row's quality is the host's.
        return np.rint(np.nan_to_num(table, nan=0.0, posinf=0.0, neginf=0.0)).astype(tensor.kind)
    return table.astype(tensor.kind)


def _tensors(
    nodes: Sequence[Any], names: list[str], taken: set[str], warnings: list[str], inputs: bool
) -> list[_Tensor]:
    what = "input" if inputs else "output"
    found: list[_Tensor] = []
    wide = [node for node in nodes if len(node.shape) == 2 and node.shape[1] != 1]
    for node in nodes:
        shape = tuple(node.shape)
        reason = _unfit(node, shape)
        if reason:
            if inputs:
                raise refused(f"{what} {node.name}: {reason}")
            warnings.append(f"output {node.name} is not offered: {reason}")
            continue
        count = shape[1] if len(shape) == 2 else 1
        if count == 1:
            ports = [_name(node.name, taken)]
        elif len(wide) == 1 and names:
            if len(names) != count:
                raise refused(f"{what}_columns has {len(names)} names; {what} {node.name} has {count} columns")
            ports = [_name(name, taken) for name in names]
        else:
            ports = [_name(f"{node.name}_{index + 1}", taken) for index in range(count)]
            warnings.append(f"{what} {node.name} has {count} columns without names (metadata {what}_columns)")
        single = isinstance(shape[0], int) and shape[0] == 1
        found.append(_Tensor(node.name, _TYPES[node.type], ports, len(shape) == 1, single))
    return found


def _unfit(node: Any, shape: tuple[Any, ...]) -> str:
    if node.type not in _TYPES:
        return f"its type is {node.type}; numbers and booleans are offered"
    if len(shape) not in (1, 2):
        return f"its shape is {shape}; (rows) and (rows, columns) are offered"
    if isinstance(shape[0], int) and shape[0] != 1:
        return f"it takes {shape[0]} rows at a time; the number of rows must be free, or 1"
    if len(shape) == 2 and not isinstance(shape[1], int):
        return f"its number of columns, {shape[1]!r}, is not fixed"
    if len(shape) == 2 and not 1 <= shape[1] <= _MOST_COLUMNS:
        return f"it has {shape[1]} columns; 1 to {_MOST_COLUMNS} are offered"
    return ""


def _name(name: str, taken: set[str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:80] or "column"
    if not plain[0].isalpha():
        plain = f"c_{plain}"
    found, number = plain, 2
    while found in taken:
        found, number = f"{plain}_{number}", number + 1
    taken.add(found)
    return found


def _listed(text: str, what: str) -> list[str]:
    text = text.strip()
    if not text.startswith("["):
        return [each.strip() for each in text.split(",")] if text else []
    try:
        found = json.loads(text)
    except ValueError:
        raise refused(f"the metadata {what} is no JSON list") from None
    return [str(each) for each in found]


def _units(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise refused("the metadata units is no JSON object from port to unit")
    return {str(name): str(unit) for name, unit in found.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _port(name: str, units: Mapping[str, str], warnings: list[str]) -> PortFact:
    if name not in units:
        warnings.append(f"{name} states no unit (metadata units); taken as 1")
    return PortFact(name, units.get(name, "1"))
