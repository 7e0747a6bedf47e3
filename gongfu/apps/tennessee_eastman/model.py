"""Energy balance of the Tennessee Eastman reactor's cooling water: a virtual thermometer at its inlet.

The plant measures no temperature at the inlet of the reactor's cooling water. Two laws give it from what is measured:

    Q    = U A f(L) (T_r - T_out)                  heat through the cooling bundle, from the temperature difference
    T_in = T_out - Q / (v/100 * F_max * c_v)       heat taken up by the water, from its flow

with T_r = XMEAS(9), T_out = XMEAS(21), L = XMEAS(8) and v = XMV(10). T_in minus its design value is the residual: near
0 while water, valve and bundle are as designed, whatever the controller does with the valve. It moves with a change of
the inlet temperature (IDV 4 step, IDV 11 random), a valve that does not go where it is told (IDV 14), a loss of heat
transfer (IDV 17) or of water flow (IDV 27), and by design does not move with disturbances elsewhere in the plant.
It assumes quasi-steady state (the water's own heat storage, about one minute, is left out: a short overshoot after a
step) and the agitator at its nominal speed of 50 %.

Sources. J. J. Downs, E. F. Vogel: A plant-wide industrial process control problem. Computers & Chemical Engineering
17 (1993) 245-255, doi 10.1016/0098-1354(93)80018-I: variable numbers (tables 3-5) and the base case: reactor 120.40
Cel, water out 94.599 Cel, duty 6468.7 kW, valve 41.106 % for 93.37 m3/h of water at 35 Cel. U A, F_max and c_v follow
from the base case; the shape of f(L) (all of the bundle covered above 50 % level, none below 10 %) is that of the
problem's published program.
"""

from collections.abc import Mapping

import numpy as np

from gongfu.appkit.contract import Column, Port, model

BASE_DUTY_KW = 6468.7
BASE_REACTOR_CEL = 120.40
BASE_OUTLET_CEL = 94.599
DESIGN_INLET_CEL = 35.0
BASE_VALVE_PERCENT = 41.106
BASE_FLOW_M3_H = 93.37

# kW/K over the fully covered bundle.
TRANSFER_KW_K = BASE_DUTY_KW / (BASE_REACTOR_CEL - BASE_OUTLET_CEL)
# m3/h with the valve fully open; the installed characteristic is linear.
FULL_FLOW_M3_H = BASE_FLOW_M3_H / (BASE_VALVE_PERCENT / 100.0)
# kW h/(m3 K), volumetric heat capacity of the water.
HEAT_CAPACITY = BASE_DUTY_KW / (BASE_FLOW_M3_H * (BASE_OUTLET_CEL - DESIGN_INLET_CEL))

# Below this opening the flow is too small to tell a temperature from; the output is then NaN, stored as bad.
LEAST_VALVE_PERCENT = 2.0


@model(
    id="tennessee-eastman.reactor-cooling",
    version="1.0.0",
    name="Reactor cooling water energy balance",
    inputs=[
        Port("reactor", "Cel", point="temperature", description="XMEAS(9) reactor temperature"),
        Port(
            "outlet", "Cel", point="cooling_water_outlet_temperature", description="XMEAS(21) water outlet temperature"
        ),
        Port("level", "%", point="level", description="XMEAS(8) reactor level"),
        Port("valve", "%", point="cooling_water_valve", description="XMV(10) cooling water valve"),
    ],
    outputs=[
        Port("duty", "kW", point="heat_duty", description="heat removed by the cooling water"),
        Port("inlet", "Cel", point="cooling_water_inlet_temperature", description="estimated water inlet temperature"),
        Port(
            "residual", "K", point="cooling_residual", description="inlet temperature minus its design value of 35 Cel"
        ),
    ],
)
def reactor_cooling(columns: Mapping[str, Column], dt: Column) -> Mapping[str, Column]:
    """Heat duty, estimated water inlet temperature, and its deviation from design (Downs & Vogel 1993)."""
    covered = np.clip((columns["level"] - 10.0) / 40.0, 0.0, 1.0)
    duty = TRANSFER_KW_K * covered * (columns["reactor"] - columns["outlet"])
    valve = np.where(columns["valve"] >= LEAST_VALVE_PERCENT, columns["valve"], np.nan)
    inlet = columns["outlet"] - duty / (valve / 100.0 * FULL_FLOW_M3_H * HEAT_CAPACITY)
    return {"duty": duty, "inlet": inlet, "residual": inlet - DESIGN_INLET_CEL}
