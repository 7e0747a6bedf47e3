"""Cursor paging: ``?limit=&cursor=``; the answer is ``{"items": [...], "next": cursor or null}``."""

import base64
import binascii
from typing import Any, TypeVar

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.rest.routing import Call

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000


class Page(msgspec.Struct, frozen=True):
    """One page of a list. ``next`` is the cursor of the page after it, or None at the end."""

    items: list[Any]
    next: str | None = None


def encode_cursor(key: object) -> str:
    """Return an opaque cursor for the sort key of the last item."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def limit_of(call: Call) -> int:
    """Return ``?limit``, 1 to 1000, default 50.

    Raises:
        Problem: 400 when it is not such a number.
    """
    text = call.query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_LIMIT:
        raise invalid(f"limit must be 1 to {MAX_LIMIT}")
    return int(text)


def cursor_of(call: Call, key_type: type[T]) -> T | None:
    """Return the sort key inside ``?cursor``, or None on the first page.

    Raises:
        Problem: 400 when it is not a cursor of this list.
    """
    text = call.query.get("cursor")
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        # No key holds U+0000, which PostgreSQL would not take.
        if b"\\u0000" in raw:
            raise ValueError("U+0000")
        return msgspec.json.decode(raw, type=key_type)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise invalid("cursor is not one of this list") from None
