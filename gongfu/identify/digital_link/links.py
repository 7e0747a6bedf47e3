"""Links of a thing, and how they are kept: JSON in values of its handle.

::

    {"linkType":"gs1:pip","href":"https://example.com/泵","title":"泵","hreflang":["zh"],"type":"text/html","default":true}

A value is of type ``GS1_LINK``, or ``GS1_LINK_…`` where a template needs several names; one of type ``URL`` is a
``gs1:pip`` link without more. ``GS1_DESCRIPTION`` says what the thing is. What is not public is no link.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from gongfu.identify.digital_link.errors import GS1Error, Reason
from gongfu.identify.digital_link.vocabulary import PRODUCT_INFORMATION, descriptive, link_type, short
from gongfu.identify.handle.codes import Permission
from gongfu.identify.handle.values import HandleValue

GS1_LINK = "GS1_LINK"
GS1_DESCRIPTION = "GS1_DESCRIPTION"
MAX_LINKS = 200
MAX_HREF = 2048
MAX_TEXT = 500
MAX_LIST = 20
# Below the attributes of templates, above what Handle clients use by custom.
DESCRIPTION_INDEX = 400
FIRST_LINK_INDEX = 401
# Types of values that say what a thing is, where there is no GS1_DESCRIPTION.
_DESCRIPTIONS = (GS1_DESCRIPTION, "DESCRIPTION", "TITLE", "NAME", "DESC")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}\Z")
# Of IANA's top-level types.
_MEDIA = re.compile(
    r"(application|audio|font|haptics|image|message|model|multipart|text|video)/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\Z"
)
_PUBLIC = int(Permission.PUBLIC_READ)
_HOST = re.compile(r"[A-Za-z0-9.:_-]+\Z")


class Link(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One link.

    Attributes:
        link_type: in full, or as ``gs1:pip``.
        href: where it leads.
        title: for people.
        hreflang: languages of what is there (BCP 47).
        type: media type of it.
        context: what else tells it from others: a country, a trade.
        default: where who asks for no type is led.
        default_multi: where who asks for no type is led, if its language or media type fits.
        public: may be passed on, as GS1's linkset has it; it is said, not enforced.
    """

    link_type: str
    href: str
    title: str
    hreflang: tuple[str, ...] = ()
    type: str = ""
    context: tuple[str, ...] = ()
    default: bool = False
    default_multi: bool = False
    public: bool | None = None

    def target(self, query: str = "") -> str:
        """Return where to lead a client, with the query of its request behind the target's own."""
        address, hash_sign, fragment = quote(self.href, safe="%/:?#[]@!$&'()*+,;=~").partition("#")
        if query:
            address += ("&" if "?" in address else "?") + carried(query)
        return address + hash_sign + fragment


def carried(query: str) -> str:
    """Return a query as it is passed on: as it came, but for signs that no address has, which are percent-encoded."""
    return quote(query, safe="%/:?[]@!$&'()*+,;=~|^`{}")


class Described(msgspec.Struct, frozen=True, gc=False):
    """What a record says of a thing.

    Attributes:
        links: in the order of their index.
        description: "" without one.
        unreadable: values of type ``GS1_LINK`` that are none.
    """

    links: tuple[Link, ...] = ()
    description: str = ""
    unreadable: int = 0


def check_link(link: Link) -> Link:
    """Return a link with its type in full.

    Raises:
        GS1Error: ``LINK``.
    """
    kind = link_type(link.link_type)
    if kind is None:
        raise GS1Error(Reason.LINK, f"linkType {link.link_type[:64]!r} is none: gs1:pip, or an address")
    if not descriptive(kind):
        raise GS1Error(Reason.LINK, f"{short(kind)} says nothing of a link: give its type, and default or defaultMulti")
    href = _checked(link.href)
    if not link.title.strip() or len(link.title) > MAX_TEXT or not _printable(link.title):
        raise GS1Error(Reason.LINK, f"a title of at most {MAX_TEXT} characters is needed")
    if len(link.hreflang) > MAX_LIST or not all(_LANGUAGE.match(tag) for tag in link.hreflang):
        raise GS1Error(Reason.LINK, "hreflang are language tags (BCP 47)")
    if link.type and not _MEDIA.match(link.type):
        raise GS1Error(Reason.LINK, f"{link.type[:64]!r} is no media type")
    contexts = [item for item in link.context if 0 < len(item) <= 100 and _printable(item)]
    if len(link.context) > MAX_LIST or len(contexts) != len(link.context):
        raise GS1Error(Reason.LINK, f"context are at most {MAX_LIST} texts")
    return msgspec.structs.replace(link, link_type=kind, href=href)


