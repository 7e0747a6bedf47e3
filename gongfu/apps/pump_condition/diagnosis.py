"""From figures of a pump and valve to what is wrong: rules over deviations from the nameplate. Pure.

A window's figures are compared with what the nameplate expects at the same flow and speed. The deviations are averaged
exponentially (weight ``WEIGHT`` a window). A finding stands while its deviation is beyond its limit, and until it is
back below ``CALM`` of it. Limits: acceptance grade 2B of ISO 9906 allows 5 % of head and of efficiency, so a pump
beyond 6 % of both is not as delivered; ANSI/HI 9.6.1 asks for an NPSH of 1.1 to 1.3 times the required one where
damage is to be avoided. The others are choices: see docs/apps/pump-condition.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .balance import (
    EXAMPLE,
    Installation,
    npsh_available,
    pump_efficiency,
    specific_energy,
    total_head,
    valve_kv,
    valve_sigma,
)
from .nameplate import LEAST_FLOW, Nameplate

WEIGHT = 0.2
CALM = 0.7
# Windows before anything is said.
WARM_UP = 5
HEAD_LOSS = 0.06
EFFICIENCY_LOSS = 0.06
NPSH_MARGIN = 1.15
LEAKAGE = 0.03
KV_EXCESS = 0.15
KV_LACK = 0.15
SIGMA = 1.5
# A valve below this position, in %, is taken as shut; more flow than this share of the rated one leaks through.
SHUT = 2.0
SHUT_FLOW = 0.01

INPUTS = (
    "flow",
    "suction pressure",
    "discharge pressure",
    "power",
    "speed",
    "temperature",
)
OPTIONAL = ("line pressure", "valve position", "delivered flow")


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a window: None where what they need was not measured, or the pump hardly runs.

    Attributes:
        flow: m3/h.
        head, expected_head: m.
        efficiency, expected_efficiency: 0 to 1.
        energy: kW.h/m3.
        npsh, required_npsh: m.
        leakage: share of the flow that does not arrive.
        kv, expected_kv: m3/h.
        sigma: cavitation index of the valve.
        shut_flow: m3/h through a valve that is shut.
    """

    flow: float
    head: float | None = None
    expected_head: float | None = None
    efficiency: float | None = None
    expected_efficiency: float | None = None
    energy: float | None = None
    npsh: float | None = None
    required_npsh: float | None = None
    leakage: float | None = None
    kv: float | None = None
    expected_kv: float | None = None
    sigma: float | None = None
    shut_flow: float | None = None


