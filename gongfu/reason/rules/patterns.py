"""Patterns for assets and points: a name as it is, or a glob of the kernel."""

import re

from gongfu.kernel.globs import Glob, asset_glob, point_glob

_SPECIAL = re.compile(r"[*?\\]")


def is_glob(pattern: str) -> bool:
    """Return whether the pattern can match more than one name."""
    return _SPECIAL.search(pattern) is not None


def literal_prefix(pattern: str) -> str:
    """Return the characters every match begins with; the whole name when the pattern is not a glob."""
    match = _SPECIAL.search(pattern)
    return pattern if match is None else pattern[: match.start()]


def asset_pattern(pattern: str) -> Glob:
    """Return what asset paths must match in full; see ``kernel.globs.asset_glob``."""
    return asset_glob(pattern)


def point_pattern(pattern: str) -> Glob:
    """Return what point names must match in full; see ``kernel.globs.point_glob``."""
    return point_glob(pattern)
