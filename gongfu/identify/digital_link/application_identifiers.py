"""What GS1 Application Identifiers look like: their parts, what they need beside them, which ones are keys.

The facts are in ``ai_table.json``, which ``dictionary`` writes from the GS1 Barcode Syntax Dictionary.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from gongfu.identify.digital_link.linters import LINTERS

Kind = Literal["N", "X", "Y", "Z"]


class Component(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One part of a value.

    Attributes:
        kind: characters: ``N`` digits, ``X`` GS1's set of 82, ``Y`` its set of 39, ``Z`` base64url.
        minimum: least characters.
        maximum: most characters.
        optional: it may be left out, with all that follow it.
        linters: what else is checked, by name.
    """

    kind: Kind
    minimum: int
    maximum: int
    optional: bool = False
    linters: tuple[str, ...] = ()


class ApplicationIdentifier(msgspec.Struct, frozen=True, omit_defaults=True):
    """One identifier, or in the table a range of them (``3100-3105``).

    Attributes:
        ai: its digits.
        title: GS1's short title.
        components: of its value, in order.
        fixed: of predefined length: no separator follows it in an element string.
        attribute: may stand in the query of a link.
        requires: for each of these, one of its groups must be there in whole; ``n`` in an AI stands for any digit.
        excludes: must not be beside it; ``n`` as above. An identifier does not exclude itself.
        qualifiers: of a primary key the sequences of key qualifiers that may follow it in the path, each optional
            within its sequence; None where it is no primary key.
    """

    ai: str
    title: str
    components: tuple[Component, ...]
    fixed: bool = False
    attribute: bool = False
    requires: tuple[tuple[tuple[str, ...], ...], ...] = ()
    excludes: tuple[str, ...] = ()
    qualifiers: tuple[tuple[str, ...], ...] | None = None

    @property
    def maximum(self) -> int:
        """Most characters of the value."""
        return sum(component.maximum for component in self.components)


class Table(msgspec.Struct, frozen=True):
    """The file: whose facts these are, and the facts.

    Attributes:
        notice: licence and origin.
        identifiers: in the order of the dictionary.
    """

    notice: tuple[str, ...]
    identifiers: tuple[ApplicationIdentifier, ...]


def expand(identifiers: Iterable[ApplicationIdentifier]) -> dict[str, ApplicationIdentifier]:
    """Return the identifiers by their digits, a range as its members.

    Raises:
        ValueError: a linter is not known, or an identifier stands twice.
    """
    found: dict[str, ApplicationIdentifier] = {}
    for item in identifiers:
        unknown = {name for component in item.components for name in component.linters} - LINTERS.keys()
        if unknown:
            raise ValueError(f"AI {item.ai}: linters {sorted(unknown)} are not known")
        first, _, last = item.ai.partition("-")
        for number in range(int(first), int(last or first) + 1):
            digits = str(number).zfill(len(first))
            if digits in found:
                raise ValueError(f"AI {digits} stands twice")
            found[digits] = msgspec.structs.replace(item, ai=digits)
    return found


@cache
def table() -> Mapping[str, ApplicationIdentifier]:
    """Return all Application Identifiers by their digits."""
    text = (files("gongfu.identify.digital_link") / "ai_table.json").read_bytes()
    return expand(msgspec.json.decode(text, type=Table).identifiers)


@cache
def primary_keys() -> frozenset[str]:
    """Return the identifiers that begin the path of a link."""
    return frozenset(ai for ai, item in table().items() if item.qualifiers is not None)


def identifier_at(text: str) -> ApplicationIdentifier | None:
    """Return the identifier with which an element string begins; none is the beginning of another."""
    known = table()
    return next((known[text[:n]] for n in (2, 3, 4) if text[:n] in known), None)


def same(pattern: str, ai: str) -> bool:
    """Return whether an AI is of a pattern, in which ``n`` stands for any digit."""
    return len(pattern) == len(ai) and all(p in ("n", digit) for p, digit in zip(pattern, ai, strict=True))


def write_table(table: Table) -> str:
    """Return the text of the table's file: one identifier a line."""
    rows = ",\n".join(
        json.dumps(msgspec.to_builtins(item), ensure_ascii=False, separators=(",", ":")) for item in table.identifiers
    )
    notice = ",\n".join(json.dumps(line, ensure_ascii=False) for line in table.notice)
    return f'{{"notice":[\n{notice}\n],"identifiers":[\n{rows}\n]}}\n'
