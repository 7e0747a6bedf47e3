"""Values that look as if bytes or words were in another order. Pure."""

import math
from typing import Any

from gongfu.connect.modbus.addressing import Spec
from gongfu.connect.modbus.values import in_orders


def order_hint(spec: Spec, value: Any) -> str:
    """Return what is odd about a number and which order would make sense of it, "" when nothing is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    candidates = in_orders(spec, value)
    if not candidates or _plausible(spec, value):
        return ""
    better = [order for order, other in candidates.items() if order != spec.order and _plausible(spec, other)]
    if len(better) > 1:
        # Of several the one that is the simplest number: 21.5 rather than 21.50002.
        better.sort(key=lambda order: _digits(candidates[order]))
        if _digits(candidates[better[0]]) == _digits(candidates[better[1]]):
            return f"{value:g} looks wrong: try the orders {', '.join(sorted(better))}"
    if not better:
        return ""
    order = better[0]
    return f"{value:g} looks wrong: with order {order} it would be {candidates[order]:g}; set the order to {order}"


def _plausible(spec: Spec, value: Any) -> bool:
    if spec.type.startswith("float"):
        return math.isfinite(value) and (value == 0 or 1e-6 <= abs(value) <= 1e9)
    # A small number whose words are exchanged is a multiple of 65,536, and more than most counters reach.
    return abs(value) < 1 << 16 or value & 0xFFFF != 0


def _digits(value: Any) -> int:
    return len(f"{value:.7g}")
