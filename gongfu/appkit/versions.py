"""Versions after Semantic Versioning 2.0.0 (``major.minor.patch``), and ranges of them."""

import re

_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})", re.ASCII)
_BOUND = re.compile(r"(>=|<=|==|>|<)?\s*((?:0|[1-9]\d{0,5})(?:\.(?:0|[1-9]\d{0,5})){0,2})", re.ASCII)

Version = tuple[int, int, int]


def parse_version(text: str) -> Version:
    """Return ``(major, minor, patch)``; pre-release and build parts are not used here.

    Raises:
        ValueError: it is not such a version.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a version; write major.minor.patch, such as '1.0.0'")
    return int(match[1]), int(match[2]), int(match[3])


def in_range(version: str, wanted: str) -> bool:
    """Return whether a version is in a range such as ``>=1.0,<2`` or ``1.2`` (that or a later one, same major).

    Raises:
        ValueError: one of them is not written as it should be.
    """
    own = parse_version(version)
    parts = [part.strip() for part in wanted.split(",")]
    fits = [_fits(own, part, wanted) for part in parts]  # each is looked at: a wrong one is told
    return all(fits)


def _fits(own: Version, part: str, wanted: str) -> bool:
    match = _BOUND.fullmatch(part)
    if match is None:
        raise ValueError(f"{wanted!r} is not a version range; write it as '1.0' or '>=1.0,<2'")
    major, minor, patch = [int(number) for number in (match[2] + ".0.0").split(".")[:3]]
    bound: Version = (major, minor, patch)
    match match[1]:
        case ">=":
            return own >= bound
        case "<=":
            return own <= bound
        case ">":
            return own > bound
        case "<":
            return own < bound
        case "==":
            return own == bound
        case _:
            return own >= bound and own[0] == bound[0]
