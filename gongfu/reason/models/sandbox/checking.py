"""What comes from a process that is not trusted: bounds on all of it, and units that are UCUM. Pure."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from gongfu.kernel.units import UnitError, check_unit
from gongfu.reason.models.sandbox.types import HELD, Description, ParameterFact, PortFact

MOST_PORTS = 500
_MOST_FACTS, _MOST_WARNINGS = 40, 60
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,119}", re.ASCII)
_TEXT, _LONG_TEXT, _DETAIL = 300, 4000, 1000
# Codes that need not be parsed; the parser costs a second of CPU when it is first asked.
_PLAIN = frozenset(
    (
        "1",
        "%",
        "Cel",
        "K",
        "s",
        "min",
        "h",
        "d",
        "m",
        "m2",
        "m3",
        "kg",
        "g",
        "t",
        "Pa",
        "kPa",
        "MPa",
        "bar",
        "N",
        "N.m",
        "J",
        "kJ",
        "W",
        "kW",
        "MW",
        "A",
        "V",
        "Ohm",
        "Hz",
        "/s",
        "/min",
        "rad",
        "rad/s",
        "deg",
        "m/s",
        "m/s2",
        "L",
        "m3/s",
        "m3/h",
        "L/min",
        "kg/s",
        "kg/h",
        "kg/m3",
        "mol",
        "mm",
        "um",
        "mm/s",
        "mV",
        "mA",
    )
)

Fact = TypeVar("Fact", PortFact, ParameterFact)


class DescriptionError(ValueError):
    """A description is not one; the message is for people."""


def checked(found: Description) -> Description:
    """Return a description that is safe to show and to store.

    Units that are not UCUM become ``1`` with a warning, but for Python models, whose author declared them for us.

    Raises:
        DescriptionError: names are no names, stand twice, there are too many, or a Python model's unit is not UCUM.
    """
    warnings = [each[:_TEXT] for each in found.warnings[:_MOST_WARNINGS]]
    strict = found.kind == "python"
    described = msgspec.structs.replace(
        found,
        id=found.id[:120],
        version=found.version[:60],
        name=found.name[:200],
        description=found.description[:_LONG_TEXT],
        inputs=_checked("input", found.inputs, strict, warnings),
        outputs=_checked("output", found.outputs, strict, warnings),
        parameters=_checked("parameter", found.parameters, strict, warnings),
        facts={name[:60]: value[:_TEXT] for name, value in list(found.facts.items())[:_MOST_FACTS]},
    )
    if not described.outputs:
        raise DescriptionError("the model has no output")
    return msgspec.structs.replace(described, warnings=tuple(warnings))


def detail_of(text: str) -> str:
    """Return what a model says went wrong, at most 1,000 characters."""
    return text[:_DETAIL]


def words_of(told: Mapping[int, str], assets: Sequence[int]) -> dict[int, str]:
    """Return what a model says of assets, at most 1,000 characters each, and of no others."""
    return {asset: detail_of(told[asset]) for asset in assets if asset in told} if told else {}


def are_kept(states: Sequence[bytes | None]) -> bool:
    """Return whether a process that was to keep states sent none of them."""
    return all(state is None or state == HELD for state in states)


def _checked(what: str, facts: Sequence[Fact], strict: bool, warnings: list[str]) -> tuple[Fact, ...]:
    if len(facts) > MOST_PORTS:
        raise DescriptionError(f"the model has {len(facts)} {what}s; {MOST_PORTS} is the most")
    wrong = [fact.name for fact in facts if not _NAME.fullmatch(fact.name)]
    twice = [name for name, count in Counter(fact.name for fact in facts).items() if count > 1]
    if wrong or twice:
        raise DescriptionError(f"{what} {(wrong or twice)[0][:60]!r} {'is no name' if wrong else 'stands twice'}")
    return tuple(_bounded(fact, what, strict, warnings) for fact in facts)


def _bounded(fact: Fact, what: str, strict: bool, warnings: list[str]) -> Fact:
    unit = fact.unit
    if unit not in _PLAIN:
        try:
            check_unit(unit)
        except UnitError as error:
            if strict:
                raise DescriptionError(f"{what} {fact.name}: {error}") from None
            warnings.append(f"{what} {fact.name}: {error}; taken as 1")
            unit = "1"
    if isinstance(fact, PortFact):
        return msgspec.structs.replace(fact, unit=unit, description=fact.description[:_TEXT], point=fact.point[:500])
    return msgspec.structs.replace(fact, unit=unit, description=fact.description[:_TEXT])
