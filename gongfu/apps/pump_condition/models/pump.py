"""Mechanism model of the pump: what the energy balance gives at every sample."""

from collections.abc import Mapping

import numpy as np

from gongfu.appkit.contract import Column, Port, model

from ..balance import (
    hydraulic_power,
    npsh_available,
    pump_efficiency,
    specific_energy,
    total_head,
)

# Below this flow (m3/h) or power (kW) quotients say nothing: NaN, stored as bad.
LEAST_FLOW = 0.5
LEAST_POWER = 0.05


@model(
    id="pump.energy-balance",
    version="1.0.0",
    name="Pump energy balance",
    inputs=[
        Port("flow", "m3/h"),
        Port("suction", "kPa", point="suction pressure", description="gauge, at the suction flange"),
        Port("discharge", "kPa", point="discharge pressure", description="gauge, at the discharge flange"),
        Port("power", "kW", description="electrical, into the drive"),
        Port("temperature", "Cel"),
    ],
    outputs=[
        Port("head", "m", description="total head"),
        Port("hydraulic_power", "kW", point="hydraulic power"),
        Port("efficiency", "%", description="of the pump without its motor"),
        Port("specific_energy", "kW.h/m3", point="specific energy"),
        Port("npsh", "m", point="NPSH available"),
    ],
    tolerance_s=5,
)
def pump(columns: Mapping[str, Column], dt: Column) -> Mapping[str, Column]:
    """Total head, hydraulic power, efficiency, specific energy and NPSH available (ISO 9906) of water."""
    flow, temperature = columns["flow"], columns["temperature"]
    running = np.where((flow >= LEAST_FLOW) & (columns["power"] >= LEAST_POWER), 1.0, np.nan)
    head = total_head(flow, columns["suction"], columns["discharge"], temperature)
    return {
        "head": head,
        "hydraulic_power": hydraulic_power(flow, head, temperature),
        "efficiency": 100.0 * pump_efficiency(flow * running, head, columns["power"], temperature),
        "specific_energy": specific_energy(flow * running, columns["power"]),
        "npsh": npsh_available(flow, columns["suction"], temperature),
    }
