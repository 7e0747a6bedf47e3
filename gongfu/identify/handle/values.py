"""Handle values: index, type, data, and how long and by whom they may be read (RFC 3651 §3.1).

Bytes: index 4, timestamp 4 (seconds since 1970: the RFC's text says 8, all implementations use 4), TTL type 1, TTL 4,
permissions 1, type, data, references (count; handle and index of each).
"""

import struct
from collections.abc import Callable

import msgspec

from gongfu.identify.handle import wire
from gongfu.identify.handle.codes import Permission, TtlType
from gongfu.identify.handle.wire import MalformedError, Reader

DEFAULT_TTL = 86_400
DEFAULT_PERMISSIONS = int(Permission.PUBLIC_READ | Permission.ADMIN_READ | Permission.ADMIN_WRITE)
_NO_REFERENCES = bytes(4)

_HEAD = struct.Struct(">IIBIB")
_LEAST_REFERENCE = 8
LEAST_VALUE = _HEAD.size + 12


class Reference(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A value of a handle elsewhere; index 0 is the whole handle."""

    handle: str
    index: int = 0


class HandleValue(msgspec.Struct, frozen=True, gc=False):
    """One value.

    Attributes:
        index: 1 … 2³² - 1; names the value within its handle.
        type: such as ``URL`` or ``HS_ADMIN``; compared without regard to ASCII case. One that ends in ``.`` stands, in
            a request, for all types that begin with it.
        data: anything.
        ttl_type: how ``ttl`` counts.
        ttl: seconds.
        timestamp: of the last change, seconds since 1970, UTC.
        permissions: who may read and write it.
        references: other values.
    """

    index: int
    type: str
    data: bytes
    ttl_type: int = TtlType.RELATIVE
    ttl: int = DEFAULT_TTL
    timestamp: int = 0
    permissions: int = DEFAULT_PERMISSIONS
    references: tuple[Reference, ...] = ()


def encode_value(value: HandleValue) -> bytes:
    """Return the bytes of a value."""
    head = _HEAD.pack(value.index, value.timestamp, value.ttl_type, value.ttl, value.permissions)
    if not value.references:
        return head + wire.text(value.type) + wire.string(value.data) + _NO_REFERENCES
    references = [wire.text(item.handle) + wire.integer(item.index) for item in value.references]
    return head + wire.text(value.type) + wire.string(value.data) + wire.many(references)


def read_value(reader: Reader) -> HandleValue:
    """Read a value.

    Raises:
        MalformedError: ``short``, ``text``, ``count``; ``value``: of a permission or TTL type that is not there, or of
            index 0.
    """
    index, timestamp, ttl_type, ttl, permissions = _HEAD.unpack(reader.raw(_HEAD.size))
    if not index:
        raise MalformedError("value", "an index is 1 or more")
    if ttl_type > TtlType.ABSOLUTE:
        raise MalformedError("value", f"TTL type {ttl_type}")
    if permissions > 0x0F:
        raise MalformedError("value", f"permissions {permissions:#x}")
    kind, data = reader.text(), reader.string()
    references = reader.many(_read_reference, _LEAST_REFERENCE)
    return HandleValue(index, kind, data, ttl_type, ttl, timestamp, permissions, references)


def _read_reference(reader: Reader) -> Reference:
    return Reference(reader.text(), reader.integer())


def wanted(indexes: tuple[int, ...], types: tuple[str, ...]) -> Callable[[HandleValue], bool]:
    """Return what tells of a value whether a request for these indexes or types means it; neither means all (RFC 3652
    §3.2.1)."""
    if not indexes and not types:
        return _any
    numbers = frozenset(indexes)
    kinds = frozenset(kind.upper() for kind in types)
    beginnings = tuple(kind for kind in kinds if kind.endswith("."))

    def means(value: HandleValue) -> bool:
        if value.index in numbers:
            return True
        mine = value.type.upper()
        return mine in kinds or mine.startswith(beginnings)

    return means


def _any(value: HandleValue) -> bool:
    return True
