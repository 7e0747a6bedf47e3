"""What a link leads to, as a function of the request and of what the store has.

A record may be of the serial number, of the lot or of the product: the most special one that has what is asked for
answers, and a linkset has them all.
"""

from collections.abc import Sequence

import msgspec

from gongfu.identify.digital_link.elements import Element
from gongfu.identify.digital_link.handles import company_handles, handle_of
from gongfu.identify.digital_link.links import Described, Link, read_links
from gongfu.identify.digital_link.negotiation import Wish, best, matches
from gongfu.identify.digital_link.uri import DigitalLink
from gongfu.identify.digital_link.vocabulary import DEFAULT_LINK, DEFAULT_LINK_MULTI, HANDLED_BY
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.resolution import Found, Lookup


class Level(msgspec.Struct, frozen=True):
    """A record on the way from the item to the product.

    Attributes:
        elements: the key and the qualifiers that it is of.
        described: what it says.
    """

    elements: tuple[Element, ...]
    described: Described


class Redirect(msgspec.Struct, frozen=True):
    """Go there.

    Attributes:
        link: where.
        handled_by: another resolver has the answer: go on with the same path there.
    """

    link: Link
    handled_by: bool = False


class Choices(msgspec.Struct, frozen=True):
    """Several links of one level fit alike."""

    level: Level
    links: Sequence[Link]


class Missing(msgspec.Struct, frozen=True):
    """There is no such link.

    Attributes:
        levels: what there is instead; none where nothing is known of the thing.
    """

    levels: Sequence[Level] = ()


def levels_of(link: DigitalLink, prefix: str, lookup: Lookup) -> list[Level]:
    """Return the records of a thing that have links, most special first."""
    found: list[Level] = []
    for elements in link.levels():
        described = _described(handle_of(elements, prefix), lookup)
        if described.links:
            found.append(Level(elements, described))
    return found


def _described(name: HandleName, lookup: Lookup) -> Described:
    there = lookup(name)
    return read_links(there.values) if isinstance(there, Found) else Described()


def company_link(link: DigitalLink, prefix: str, lookup: Lookup) -> Link | None:
    """Return the link to the resolver that handles the keys of a company prefix."""
    for name in company_handles(link, prefix):
        for candidate in _described(name, lookup).links:
            if candidate.link_type == HANDLED_BY:
                return candidate
    return None


def resolve(levels: Sequence[Level], kind: str, wish: Wish) -> Redirect | Choices | Missing:
    """Return where to go.

    Args:
        levels: most special first.
        kind: type of link in full; "" for the default.
        wish: what else the client wants.
    """
    if kind in ("", DEFAULT_LINK):
        return _default(levels, wish, only=kind == DEFAULT_LINK)
    for level in levels:
        links = [link for link in level.described.links if _of_kind(link, kind)]
        if links:
            return _chosen(level, links, wish)
    return Missing(levels)


def _of_kind(link: Link, kind: str) -> bool:
    return link.default_multi if kind == DEFAULT_LINK_MULTI else link.link_type == kind


def _default(levels: Sequence[Level], wish: Wish, *, only: bool) -> Redirect | Choices | Missing:
    for level in levels:
        links = level.described.links
        several = [link for link in links if link.default_multi and matches(link, wish)]
        if several and not only:
            return _chosen(level, several, wish)
        default = next((link for link in links if link.default), None)
        if default is not None:
            return Redirect(default)
    # Nobody said which is the default: a single link is, of several none.
    return _chosen(levels[0], levels[0].described.links, wish) if levels else Missing()


def _chosen(level: Level, links: Sequence[Link], wish: Wish) -> Redirect | Choices:
    fitting = best(links, wish)
    if len(fitting) == 1:
        return Redirect(fitting[0])
    # One of them is where everybody is led.
    default = next((link for link in fitting if link.default), None)
    return Redirect(default) if default is not None else Choices(level, fitting)
