"""What is wrong with some points of a connection that is otherwise well, and what to do about it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

REFUSED, REFUSED_SHOWN = "addresses_refused", "addresses_refused_are"
"""Figures of ``Driver.health``: how many addresses the machine does not have, and the first of them as text."""

_MODEL = (
    "Correct the address (word order, type, scale), or the thing model of the asset: `gongfu model check` compares them"
)
_ADVICE: dict[str, str] = {
    "model_range": f"{_MODEL}.",
    "model_type": f"{_MODEL}.",
    "model_unknown_point": "Add the property to the thing model of the asset, or take the address out.",
    "type_mismatch": "Give the address the value type that the machine sends, or take another address.",
    "precision_loss": "Make the point one of type int64: doubles are exact to 2^53 only.",
    "integer_overflow": "Read the address as another type: points hold integers of 64 bits with a sign.",
    "timestamp_in_future": "Set the clock of the machine, or have this node take the time of arrival.",
    "point_quota": "Take addresses out, or raise the quota of the tenant.",
}


class Hint(msgspec.Struct, frozen=True):
    """Something that keeps values of a connection from being stored.

    Attributes:
        reason: ``Reason`` of the kit, or the code of a rejection (docs/telemetry.md).
        what: what happens.
        advice: what to do.
    """

    reason: str
    what: str
    advice: str


def refused_figures(where: Sequence[str], shown: int = 5) -> dict[str, Any]:
    """Return the figures of ``Driver.health`` on addresses that the machine does not have; none when it has all."""
    if not where:
        return {}
    more = f" and {len(where) - shown} more" if len(where) > shown else ""
    return {REFUSED: len(where), REFUSED_SHOWN: ", ".join(where[:shown]) + more}


def hints_of(health: Mapping[str, Any], rejected: Mapping[str, int], detail: str) -> list[Hint]:
    """Return what is wrong now.

    Args:
        health: figures of the driver.
        rejected: values rejected lately, by reason.
        detail: the last rejection in words.
    """
    found: list[Hint] = []
    if number := health.get(REFUSED):
        names = health.get(REFUSED_SHOWN, "")
        found.append(
            Hint(
                "address-unknown",
                f"The machine does not have, or does not give, {number} of the addresses: {names}.",
                "Compare them with the manual of the machine, correct them or take them out; the others go on.",
            )
        )
    for reason, count in rejected.items():
        advice = _ADVICE.get(reason, "docs/telemetry.md says what this reason means.")
        found.append(Hint(reason, f"{count} values were rejected lately ({reason}); the last: {detail}", advice))
    return found
