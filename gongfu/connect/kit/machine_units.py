"""Units that a machine says for its variables, as a driver passes them on while it works. Pure.

A driver sends them by ``Sink.event(UNITS, …)`` when it has subscribed and when they change. The node keeps them beside
the points; the unit of a point itself never changes by it, once it has one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gongfu.connect.kit.types import Address

UNITS = "machine.units"
"""Kind of the event; it is not kept as one. Its details are ``document(…)``."""


class MachineUnit(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine says of one variable.

    Attributes:
        asset: path of a child asset, ``""`` for that of the connection.
        point: name of the point.
        text: the unit as the machine writes it.
        unit: UCUM code, "" unknown.
        low, high: range in that unit, None for none.
        scaled: the address is scaled, so that the point has a unit of its own.
    """

    asset: str
    point: str
    text: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    scaled: bool = False


def unit_of(address: Address, text: str, unit: str, low: float | None = None, high: float | None = None) -> MachineUnit:
    """Return what is said of an address."""
    return MachineUnit(
        asset=address.asset,
        point=address.point,
        text=text,
        unit=unit,
        low=low,
        high=high,
        scaled=address.scale != 1.0 or address.offset != 0.0,
    )


def document(units: Sequence[MachineUnit]) -> dict[str, Any]:
    """Return the details of the event."""
    return {"units": [msgspec.to_builtins(unit) for unit in units]}


def read(detail: Mapping[str, Any]) -> list[MachineUnit]:
    """Return the units of an event.

    Raises:
        msgspec.ValidationError: these are none.
    """
    return msgspec.convert(detail.get("units", []), list[MachineUnit])
