"""Whom an order means: a list of node ids, or a query on what a parent says of its nodes.

Within a field of a query any value will do, and all fields must do. An empty query means every node of the issuer's
subtree; its text is ``all``, for an empty text is more often a mistake.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_TARGETS = 1000
"""Ids in a list; more nodes are meant by a query."""
MAX_VALUES = 200
"""Values of one field of a query."""

_Id = Annotated[str, Meta(pattern=r"^[a-z2-7]{24}\Z", max_length=24)]
# Two, four or six digits are a province, a prefecture, a county (GB/T 2260); nine and twelve go on to the village.
_Region = Annotated[str, Meta(pattern=r"^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12})\Z", max_length=12)]
# Section letter, then division, group and class digits (GB/T 4754).
_Industry = Annotated[str, Meta(pattern=r"^[A-T]([0-9]{2,4})?\Z", max_length=5)]
_Word = Annotated[str, Meta(min_length=1, max_length=200)]
_Values = Meta(max_length=MAX_VALUES)


class Member(msgspec.Struct, frozen=True):
    """What is known of a node that a selection may ask for.

    ``path`` holds the ids of its ancestors, root first, without itself. ``industry`` is with its section letter
    (``with_section``). An attribute that is not known is "".
    """

    node: str
    path: tuple[str, ...]
    tier: str
    region: str = ""
    industry: str = ""
    size: str = ""
    attributes: dict[str, str] = {}


# The last division of each section, A to T (GB/T 4754-2017).
_SECTIONS = (5, 12, 43, 46, 50, 52, 60, 62, 65, 69, 70, 72, 75, 79, 82, 83, 85, 90, 96, 97)


def with_section(industry: str) -> str:
    """Return a GB/T 4754 code with its section letter: 2614 is C2614. What is no such code comes back as it is."""
    if not industry[:2].isdecimal():
        return industry
    division = int(industry[:2])
    if not 1 <= division <= _SECTIONS[-1]:
        return industry
    return chr(ord("A") + bisect_left(_SECTIONS, division)) + industry


class Listed(msgspec.Struct, frozen=True, tag="list", forbid_unknown_fields=True):
    """These nodes and no others."""

    nodes: Annotated[tuple[_Id, ...], Meta(min_length=1, max_length=MAX_TARGETS)]


class Query(msgspec.Struct, frozen=True, tag="query", forbid_unknown_fields=True, omit_defaults=True):
    """Nodes by what they are.

    Attributes:
        under: subtrees; the node named is in its own subtree.
        tiers: names of tiers.
        regions: prefixes of GB/T 2260 codes (32 is Jiangsu and everything in it).
        industries: prefixes of GB/T 4754 codes with the section letter (C26).
        sizes: classes of size, in the words of the tree.
        attributes: free attributes, name → values.
    """

    under: Annotated[tuple[_Id, ...], _Values] = ()
    tiers: Annotated[tuple[_Word, ...], _Values] = ()
    regions: Annotated[tuple[_Region, ...], _Values] = ()
    industries: Annotated[tuple[_Industry, ...], _Values] = ()
    sizes: Annotated[tuple[_Word, ...], _Values] = ()
    attributes: Annotated[
        dict[_Word, Annotated[tuple[_Word, ...], Meta(min_length=1, max_length=MAX_VALUES)]], Meta(max_length=20)
    ] = {}


Selection = Listed | Query


def meant(selection: Selection, member: Member) -> bool:
    """Return whether the selection means the node. Whether the issuer may order it about is another question."""
    if isinstance(selection, Listed):
        return member.node in selection.nodes
    if selection.tiers and member.tier not in selection.tiers:
        return False
    if selection.sizes and member.size not in selection.sizes:
        return False
    if selection.regions and not member.region.startswith(selection.regions):
        return False
    if selection.industries and not member.industry.startswith(selection.industries):
        return False
    if (
        selection.under
        and member.node not in selection.under
        and not any(node in member.path for node in selection.under)
    ):
        return False
    return all(member.attributes.get(name) in values for name, values in selection.attributes.items())


def resolve(selection: Selection, members: Iterable[Member]) -> list[Member]:
    """Return those of the members that are meant, in their order. Ids of a list that are not members are ``absent``."""
    if isinstance(selection, Listed):
        wanted = frozenset(selection.nodes)
        return [member for member in members if member.node in wanted]
    return [member for member in members if meant(selection, member)]


def absent(selection: Selection, members: Iterable[Member]) -> list[str]:
    """Return the ids of a list that none of the members has, in the list's order: their orders are undeliverable."""
    if isinstance(selection, Query):
        return []
    known = {member.node for member in members}
    return [node for node in dict.fromkeys(selection.nodes) if node not in known]


