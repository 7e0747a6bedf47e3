"""Handles as names: ``prefix/suffix``, of which the prefix is compared without regard to the case of ASCII letters.

RFC 3651 §2: a handle is UTF-8 text; the prefix (naming authority) is what stands before the first ``/`` and is made of
segments that are joined by ``.``; the suffix is anything. Handles below ``0.NA/`` are the prefixes themselves.
"""

import re
from dataclasses import dataclass

from gongfu.identify.handle.wire import MalformedError

MAX_BYTES = 2048
NAMING_AUTHORITY = "0.NA"
# What nearly all prefixes are.
_PLAIN_PREFIX = re.compile(r"[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*").fullmatch
_ASCII_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True)
class HandleName:
    """A handle, as it was written.

    Attributes:
        prefix: such as ``99.1000.1``.
        suffix: the rest, which may hold anything, ``/`` too.
    """

    prefix: str
    suffix: str

    def __str__(self) -> str:
        return f"{self.prefix}/{self.suffix}"

    @property
    def key(self) -> str:
        """What two ways to write the same handle have in common: the prefix in ASCII capitals; the suffix counts as it
        is written, but for ``0.NA/``, whose suffix is a prefix."""
        prefix = folded(self.prefix)
        suffix = folded(self.suffix) if prefix == NAMING_AUTHORITY else self.suffix
        return f"{prefix}/{suffix}"


def folded(prefix: str) -> str:
    """Return a prefix with ASCII letters as capitals; all others stay."""
    return prefix.translate(_ASCII_UPPER)


def parse_handle(name: str) -> HandleName:
    """Return the parts of a handle.

    Raises:
        MalformedError: no ``/``, an empty prefix or segment, or more than ``MAX_BYTES`` bytes.
    """
    prefix, slash, suffix = name.partition("/")
    if not slash:
        raise MalformedError("value", "a handle is prefix/suffix")
    if _PLAIN_PREFIX(prefix) is None and (
        not all(prefix.split(".")) or any(character.isspace() or not character.isprintable() for character in prefix)
    ):
        raise MalformedError("value", "a prefix is segments joined by dots, none of them empty")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise MalformedError("text", "a handle is Unicode text") from None
    if size > MAX_BYTES:
        raise MalformedError("long", f"a handle has at most {MAX_BYTES} bytes")
    return HandleName(prefix, suffix)


def parents(prefix: str) -> tuple[str, ...]:
    """Return the prefixes above a prefix, nearest first: of ``99.1.2`` these are ``99.1`` and ``99``."""
    segments = prefix.split(".")
    return tuple(".".join(segments[:n]) for n in range(len(segments) - 1, 0, -1))
