"""Units against values from the SI brochure and NIST SP 811, and hostile or mistaken codes."""

import math
import subprocess
import sys

import pytest

from gongfu.kernel.units import UnitError, check_unit, convert_factor


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("Cel", "K", 25.0, 298.15),
        ("K", "Cel", 0.0, -273.15),
        ("[degF]", "Cel", 212.0, 100.0),
        ("Cel", "[degF]", -40.0, -40.0),
        ("bar", "kPa", 1.5, 150.0),
        ("[psi]", "kPa", 1.0, 6.894757293168361),
        ("m3/h", "L/min", 3.6, 60.0),
        ("%", "1", 12.5, 0.125),
        ("km/h", "m/s", 36.0, 10.0),
        ("/min", "Hz", 1500.0, 25.0),
        ("{rev}/min", "/min", 1500.0, 1500.0),
        ("{count}", "1", 3.0, 3.0),
        ("10*3/uL", "10*9/L", 5.0, 5.0),
        ("kJ/(kg.K)", "J/(kg.K)", 4.186, 4186.0),
    ],
)
def test_conversion(source: str, target: str, value: float, expected: float) -> None:
    conversion = convert_factor(source, target)
    assert math.isclose(conversion.factor * value + conversion.offset, expected, rel_tol=1e-12)


def test_conversion_there_and_back_keeps_the_value() -> None:
    there, back = convert_factor("[degF]", "K"), convert_factor("K", "[degF]")
    for value in (-459.67, 0.0, 98.6, 1e6):
        kelvin = there.factor * value + there.offset
        assert math.isclose(back.factor * kelvin + back.offset, value, rel_tol=1e-12, abs_tol=1e-9)


@pytest.mark.parametrize(("source", "target"), [("bar", "Cel"), ("m", "m2"), ("kg", "mol"), ("1", "s")])
def test_different_quantities_are_refused(source: str, target: str) -> None:
    with pytest.raises(UnitError, match=r"cannot be converted") as caught:
        convert_factor(source, target)
    assert source in str(caught.value)
    assert target in str(caught.value)


def test_refusal_names_the_dimensions() -> None:
    with pytest.raises(UnitError, match="temperature"):
        convert_factor("bar", "Cel")


def test_scale_that_is_not_linear_is_refused() -> None:
    with pytest.raises(UnitError):
        convert_factor("dB", "1")


@pytest.mark.parametrize("text", ["", "°C", "rpm", "m^3", "foo", "m" * 41, "m\n", "10*999999999", "m123456789", "((("])
def test_not_ucum(text: str) -> None:
    with pytest.raises(UnitError):
        check_unit(text)


def test_common_mistake_gets_the_right_code() -> None:
    with pytest.raises(UnitError, match="Cel"):
        check_unit("°C")
    with pytest.raises(UnitError, match="offset"):
        check_unit("Cel/s")


def test_equal_units_never_load_the_parser() -> None:
    code = (
        "import sys; from gongfu.kernel.units import convert_factor;"
        "assert convert_factor('kPa', 'kPa').identity; assert 'pint' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
