"""Tell people, in a sentence, what an alarm comes from: which variables, and how far from what the others expect."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .normal_operation import Array

MOST = 3
# A variable that adds less than this share says nothing.
LEAST_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Cause:
    """A variable's part: its name, share of all contributions (0 to 1), departure in its unit, and the unit."""

    variable: str
    share: float
    departure: float
    unit: str


def causes(names: Sequence[str], units: Sequence[str], falls: Array, departures: Array) -> list[Cause]:
    """Return the variables with the greatest contributions, at most ``MOST``.

    Args:
        names: m names.
        units: m UCUM units.
        falls: ``float64[m]`` contributions.
        departures: ``float64[m]`` value minus what the others expect, in the variable's unit.
    """
    total = float(falls.sum())
    if not total > 0.0:
        return []
    order: list[int] = np.argsort(-falls, kind="stable")[:MOST].tolist()
    found = [
        Cause(names[place], float(falls[place]) / total, float(departures[place]), units[place]) for place in order
    ]
    return [cause for cause in found if cause.share >= LEAST_SHARE]


def explain(index: float, found: Sequence[Cause]) -> str:
    """Return what an alarm says: ``2.3 times the limit; xmv_11 41% (+3.2 % against the others), …``."""
    parts = ", ".join(
        f"{cause.variable} {cause.share:.0%} ({f'{cause.departure:+.3g} {cause.unit}'.strip()} against the others)"
        for cause in found
    )
    return f"{index:.1f} times the limit; {parts}" if parts else f"{index:.1f} times the limit"
