"""The 52 variables of the Tennessee Eastman plant: number in the published problem, asset, point name and unit.

Source: J. J. Downs, E. F. Vogel, Computers & Chemical Engineering 17 (1993) 245-255, tables 3 to 5. XMEAS(1)-(22) are
continuous, XMEAS(23)-(41) come from gas chromatographs every 6 or 15 minutes. XMV(12), the agitator speed, is
constant in the control scheme used here and left out, as in the published data sets. Units are UCUM; ``10*3.m3/h`` of
gas is thousands of standard cubic metres an hour, pressures are gauge, compositions are mol %.
"""

from dataclasses import dataclass
from enum import Enum


class Source(Enum):
    """Which vector of the simulator holds the value."""

    MEASUREMENT = "XMEAS"
    VALVE = "XMV"


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable.

    Attributes:
        source: measurement or valve.
        number: its number in the problem, from 1.
        asset: child asset of the plant that it belongs to.
        name: point name.
        unit: UCUM code.
        description: what it is, with its number.
    """

    source: Source
    number: int
    asset: str
    name: str
    unit: str
    description: str


def _measured(number: int, asset: str, name: str, unit: str, text: str) -> Variable:
    return Variable(Source.MEASUREMENT, number, asset, name, unit, f"XMEAS({number}) {text}")


def _valve(number: int, asset: str, name: str, text: str) -> Variable:
    return Variable(Source.VALVE, number, asset, name, "%", f"XMV({number}) {text}")


_CONTINUOUS = (
    _measured(1, "feed", "a_flow", "10*3.m3/h", "A feed (stream 1)"),
    _measured(2, "feed", "d_flow", "kg/h", "D feed (stream 2)"),
    _measured(3, "feed", "e_flow", "kg/h", "E feed (stream 3)"),
    _measured(4, "feed", "ac_flow", "10*3.m3/h", "A and C feed (stream 4)"),
    _measured(5, "compressor", "recycle_flow", "10*3.m3/h", "recycle flow (stream 8)"),
    _measured(6, "reactor", "feed_flow", "10*3.m3/h", "reactor feed rate (stream 6)"),
    _measured(7, "reactor", "pressure", "kPa", "reactor pressure, gauge"),
    _measured(8, "reactor", "level", "%", "reactor level"),
    _measured(9, "reactor", "temperature", "Cel", "reactor temperature"),
    _measured(10, "separator", "purge_flow", "10*3.m3/h", "purge rate (stream 9)"),
    _measured(11, "separator", "temperature", "Cel", "separator temperature"),
    _measured(12, "separator", "level", "%", "separator level"),
    _measured(13, "separator", "pressure", "kPa", "separator pressure, gauge"),
    _measured(14, "separator", "underflow", "m3/h", "separator underflow (stream 10)"),
    _measured(15, "stripper", "level", "%", "stripper level"),
    _measured(16, "stripper", "pressure", "kPa", "stripper pressure, gauge"),
    _measured(17, "stripper", "underflow", "m3/h", "stripper underflow (stream 11)"),
    _measured(18, "stripper", "temperature", "Cel", "stripper temperature"),
    _measured(19, "stripper", "steam_flow", "kg/h", "stripper steam flow"),
    _measured(20, "compressor", "work", "kW", "compressor work"),
    _measured(21, "reactor", "cooling_water_outlet_temperature", "Cel", "reactor cooling water outlet temperature"),
    _measured(22, "separator", "cooling_water_outlet_temperature", "Cel", "condenser cooling water outlet temperature"),
)


def _analysis(first: int, asset: str, prefix: str, components: str, text: str) -> tuple[Variable, ...]:
    return tuple(
        _measured(first + i, asset, f"{prefix}{letter.lower()}", "%", f"mol % of {letter} in {text}")
        for i, letter in enumerate(components)
    )


_ANALYSES = (
    *_analysis(23, "reactor", "feed_", "ABCDEF", "the reactor feed (stream 6)"),
    *_analysis(29, "separator", "purge_", "ABCDEFGH", "the purge (stream 9)"),
    *_analysis(37, "product", "", "DEFGH", "the product (stream 11)"),
)

_VALVES = (
    _valve(1, "feed", "d_valve", "D feed valve"),
    _valve(2, "feed", "e_valve", "E feed valve"),
    _valve(3, "feed", "a_valve", "A feed valve"),
    _valve(4, "feed", "ac_valve", "A and C feed valve"),
    _valve(5, "compressor", "recycle_valve", "compressor recycle valve"),
    _valve(6, "separator", "purge_valve", "purge valve"),
    _valve(7, "separator", "underflow_valve", "separator underflow valve"),
    _valve(8, "stripper", "underflow_valve", "stripper underflow valve"),
    _valve(9, "stripper", "steam_valve", "stripper steam valve"),
    _valve(10, "reactor", "cooling_water_valve", "reactor cooling water valve"),
    _valve(11, "separator", "cooling_water_valve", "condenser cooling water valve"),
)

VARIABLES: tuple[Variable, ...] = (*_CONTINUOUS, *_ANALYSES, *_VALVES)

ASSETS: tuple[str, ...] = ("feed", "reactor", "separator", "stripper", "compressor", "product")

# Number of disturbances of the simulator: 1-20 of the published problem, 21-28 of its 2015 revision.
DISTURBANCES = 28
