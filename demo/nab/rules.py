"""Rules for the recorded machine, as documents of ``POST /v1/rules``.

Both limits are chosen on the first seven days only (2013-12-02 21:15 to 2013-12-09 21:15, 2,016 samples), which end
before the first labelled window starts: the machine is taken to be healthy there. In them the lowest temperature is
52.69 and the deepest fall within two hours is 17.59. The threshold is the lowest value rounded down; the rate is
twice the deepest fall. Delays and windows are source time.

What they do on the whole recording is measured by ``tests/unit/demo/test_nab_rules.py`` and told in docs/demo.md.
"""

from typing import Any

from demo.nab.series import ASSET, POINT

LOW_LIMIT = 52.0
LOW_DEADBAND = 15.0
FALL = 35.2
FALL_WINDOW_S = 7200.0

RULES: tuple[dict[str, Any], ...] = (
    {
        "name": "NAB machine temperature low",
        "enabled": True,
        "kind": "threshold",
        "asset": ASSET,
        "point": POINT,
        "condition": {"direction": "below", "limit": LOW_LIMIT, "deadband": LOW_DEADBAND, "delay_s": 0.0},
        "priority": "high",
        "message": "Machine temperature is lower than at any time in its first seven days",
    },
    {
        "name": "NAB machine temperature collapses",
        "enabled": True,
        "kind": "rate",
        "asset": ASSET,
        "point": POINT,
        "condition": {
            "direction": "below",
            "per_s": FALL / FALL_WINDOW_S,
            "window_s": FALL_WINDOW_S,
            "deadband": FALL / FALL_WINDOW_S / 2.0,
        },
        "priority": "critical",
        "message": "Machine temperature falls twice as fast as at any time in its first seven days",
    },
)