@dataclass(slots=True)
class State:
    """Averaged deviations, windows counted, and findings that stand."""

    averages: dict[str, float] = field(default_factory=dict[str, float])
    windows: int = 0
    standing: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong: its key, the averaged deviation in parts of its limit, and a text with the numbers."""

    key: str
    height: float
    text: str


def figures(means: Mapping[str, float], nameplate: Nameplate, place: Installation = EXAMPLE) -> Figures:
    """Return the figures of a window from the means of its points.

    Args:
        means: by name of point: ``INPUTS``, and of ``OPTIONAL`` what is measured; units as in the thing model.
        nameplate: what the pump should do.
        place: bores, heights and motor.
    """
    flow, speed, temperature = means["flow"], means["speed"], means["temperature"]
    shut = means.get("valve position", 100.0) < SHUT
    if flow < LEAST_FLOW * nameplate.flow or speed <= 0.0 or means["power"] <= 0.0 or shut:
        return Figures(flow, shut_flow=flow if shut else None)
    suction, discharge = means["suction pressure"], means["discharge pressure"]
    head = total_head(flow, suction, discharge, temperature, place)
    line, position = means.get("line pressure"), means.get("valve position")
    kv = sigma = None
    # What arrives at the valve is what is delivered, where that is known.
    if line is not None and discharge - line > 1.0:
        kv = valve_kv(means.get("delivered flow", flow), discharge, line, temperature)
        sigma = valve_sigma(discharge, line, temperature)
    delivered = means.get("delivered flow")
    return Figures(
        flow=flow,
        head=head,
        expected_head=nameplate.expected_head(flow, speed),
        efficiency=pump_efficiency(flow, head, means["power"], temperature, place),
        expected_efficiency=nameplate.expected_efficiency(flow, speed),
        energy=specific_energy(flow, means["power"]),
        npsh=npsh_available(flow, suction, temperature, place),
        required_npsh=nameplate.required_npsh(flow, speed),
        leakage=None if delivered is None else 1.0 - delivered / flow,
        kv=kv,
        expected_kv=None if position is None else nameplate.expected_kv(position),
        sigma=sigma,
    )


def diagnose(found: Figures, state: State, nameplate: Nameplate) -> list[Finding]:
    """Return what is wrong after a window; the state is changed in place."""
    deviations = _deviations(found, nameplate)
    for name, value in deviations.items():
        before = state.averages.get(name, value)
        state.averages[name] = before + WEIGHT * (value - before)
    state.windows += 1
    if state.windows < WARM_UP:
        return []
    # Only what this window says anything of: a pump at rest neither raises nor returns.
    average = {name: state.averages[name] for name in deviations}
    heights = {key: height for key, height in _heights(average).items() if height is not None}
    findings: list[Finding] = []
    for key, height in heights.items():
        if height > 1.0 or (key in state.standing and height > CALM):
            findings.append(Finding(key, height, _text(key, found, average, nameplate)))
    quiet = [key for key in state.standing if key not in heights]
    state.standing = [*quiet, *(finding.key for finding in findings)]
    return findings


def _deviations(found: Figures, nameplate: Nameplate) -> dict[str, float]:
    """Return what of a window is compared with limits, by name."""
    values: dict[str, float] = {}
    if found.head is not None and found.expected_head:
        values["head"] = 1.0 - found.head / found.expected_head
    if found.efficiency is not None and found.expected_efficiency:
        values["efficiency"] = 1.0 - found.efficiency / found.expected_efficiency
    if found.npsh is not None and found.required_npsh is not None:
        # Inverse, so that the average follows what is dangerous quickly and what is harmless slowly.
        values["npsh"] = found.required_npsh / max(found.npsh, 0.01)
    if found.leakage is not None:
        values["leakage"] = found.leakage
    if found.kv is not None and found.expected_kv:
        values["kv"] = found.kv / found.expected_kv - 1.0
    if found.sigma is not None:
        values["sigma"] = 1.0 / max(found.sigma, 0.01)
    if found.shut_flow is not None:
        values["shut"] = found.shut_flow / nameplate.flow
    return values


def _heights(average: Mapping[str, float]) -> dict[str, float | None]:
    """Return each finding's deviation in parts of its limit; None where nothing can be said."""

    def of(name: str, scale: float) -> float | None:
        return average[name] / scale if name in average else None

    head, efficiency = of("head", HEAD_LOSS), of("efficiency", EFFICIENCY_LOSS)
    npsh = NPSH_MARGIN * average["npsh"] if "npsh" in average else None
    cavitates = npsh is not None and npsh > 1.0
    wear = friction = None
    if head is not None and efficiency is not None:
        # Cavitation lowers both as well, and is told apart by NPSH; friction and motor lower the efficiency alone.
        wear = 0.0 if cavitates else min(head, efficiency)
        friction = 0.0 if cavitates or head > 0.5 else efficiency
    return {
        "wear": wear,
        "friction": friction,
        "cavitation": npsh,
        "leakage": of("leakage", LEAKAGE),
        "valve erosion": of("kv", KV_EXCESS),
        "valve blockage": of("kv", -KV_LACK),
        "valve cavitation": SIGMA * average["sigma"] if "sigma" in average else None,
        "valve passes": of("shut", SHUT_FLOW),
    }


def _text(key: str, found: Figures, average: Mapping[str, float], nameplate: Nameplate) -> str:
    """Return what a finding says to people."""
    match key:
        case "wear":
            return (
                f"wear: head {average['head']:.1%} and efficiency {average['efficiency']:.1%} below the nameplate "
                f"({found.head:.1f} m of {found.expected_head:.1f} m at {found.flow:.0f} m3/h)"
            )
        case "friction":
            return (
                f"efficiency {average['efficiency']:.1%} below the nameplate, the head is not: bearings, seal or motor"
            )
        case "cavitation":
            times = 1.0 / average["npsh"]
            return f"NPSH available is {times:.2f} times the required {found.required_npsh:.1f} m: cavitation"
        case "leakage":
            return f"{average['leakage']:.1%} of the flow does not arrive ({average['leakage'] * found.flow:.1f} m3/h)"
        case "valve erosion":
            return f"valve Kv {found.kv:.1f} m3/h is {average['kv']:.0%} above its characteristic: eroded trim or leak"
        case "valve blockage":
            return f"valve Kv {found.kv:.1f} m3/h is {-average['kv']:.0%} below its characteristic: blocked or sticking"
        case "valve cavitation":
            return f"valve cavitates: sigma {1 / average['sigma']:.2f}, at least {SIGMA:g} is wanted"
        case _:
            return f"{average['shut'] * nameplate.flow:.1f} m3/h pass the shut valve"
