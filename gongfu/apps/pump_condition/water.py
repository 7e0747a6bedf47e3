"""Density and vapour pressure of water, from temperature. Only + - * / and square roots: equal on floats and arrays.

Nothing but ``typing`` is imported at run time: the same file goes into the FMU (see fmu/build.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A float, or a float64 array.
Value = TypeVar("Value", float, "NDArray[np.float64]")

# IAPWS-IF97, region 4, table 34.
_N1, _N2, _N3, _N4 = 0.11670521452767e4, -0.72421316703206e6, -0.17073846940092e2, 0.12020824702470e5
_N5, _N6, _N7, _N8 = -0.32325550322333e7, 0.14915108613530e2, -0.48232657361591e4, 0.40511340542057e6
_N9, _N10 = -0.23855557567849, 0.65017534844798e3


def square_root(value: Value) -> Value:
    """Return the root of what is not negative."""
    return cast("Value", value**0.5)


def density(temperature: Value) -> Value:
    """Return kg/m3 of water at atmospheric pressure, temperature in Cel, 0 to 100.

    G. S. Kell, J. Chem. Eng. Data 20 (1975) 97-105, equation 16. What pressure adds, 0.05 % at 10 bar, is left out.
    """
    t = temperature
    above = 999.83952 + t * (
        16.945176 + t * (-7.9870401e-3 + t * (-46.170461e-6 + t * (105.56302e-9 - t * 280.54253e-12)))
    )
    return above / (1.0 + 16.879850e-3 * t)


def vapour_pressure(temperature: Value) -> Value:
    """Return kPa (absolute) at which water of a temperature in Cel, 0 to 370, boils (IAPWS-IF97, equation 30)."""
    kelvin = temperature + 273.15
    theta = kelvin + _N9 / (kelvin - _N10)
    a = theta * (theta + _N1) + _N2
    b = theta * (_N3 * theta + _N4) + _N5
    c = theta * (_N6 * theta + _N7) + _N8
    root = 2.0 * c / (-b + square_root(b * b - 4.0 * a * c))
    square = root * root
    return 1000.0 * square * square
