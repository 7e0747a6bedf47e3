"""Places in a JSON document. Pure.

Source: RFC 6901 (JSON pointer).
"""

from collections.abc import Iterator
from typing import Any

from gongfu.connect.kit.types import DriverError, Reason
from gongfu.kernel.times import MAX_NS, MILLISECOND, parse_rfc3339

MISSING = object()
_DEEPEST = 20


def split(where: str) -> tuple[str, tuple[str, ...]]:
    """Return (document below the URL, "" for the URL itself; tokens of the pointer).

    Raises:
        DriverError: not an address.
    """
    document, mark, pointer = where.partition("#")
    if not mark:
        document, pointer = "", where
    if document.startswith("/") or "://" in document or ".." in document.split("/"):
        raise _wrong(where, "the document is named as below the URL of the connection")
    if pointer == "":
        return document, ()
    if not pointer.startswith("/"):
        raise _wrong(where, "a pointer begins with /")
    tokens = tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))
    return document, tokens


def find(document: Any, tokens: tuple[str, ...]) -> Any:
    """Return the value at a pointer, ``MISSING`` when there is none."""
    for token in tokens:
        if isinstance(document, dict):
            document = document.get(token, MISSING)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        elif isinstance(document, list) and token.isascii() and token.isdigit():
            document = document[int(token)] if int(token) < len(document) else MISSING  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        else:
            return MISSING
        if document is MISSING:
            return MISSING
    return document  # pyright: ignore[reportUnknownVariableType]


def leaves(document: Any, limit: int) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Yield (pointer, tokens, value) of the first ``limit`` numbers, texts and flags, in the order of the document."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), document)]
    found = 0
    while waiting and found < limit:
        tokens, value = waiting.pop()
        if isinstance(value, (dict, list)) and len(tokens) < _DEEPEST:
            items: Any = value.items() if isinstance(value, dict) else enumerate(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
            waiting += [((*tokens, str(key)), item) for key, item in reversed(list(items))]
        elif isinstance(value, (bool, int, float, str)) and tokens:
            found += 1
            pointer = "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)
            yield pointer, tokens, value


def time_of(value: Any) -> int:
    """Return UTC ns of a time in a document, 0 when it is none."""
    if isinstance(value, str):
        try:
            return parse_rfc3339(value)
        except ValueError:
            return 0
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < MAX_NS / MILLISECOND:
        return int(value * MILLISECOND)
    return 0


def _wrong(where: str, what: str) -> DriverError:
    return DriverError(
        Reason.ADDRESS_UNKNOWN,
        f"{where[:100]!r} is no place in a document: {what}.",
        "Say, for example, /sensors/0/value.",
    )
