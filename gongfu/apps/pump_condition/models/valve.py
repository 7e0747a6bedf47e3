"""Mechanism model of the control valve behind the pump."""

from collections.abc import Mapping

import numpy as np

from gongfu.appkit.contract import Column, Port, model

from ..balance import valve_kv, valve_sigma

# kPa. Below this pressure difference quotients say nothing: NaN, stored as bad.
LEAST_DROP = 1.0


@model(
    id="valve.flow-coefficient",
    version="1.0.0",
    name="Control valve flow coefficient",
    inputs=[
        Port("flow", "m3/h"),
        Port("upstream", "kPa", point="discharge pressure", description="gauge, before the valve"),
        Port("downstream", "kPa", point="line pressure", description="gauge, after the valve"),
        Port("temperature", "Cel"),
    ],
    outputs=[
        Port("kv", "m3/h", point="valve Kv", description="at 1 bar"),
        Port("sigma", "1", point="valve sigma", description="cavitation index"),
    ],
    tolerance_s=5,
)
def valve(columns: Mapping[str, Column], dt: Column) -> Mapping[str, Column]:
    """Flow coefficient (IEC 60534-2-1) and cavitation index (ISA-RP75.23) of the control valve behind the pump."""
    drops = columns["upstream"] - columns["downstream"] >= LEAST_DROP
    upstream = np.where(drops, columns["upstream"], np.nan)
    return {
        "kv": valve_kv(columns["flow"], upstream, columns["downstream"], columns["temperature"]),
        "sigma": valve_sigma(upstream, columns["downstream"], columns["temperature"]),
    }
