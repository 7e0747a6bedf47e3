"""A version of a model as data: what is registered, stored, shown and run. Pure."""

import math
import re
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from gongfu.kernel.units import UnitError, check_unit, convert_factor
from gongfu.reason.models.sandbox.types import Limits
from gongfu.reason.models.types import ModelDefinition, ModelDefinitionError, Port

MAX_PORTS = 200
MAX_PARAMETERS = 200
DAY_S = 86_400.0
# A held value fills at most so many steps (``step_s``).
MAX_HELD_STEPS = 10_000
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*$", re.ASCII)
_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})$", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*$", re.ASCII)


class Kind(StrEnum):
    """What the artifact is."""

    PYTHON = "python"
    FMU = "fmu"
    ONNX = "onnx"
    TABLE = "table"
    SQL = "sql"


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A title for people, in Chinese and English; one of the two may be empty."""

    zh: str = ""
    en: str = ""

    def any(self) -> str:
        """Return the English title, else the Chinese one."""
        return self.en or self.zh


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a binding or a call may set once, before the first row.

    Attributes:
        name: letters, digits and ``_``.
        unit: UCUM code.
        default: value when nobody sets it.
        minimum: least value, None for no bound.
        maximum: greatest value, None for no bound.
        description: one line for people.
    """

    name: str
    unit: str = "1"
    default: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one caller may ask of a model as a service in a minute; beyond it: 429."""

    calls_per_minute: int = 600
    rows_per_minute: int = 10_000_000


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of a model.

    Attributes:
        id: dotted lower-case name; unique in its tenant, and none of the shipped ones.
        version: semantic version ``major.minor.patch``; a version never changes.
        kind: what the artifact is.
        name: title for people.
        description: what it computes, from which law or source.
        inputs: input ports, scalar float64 each; a SQL model may have none.
        outputs: output ports; each becomes a point of the bound asset, with the port's unit.
        parameters: see ``Parameter``.
        tolerance_s: how old (source time) the last known sample of another input may be; 0 asks for samples of all
            inputs at exactly the same time. With ``step_s``: how long a value is held; 0 is 10 steps, at least 60 s.
        wait_s: how long (source time) a row waits for samples of other inputs that come later than newer ones; up to
            that disorder the rows do not depend on the order of arrival.
        step_s: rows at every whole multiple of this since 1970 with the values then held (zero-order hold), for dynamic
            models; None: a row wherever inputs have samples. A SQL model runs at this period.
        state: outputs depend on earlier rows; the host keeps the state by asset.
        limits: limits of one call (``sandbox.types.Limits``).
        quota: limits of callers.
        sha256: of the artifact, hexadecimal; names it in the object store.
        owner: empty, ``app:<id>``, or ``shipped`` for the models that come with Gongfu.
        provenance: who made it from what, in words.
    """

    id: str
    version: str
    kind: Kind
    name: Words = Words()
    description: str = ""
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    tolerance_s: float = 0.0
    wait_s: float = 0.0
    step_s: float | None = None
    state: bool = False
    limits: Limits = msgspec.field(default_factory=Limits)
    quota: Quota = Quota()
    sha256: str = ""
    owner: str = ""
    provenance: dict[str, str] = msgspec.field(default_factory=dict[str, str])

    @property
    def hold_s(self) -> float:
        """With ``step_s``: how long a value is held."""
        step = self.step_s or 0.0
        return self.tolerance_s or max(10 * step, 60.0)


