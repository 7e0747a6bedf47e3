"""Whole numbers of a request that no column holds: JSON knows no bound, the records hold 64 bits."""

import re
import typing
from functools import lru_cache
from typing import Any

import msgspec

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
# 2^63 has 19 digits: without so many in a row no number of a body is beyond, and nothing is looked at.
_LONG = re.compile(rb"\d{19}")


def check_whole_numbers(raw: bytes, body: Any) -> str:
    """Return the name of a member that is declared as a whole number and has more than 64 bits; empty: there is none.

    Members that may also be fractions, and free documents, are left to those who read them.

    Args:
        raw: the body as it came.
        body: what was decoded from it.
    """
    return _beyond(body) if _LONG.search(raw) else ""


def _beyond(value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        whole = _whole(type(value))
        for name in value.__struct_fields__:
            member = getattr(value, name)
            if name in whole and any(not _LOWEST <= one <= _HIGHEST for one in _numbers(member)):
                return name
            if found := _beyond(member):
                return found
    elif isinstance(value, list | tuple):
        for item in typing.cast("list[Any]", value):
            if found := _beyond(item):
                return found
    return ""


def _numbers(member: Any) -> list[int]:
    items: list[Any] = list(member) if isinstance(member, list | tuple) else [member]  # pyright: ignore[reportUnknownArgumentType]
    return [item for item in items if isinstance(item, int)]


@lru_cache(maxsize=1024)
def _whole(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Return the members that are whole numbers, none at all, or lists of them."""
    return frozenset(name for name, hint in typing.get_type_hints(kind).items() if _is_whole(hint))


def _is_whole(hint: Any) -> bool:
    parts = typing.get_args(hint)
    return hint is int or (bool(parts) and all(part in (int, type(None), ...) for part in parts))
