"""Patterns for assets and points: a name as it is, or a glob."""

import re
from functools import lru_cache

_SPECIAL = re.compile(r"[*?\\]")
_TOKEN = re.compile(r"\*\*|\*|\?|\\.|[^*?\\]+|\\", re.DOTALL)


def is_glob(pattern: str) -> bool:
    """Return whether the pattern can match more than one name."""
    return _SPECIAL.search(pattern) is not None


def literal_prefix(pattern: str) -> str:
    """Return the characters every match begins with; the whole name when the pattern is not a glob."""
    match = _SPECIAL.search(pattern)
    return pattern if match is None else pattern[: match.start()]


def _compile(pattern: str, any_one: str) -> re.Pattern[str]:
    parts: list[str] = []
    for piece in _TOKEN.findall(pattern):
        if piece == "**":
            parts.append(".*")
        elif piece == "*":
            parts.append(f"{any_one}*")
        elif piece == "?":
            parts.append(any_one)
        elif piece.startswith("\\"):
            parts.append(re.escape(piece[1:] or "\\"))
        else:
            parts.append(re.escape(piece))
    return re.compile("".join(parts), re.DOTALL)


@lru_cache(maxsize=4096)
def asset_pattern(pattern: str) -> re.Pattern[str]:
    r"""Return what asset paths must match in full: ``*`` and ``?`` stay within a level, ``**`` crosses levels and
    ``\`` takes the next character as it is."""
    return _compile(pattern, "[^/]")


@lru_cache(maxsize=4096)
def point_pattern(pattern: str) -> re.Pattern[str]:
    """Return what point names must match in full: ``*`` any characters, ``?`` one."""
    return _compile(pattern, ".")
