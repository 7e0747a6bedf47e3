"""What an FMU says of itself: ports, parameters, units, and what is not offered."""

import math
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, parse

from gongfu.reason.models.kinds.fmi.units import BASES, Definition, ucum
from gongfu.reason.models.kinds.types import refused
from gongfu.reason.models.sandbox.types import Description, ParameterFact, PortFact

_MOST_UNPACKED = 200 << 20
_MOST_FILES = 5000
_MOST_PORTS = 500
_OFFERED = frozenset(
    [
        *("Real", "Integer", "Boolean", "Enumeration", "Float64", "Float32"),
        *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
    ]
)
_FOLDERS = {"2": "linux64", "3": "x86_64-linux"}


class Variable(NamedTuple):
    """A scalar variable: ``port`` is its name as a port, ``type`` the FMI type that its functions are named by."""

    port: str
    name: str
    reference: int
    type: str


class Unit(NamedTuple):
    """An unpacked FMU that can run here.

    Attributes:
        model: FMPy's model description.
        folder: where it is unpacked.
        version: 2 or 3.
        exchange: it is run by model exchange, else co-simulation.
        interface: FMPy's element of that interface.
        inputs: input variables.
        outputs: output variables.
        parameters: parameter variables.
        description: as the platform shows it.
        step_s: step of the default experiment, or the fixed internal one; None when none is stated.
        variable_step: steps may be of any length.
        tolerance: relative tolerance of the default experiment, None when none is stated.
    """

    model: Any
    folder: Path
    version: int
    exchange: bool
    interface: Any
    inputs: list[Variable]
    outputs: list[Variable]
    parameters: list[Variable]
    description: Description
    step_s: float | None
    variable_step: bool
    tolerance: float | None


def unpack(artifact: Path, folder: Path) -> Path:
    """Unpack an FMU into a folder and return it.

    Raises:
        KindError: it is no zip, has no modelDescription.xml, or is too large when unpacked.
    """
    try:
        with zipfile.ZipFile(artifact) as packed:
            entries = packed.infolist()
            if sum(each.file_size for each in entries) > _MOST_UNPACKED or len(entries) > _MOST_FILES:
                raise refused(f"the FMU is larger than {_MOST_UNPACKED >> 20} MiB or {_MOST_FILES} files unpacked")
            if "modelDescription.xml" not in {each.filename for each in entries}:
                raise refused("not an FMU: there is no modelDescription.xml at the top of the zip")
            # zipfile takes ".." and "/" out of names.
            packed.extractall(folder)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise refused(f"not an FMU: it is no readable zip file ({error})") from None
    except OSError as error:
        raise refused(f"the FMU cannot be unpacked: {error.strerror or error}") from None
    return folder


def read(folder: Path) -> Unit:
    """Read the model description of an unpacked FMU and look for what runs here.

    Raises:
        KindError: the description is wrong, or nothing in the FMU can run on this machine.
    """
    model = _model(folder)
    version = int(str(model.fmiVersion).split(".")[0])
    exchange = model.coSimulation is None
    interface = model.modelExchange if exchange else model.coSimulation
    if interface is None:
        raise refused("the FMU offers neither co-simulation nor model exchange (scheduled execution is not run)")
    _look_for_binary(folder, _FOLDERS[str(version)], interface.modelIdentifier)
    warnings: list[str] = []
    units = _units(model)
    ports: dict[str, list[tuple[Variable, Any]]] = {"input": [], "output": [], "parameter": []}
    taken: dict[str, set[str]] = {"input": set(), "output": set(), "parameter": set()}
    left: list[str] = []
    for each in model.modelVariables:
        if each.causality not in ports:
            continue
        if each.type not in _OFFERED or each.dimensions or each.shape:
            left.append(f"{each.causality} {each.name} ({'array' if each.dimensions else each.type})")
            continue
        name = _port_name(each.name, taken[each.causality])
        ports[each.causality].append((Variable(name, each.name, each.valueReference, each.type), each))
    if left:
        more = f" and {len(left) - 10} more" if len(left) > 10 else ""
        warnings.append(f"not offered, as only scalar numbers and booleans are ports: {', '.join(left[:10])}{more}")
    if not ports["output"]:
        raise refused("the FMU has no scalar output to offer")
    if max(map(len, ports.values())) > _MOST_PORTS:
        raise refused(f"the FMU has more than {_MOST_PORTS} inputs, outputs or parameters")

    def fact(pair: tuple[Variable, Any]) -> PortFact:
        variable, declared = pair
        unit = _unit(declared, units, warnings)
        text = declared.description or ""
        if variable.port != variable.name:
            text = f"{text} (FMU variable {variable.name})".strip()
        return PortFact(variable.port, unit, text[:300])

    experiment = model.defaultExperiment
    step = _number(getattr(interface, "fixedInternalStepSize", None)) or _number(experiment and experiment.stepSize)
    varies = exchange or bool(interface.canHandleVariableCommunicationStepSize)
    serialises = bool(interface.canGetAndSetFMUstate and interface.canSerializeFMUstate)
    description = Description(
        kind="fmu",
        version=str(model.version or "")[:60],
        name=str(model.modelName or "")[:200],
        description=str(model.description or "")[:2000],
        inputs=tuple(fact(each) for each in ports["input"]),
        outputs=tuple(fact(each) for each in ports["output"]),
        parameters=tuple(_parameter(each, units, warnings) for each in ports["parameter"]),
        has_state=True,
        facts={
            "FMI version": str(model.fmiVersion),
            "interface": "model exchange" if exchange else "co-simulation",
            "generation tool": str(model.generationTool or "unknown")[:100],
            "state": "serialised" if serialises else "replayed",
            "step": "any" if varies else f"{step:g} s" if step else "any (the FMU states none)",
        },
        warnings=tuple(dict.fromkeys(warnings)),
    )
    inputs, outputs, parameters = ([each for each, _ in ports[kind]] for kind in ("input", "output", "parameter"))
    tolerance = _number(experiment and experiment.tolerance)
    return Unit(
        model, folder, version, exchange, interface, inputs, outputs, parameters, description, step, varies, tolerance
    )


