"""Values of Application Identifiers: whether they are well formed, and whether they go together."""

from collections.abc import Collection, Sequence

import msgspec

from gongfu.identify.digital_link.application_identifiers import Component, same, table
from gongfu.identify.digital_link.character_sets import DIGITS, wrong_characters
from gongfu.identify.digital_link.errors import GS1Error, Reason
from gongfu.identify.digital_link.linters import LINTERS

GTIN = "01"
SSCC = "00"
_GTIN_LENGTHS = (8, 12, 13)
_SHOWN = 40


class Element(msgspec.Struct, frozen=True, gc=False):
    """An Application Identifier and its value, without any encoding."""

    ai: str
    value: str


def check_value(ai: str, value: str) -> None:
    """Check a value against all that the dictionary says of it alone.

    Raises:
        GS1Error: ``UNKNOWN_AI``; ``VALUE``.
    """
    item = table().get(ai)
    if item is None:
        raise GS1Error(Reason.UNKNOWN_AI, f"there is no Application Identifier ({ai[:_SHOWN]})")
    rest = value
    for component in item.components:
        part, rest = rest[: component.maximum], rest[component.maximum :]
        if not part and component.optional:
            break
        wrong = _wrong(component, part)
        if wrong is not None:
            raise GS1Error(Reason.VALUE, f"({ai}) {value[:_SHOWN]}: {wrong}")
    if rest:
        raise GS1Error(Reason.VALUE, f"({ai}) {value[:_SHOWN]}: it has at most {item.maximum} characters")


def _wrong(component: Component, part: str) -> str | None:
    if len(part) < component.minimum:
        least = "" if component.minimum == component.maximum else "at least "
        return f"{least}{component.minimum} characters are expected, not {len(part)}"
    wrong = wrong_characters(component.kind, part)
    if wrong is not None:
        return wrong
    return next(filter(None, (LINTERS[name](part) for name in component.linters)), None)


def check_combination(elements: Sequence[Element], granted: Collection[str] = ()) -> None:
    """Check that values of one thing go together.

    Args:
        elements: all that are known of it.
        granted: identifiers that need no others: key qualifiers, which are with their key.

    Raises:
        GS1Error: ``REPEATED``, ``MISSING``, ``EXCLUDED``.
    """
    present: dict[str, str] = {}
    for element in elements:
        if element.ai in present:
            raise GS1Error(Reason.REPEATED, f"({element.ai}) stands twice")
        present[element.ai] = element.value
    for ai in present:
        item = table()[ai]
        for alternatives in item.requires if ai not in granted else ():
            if not any(all(_any(pattern, present) for pattern in group) for group in alternatives):
                needed = " or ".join("+".join(group) for group in alternatives)
                raise GS1Error(Reason.MISSING, f"({ai}) needs {needed} beside it")
        for pattern in item.excludes:
            beside = next((other for other in present if other != ai and same(pattern, other)), None)
            if beside is not None:
                raise GS1Error(Reason.EXCLUDED, f"({ai}) and ({beside}) do not go together")


def _any(pattern: str, present: Collection[str]) -> bool:
    return any(same(pattern, ai) for ai in present)


def padded(ai: str, value: str) -> str:
    """Return a GTIN of 8, 12 or 13 digits with the zeros that make it 14; any other value as it is."""
    return value.zfill(14) if ai == GTIN and len(value) in _GTIN_LENGTHS and DIGITS.issuperset(value) else value
