"""Linksets: all links of a thing and of what it is part of, as JSON (RFC 9264, and what GS1-Conformant Resolver asks
beyond that)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gongfu.identify.digital_link.links import Link
from gongfu.identify.digital_link.vocabulary import DEFAULT_LINK, DEFAULT_LINK_MULTI

MEDIA_TYPE = "application/linkset+json"
CONTEXT = "https://ref.gs1.org/standards/resolver/linkset-context"
"""Makes a linkset JSON-LD; published by GS1."""

# Patterns are those of GS1's JSON schema, A-z for A-Za-z included: what it accepts is accepted.
_ADDRESS = re.compile(r"https?://[a-zA-z0-9./]+")
_RELATION = re.compile(r"[a-z-]+\Z|https?://[a-zA-z0-9./]+\Z")
_LANGUAGE = re.compile(r"\w{2}(-\w{2})?\Z")
_MEDIA = re.compile(r"\w+/[-+.\w]+")
_MOST_PROBLEMS = 50


def member(anchor: str, description: str, links: Sequence[Link]) -> dict[str, Any]:
    """Return the links of one thing.

    Args:
        anchor: its link.
        description: of it.
        links: checked. Defaults stand under their own type and, as defaults, under that of the default.
    """
    found: dict[str, Any] = {"anchor": anchor, "itemDescription": description}
    for link in links:
        found.setdefault(link.link_type, []).append(_object(link))
    multiple = [_object(link) for link in links if link.default_multi]
    if multiple:
        found[DEFAULT_LINK_MULTI] = multiple
    # Without any attribute that could tell it from others.
    default = [{"href": link.target(), "title": link.title} for link in links if link.default]
    if default:
        found[DEFAULT_LINK] = default
    return found


def _object(link: Link) -> dict[str, Any]:
    found: dict[str, Any] = {"href": link.target(), "title": link.title}
    if languages := [tag for tag in dict.fromkeys(map(_language, link.hreflang)) if tag]:
        found["hreflang"] = languages
    if link.type:
        found["type"] = link.type
    if link.context:
        found["context"] = list(link.context)
    if link.public is not None:
        found["public"] = link.public
    return found


def _language(tag: str) -> str:
    """Return a language tag as GS1's schema has it, of two letters and a country; what is longer loses its end."""
    first, _, rest = tag.partition("-")
    if len(first) != 2:
        return ""
    return f"{first}-{rest}" if len(rest) == 2 else first


def linkset(members: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a linkset."""
    return {"linkset": list(members)}


def problems(document: Any, *, gs1: bool = True) -> list[str]:
    """Return what is wrong with a linkset; nothing if it is right.

    Args:
        document: as ``json`` gives it.
        gs1: by GS1's rules: things are described and links have titles. Else by RFC 9264's alone.
    """
    if not isinstance(document, Mapping):
        return ["a linkset is an object"]
    found = [f"{name!r} is not of a linkset" for name in document if name != "linkset"]
    members = document.get("linkset")
    if not isinstance(members, list):
        return [*found, "linkset is missing, or no array"]
    for number, item in enumerate(members):
        found += [f"linkset[{number}]: {text}" for text in _of_member(item, gs1)]
    return found[:_MOST_PROBLEMS]


def _of_member(item: Any, gs1: bool) -> list[str]:
    if not isinstance(item, Mapping):
        return ["it is no object"]
    found: list[str] = []
    anchor = item.get("anchor")
    if not isinstance(anchor, str) or not _ADDRESS.match(anchor):
        found.append("anchor is missing, or no address")
    texts = {"itemDescription", "description"} if gs1 else set[str]()
    if gs1 and not any(isinstance(item.get(name), str) for name in texts):
        found.append("itemDescription is missing")
    for relation, links in item.items():
        if relation == "anchor" or relation in texts:
            continue
        if not isinstance(relation, str) or not _RELATION.match(relation):
            found.append(f"{str(relation)[:64]!r} is no type of link")
        elif not isinstance(links, list):
            found.append(f"{relation} is no array")
        else:
            found += [f"{relation}[{at}]: {text}" for at, link in enumerate(links) for text in _of_link(link, gs1)]
    return found


def _of_link(link: Any, gs1: bool) -> list[str]:
    if not isinstance(link, Mapping):
        return ["it is no object"]
    known = {"href", "title", "hreflang", "type"} | ({"context", "fwqs", "public"} if gs1 else set())
    found = [f"{str(name)[:64]!r} is not of a link" for name in link if name not in known]
    href, title = link.get("href"), link.get("title")
    if not isinstance(href, str) or not _ADDRESS.match(href):
        found.append("href is missing, or no address")
    if not isinstance(title, str) and (gs1 or title is not None):
        found.append("title is missing, or no text")
    languages = link.get("hreflang", [])
    if not isinstance(languages, list) or not all(isinstance(tag, str) and _LANGUAGE.match(tag) for tag in languages):
        found.append("hreflang is no array of languages")
    media = link.get("type", "text/html")
    if not isinstance(media, str) or not _MEDIA.search(media):
        found.append("type is no media type")
    if not isinstance(link.get("context", []), list):
        found.append("context is no array")
    found += [
        f"{name} is neither true nor false" for name in ("fwqs", "public") if not isinstance(link.get(name, True), bool)
    ]
    return found
