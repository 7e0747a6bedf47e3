"""What a person or a scanner gives for a GS1 identifier: a link, an element string, or the digits of a bar code.

::

    https://id.example.org/01/09506000134352/21/7
    (01)09506000134352(21)7                        as it is printed; \\( for a parenthesis in a value
    ]d20109506000134352217<GS>10ABC                as scanners send it; <GS> or ^ for the separator
    9506000134352                                  EAN-13, and 8, 12 and 14 digits likewise; 18 are an SSCC
"""

import re

from gongfu.identify.digital_link.application_identifiers import identifier_at, table
from gongfu.identify.digital_link.character_sets import DIGITS
from gongfu.identify.digital_link.check_digits import check_digit
from gongfu.identify.digital_link.elements import GTIN, SSCC, Element, check_value, padded
from gongfu.identify.digital_link.errors import GS1Error, Reason
from gongfu.identify.digital_link.uri import MAX_LENGTH, DigitalLink, link_of, parse_uri

SEPARATOR = "\x1d"
_PRINTED = re.compile(r"(?<!\\)\((?P<ai>[0-9]{2,4})\)")
# Of GS1-128, DataBar, DataMatrix, QR Code, DotCode: element strings.
_SYMBOLOGIES = ("]C1", "]e0", "]d2", "]Q3", "]J1")
# Of EAN and UPC: digits.
_RETAIL = ("]E0", "]E4", "]I1")
_GTIN_LENGTHS = (8, 12, 13, 14)
_SSCC_LENGTH = 18


def recognise(text: str) -> DigitalLink:
    """Return the link of what a person or a scanner gave.

    Raises:
        GS1Error: it is nothing of GS1, or something gone wrong.
    """
    text = text.strip(" \t\r\n")
    if len(text) > MAX_LENGTH:
        raise GS1Error(Reason.TOO_LONG, f"a link has at most {MAX_LENGTH} characters")
    if "://" in text[:10]:
        return parse_uri(text)
    if text.startswith("("):
        return link_of(printed_elements(text))
    if text[:3] in _RETAIL:
        return link_of([_bar_code(text[3:])])
    if text[:3] in _SYMBOLOGIES:
        return link_of(scanned_elements(text[3:]))
    if text.startswith(("^", SEPARATOR)):
        return link_of(scanned_elements(text.replace("^", SEPARATOR)))
    if DIGITS.issuperset(text) and len(text) in (*_GTIN_LENGTHS, _SSCC_LENGTH):
        return link_of([_bar_code(text)])
    if identifier_at(text) is not None:
        return link_of(scanned_elements(text))
    raise GS1Error(Reason.NOT_A_LINK, "it is no link, element string or bar code of GS1")


def _bar_code(digits: str) -> Element:
    if not DIGITS.issuperset(digits) or len(digits) not in (*_GTIN_LENGTHS, _SSCC_LENGTH):
        raise GS1Error(Reason.VALUE, "a bar code has 8, 12, 13, 14 or 18 digits")
    right = check_digit(digits[:-1])
    if digits[-1] != right:
        raise GS1Error(Reason.VALUE, f"the check digit of {digits} is {right}")
    return Element(SSCC, digits) if len(digits) == _SSCC_LENGTH else Element(GTIN, padded(GTIN, digits))


def printed_elements(text: str) -> list[Element]:
    """Return the elements of a string with its identifiers in parentheses.

    Raises:
        GS1Error: it is none.
    """
    parts = _PRINTED.split(text)
    if parts[0] or len(parts) < 3:
        raise GS1Error(Reason.NOT_A_LINK, "an element string begins with an Application Identifier in parentheses")
    elements: list[Element] = []
    for ai, value in zip(parts[1::2], parts[2::2], strict=True):
        value = padded(ai, value.replace("\\(", "(").strip())
        check_value(ai, value)
        elements.append(Element(ai, value))
    return elements


def scanned_elements(text: str) -> list[Element]:
    """Return the elements of a string without parentheses: values of predefined length follow directly, all others
    end at a separator.

    Raises:
        GS1Error: it is none.
    """
    elements: list[Element] = []
    rest = text.removeprefix(SEPARATOR)
    while rest:
        item = identifier_at(rest)
        if item is None:
            raise GS1Error(Reason.UNKNOWN_AI, f"there is no Application Identifier at {rest[:8]!r}")
        rest = rest[len(item.ai) :]
        if item.fixed:
            value, rest = rest[: item.maximum], rest[item.maximum :].removeprefix(SEPARATOR)
        else:
            value, _, rest = rest.partition(SEPARATOR)
        check_value(item.ai, value)
        elements.append(Element(item.ai, value))
    return elements


def printed(link: DigitalLink) -> str:
    """Return the element string of a link as it is printed."""
    elements = (link.key, *link.qualifiers, *link.attributes)
    return "".join(f"({item.ai}){item.value.replace('(', chr(92) + '(')}" for item in elements)


def scanned(link: DigitalLink) -> str:
    """Return the element string of a link as a bar code has it, predefined lengths first."""
    elements = sorted((link.key, *link.qualifiers, *link.attributes), key=lambda item: not table()[item.ai].fixed)
    text = "".join(f"{item.ai}{item.value}{'' if table()[item.ai].fixed else SEPARATOR}" for item in elements)
    return text.removesuffix(SEPARATOR)
