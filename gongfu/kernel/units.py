"""Units: UCUM codes (https://ucum.org, case sensitive), checked and converted.

The parser and the table of units are ucumvert and pint. They cost 20 MB and about a second of CPU to load (measured),
so they are loaded at the first conversion between two different units; equal codes never load them.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

MAX_UNIT_LENGTH = 40

# Annotations say what is counted and have no value (UCUM §6); the parser does not take one that stands alone.
_ANNOTATION = re.compile(r"\{[\x21-\x7a\x7c\x7e]*?\}")
# Exponents beyond two digits have no physical meaning and would make the parser compute huge powers.
_HUGE_EXPONENT = re.compile(r"(?:10[*^]|[A-Za-z\]'\"])[+-]?\d{3,}")
_HINTS = {
    "rpm": "/min",
    "°C": "Cel",
    "C": "Cel (C is coulomb)",
    "degC": "Cel",
    "℃": "Cel",
    "°F": "[degF]",
    "degF": "[degF]",
    "F": "[degF] (F is farad)",
    "m³/h": "m3/h",
    "m^3/h": "m3/h",
    "psi": "[psi]",
    "hour": "h",
    "sec": "s",
    "Pa abs": "Pa",
    "": "1",
}


class UnitError(ValueError):
    """A unit is not UCUM, or two units do not measure the same quantity. The message is for people."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """``target value = factor * source value + offset``."""

    factor: float
    offset: float

    @property
    def identity(self) -> bool:
        """True when values stay as they are."""
        return self.factor == 1.0 and self.offset == 0.0


IDENTITY = Conversion(1.0, 0.0)


@lru_cache(maxsize=1)
def _registry() -> Any:
    # Loading costs a second and 20 MB, and most processes never convert a unit. Neither library has complete types.
    from ucumvert import PintUcumRegistry  # pyright: ignore[reportMissingTypeStubs]

    return PintUcumRegistry()


@lru_cache(maxsize=1024)
def _quantity(text: str) -> Any:
    """Return 1 of the unit as a pint quantity."""
    if len(text) > MAX_UNIT_LENGTH or not text.isprintable():
        raise UnitError(f"a unit is at most {MAX_UNIT_LENGTH} printable characters")
    hint = f"; UCUM writes {_HINTS[text]}" if text in _HINTS else ""
    refused = UnitError(f"{text!r} is not a UCUM unit{hint}")
    bare = _ANNOTATION.sub("", text)
    if not bare and text:
        bare = "1"
    if not bare or _HUGE_EXPONENT.search(bare):
        raise refused
    registry = _registry()
    try:
        parsed: Any = registry.from_ucum(bare)
    except Exception as error:  # the parser, its visitor and pint raise errors without a common base
        text_of_error = str(error)
        if "offset unit" in text_of_error:
            raise UnitError(f"{text!r} multiplies a unit that has an offset; use K instead of Cel there") from None
        if "not defined" in text_of_error:
            raise UnitError(f"{text!r} is UCUM, but cannot be converted here") from None
        raise refused from None
    return parsed if hasattr(parsed, "magnitude") else registry.Quantity(1, parsed)


def check_unit(text: str) -> None:
    """Check that a text is a UCUM code.

    Raises:
        UnitError: it is not; the message names the text and, for common mistakes, the right code.
    """
    _quantity(text)


@lru_cache(maxsize=4096)
def convert_factor(source: str, target: str) -> Conversion:
    """Return how values in ``source`` become values in ``target``; both are UCUM codes.

    Raises:
        UnitError: one is not UCUM, they measure different quantities, or the scale between them is not linear.
    """
    if source == target:
        return IDENTITY
    a, b = _quantity(source), _quantity(target)
    if a.dimensionality != b.dimensionality:
        raise UnitError(
            f"{source} cannot be converted to {target}: "
            f"{_dimension(a.dimensionality)} is not {_dimension(b.dimensionality)}"
        )
    registry = _registry()

    def convert(value: float) -> float:
        return float(registry.Quantity(value * float(a.magnitude), a.units).to(b.units).magnitude) / float(b.magnitude)

    try:
        zero, one, two = convert(0.0), convert(1.0), convert(2.0)
        linear = math.isfinite(zero) and math.isfinite(one) and math.isclose(two - one, one - zero, rel_tol=1e-9)
        # Through a large value the factor keeps all digits although the offset is added.
        factor = one if zero == 0.0 or not linear else (convert(1e9) - zero) / 1e9
    except Exception:  # pint raises several unrelated errors for scales it cannot convert
        raise UnitError(f"{source} cannot be converted to {target}") from None
    if not linear:
        raise UnitError(f"{source} cannot be converted to {target}: the scale between them is not linear")
    return Conversion(factor, zero)


def _dimension(dimensionality: Any) -> str:
    """Return a dimension in words, such as ``temperature`` or ``mass / length / time ** 2``."""
    return str(dimensionality).replace("[", "").replace("]", "") or "a pure number"
