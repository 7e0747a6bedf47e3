"""The answer to a request for values (RFC 3652 §3.2), as a function of the request and of what the store has.

- Values that the public may read are answered to anybody. Secret keys (``HS_SECKEY``) never leave the node.
- A request that names no values (neither index nor type), or is for public values only, leaves out what it may not see.
  One that names a value that only administrators may read is challenged.
- Where the prefix is another's, the answer refers to it, unless the request forbids that.
"""

from collections.abc import Callable, Sequence

import msgspec

from gongfu.identify.handle.bodies import (
    Record,
    Resolution,
    decode_resolution,
    encode_error,
    encode_record,
    request_digest,
)
from gongfu.identify.handle.codes import DigestAlgorithm, OpFlag, Permission, ResponseCode
from gongfu.identify.handle.envelope import Header, Message
from gongfu.identify.handle.names import HandleName, parse_handle
from gongfu.identify.handle.predefined import HS_SECKEY
from gongfu.identify.handle.values import HandleValue, wanted
from gongfu.identify.handle.wire import MalformedError

# What an answer takes over of the flags of its request.
_KEPT = OpFlag.AUTHORITATIVE | OpFlag.KEEP_CONNECTION | OpFlag.PUBLIC_ONLY | OpFlag.REQUEST_DIGEST


class Found(msgspec.Struct, frozen=True, gc=False):
    """The handle is here, with these values, in the order of their index."""

    values: Sequence[HandleValue]


class Elsewhere(msgspec.Struct, frozen=True, gc=False):
    """Another service answers for the prefix.

    Attributes:
        handle: of the prefix (``0.NA/…``).
        values: where its service is (``HS_SITE``, ``HS_SERV``); none where the client has to ask for them.
        delegated: the prefix is below one of this service, which refers to it as its own.
    """

    handle: str
    values: Sequence[HandleValue] = ()
    delegated: bool = True


class Nowhere(msgspec.Struct, frozen=True, gc=False):
    """There is no such handle, though the prefix is this service's."""


Lookup = Callable[[HandleName], Found | Elsewhere | Nowhere]


def answer(request: Message, lookup: Lookup, *, administrator: bool = False) -> Message | None:
    """Return the answer to a request for values, None where it needs a challenge first.

    Args:
        request: operation RESOLUTION.
        lookup: what the store has.
        administrator: the client has proved to be one of the handle's administrators.
    """
    try:
        wish = decode_resolution(request.body)
    except MalformedError as error:
        return respond(request, ResponseCode.PROTOCOL_ERROR, encode_error(str(error)))
    try:
        name = parse_handle(wish.handle)
    except MalformedError as error:
        return respond(request, ResponseCode.INVALID_HANDLE, encode_error(str(error)))
    found = lookup(name)
    if isinstance(found, Nowhere):
        return respond(request, ResponseCode.HANDLE_NOT_FOUND, encode_error(f"no handle {wish.handle}"))
    if isinstance(found, Elsewhere):
        return _refer(request, found)
    return _of(request, wish, found.values, administrator)


def _refer(request: Message, found: Elsewhere) -> Message:
    if request.header.flags & OpFlag.DO_NOT_REFER:
        return respond(request, ResponseCode.HANDLE_NOT_FOUND, encode_error(f"{found.handle} is elsewhere"))
    code = ResponseCode.PREFIX_REFERRAL if found.delegated else ResponseCode.SERVICE_REFERRAL
    return respond(request, code, encode_record(Record(found.handle, tuple(found.values))))


def _of(request: Message, wish: Resolution, values: Sequence[HandleValue], administrator: bool) -> Message | None:
    meant = [value for value in values if wanted(value, wish.indexes, wish.types)]
    meant = [value for value in meant if value.type.upper() != HS_SECKEY]
    shown = [value for value in meant if value.permissions & Permission.PUBLIC_READ]
    hidden = [value for value in meant if not value.permissions & Permission.PUBLIC_READ]
    if administrator:
        readable = [value for value in hidden if value.permissions & Permission.ADMIN_READ]
        shown = sorted((*shown, *readable), key=lambda value: value.index)
    elif not request.header.flags & OpFlag.PUBLIC_ONLY and any(_named(value, wish) for value in hidden):
        return None
    if not shown:
        return respond(request, ResponseCode.VALUES_NOT_FOUND, encode_error(f"no such values of {wish.handle}"))
    return respond(request, ResponseCode.SUCCESS, encode_record(Record(wish.handle, tuple(shown))))


def _named(value: HandleValue, wish: Resolution) -> bool:
    return bool(wish.indexes or wish.types) and bool(value.permissions & Permission.ADMIN_READ)


def respond(request: Message, code: ResponseCode, body: bytes) -> Message:
    """Return an answer; it begins with a digest of the request where that asks for one."""
    head = request.header
    if head.flags & OpFlag.REQUEST_DIGEST:
        body = request_digest(DigestAlgorithm.SHA256, request.signed) + body
    header = Header(head.operation, code, head.flags & _KEPT, head.site_serial, head.recursions)
    return Message(header, body)
