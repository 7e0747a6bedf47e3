"""Rules for the plant, as documents of ``POST /v1/rules``.

Limits named "operating limit" are those of Downs & Vogel (1993), table 6. The others lie outside all that a
fault-free plant did in 120 simulated hours (two seeds, one sample a minute), by a quarter or more of its widest
excursion. Delays are wall seconds; one is two simulated minutes.
"""

from typing import Any

Document = dict[str, Any]


def _threshold(
    name: str, asset: str, point: str, direction: str, limit: float, deadband: float, priority: str, message: str
) -> Document:
    return {
        "name": name,
        "enabled": True,
        "kind": "threshold",
        "asset": f"tep/{asset}",
        "point": point,
        "condition": {"direction": direction, "limit": limit, "deadband": deadband, "delay_s": 1.0},
        "priority": priority,
        "message": message,
    }


RULES: tuple[Document, ...] = (
    _threshold(
        "TEP reactor cooling residual high",
        "reactor",
        "cooling_residual",
        "above",
        2.5,
        1.0,
        "critical",
        "Reactor cooling water is warmer, or flows less, than the energy balance allows (IDV 4, 11, 14, 27)",
    ),
    _threshold(
        "TEP reactor cooling residual low",
        "reactor",
        "cooling_residual",
        "below",
        -2.5,
        1.0,
        "high",
        "Reactor cooling water is colder, flows more or takes less heat than the balance allows (IDV 11, 14, 17)",
    ),
    _threshold(
        "TEP reactor pressure above operating limit",
        "reactor",
        "pressure",
        "above",
        2895.0,
        20.0,
        "critical",
        "Reactor pressure is above its operating limit; the plant shuts down at 3000 kPa",
    ),
    _threshold(
        "TEP reactor pressure unsteady, high",
        "reactor",
        "pressure",
        "above",
        2715.0,
        5.0,
        "medium",
        "Reactor pressure has left its controlled band upwards (set point 2705 kPa)",
    ),
    _threshold(
        "TEP reactor pressure unsteady, low",
        "reactor",
        "pressure",
        "below",
        2695.0,
        5.0,
        "medium",
        "Reactor pressure has left its controlled band downwards (set point 2705 kPa)",
    ),
    _threshold(
        "TEP reactor temperature high",
        "reactor",
        "temperature",
        "above",
        120.6,
        0.1,
        "high",
        "Reactor temperature has left its controlled band upwards (set point 120.4 Cel)",
    ),
    _threshold(
        "TEP A feed lost",
        "feed",
        "a_flow",
        "below",
        0.15,
        0.03,
        "critical",
        "The A feed has failed (IDV 6); without it the plant shuts down within hours",
    ),
    _threshold(
        "TEP A and C feed low",
        "feed",
        "ac_flow",
        "below",
        8.9,
        0.2,
        "high",
        "The A and C feed is low: header pressure lost (IDV 7)",
    ),
    _threshold(
        "TEP purge valve far open",
        "separator",
        "purge_valve",
        "above",
        60.0,
        8.0,
        "medium",
        "Inerts are building up: the purge valve is far open (IDV 1, 2, 8)",
    ),
    _threshold(
        "TEP stripper temperature high",
        "stripper",
        "temperature",
        "above",
        67.3,
        0.4,
        "medium",
        "Stripper temperature is high (IDV 10, 16)",
    ),
    _threshold(
        "TEP separator level below operating limit",
        "separator",
        "level",
        "below",
        30.0,
        5.0,
        "high",
        "Separator level is below its operating limit",
    ),
    _threshold(
        "TEP stripper level below operating limit",
        "stripper",
        "level",
        "below",
        30.0,
        5.0,
        "high",
        "Stripper level is below its operating limit; the plant shuts down when it runs empty",
    ),
    {
        "name": "TEP plant silent",
        "enabled": True,
        "kind": "absence",
        "asset": "tep",
        "point": "simulated_hours",
        "condition": {"timeout_s": 10.0},
        "priority": "high",
        "message": "The plant sends no samples: it has shut down, or its connection is lost",
    },
)
