"""Tell people, in a sentence, why an hour of a signal is unusual."""

from collections.abc import Sequence

from .baseline import LEVEL_LIMIT
from .detector import SIDES, Finding


def explain(side: str, findings: Sequence[Finding], unit: str = "") -> str:
    """Return the strongest reason on a side: ``mean of 24 h 61.8 Cel, usually 89.2: 4.1 robust deviations below``.

    Args:
        side: ``low`` or ``high``.
        findings: of the hour.
        unit: of the signal, or empty.
    """
    sign = SIDES[side]
    finding = max(findings, key=lambda one: sign * one.score, default=None)
    if finding is None or sign * finding.score <= 0.0:
        return f"unusually {side}"
    value = f"{finding.value:.4g} {unit}".strip()
    if finding.kind == "extreme":
        return f"hourly mean {value}, beyond {finding.usual:.4g}, which is passed once in two months ({side})"
    length = finding.kind.removeprefix("level ")
    where = "below" if sign < 0 else "above"
    times = abs(finding.score) * LEVEL_LIMIT
    return f"mean of {length} {value}, usually {finding.usual:.4g}: {times:.1f} robust deviations {where}"
