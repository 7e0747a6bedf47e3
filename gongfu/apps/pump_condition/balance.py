"""Energy balance of a centrifugal pump and of the control valve behind it.

Pressures are gauge, in kPa; flow in m3/h; heads in m of the liquid. Sources: total head, efficiency and NPSH as ISO
9906 (rotodynamic pumps, hydraulic performance acceptance tests) defines them; flow coefficient Kv of valves as IEC
60534-2-1 for turbulent, not choked flow of liquids; cavitation index sigma as ISA-RP75.23. Every function takes floats
or float64 arrays and uses only + - * / and powers, so that Python, columns and FMU give equal answers.
"""

from __future__ import annotations

from .water import Value, density, square_root, vapour_pressure

GRAVITY = 9.80665
ATMOSPHERE_KPA = 101.325
SECONDS_AN_HOUR = 3600.0
_QUARTER_PI = 0.7853981633974483


class Installation:
    """What of an installation the balance needs; the numbers of the shipped example.

    Attributes:
        suction_m, discharge_m: bores where the pressures are measured, m.
        lift_m: height of the discharge gauge above the suction gauge, m.
        motor: efficiency of motor and drive, 0 to 1.
    """

    def __init__(
        self, suction_m: float = 0.150, discharge_m: float = 0.125, lift_m: float = 0.3, motor: float = 0.94
    ) -> None:
        self.suction_m = suction_m
        self.discharge_m = discharge_m
        self.lift_m = lift_m
        self.motor = motor


EXAMPLE = Installation()


def velocity_head(flow: Value, bore: float) -> Value:
    """Return m of a flow in m3/h through a round bore in m."""
    speed = flow / SECONDS_AN_HOUR / (_QUARTER_PI * bore * bore)
    return speed * speed / (2.0 * GRAVITY)


def total_head(
    flow: Value, suction: Value, discharge: Value, temperature: Value, place: Installation = EXAMPLE
) -> Value:
    """Return m that the pump adds: pressure, velocity and height (ISO 9906)."""
    pressure = 1000.0 * (discharge - suction) / (density(temperature) * GRAVITY)
    return pressure + velocity_head(flow, place.discharge_m) - velocity_head(flow, place.suction_m) + place.lift_m


def hydraulic_power(flow: Value, head: Value, temperature: Value) -> Value:
    """Return kW that the liquid is given."""
    return density(temperature) * GRAVITY * (flow / SECONDS_AN_HOUR) * head / 1000.0


def pump_efficiency(flow: Value, head: Value, power: Value, temperature: Value, place: Installation = EXAMPLE) -> Value:
    """Return the efficiency of the pump alone, 0 to 1, from the electrical power in kW."""
    return hydraulic_power(flow, head, temperature) / (power * place.motor)


def specific_energy(flow: Value, power: Value) -> Value:
    """Return kW.h/m3: electrical energy for a cubic metre."""
    return power / flow


def npsh_available(flow: Value, suction: Value, temperature: Value, place: Installation = EXAMPLE) -> Value:
    """Return m by which the liquid at the suction gauge is above boiling (ISO 9906: NPSHA)."""
    above = 1000.0 * (suction + ATMOSPHERE_KPA - vapour_pressure(temperature)) / (density(temperature) * GRAVITY)
    return above + velocity_head(flow, place.suction_m)


def valve_kv(flow: Value, upstream: Value, downstream: Value, temperature: Value) -> Value:
    """Return Kv in m3/h at 1 bar (IEC 60534-2-1); pressures in kPa, the first above the second."""
    bar = (upstream - downstream) / 100.0
    return flow * square_root(density(temperature) / 1000.0 / bar)


def valve_sigma(upstream: Value, downstream: Value, temperature: Value) -> Value:
    """Return the cavitation index of a valve (ISA-RP75.23): the smaller, the closer to cavitation."""
    return (upstream + ATMOSPHERE_KPA - vapour_pressure(temperature)) / (upstream - downstream)
