"""GS1 Digital Link URIs, uncompressed (GS1 Digital Link: URI Syntax): the key and its qualifiers are the end of the
path, data attributes are in the query.

::

    https://id.example.org/01/09506000134352/10/ABC%2F1/21/7?17=271231&linkType=gs1:pip

Short names (``/gtin/…/ser/…``) were removed from the standard in 1.3 and are refused unless asked for.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote, unquote_to_bytes

import msgspec

from gongfu.identify.digital_link.application_identifiers import primary_keys, table
from gongfu.identify.digital_link.elements import Element, check_combination, check_value, padded
from gongfu.identify.digital_link.errors import GS1Error, Reason

CANONICAL_ROOT = "https://id.gs1.org"
MAX_LENGTH = 8192
_URI = re.compile(r"(?P<root>https?://[^/?#]+)(?P<path>/[^?#]*)(\?(?P<query>[^#]*))?(#.*)?\Z", re.IGNORECASE)
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PAIRS = re.compile(r"[&;]")
_ENCODED_DIGITS = re.compile(r"(%3[0-9]|[0-9])+\Z")
_IN_SEGMENTS = "%:@!$&'()*+,;=~"
SHORT_NAMES = {
    "cpid": "8010",
    "cpsn": "8011",
    "cpv": "22",
    "gcn": "255",
    "gdti": "253",
    "giai": "8004",
    "ginc": "401",
    "gln": "414",
    "glnx": "254",
    "gmn": "8013",
    "grai": "8003",
    "gsin": "402",
    "gsrn": "8018",
    "gsrnp": "8017",
    "gtin": "01",
    "itip": "8006",
    "lot": "10",
    "party": "417",
    "refno": "8020",
    "ser": "21",
    "srin": "8019",
    "sscc": "00",
}
"""Names that stood for identifiers until 1.2."""


class DigitalLink(msgspec.Struct, frozen=True):
    """A link, taken apart; its values are well formed and go together.

    Attributes:
        key: primary key.
        qualifiers: in their order.
        attributes: data attributes, as they came.
        stem: what stands before the key in the path, with a slash at its beginning; "" for nothing.
    """

    key: Element
    qualifiers: tuple[Element, ...] = ()
    attributes: tuple[Element, ...] = ()
    stem: str = ""

    @property
    def path(self) -> str:
        """Key and qualifiers as they stand in the path of the canonical link."""
        return path_of((self.key, *self.qualifiers))

    def levels(self) -> list[tuple[Element, ...]]:
        """Return what the link names and what that is part of, most special first: item, lot, product.

        Each has the key and some of the qualifiers, for an item is known by its serial number whether or not the link
        names its lot too.
        """
        count = len(self.qualifiers)
        return [
            (self.key, *(item for place, item in enumerate(self.qualifiers) if chosen >> place & 1))
            for chosen in range(2**count - 1, -1, -1)
        ]

    def canonical(self, root: str = CANONICAL_ROOT) -> str:
        """Return the canonical form: no stem, no padding left out, attributes sorted, nothing else in the query."""
        query = "&".join(f"{item.ai}={encoded(item.value)}" for item in sorted(self.attributes, key=lambda e: e.ai))
        return f"{root}{self.path}{'?' if query else ''}{query}"


def encoded(value: str) -> str:
    """Return a value as it stands in a path or a query: all but letters, digits and ``-._~`` percent-encoded."""
    return quote(value, safe="")


def path_of(elements: Sequence[Element]) -> str:
    """Return a path: ``/01/09506000134352/21/7``."""
    return "".join(f"/{element.ai}/{encoded(element.value)}" for element in elements)


def parse_uri(uri: str, *, short_names: bool = False) -> DigitalLink:
    """Return the parts of a link.

    Args:
        uri: ``http`` or ``https``.
        short_names: take them for the identifiers that they were.

    Raises:
        GS1Error: it is none.
    """
    if len(uri) > MAX_LENGTH:
        raise GS1Error(Reason.TOO_LONG, f"a link has at most {MAX_LENGTH} characters")
    match = _URI.match(uri)
    if match is None:
        raise GS1Error(Reason.NOT_A_LINK, "an http or https address with a path is expected")
    return parse_target(match["path"], match["query"] or "", short_names=short_names)


def parse_target(path: str, query: str = "", *, short_names: bool = False) -> DigitalLink:
    """Return the parts of a link of which path and query are given, percent-encoded. A slash at the end is tolerated.

    Raises:
        GS1Error: it is none.
    """
    if len(path) + len(query) > MAX_LENGTH:
        raise GS1Error(Reason.TOO_LONG, f"a link has at most {MAX_LENGTH} characters")
    segments = path.split("/")[1:]
    if segments and not segments[-1]:
        segments.pop()
    if "%3" in path:
        # Digits mean the same encoded or not (RFC 3986 §2.3), in identifiers too.
        segments = [unquote(segment) if _ENCODED_DIGITS.match(segment) else segment for segment in segments]
    if short_names:
        segments = _without_short_names(segments)
    start = _start(segments)
    elements = [_element(segments[at], _decoded(segments[at + 1], "path")) for at in range(start, len(segments) - 1, 2)]
    key, qualifiers = elements[0], tuple(elements[1:])
    _check_order(key, qualifiers)
    attributes = _attributes(query)
    _check_places(key, qualifiers, attributes)
    check_combination((key, *qualifiers, *attributes), granted={item.ai for item in qualifiers})
    # It comes back in addresses of the same resolver, where only what an address may have can stand.
    stem = "".join(f"/{quote(segment, safe=_IN_SEGMENTS)}" for segment in segments[:start])
    return DigitalLink(key, qualifiers, attributes, stem)


def _without_short_names(segments: list[str]) -> list[str]:
    """Return the segments with short names replaced where identifiers are: every other one from the end."""
    return [
        SHORT_NAMES.get(segment, segment) if (len(segments) - at) % 2 == 0 else segment
        for at, segment in enumerate(segments)
    ]


def _start(segments: list[str]) -> int:
    """Return where the last primary key is, from which on there are pairs of identifier and value.

    Raises:
        GS1Error: nowhere.
    """
    at = len(segments) - 2
    while at >= 0 and segments[at] in table():
        if segments[at] in primary_keys():
            return at
        at -= 2
    beginnings = segments[:-1]
    short = next((segment for segment in beginnings if SHORT_NAMES.get(segment) in primary_keys()), None)
    if short is not None:
        raise GS1Error(Reason.SHORT_NAME, f"{short} is written {SHORT_NAMES[short]} since version 1.3 of the standard")
    if not any(segment in primary_keys() for segment in beginnings):
        raise GS1Error(Reason.NOT_A_LINK, "there is no GS1 primary key in the path")
    unknown = segments[at] if at >= 0 else ""
    if unknown.isdecimal() and 2 <= len(unknown) <= 4:
        raise GS1Error(Reason.UNKNOWN_AI, f"there is no Application Identifier ({unknown})")
    raise GS1Error(Reason.NO_KEY, "the path does not end in a primary key and its qualifiers, each with its value")


def _decoded(text: str, where: str) -> str:
    """Return a percent-encoded text.

    Raises:
        GS1Error: ``ENCODING``.
    """
    if _PERCENT.search(text):
        raise GS1Error(Reason.ENCODING, f"'%' in the {where} stands before two hexadecimal digits")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise GS1Error(Reason.ENCODING, f"the {where} is not UTF-8") from None


def _element(ai: str, value: str) -> Element:
    value = padded(ai, value)
    check_value(ai, value)
    return Element(ai, value)


def _check_order(key: Element, qualifiers: Sequence[Element]) -> None:
    if not _permitted(key.ai, [item.ai for item in qualifiers]):
        sequences = " or ".join(",".join(sequence) or "none" for sequence in table()[key.ai].qualifiers or ())
        given = ",".join(item.ai for item in qualifiers)
        raise GS1Error(Reason.ORDER, f"key qualifiers of ({key.ai}) are {sequences}, in this order, not {given}")


def _permitted(key: str, qualifiers: Sequence[str]) -> bool:
    """Return whether qualifiers are some of one sequence of a key, in its order."""
    for sequence in table()[key].qualifiers or ():
        remaining = iter(sequence)
        if all(ai in remaining for ai in qualifiers):
            return True
    return False


def _attributes(query: str) -> tuple[Element, ...]:
    """Return the data attributes of a query: the parameters whose names are digits."""
    found: list[Element] = []
    for pair in _PAIRS.split(query):
        name, equals, value = pair.partition("=")
        if not (equals and name.isascii() and name.isdecimal()):
            continue
        item = table().get(name)
        if item is None:
            raise GS1Error(Reason.UNKNOWN_AI, f"there is no Application Identifier ({name[:40]})")
        if not item.attribute:
            raise GS1Error(Reason.NOT_AN_ATTRIBUTE, f"({name}) does not stand in the query")
        found.append(_element(name, _decoded(value, "query")))
    return tuple(found)


def _check_places(key: Element, qualifiers: Sequence[Element], attributes: Sequence[Element]) -> None:
    """Check that no attribute is a qualifier that belongs in the path."""
    path = [item.ai for item in qualifiers]
    for attribute in attributes:
        if any(_permitted(key.ai, [*path[:at], attribute.ai, *path[at:]]) for at in range(len(path) + 1)):
            raise GS1Error(Reason.NOT_AN_ATTRIBUTE, f"({attribute.ai}) stands in the path behind ({key.ai})")


def link_of(elements: Sequence[Element]) -> DigitalLink:
    """Return the link of some elements: the first primary key, the sequence of which most are there, all else in the
    query.

    Raises:
        GS1Error: no key is among them, or they do not go together.
    """
    for element in elements:
        check_value(element.ai, element.value)
    key = next((item for item in elements if item.ai in primary_keys()), None)
    if key is None:
        raise GS1Error(Reason.NO_KEY, "none of the elements is a primary key")
    by_ai = {item.ai: item for item in elements}
    sequences = [tuple(by_ai[ai] for ai in sequence if ai in by_ai) for sequence in table()[key.ai].qualifiers or ((),)]
    qualifiers = max(sequences, key=len)
    attributes = tuple(item for item in elements if item is not key and item not in qualifiers)
    for item in attributes:
        if not table()[item.ai].attribute:
            raise GS1Error(Reason.NOT_AN_ATTRIBUTE, f"({item.ai}) does not stand in the query")
    check_combination(elements, granted={item.ai for item in qualifiers})
    return DigitalLink(key, qualifiers, attributes)
