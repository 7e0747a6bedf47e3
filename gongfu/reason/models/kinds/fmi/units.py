"""Units of FMUs in UCUM. Pure.

An FMU names its units as its author likes, and defines them by exponents of SI base units (FMI 2.0 §2.2.2, FMI 3.0
§2.4.3). A name that is written in the table, or is UCUM by its look, is taken when its definition does not speak
against it; else the definition itself is written in UCUM, when it has factor 1 and no offset.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

BASES = ("kg", "m", "s", "A", "K", "mol", "cd", "rad")

# Names in use by Modelica, Simulink and pythonfmu whose UCUM is another.
_NAMES = {
    "": "1",
    "-": "1",
    "1": "1",
    "degC": "Cel",
    "°C": "Cel",
    "degF": "[degF]",
    "degK": "K",
    "rpm": "/min",
    "rev/min": "/min",
    "1/min": "/min",
    "1/s": "/s",
    "1/h": "/h",
    "Ohm": "Ohm",
    "ohm": "Ohm",
    "Nm": "N.m",
    "N*m": "N.m",
    "Ws": "W.s",
    "kWh": "kW.h",
    "hour": "h",
    "sec": "s",
    "l": "L",
    "l/min": "L/min",
    "l/s": "L/s",
    "l/h": "L/h",
    "psi": "[psi]",
    "inch": "[in_i]",
    "ft": "[ft_i]",
    "percent": "%",
    "ppm": "[ppm]",
}

# UCUM units that name or table above may come to: exponents of the bases, factor and offset to SI.
_KNOWN: dict[str, tuple[dict[str, int], float, float]] = {
    "1": ({}, 1.0, 0.0),
    "Cel": ({"K": 1}, 1.0, 273.15),
    "K": ({"K": 1}, 1.0, 0.0),
    "m": ({"m": 1}, 1.0, 0.0),
    "s": ({"s": 1}, 1.0, 0.0),
    "min": ({"s": 1}, 60.0, 0.0),
    "h": ({"s": 1}, 3600.0, 0.0),
    "d": ({"s": 1}, 86400.0, 0.0),
    "kg": ({"kg": 1}, 1.0, 0.0),
    "g": ({"kg": 1}, 1e-3, 0.0),
    "t": ({"kg": 1}, 1e3, 0.0),
    "Pa": ({"kg": 1, "m": -1, "s": -2}, 1.0, 0.0),
    "kPa": ({"kg": 1, "m": -1, "s": -2}, 1e3, 0.0),
    "MPa": ({"kg": 1, "m": -1, "s": -2}, 1e6, 0.0),
    "bar": ({"kg": 1, "m": -1, "s": -2}, 1e5, 0.0),
    "N": ({"kg": 1, "m": 1, "s": -2}, 1.0, 0.0),
    "N.m": ({"kg": 1, "m": 2, "s": -2}, 1.0, 0.0),
    "J": ({"kg": 1, "m": 2, "s": -2}, 1.0, 0.0),
    "kJ": ({"kg": 1, "m": 2, "s": -2}, 1e3, 0.0),
    "W": ({"kg": 1, "m": 2, "s": -3}, 1.0, 0.0),
    "kW": ({"kg": 1, "m": 2, "s": -3}, 1e3, 0.0),
    "MW": ({"kg": 1, "m": 2, "s": -3}, 1e6, 0.0),
    "A": ({"A": 1}, 1.0, 0.0),
    "V": ({"kg": 1, "m": 2, "s": -3, "A": -1}, 1.0, 0.0),
    "Ohm": ({"kg": 1, "m": 2, "s": -3, "A": -2}, 1.0, 0.0),
    "Hz": ({"s": -1}, 1.0, 0.0),
    "/s": ({"s": -1}, 1.0, 0.0),
    "/min": ({"s": -1}, 1 / 60, 0.0),
    "rad": ({"rad": 1}, 1.0, 0.0),
    "rad/s": ({"rad": 1, "s": -1}, 1.0, 0.0),
    "m/s": ({"m": 1, "s": -1}, 1.0, 0.0),
    "m/s2": ({"m": 1, "s": -2}, 1.0, 0.0),
    "m2": ({"m": 2}, 1.0, 0.0),
    "m3": ({"m": 3}, 1.0, 0.0),
    "L": ({"m": 3}, 1e-3, 0.0),
    "m3/s": ({"m": 3, "s": -1}, 1.0, 0.0),
    "m3/h": ({"m": 3, "s": -1}, 1 / 3600, 0.0),
    "L/min": ({"m": 3, "s": -1}, 1e-3 / 60, 0.0),
    "kg/s": ({"kg": 1, "s": -1}, 1.0, 0.0),
    "kg/h": ({"kg": 1, "s": -1}, 1 / 3600, 0.0),
    "kg/m3": ({"kg": 1, "m": -3}, 1.0, 0.0),
    "mol": ({"mol": 1}, 1.0, 0.0),
    "J/kg": ({"m": 2, "s": -2}, 1.0, 0.0),
    "J/(kg.K)": ({"m": 2, "s": -2, "K": -1}, 1.0, 0.0),
    "W/K": ({"kg": 1, "m": 2, "s": -3, "K": -1}, 1.0, 0.0),
    "W/m2": ({"kg": 1, "s": -3}, 1.0, 0.0),
    "W/(m2.K)": ({"kg": 1, "s": -3, "K": -1}, 1.0, 0.0),
    "W/(m.K)": ({"kg": 1, "m": 1, "s": -3, "K": -1}, 1.0, 0.0),
    "Pa.s": ({"kg": 1, "m": -1, "s": -1}, 1.0, 0.0),
    "kW.h": ({"kg": 1, "m": 2, "s": -2}, 3.6e6, 0.0),
    "%": ({}, 0.01, 0.0),
}

_LIKE_UCUM = re.compile(r"[A-Za-z%\[\]'/.()0-9*^+-]{1,40}")


class Definition(NamedTuple):
    """A unit as the FMU defines it: exponents of the bases, and value in SI = factor * value + offset."""

    exponents: Mapping[str, int]
    factor: float
    offset: float


def ucum(name: str, definition: Definition | None) -> tuple[str, str]:
    """Return a UCUM code and a warning, which is empty when there is nothing to say.

    The code of a name that only looks like UCUM is a proposal: whoever has the parser checks it.
    """
    proposed = _NAMES.get(name)
    if proposed is None and _LIKE_UCUM.fullmatch(name):
        proposed = name.replace("*", ".").replace("^", "")
    if definition is None:
        if proposed is None:
            return "1", f"unit {name!r} is not understood and not defined; taken as 1"
        return proposed, ""
    known = _KNOWN.get(proposed or "")
    if proposed is not None and known is not None and _agree(known, definition):
        return proposed, ""
    if proposed is not None and proposed != "1" and not any(definition.exponents.values()):
        # Many tools write an empty definition for what they do not know.
        return proposed, ""
    written = _written(definition)
    if written is not None:
        return written, "" if written == name else f"unit {name!r} is taken as {written}, by its definition"
    if proposed is not None and known is None:
        return proposed, ""
    return "1", f"unit {name!r} cannot be written in UCUM (factor {definition.factor:g}); taken as 1"


def _agree(known: tuple[dict[str, int], float, float], definition: Definition) -> bool:
    exponents = {base: value for base, value in definition.exponents.items() if value}
    # Radian is a unit of its own in FMI and a number in SI: both are met.
    plain = {base: value for base, value in exponents.items() if base != "rad"}
    ours = {base: value for base, value in known[0].items() if base != "rad"}
    near = abs(known[1] - definition.factor) <= 1e-6 * abs(known[1])
    return plain == ours and near and abs(known[2] - definition.offset) <= 1e-6


def _written(definition: Definition) -> str | None:
    if definition.factor != 1.0 or definition.offset != 0.0:
        return None
    factors = [
        base + (str(value) if value != 1 else "") for base in BASES if (value := definition.exponents.get(base, 0))
    ]
    return ".".join(factors) or "1"
