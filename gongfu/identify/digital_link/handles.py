"""Handles of GS1 identifiers: ``<prefix>/gs1`` and the canonical path of the link.

::

    https://id.example.org/01/09506000134352/21/A%2F7  →  99.1000.1/gs1/01/09506000134352/21/A%2F7

Values stay percent-encoded, so that a slash in a serial number is not taken for one of the path. Ranges and templates
work as with any other suffix: ``gs1/01/09506000134352/21/{00000001..99999999}``.
"""

from gongfu.identify.digital_link.elements import Element
from gongfu.identify.digital_link.errors import GS1Error
from gongfu.identify.digital_link.uri import DigitalLink, parse_target, path_of
from gongfu.identify.handle.names import HandleName, folded

ROOT = "gs1"
COMPANY_PREFIX = "gcp"
_LONGEST_COMPANY_PREFIX = 12
_SHORTEST_COMPANY_PREFIX = 4


def handle_of(elements: tuple[Element, ...], prefix: str) -> HandleName:
    """Return the handle of a key and some qualifiers."""
    return HandleName(prefix, ROOT + path_of(elements))


def handles_of(link: DigitalLink, prefix: str) -> tuple[HandleName, ...]:
    """Return the handles of what a link names and what that is part of, most special first."""
    return tuple(handle_of(level, prefix) for level in link.levels())


def company_handles(link: DigitalLink, prefix: str) -> tuple[HandleName, ...]:
    """Return the handles of the company prefixes that a key may begin with, longest first."""
    start = 1 if link.key.ai in ("00", "01", "8003", "8006") else 0
    digits = link.key.value[start : start + _LONGEST_COMPANY_PREFIX]
    return tuple(
        HandleName(prefix, f"{ROOT}/{COMPANY_PREFIX}/{digits[:length]}")
        for length in range(len(digits), _SHORTEST_COMPANY_PREFIX - 1, -1)
        if digits[:length].isdecimal()
    )


def link_of_handle(name: HandleName, prefix: str) -> DigitalLink | None:
    """Return the link of a handle, None where it is none of a GS1 identifier."""
    if folded(name.prefix) != folded(prefix) or not name.suffix.startswith(f"{ROOT}/"):
        return None
    try:
        link = parse_target(name.suffix.removeprefix(ROOT))
    except GS1Error:
        return None
    # Another spelling of the same link is another handle, which the resolver never asks for.
    return link if name.suffix == ROOT + link.path else None
