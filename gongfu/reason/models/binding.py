"""Binding: which points are the ports of a model at an asset, and how their units convert. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gongfu.kernel.points import ValueType
from gongfu.kernel.units import IDENTITY, Conversion, UnitError, convert_factor
from gongfu.reason.models.types import Port

_NUMERIC = frozenset({ValueType.DOUBLE, ValueType.INT64, ValueType.BOOLEAN})


class Ported(Protocol):
    """What binding asks of a model: ``ModelSpec`` and ``ModelDefinition`` have it."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Input ports."""
        ...

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Output ports."""
        ...


@dataclass(frozen=True, slots=True)
class PointFound:
    """A point that a port may be bound to; ``unit`` is empty when it declares none."""

    series: int
    unit: str
    value_type: ValueType


@dataclass(frozen=True, slots=True)
class BoundPort:
    """A port with its series; ``conversion`` goes from point to port for inputs, from port to point for outputs."""

    name: str
    series: int
    conversion: Conversion


@dataclass(slots=True)
class Check:
    """What came of looking at the ports.

    Attributes:
        bound: ports that fit.
        missing: points that are not there yet, in words.
        refused: what makes the binding impossible as it is, in words.
    """

    bound: list[BoundPort] = field(default_factory=list[BoundPort])
    missing: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])


def port_paths(ports: tuple[Port, ...], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the point path of each port, by port name: the one chosen in the binding, else the port's own."""
    return {port.name: chosen.get(port.name) or port.point for port in ports}


def check_inputs(
    definition: Ported,
    chosen: Mapping[str, str],
    found: Mapping[str, PointFound],
    assume_units: bool,
) -> Check:
    """Return which inputs fit.

    Args:
        definition: the model.
        chosen: point path by port name, where it is not the port's own.
        found: the points that are there, by path.
        assume_units: take a point without a unit to have the port's.
    """
    check = Check()
    paths = port_paths(definition.inputs, chosen)
    for port in definition.inputs:
        path = paths[port.name]
        point = found.get(path)
        if point is None:
            check.missing.append(f"input {port.name}: there is no point {path!r} yet")
        elif point.value_type not in _NUMERIC:
            check.refused.append(
                f"input {port.name}: point {path!r} holds {point.value_type.label} values, not numbers"
            )
        elif not point.unit and not assume_units:
            check.refused.append(
                f"input {port.name}: point {path!r} declares no unit; declare it (the port takes {port.unit}), "
                "or bind with assume_units"
            )
        else:
            _convert(check, port, path, point, point.unit or port.unit, port.unit)
    return check


def check_output(check: Check, port: Port, point: PointFound, inputs: list[BoundPort]) -> None:
    """Add an output port, whose point is there, to a check."""
    path = port.point
    if point.value_type is not ValueType.DOUBLE:
        check.refused.append(f"output {port.name}: point {path!r} holds {point.value_type.label}, not double")
    elif any(item.series == point.series for item in inputs):
        check.refused.append(f"output {port.name}: point {path!r} is also an input")
    else:
        _convert(check, port, path, point, port.unit, point.unit or port.unit)


def _convert(check: Check, port: Port, path: str, point: PointFound, source: str, target: str) -> None:
    try:
        conversion = IDENTITY if source == target else convert_factor(source, target)
    except UnitError as error:
        check.refused.append(f"port {port.name}, point {path!r}: {error}")
    else:
        check.bound.append(BoundPort(port.name, point.series, conversion))