def _model(folder: Path) -> Any:
    import fmpy.model_description

    try:
        root: Any = parse(folder / "modelDescription.xml").getroot()
        version = str(root.get("fmiVersion") or "none")
    except (ParseError, DefusedXmlException, OSError, ValueError) as error:
        raise refused(f"modelDescription.xml cannot be read: {error}") from None
    if root.tag != "fmiModelDescription" or not version.startswith(("2.", "3.")):
        raise refused(f"FMI version {version[:20]!r} is not supported; 2.0 and 3.0 are")
    try:
        return fmpy.model_description.read_model_description(str(folder))
    except fmpy.model_description.ValidationError as error:
        text = " ".join(str(error).split())
        raise refused(f"modelDescription.xml is not valid: {text[:500]}") from None
    except Exception as error:
        # FMPy raises bare exceptions for what the schema does not say.
        raise refused(f"modelDescription.xml is not valid: {type(error).__name__}: {str(error)[:500]}") from None


def _look_for_binary(folder: Path, wanted: str, identifier: str) -> None:
    if (folder / "binaries" / wanted / f"{identifier}.so").is_file():
        return
    there = sorted(each.name for each in (folder / "binaries").glob("*") if each.is_dir())
    if (folder / "binaries" / wanted).is_dir():
        raise refused(f"the FMU has no binaries/{wanted}/{identifier}.so")
    if there:
        raise refused(f"the FMU has no binary for Linux ({wanted}); it has {', '.join(there[:8])}")
    raise refused("the FMU has no binaries at all, only sources: build it for Linux first")


def _port_name(name: str, taken: set[str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:80] or "variable"
    if not plain[0].isalpha():
        plain = f"v_{plain}"
    found, number = plain, 2
    while found in taken:
        found, number = f"{plain}_{number}", number + 1
    taken.add(found)
    return found


def _units(model: Any) -> dict[str, Definition | None]:
    found: dict[str, Definition | None] = {}
    for unit in model.unitDefinitions:
        base = unit.baseUnit
        found[unit.name] = base and Definition(
            {name: int(getattr(base, name)) for name in BASES}, float(base.factor), float(base.offset)
        )
    return found


def _unit(declared: Any, units: dict[str, Definition | None], warnings: list[str]) -> str:
    name = declared.unit or (declared.declaredType and declared.declaredType.unit)
    if not name:
        if declared.type in ("Real", "Float64", "Float32"):
            warnings.append(f"{declared.name} states no unit; taken as 1")
        return "1"
    code, warning = ucum(name, units.get(name))
    if warning:
        warnings.append(warning)
    return code


def _parameter(pair: tuple[Variable, Any], units: dict[str, Definition | None], warnings: list[str]) -> ParameterFact:
    variable, declared = pair
    low, high = _number(declared.min), _number(declared.max)
    return ParameterFact(
        variable.port,
        _unit(declared, units, warnings),
        _number(declared.start) or 0.0,
        low,
        high,
        (declared.description or "")[:300],
    )


def _number(text: Any) -> float | None:
    if text is None:
        return None
    if str(text).lower() in ("true", "false"):
        return 1.0 if str(text).lower() == "true" else 0.0
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def choose(parameters: Iterable[Variable], given: dict[str, float]) -> list[tuple[Variable, float]]:
    """Return the parameters that are set, with their values.

    Raises:
        KindError: a value is given for what is no parameter.
    """
    known = {each.port: each for each in parameters}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise refused(f"the FMU has no parameter {unknown[0]!r}; it has {', '.join(sorted(known)) or 'none'}")
    return [(known[name], value) for name, value in given.items()]
