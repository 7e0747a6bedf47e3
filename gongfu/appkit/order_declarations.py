"""What ``App.order_kind``, ``App.probe`` and ``App.report`` note down, checked when they are used."""

import re
from collections.abc import Collection
from dataclasses import dataclass

_NAME = re.compile(r"[a-z][a-z0-9-]{0,47}", re.ASCII)
_DOTTED = re.compile(r"[a-z][a-z0-9_-]{0,62}(?:\.[a-z][a-z0-9_-]{0,62}){0,3}", re.ASCII)
_S = 1_000_000_000
# The order engine waits so long for a driver and for a look; a part of it is for the way.
LONGEST_ORDER = 540 * _S
LONGEST_PROBE = 45 * _S


class OrderDeclarationError(ValueError):
    """A decorator was given something wrong; the message says what to write."""


@dataclass(frozen=True, slots=True)
class OnOrder:
    """``App.order_kind``: kind, name of the probe that sees its effect, how long it may take (ns)."""

    kind: str
    effect: str
    timeout: int

    def __post_init__(self) -> None:
        _check(self.kind, "kind of an order")
        _check(self.effect, "effect: the probe that sees it")
        if not _S <= self.timeout <= LONGEST_ORDER:
            raise OrderDeclarationError("timeout of an order is 1 s to 9 min")


@dataclass(frozen=True, slots=True)
class OnProbe:
    """``App.probe``: its name, and how long a look may take (ns)."""

    name: str
    timeout: int

    def __post_init__(self) -> None:
        _check(self.name, "probe")
        if not _S <= self.timeout <= LONGEST_PROBE:
            raise OrderDeclarationError("timeout of a probe is 1 s to 45 s")


@dataclass(frozen=True, slots=True)
class OnReport:
    """``App.report``: kind; how often it is asked for, for how long after a period, how long it may take (ns)."""

    kind: str
    every: int
    late: int
    timeout: int

    def __post_init__(self) -> None:
        if not _DOTTED.fullmatch(self.kind):
            raise OrderDeclarationError(f"kind of a report: dotted small letters, such as 'pumps', not {self.kind!r}")
        if self.every < _S:
            raise OrderDeclarationError("a report is asked for at most once a second")
        if not _S <= self.timeout <= LONGEST_ORDER:
            raise OrderDeclarationError("timeout of a report is 1 s to 9 min")


def unmatched(
    orders: Collection[tuple[str, str]], probes: Collection[str], provided: Collection[str], asked: Collection[str]
) -> str:
    """Return what code and manifest say differently, as what to write; empty when they agree.

    Args:
        orders: declared in the code, as (kind, probe of its effect).
        probes: declared in the code.
        provided: names of ``provides.order_kinds``.
        asked: ``needs.probes``.
    """
    kinds = {kind for kind, _ in orders}
    for kind in sorted(set(provided) - kinds):
        return f'app.toml describes the orders {kind!r}, and the code has no @app.order_kind("{kind}", effect=…)'
    for kind in sorted(kinds - set(provided)):
        return f"the code carries out orders {kind!r}, and app.toml has no [[provides.order_kinds]] of that name"
    for kind, effect in sorted(orders):
        if effect not in probes:
            return f'the effect of orders {kind!r} is seen by {effect!r}, and the code has no @app.probe("{effect}")'
    for name in sorted(set(asked) - set(probes)):
        return f'app.toml offers the probe {name!r}, and the code has no @app.probe("{name}")'
    return ""


def _check(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise OrderDeclarationError(f"{what}: small letters, digits and -, such as 'speed-limit', not {name!r}")
