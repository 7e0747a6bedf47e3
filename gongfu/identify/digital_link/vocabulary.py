"""Types of links: those of GS1's Web Vocabulary, and addresses of others."""

import re

VOCABULARY = "https://ref.gs1.org/voc/"
PREFIX = "gs1:"
DEFAULT_LINK = VOCABULARY + "defaultLink"
DEFAULT_LINK_MULTI = VOCABULARY + "defaultLinkMulti"
HANDLED_BY = VOCABULARY + "handledBy"
PRODUCT_INFORMATION = VOCABULARY + "pip"
RESERVED = frozenset({"anchor", "linkset", "all"})
"""Names that mean something else in a linkset or a query."""
# What a link is called whose type says no more than where to go.
_MARKS = frozenset({DEFAULT_LINK, DEFAULT_LINK_MULTI})
# All are in use for the same vocabulary.
_ALIASES = (VOCABULARY, "https://gs1.org/voc/", "https://www.gs1.org/voc/", "http://gs1.org/voc/", PREFIX)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}\Z")
# GS1's schema of linksets has no other characters in a type.
_REGISTERED = re.compile(r"[a-z-]{1,64}\Z")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.]+/[A-Za-z0-9./_]*\Z")


def link_type(text: str) -> str | None:
    """Return a type of link in full, None where it is none: of GS1's vocabulary in any of its spellings, registered
    with IANA (``item``), or the address of another vocabulary's, of letters, digits, ``.``, ``/`` and ``_``."""
    for alias in _ALIASES:
        if text.startswith(alias):
            name = text.removeprefix(alias)
            return VOCABULARY + name if _NAME.match(name) else None
    if len(text) <= 256 and (_REGISTERED.match(text) or _ADDRESS.match(text)):
        return None if text in RESERVED else text
    return None


def descriptive(kind: str) -> bool:
    """Return whether a type says what is behind a link, not only that it is a default."""
    return kind not in _MARKS


def short(kind: str) -> str:
    """Return a type as people write it: ``gs1:pip``."""
    return PREFIX + kind.removeprefix(VOCABULARY) if kind.startswith(VOCABULARY) else kind
