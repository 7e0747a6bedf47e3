"""Columns of a call of a model, checked and converted at the caller before anything leaves it. Pure."""

import math
from collections.abc import Mapping

import msgspec

from gongfu.appkit.calls.documents import ColumnIn, Terms
from gongfu.kernel.errors import Problem
from gongfu.kernel.units import UnitError, convert_factor


class ModelCall(msgspec.Struct, frozen=True, kw_only=True):
    """What travels for a model: float64 columns of one length in the units of its ports; NaN travels as null."""

    columns: dict[str, list[float | None]]
    parameters: dict[str, float] = {}


def _wrong(code: str, detail: str) -> Problem:
    return Problem(400, code, "The call does not fit the offered model", detail)


def model_call(terms: Terms, columns: Mapping[str, ColumnIn], parameters: Mapping[str, float]) -> tuple[ModelCall, int]:
    """Return what travels, and the number of rows.

    Args:
        terms: with the ports of the model.
        columns: by port, in any unit of the port's quantity.
        parameters: by name.

    Raises:
        Problem: 400 ``port-unknown``, ``port-missing``, ``shape-wrong`` or ``unit-mismatch``.
    """
    ports = {port.name: port for port in terms.inputs}
    if unknown := sorted(set(columns) - set(ports)):
        raise _wrong("port-unknown", f"{unknown[0]!r}; the model has {', '.join(ports)}")
    if missing := sorted(set(ports) - set(columns)):
        raise _wrong("port-missing", f"{missing[0]!r} in {ports[missing[0]].unit}")
    lengths = {len(column.values) for column in columns.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise _wrong("shape-wrong", f"columns have one length, at least 1, not {sorted(lengths)}")
    converted: dict[str, list[float | None]] = {}
    for name, column in columns.items():
        try:
            conversion = convert_factor(column.unit, ports[name].unit)
        except UnitError as error:
            raise _wrong("unit-mismatch", f"{name}: {error}") from None
        factor, offset = conversion.factor, conversion.offset
        converted[name] = [
            None if value is None or not math.isfinite(value) else value * factor + offset for value in column.values
        ]
    return ModelCall(columns=converted, parameters=dict(parameters)), lengths.pop()