def check_spec(spec: ModelSpec) -> None:
    """Check everything that can be known of a version without its artifact.

    Raises:
        ModelDefinitionError: the first thing that is wrong; the message says what to change.
    """
    if not _IDENTIFIER.match(spec.id) or len(spec.id) > 120:
        raise ModelDefinitionError(f"model id {spec.id[:130]!r} must be dotted lower-case words of a-z, 0-9 and -")
    if not _VERSION.match(spec.version):
        raise ModelDefinitionError(f"version of {spec.id} must be major.minor.patch, not {spec.version[:40]!r}")
    if not spec.outputs or not (spec.inputs or spec.kind is Kind.SQL):
        raise ModelDefinitionError(f"model {spec.id} needs at least one input and one output port")
    if len(spec.inputs) > MAX_PORTS or len(spec.outputs) > MAX_PORTS or len(spec.parameters) > MAX_PARAMETERS:
        raise ModelDefinitionError(f"model {spec.id} has more than {MAX_PORTS} ports or parameters")
    for what, name in (("tolerance_s", spec.tolerance_s), ("wait_s", spec.wait_s)):
        if not 0 <= name <= DAY_S:
            raise ModelDefinitionError(f"{what} of {spec.id} must be 0 to 86400 seconds")
    _check_step(spec)
    for ports in (spec.inputs, spec.outputs):
        _once([port.name for port in ports], f"model {spec.id} names a port twice")
        for port in ports:
            _unit(f"port {port.name}", port.unit)
    _once([port.point for port in spec.outputs], f"model {spec.id} writes one point twice")
    _once([item.name for item in spec.parameters], f"model {spec.id} names a parameter twice")
    for item in spec.parameters:
        if not _NAME.match(item.name):
            raise ModelDefinitionError(f"parameter {item.name!r} must be letters, digits and _, starting with a letter")
        _unit(f"parameter {item.name}", item.unit)
        _within(item, item.default)
    quota = spec.quota
    if not (1 <= quota.calls_per_minute <= 1_000_000 and 1 <= quota.rows_per_minute <= 10**12):
        raise ModelDefinitionError(f"the quota of {spec.id} must be positive")


def _check_step(spec: ModelSpec) -> None:
    step = spec.step_s
    if step is None:
        if spec.kind is Kind.SQL:
            raise ModelDefinitionError(f"model {spec.id} needs step_s: how often its statement runs, 10 s or more")
        return
    if not 0.001 <= step <= DAY_S:
        raise ModelDefinitionError(f"step_s of {spec.id} must be 0.001 to 86400 seconds")
    if spec.kind is Kind.SQL and step < 10:
        raise ModelDefinitionError(f"step_s of {spec.id} must be 10 s or more: a statement runs each time")
    if spec.hold_s > MAX_HELD_STEPS * step:
        raise ModelDefinitionError(f"tolerance_s of {spec.id} holds a value for more than {MAX_HELD_STEPS} steps")


def _once(names: list[str], text: str) -> None:
    if len(set(names)) != len(names):
        raise ModelDefinitionError(text)


def _unit(what: str, unit: str) -> None:
    try:
        check_unit(unit)
    except UnitError as error:
        raise ModelDefinitionError(f"{what}: {error}") from None


def _within(item: Parameter, value: float) -> None:
    low, high = item.minimum, item.maximum
    if not (math.isfinite(value) and (low is None or value >= low) and (high is None or value <= high)):
        bounds = f"{'-' if low is None else low} to {'-' if high is None else high}"
        raise ModelDefinitionError(f"parameter {item.name} is {value:g}, but must be {bounds} {item.unit}")


def parameter_values(
    spec: ModelSpec, given: Mapping[str, float], units: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Return the value of every parameter: what was given, converted from the caller's unit, else the default.

    Raises:
        ModelDefinitionError: there is no such parameter, its unit does not convert, or the value is out of bounds.
    """
    known = {item.name: item for item in spec.parameters}
    unknown = sorted(set(given) - set(known))
    if unknown:
        has = ", ".join(known) or "none"
        raise ModelDefinitionError(f"model {spec.id} has no parameter {unknown[0][:80]!r}; it has {has}")
    values: dict[str, float] = {}
    for name, item in known.items():
        value = float(given.get(name, item.default))
        unit = (units or {}).get(name, item.unit)
        if name in given and unit != item.unit:
            try:
                conversion = convert_factor(unit, item.unit)
            except UnitError as error:
                raise ModelDefinitionError(f"parameter {name}: {error}") from None
            value = value * conversion.factor + conversion.offset
        _within(item, value)
        values[name] = value
    return values


def spec_of(definition: ModelDefinition, *, owner: str = "shipped", sha256: str = "") -> ModelSpec:
    """Return a model that an app's module declares, as data."""
    return ModelSpec(
        id=definition.id,
        version=definition.version,
        kind=Kind.PYTHON,
        name=Words(en=definition.name),
        description=definition.description,
        inputs=definition.inputs,
        outputs=definition.outputs,
        tolerance_s=definition.tolerance_s,
        owner=owner,
        sha256=sha256,
    )


def version_key(version: str) -> tuple[int, ...]:
    """Return what sorts semantic versions; the newest is the greatest."""
    return tuple(int(part) for part in version.split("."))
