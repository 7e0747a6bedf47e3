"""A made-up pump with faults, consistent with the physics: for tests, the recording and the demo.

Every second the operating point is found where the pump's curve meets that of the system: suction vessel, pump, control
valve, pipe. Faults change the physics, not the figures: wear lowers the curve, a leak takes flow before the valve, a
falling suction vessel makes the pump cavitate, an eroded valve lets more through.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .balance import EXAMPLE, GRAVITY, hydraulic_power, npsh_available, velocity_head
from .nameplate import Nameplate
from .water import density

STATIC_KPA = 180.0
PIPE_KPA = 150.0 / 100.0**2
NOISE = {
    "flow": 0.3,
    "suction pressure": 0.2,
    "discharge pressure": 1.0,
    "power": 0.05,
    "speed": 1.0,
    "temperature": 0.05,
    "line pressure": 1.0,
    "valve position": 0.05,
    "delivered flow": 0.3,
}


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong: shares of head lost by wear, of flow that leaks, of Kv gained, of efficiency lost to friction.

    ``suction_lost`` is what the pressure of the suction vessel lost, kPa.
    """

    wear: float = 0.0
    leak: float = 0.0
    erosion: float = 0.0
    suction_lost: float = 0.0
    friction: float = 0.0


HEALTHY = Faults()
# Minutes from which on each fault is there, for the recording.
SCHEDULE: tuple[tuple[float, Faults], ...] = (
    (0, HEALTHY),
    (30, Faults(wear=0.10)),
    (50, HEALTHY),
    (65, Faults(leak=0.08)),
    (80, HEALTHY),
    (95, Faults(suction_lost=112.0)),
    (110, HEALTHY),
    (125, Faults(erosion=0.30)),
    (140, HEALTHY),
)


def operate(seconds: float, faults: Faults, nameplate: Nameplate | None = None) -> dict[str, float]:
    """Return what is measured without noise at a moment: speed, valve and temperature follow slow cycles."""
    plate = Nameplate() if nameplate is None else nameplate
    speed = 2850.0 + 100.0 * math.sin(seconds / 700.0)
    position = 80.0 + 8.0 * math.sin(seconds / 1100.0 + 1.0)
    temperature = 25.0 + 5.0 * math.sin(seconds / 5000.0)
    suction = 30.0 - faults.suction_lost
    kv = plate.expected_kv(position) * (1.0 + faults.erosion)
    kpa = density(temperature) * GRAVITY / 1000.0

    def discharge_at(flow: float) -> float:
        """Return the pressure behind the pump, kPa, when it gives a flow."""
        head, _ = _pump(flow, speed, suction, temperature, faults, plate)
        gained = head - EXAMPLE.lift_m + velocity_head(flow, EXAMPLE.suction_m)
        return suction + kpa * (gained - velocity_head(flow, EXAMPLE.discharge_m))

    def line_at(delivered: float) -> float:
        """Return the pressure behind the valve, kPa, that a flow through the pipe needs."""
        return STATIC_KPA + PIPE_KPA * delivered * delivered

    low, high = 0.0, 2.0 * plate.flow
    for _ in range(60):
        middle = 0.5 * (low + high)
        delivered = middle * (1.0 - faults.leak)
        drop = 100.0 * density(temperature) / 1000.0 * (delivered / kv) ** 2
        enough = discharge_at(middle) > line_at(delivered) + drop
        low, high = (middle, high) if enough else (low, middle)
    flow = low
    delivered = flow * (1.0 - faults.leak)
    discharge, line = discharge_at(flow), line_at(delivered)
    head, efficiency = _pump(flow, speed, suction, temperature, faults, plate)
    return {
        "flow": flow,
        "suction pressure": suction,
        "discharge pressure": discharge,
        "power": hydraulic_power(flow, head, temperature) / efficiency / EXAMPLE.motor,
        "speed": speed,
        "temperature": temperature,
        "line pressure": line,
        "valve position": position,
        "delivered flow": delivered,
    }


def _pump(
    flow: float, speed: float, suction: float, temperature: float, faults: Faults, plate: Nameplate
) -> tuple[float, float]:
    """Return head and efficiency of the pump as it is."""
    left = 1.0 - faults.wear
    margin = npsh_available(flow, suction, temperature) / plate.required_npsh(flow, speed)
    # By definition 3 % of the head is lost where available and required NPSH are equal (ISO 9906, NPSH3).
    left *= 1.0 - 0.03 * min(max(2.0 - margin, 0.0), 4.0) ** 2 if margin < 2.0 else 1.0
    head = plate.expected_head(flow, speed) * left
    return head, max(plate.expected_efficiency(flow, speed) * left * (1.0 - faults.friction), 0.01)


def record(
    seconds: float, step: float, seed: int, schedule: tuple[tuple[float, Faults], ...]
) -> Iterator[tuple[float, Mapping[str, float]]]:
    """Yield time in s and what is measured, with noise, every ``step`` seconds."""
    noise = np.random.default_rng(seed)
    for number in range(int(seconds / step)):
        now = number * step
        faults = [found for minute, found in schedule if minute * 60.0 <= now][-1]
        exact = operate(now + 997.0 * seed, faults)
        yield now, {name: value + float(noise.normal(0.0, NOISE[name])) for name, value in exact.items()}


def main() -> None:
    """Write ``data/pump.csv``: a pump with faults and one without, two and a half hours."""
    from pathlib import Path

    lines = ["time,asset," + ",".join(NOISE)]
    for asset, seed, schedule in (("pump 1", 1, SCHEDULE), ("pump 2", 2, SCHEDULE[:1])):
        lines += [
            f"{now:g},{asset}," + ",".join(f"{values[name]:.2f}" for name in NOISE)
            for now, values in record(9000.0, 10.0, seed, schedule)
        ]
    (Path(__file__).parent / "data" / "pump.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
