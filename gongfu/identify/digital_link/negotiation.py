"""Which of several links a client wants: by media type, then by language, then by context (GS1-Conformant Resolver
§2.6.3; RFC 9110 §12.5 for the weights)."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from gongfu.identify.digital_link.links import Link

_WEIGHT = re.compile(r"\s*;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*\Z", re.IGNORECASE)
_MOST_RANGES = 50
_LONGEST_KEPT = 300
_NOTHING = -1.0
# Beside what was asked for: less than any match, more than a mismatch.
_NEUTRAL = 0.0


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What a client says that it wants.

    Attributes:
        media: media ranges and their weights; none where it takes all.
        languages: language ranges and their weights; none where it says nothing.
        contexts: contexts of its query.
    """

    media: tuple[tuple[str, float], ...] = ()
    languages: tuple[tuple[str, float], ...] = ()
    contexts: tuple[str, ...] = ()


def weighted(header: str) -> tuple[tuple[str, float], ...]:
    """Return the ranges of an ``Accept`` or ``Accept-Language`` header with their weights, in lower case; what cannot
    be read is left out."""
    return _weighted(header) if len(header) <= _LONGEST_KEPT else _weighted.__wrapped__(header)


# Browsers of one kind all send the same.
@lru_cache(maxsize=1024)
def _weighted(header: str) -> tuple[tuple[str, float], ...]:
    found: list[tuple[str, float]] = []
    for part in header.split(",")[:_MOST_RANGES]:
        name, semicolon, rest = part.partition(";")
        weight = 1.0
        if semicolon:
            match = _WEIGHT.search(";" + rest)
            weight = float(match[1]) if match else (_NOTHING if re.search(r"(^|;)\s*q\s*=", rest, re.I) else 1.0)
        name = name.strip().lower()
        if name and weight >= 0:
            found.append((name, weight))
    return tuple(found)


def wish_of(accept: str, accept_language: str, query: Iterable[tuple[str, str]]) -> Wish:
    """Return the wish of a request; ``mediaType``, ``lang`` and ``context`` in its query go before its headers."""
    pairs = [(name, value) for name, value in query if value]
    media = [value.lower() for name, value in pairs if name == "mediaType"]
    languages = [value.lower() for name, value in pairs if name == "lang"]
    ranges = tuple((item, 1.0) for item in media) or weighted(accept)
    if all(name == "*/*" for name, _ in ranges):
        ranges = ()
    tags = tuple((item, 1.0) for item in languages) or weighted(accept_language)
    if all(name == "*" for name, _ in tags):
        tags = ()
    return Wish(ranges, tags, tuple(value for name, value in pairs if name == "context"))


def media_weight(kind: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of a media type, that of the most special range which has it; -1 if none has, or at 0."""
    kind = kind.lower()
    for wanted in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        for name, weight in ranges:
            if name == wanted:
                return weight or _NOTHING
    return _NOTHING


def language_weight(tags: Sequence[str], ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of the languages of a link: ``zh`` has ``zh-CN``, and ``zh-CN`` is content with ``zh``, though
    less than with itself (RFC 4647); -1 if none fits."""
    best = _NOTHING
    for name, weight in ranges:
        if not weight:
            continue
        for tag in map(str.lower, tags):
            if name == tag:
                fit = weight
            elif tag.startswith(f"{name}-"):
                fit = weight - 0.0001
            elif name.startswith(f"{tag}-"):
                fit = weight - 0.0002
            elif name == "*":
                fit = weight - 0.0003
            else:
                continue
            best = max(best, fit)
    return best


def _score(link: Link, wish: Wish) -> tuple[float, ...]:
    """Return how a link fits what was asked for; then, between equals, how little it says that nobody asked: who asks
    for nothing wants the one that is for all."""
    asked = (wish.media, wish.languages, wish.contexts)
    said = (link.type, link.hreflang, link.context)
    fits = (
        _media_fit(link.type, wish.media) if wish.media else _NEUTRAL,
        _language_fit(link.hreflang, wish.languages) if wish.languages else _NEUTRAL,
        _context_fit(link.context, wish.contexts) if wish.contexts else _NEUTRAL,
    )
    unasked = (_NOTHING if has and not wanted else _NEUTRAL for has, wanted in zip(said, asked, strict=True))
    return (*fits, *unasked)


def _media_fit(kind: str, ranges: tuple[tuple[str, float], ...]) -> float:
    # What does not say its type may be of any, and is wanted a little less than what is.
    return media_weight(kind, ranges) if kind else max(_NEUTRAL, media_weight("*/*", ranges) - 0.0001)


def _language_fit(tags: tuple[str, ...], ranges: tuple[tuple[str, float], ...]) -> float:
    return language_weight(tags, ranges) if tags else _NEUTRAL


def _context_fit(said: tuple[str, ...], asked: tuple[str, ...]) -> float:
    if not said:
        return _NEUTRAL
    return 1.0 if set(said) & set(asked) else _NOTHING


def best(links: Sequence[Link], wish: Wish) -> list[Link]:
    """Return the links of one type that fit best; several where what was said does not decide between them."""
    if len(links) < 2:
        return list(links)
    scores = [_score(link, wish) for link in links]
    highest = max(scores)
    return [link for link, score in zip(links, scores, strict=True) if score == highest]


def matches(link: Link, wish: Wish) -> bool:
    """Return whether a request asks for something that a link says, and for nothing that it denies."""
    asked = (wish.media, wish.languages, wish.contexts)
    said = (link.type, link.hreflang, link.context)
    fits = [(fit, says) for fit, wanted, says in zip(_score(link, wish), asked, said, strict=False) if wanted]
    return any(fit > 0 for fit, says in fits if says) and all(fit >= 0 for fit, _ in fits)
