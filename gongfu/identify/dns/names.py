"""Handles as names in the DNS, and back.

``99.1000.1/M01`` is ``_4d01._.1.1000.99.<zone>``: the suffix, a label ``_`` for the slash, and the segments of the
prefix from the last to the first, so that what is delegated is a domain. ``0.NA/99.1000`` is ``1000.99.<zone>``.

The DNS compares names without regard to case and resolvers play with it, so only small letters, digits and ``-`` stand
for themselves. Every other byte of the UTF-8 text is ``_`` and two hexadecimal digits; above 0x7F a byte may also be
written as it is (a label may hold any byte). A suffix longer than a label goes on in the next one to the right; all
labels of it but the leftmost end in ``_``, which tells that there is something before them. A prefix is compared
without regard to the case of ASCII letters anyway, so its capitals are written small.
"""

import re
from collections.abc import Sequence

from gongfu.identify.dns.message import MAX_LABEL_BYTES, MAX_NAME_BYTES
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, folded, parse_handle
from gongfu.identify.handle.wire import MalformedError

SLASH = b"_"
_ESCAPE = 0x5F
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-")
_ESCAPED = tuple(bytes([byte]) if byte in _PLAIN else b"_%02x" % byte for byte in range(256))
# What stands for itself throughout.
_UNESCAPED = re.compile(rb"[a-z0-9\x80-\xff-]*").fullmatch
_HEX = frozenset(b"0123456789abcdef")
_WRITTEN = re.compile(rb"(?:[a-z0-9\x80-\xff-]|_[0-9a-f]{2})+").fullmatch
_BYTES = {b"%02x" % byte: bytes([byte]) for byte in range(256)}


class NameLengthError(ValueError):
    """A handle is too long for a name in the DNS."""


class Part:
    """A name that is no handle, but on the way to one: something may be below it (RFC 8020)."""


PART = Part()


def labels_of(name: HandleName, zone: Sequence[bytes] = ()) -> tuple[bytes, ...]:
    """Return the labels of a handle below a zone.

    Raises:
        NameLengthError: a segment of the prefix is longer than a label, or all is longer than a name.
    """
    if folded(name.prefix) == NAMING_AUTHORITY and name.suffix:
        labels = _prefix_labels(name.suffix)
    else:
        labels = [*_suffix_labels(name.suffix), SLASH, *_prefix_labels(name.prefix)]
    whole = (*labels, *zone)
    if any(len(label) > MAX_LABEL_BYTES for label in whole) or sum(len(label) + 1 for label in whole) >= MAX_NAME_BYTES:
        raise NameLengthError(f"{name} is too long for a name in the DNS")
    return whole


def _prefix_labels(prefix: str) -> list[bytes]:
    return [_escape(segment.encode().lower()) for segment in reversed(prefix.split("."))]


def _escape(data: bytes) -> bytes:
    return b"".join(_ESCAPED[byte] for byte in data)


def _suffix_labels(suffix: str) -> list[bytes]:
    if not suffix:
        return []
    labels, label = list[bytes](), b""
    for byte in suffix.encode():
        piece = _ESCAPED[byte]
        # One byte is kept for the mark of all labels but the first.
        if len(label) + len(piece) >= MAX_LABEL_BYTES:
            labels.append(label)
            label = b""
        label += piece
    labels.append(label)
    return [labels[0], *(label + b"_" for label in labels[1:])]


def handle_of(labels: Sequence[bytes]) -> HandleName | Part | None:
    """Return the handle that labels (without the zone's) name, ``PART``, or None where they can never name one."""
    small = [label.lower() for label in labels]
    slash = next((at for at, label in enumerate(small) if label == SLASH), None)
    try:
        segments = [_unescape(label).decode() for label in reversed(small[0 if slash is None else slash + 1 :])]
        prefix = ".".join(segments)
        if any("." in segment or "/" in segment for segment in segments):
            return None
        if slash is None:
            parse_handle(f"{prefix}/")
            return HandleName(NAMING_AUTHORITY, prefix)
        if slash == 0:
            parse_handle(f"{prefix}/")
            return PART
        suffix = _suffix_of(small[:slash])
        return PART if suffix is None else parse_handle(f"{prefix}/{suffix}")
    except (MalformedError, ValueError):
        return None


def _suffix_of(labels: Sequence[bytes]) -> str | None:
    """Return the suffix; None where its beginning is missing.

    Raises:
        ValueError: it is not written as one.
    """
    first, more = labels[0], labels[1:]
    if any(not label.endswith(SLASH) for label in more):
        raise ValueError("a label that does not go on")
    rest = [_unescape(label[:-1]) for label in more]
    if first.endswith(SLASH):
        _unescape(first[:-1])
        return None
    return b"".join((_unescape(first), *rest)).decode()


def _unescape(label: bytes) -> bytes:
    """Return the bytes that a label stands for.

    Raises:
        ValueError: an escape is not whole, or something stands for itself that must not.
    """
    if _UNESCAPED(label) is not None:
        return label
    found, at = bytearray(), 0
    while at < len(label):
        byte = label[at]
        if byte == _ESCAPE:
            digits = label[at + 1 : at + 3]
            if len(digits) != 2 or not _HEX.issuperset(digits):
                raise ValueError("an escape has two digits")
            found.append(int(digits, 16))
            at += 3
        elif byte >= 0x80 or byte in _PLAIN:
            found.append(byte)
            at += 1
        else:
            raise ValueError("not escaped")
    return bytes(found)


def suffix_of_label(label: bytes) -> bytes | None:
    """Return the suffix (UTF-8, as far as it is) that one label in small letters is; None where it is not just one.

    What most suffixes are, in one step: ``handle_of`` reads all.
    """
    if _WRITTEN(label) is None:
        return None
    first, *more = label.split(SLASH)
    for part in more:
        first += _BYTES[part[:2]] + part[2:]
    return first
