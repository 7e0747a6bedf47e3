"""Mechanism model: a versioned, pure function from columns to columns with unit-checked ports."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

# (columns by input port, dt) -> columns by output port; every array is float64[n] of one n.
ModelFunction = Callable[[Mapping[str, Column], Column], Mapping[str, Column]]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*$", re.ASCII)
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*$", re.ASCII)
_VERSION = re.compile(r"\d+\.\d+\.\d+$", re.ASCII)


class ModelDefinitionError(ValueError):
    """A model is declared wrongly; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a model.

    Attributes:
        name: name of the column, a Python identifier; unique among the model's inputs and among its outputs.
        unit: UCUM code of the values the function takes or gives, such as ``Cel``, ``kPa``, ``m3/h``, ``1``.
        point: default point, relative to the asset the model is bound to: a point name of the asset
            (``reactor temperature``) or ``child asset/point name``. Default: ``name``. A binding may choose another.
        description: one line for people.
    """

    name: str
    unit: str
    point: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ModelDefinitionError(f"port name {self.name!r} must be letters, digits and _, starting with a letter")
        if not self.unit:
            raise ModelDefinitionError(f"port {self.name} needs a UCUM unit; a pure number has the unit '1'")
        if not self.point:
            object.__setattr__(self, "point", self.name)


@dataclass(frozen=True, slots=True)
class ModelDefinition:
    """A model as declared by an app.

    Attributes:
        id: dotted lower-case name, unique on the node, such as ``tennessee-eastman.energy-balance``.
        version: semantic version ``major.minor.patch`` of the model.
        name: title for people.
        description: what it computes, and from which law or source.
        inputs: input ports.
        outputs: output ports; each becomes a point of the bound asset, with the port's unit.
        function: the pure function.
        tolerance_s: how old (source time, seconds) the last known sample of an input may be when a sample of another
            input arrives. 0 asks for samples of all inputs at exactly the same source time.
    """

    id: str
    version: str
    name: str
    description: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    function: ModelFunction = field(repr=False)
    tolerance_s: float = 0.0

    def __post_init__(self) -> None:
        if not _IDENTIFIER.match(self.id) or len(self.id) > 120:
            raise ModelDefinitionError(f"model id {self.id!r} must be dotted lower-case words of a-z, 0-9 and -")
        if not _VERSION.match(self.version):
            raise ModelDefinitionError(f"version of {self.id} must be major.minor.patch, not {self.version!r}")
        if not self.inputs or not self.outputs:
            raise ModelDefinitionError(f"model {self.id} needs at least one input and one output port")
        if not 0 <= self.tolerance_s <= 86_400:
            raise ModelDefinitionError(f"tolerance_s of {self.id} must be 0 to 86400 seconds")
        for ports in (self.inputs, self.outputs):
            names = [port.name for port in ports]
            if len(set(names)) != len(names):
                raise ModelDefinitionError(f"model {self.id} names a port twice")
        points = [port.point for port in self.outputs]
        if len(set(points)) != len(points):
            raise ModelDefinitionError(f"model {self.id} writes one point twice")