class SelectionError(ValueError):
    """A text that is not a selection. ``position`` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"at character {position + 1}: {message}")
        self.position = position


_FIELDS = {"id": "", "under": "under", "tier": "tiers", "region": "regions", "industry": "industries", "size": "sizes"}
_PLAIN = re.compile(r'[^\s",:\\]+')
_SHAPES = {
    "id": (re.compile(r"[a-z2-7]{24}"), "a node id is 24 letters and digits a-z, 2-7"),
    "under": (re.compile(r"[a-z2-7]{24}"), "a node id is 24 letters and digits a-z, 2-7"),
    "region": (
        re.compile(r"\d{2}|\d{4}|\d{6}|\d{9}|\d{12}", re.ASCII),
        "a region is 2, 4, 6, 9 or 12 digits of GB/T 2260",
    ),
    "industry": (
        re.compile(r"[A-T](\d{2,4})?|\d{2,4}", re.ASCII),
        "an industry is a section letter A-T of GB/T 4754, or 2 to 4 digits, or both",
    ),
}


def parse_selection(text: str) -> Selection:
    """Return the selection that a text says: ``tier:site region:32,33 industry:C26 under:<id> attr.name:"a value"``.

    ``id:<id>,<id>`` is a list and stands alone; ``all`` is everything. A region of six digits that ends in 00 is the
    prefecture, in 0000 the province, as GB/T 2260 writes them.

    Raises:
        SelectionError: not of this form; says where.
    """
    stripped = text.strip()
    if stripped == "all":
        return Query()
    values: dict[str, list[str]] = {}
    starts: dict[str, int] = {}
    position = _skip_space(text, 0)
    while position < len(text):
        start = position
        key, position = _key(text, position)
        starts.setdefault(key, start)
        found = values.setdefault(key, [])
        while True:
            value, after = _value(text, position)
            found.append(_checked(key, value, position))
            position = after
            if position == len(text) or text[position] != ",":
                break
            position += 1
        limit = MAX_TARGETS if key == "id" else MAX_VALUES
        if len(found) > limit:
            raise SelectionError(f"{key} has more than {limit} values; use a query", start)
        if position < len(text) and not text[position].isspace():
            raise SelectionError("expected a space or a comma", position)
        position = _skip_space(text, position)
    if not values:
        raise SelectionError("nothing is selected; write all to mean everything", 0)
    if "id" in values:
        if len(values) > 1:
            other = min(starts[key] for key in values if key != "id")
            raise SelectionError("a list of ids stands alone", other)
        return Listed(tuple(dict.fromkeys(values["id"])))
    return _query(values)


def print_selection(selection: Selection) -> str:
    """Return the text that ``parse_selection`` reads as the same selection."""
    if isinstance(selection, Listed):
        return "id:" + ",".join(selection.nodes)
    terms: list[tuple[str, tuple[str, ...]]] = [
        ("tier", selection.tiers),
        ("region", selection.regions),
        ("industry", selection.industries),
        ("size", selection.sizes),
        ("under", selection.under),
        *((f"attr.{_quoted(name)}", values) for name, values in selection.attributes.items()),
    ]
    return " ".join(f"{key}:{','.join(map(_quoted, values))}" for key, values in terms if values) or "all"


def _query(values: dict[str, list[str]]) -> Query:
    kept = {key: tuple(dict.fromkeys(found)) for key, found in values.items()}
    attributes = {key[5:]: found for key, found in kept.items() if key.startswith("attr.")}
    return Query(
        under=kept.get("under", ()),
        tiers=kept.get("tier", ()),
        regions=kept.get("region", ()),
        industries=kept.get("industry", ()),
        sizes=kept.get("size", ()),
        attributes=attributes,
    )


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _key(text: str, position: int) -> tuple[str, int]:
    start = position
    if text.startswith("attr.", position):
        name, position = _value(text, position + 5)
        key = "attr." + name
    else:
        match = _PLAIN.match(text, position)
        key = match.group() if match else ""
        position += len(key)
        if key not in _FIELDS:
            raise SelectionError(f"expected one of {', '.join(_FIELDS)}, attr.<name>", start)
    if position == len(text) or text[position] != ":":
        raise SelectionError("expected a colon", position)
    return key, position + 1


def _value(text: str, position: int) -> tuple[str, int]:
    if text.startswith('"', position):
        return _quoted_value(text, position)
    match = _PLAIN.match(text, position)
    if match is None:
        raise SelectionError("expected a value", position)
    return match.group(), match.end()


def _quoted_value(text: str, start: int) -> tuple[str, int]:
    found: list[str] = []
    position = start + 1
    while position < len(text):
        character = text[position]
        if character == '"':
            if not found:
                raise SelectionError("an empty value", start)
            return "".join(found), position + 1
        if character == "\\":
            position += 1
            if position == len(text) or text[position] not in '"\\':
                raise SelectionError('only \\" and \\\\ are escapes', position - 1)
            character = text[position]
        found.append(character)
        position += 1
    raise SelectionError("a quotation mark that is not closed", start)


def _checked(key: str, value: str, position: int) -> str:
    if len(value) > 200:
        raise SelectionError("a value of more than 200 characters", position)
    shape = _SHAPES.get(key)
    if shape is not None and shape[0].fullmatch(value) is None:
        raise SelectionError(shape[1], position)
    if key == "industry":
        return with_section(value)
    if key == "region" and len(value) == 6:
        if value.endswith("0000"):
            value = value[:2]
        elif value.endswith("00"):
            value = value[:4]
        if value == "00":
            raise SelectionError("000000 is no region; leave the region out to mean all", position)
    return value


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