def _checked(href: str) -> str:
    """Return an address, with a host of other letters as DNS has it.

    Raises:
        GS1Error: ``LINK``.
    """
    if len(href) > MAX_HREF or not _printable(href) or set(href) & set(' <>"\\^`{|}'):
        raise GS1Error(Reason.LINK, f"href has at most {MAX_HREF} characters, none of them a space or a quotation mark")
    try:
        parts = urlsplit(href)
        host = (parts.hostname or "").encode("idna").decode() if not href.isascii() else parts.hostname or ""
        _ = parts.port
    except (ValueError, UnicodeError):
        raise GS1Error(Reason.LINK, "href is no address") from None
    if parts.scheme.lower() not in ("http", "https") or not _HOST.match(host) or "@" in parts.netloc:
        raise GS1Error(Reason.LINK, "href is an http or https address without a user")
    if parts.netloc.isascii():
        return href
    netloc = host + (f":{parts.port}" if parts.port else "")
    return urlunsplit(parts._replace(netloc=netloc))


def _printable(text: str) -> bool:
    # A joiner is in emojis and in scripts of India; surrogates and controls are not printable.
    return all(character.isprintable() or character in "\u200c\u200d" for character in text)


def check_links(links: Sequence[Link]) -> tuple[Link, ...]:
    """Return links of one thing, of which one at most is the default.

    Raises:
        GS1Error: ``LINK``.
    """
    if len(links) > MAX_LINKS:
        raise GS1Error(Reason.LINK, f"at most {MAX_LINKS} links")
    checked = tuple(check_link(link) for link in links)
    if sum(link.default for link in checked) > 1:
        raise GS1Error(Reason.LINK, "one link is the default, not several")
    return checked


def to_values(links: Sequence[Link], description: str = "") -> tuple[HandleValue, ...]:
    """Return the values that keep links, which were checked."""
    values = [
        HandleValue(FIRST_LINK_INDEX + at, GS1_LINK, msgspec.json.encode(_shortened(link)))
        for at, link in enumerate(links)
    ]
    if description:
        values.insert(0, HandleValue(DESCRIPTION_INDEX, GS1_DESCRIPTION, description.encode()))
    return tuple(values)


def _shortened(link: Link) -> Link:
    return msgspec.structs.replace(link, link_type=short(link.link_type))


def is_link(value: HandleValue) -> bool:
    """Return whether a value is of the types that keep links and description."""
    kind = value.type.upper()
    return kind in (GS1_DESCRIPTION, GS1_LINK) or kind.startswith(GS1_LINK + "_")


def read_links(values: Iterable[HandleValue]) -> Described:
    """Return what the values of a record say: its links, or what its addresses make of them. Of several defaults the
    first counts."""
    found: list[Link] = []
    addresses: list[Link] = []
    texts: dict[str, str] = {}
    unreadable = 0
    for value in values:
        kind = value.type.upper()
        if not value.permissions & _PUBLIC:
            continue
        if kind in _DESCRIPTIONS:
            texts.setdefault(kind, value.data.decode(errors="replace")[:MAX_TEXT])
        elif kind == "URL":
            addresses += _address(value)
        elif is_link(value):
            link = _kept(value.data)
            if link is None:
                unreadable += 1
                continue
            taken = link.default and any(other.default for other in found)
            found.append(msgspec.structs.replace(link, default=False) if taken else link)
    description = next((texts[kind] for kind in _DESCRIPTIONS if texts.get(kind)), "")
    return Described(tuple(found or addresses[:MAX_LINKS]), description, unreadable)


# Links of a few products are most of what is asked for, and templates make many alike.
@lru_cache(maxsize=4096)
def _kept(data: bytes) -> Link | None:
    """Return the link that a value keeps, None where it keeps none."""
    try:
        return check_link(msgspec.json.decode(data, type=Link))
    except (msgspec.DecodeError, RecursionError, UnicodeError, GS1Error):
        return None


def _address(value: HandleValue) -> list[Link]:
    href = value.data.decode(errors="replace")
    try:
        return [check_link(Link(PRODUCT_INFORMATION, href, href[:MAX_TEXT]))]
    except GS1Error:
        return []


def link_from(document: Any) -> Link:
    """Return the link that a client's JSON says, checked.

    Raises:
        GS1Error: ``LINK``.
    """
    try:
        return check_link(msgspec.convert(document, Link))
    except msgspec.ValidationError as error:
        raise GS1Error(Reason.LINK, str(error)) from None
