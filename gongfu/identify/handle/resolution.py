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
_KEPT = int(
    OpFlag.AUTHORITATIVE | OpFlag.CERTIFIED | OpFlag.KEEP_CONNECTION | OpFlag.PUBLIC_ONLY | OpFlag.REQUEST_DIGEST
)
# Plain numbers: arithmetic with flags makes objects, which takes longer than all else here.
_PUBLIC_READ, _ADMIN_READ = int(Permission.PUBLIC_READ), int(Permission.ADMIN_READ)
_PUBLIC_ONLY, _REQUEST_DIGEST = int(OpFlag.PUBLIC_ONLY), int(OpFlag.REQUEST_DIGEST)


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


Readable = Callable[[HandleName, Sequence[HandleValue]], Callable[[HandleValue], bool]]
"""Of a handle and its values: what tells of a value that is not public whether the client may read it."""


def answer(request: Message, lookup: Lookup, *, readable: Readable | None = None) -> Message | None:
    """Return the answer to a request for values, None where it needs a challenge first.

    Args:
        request: operation RESOLUTION.
        lookup: what the store has.
        readable: what the client may read besides, who has proved who it is; None where it has not.
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
        return refer(request, found)
    return answer_found(request, wish, name, found.values, readable)


def refer(request: Message, found: Elsewhere) -> Message:
    """Return the answer that names another service."""
    if request.header.flags & OpFlag.DO_NOT_REFER:
        return respond(request, ResponseCode.HANDLE_NOT_FOUND, encode_error(f"{found.handle} is elsewhere"))
    code = ResponseCode.PREFIX_REFERRAL if found.delegated else ResponseCode.SERVICE_REFERRAL
    return respond(request, code, encode_record(Record(found.handle, tuple(found.values))))


def answer_found(
    request: Message,
    wish: Resolution,
    name: HandleName,
    values: Sequence[HandleValue],
    readable: Readable | None = None,
) -> Message | None:
    """Return the answer to a request for values of a handle that is there, None where it needs a challenge first."""
    public_only = bool(request.header.flags & _PUBLIC_ONLY)
    if readable is None or public_only:
        shown, asks = visible(values, wish.indexes, wish.types)
        if asks and not public_only:
            return None
    else:
        shown, asks = visible(values, wish.indexes, wish.types, readable(name, values))
        if asks and not shown:
            return respond(request, ResponseCode.ACCESS_DENIED, encode_error("these values are for others to read"))
    if not shown:
        return respond(request, ResponseCode.VALUES_NOT_FOUND, encode_error(f"no such values of {wish.handle}"))
    body = encode_record(Record(wish.handle, tuple(shown)))
    return respond(request, ResponseCode.SUCCESS, body, depends=name.key if readable is None else "")


def visible(
    values: Sequence[HandleValue],
    indexes: tuple[int, ...] = (),
    types: tuple[str, ...] = (),
    readable: Callable[[HandleValue], bool] | None = None,
) -> tuple[list[HandleValue], bool]:
    """Return the values that a client may see of those it wishes, and whether it would see more after a proof of who it
    is: it has named values that only administrators may read. What is an answer to nobody (``HS_SECKEY``) is as if it
    were not there.

    Args:
        values: of the handle, by index.
        indexes: that are wished; with ``types`` empty too, all are.
        types: that are wished.
        readable: of a value that is not public; None where nobody knows who asks.
    """
    shown: list[HandleValue] = []
    asks = False
    named = bool(indexes or types)
    means = wanted(indexes, types)
    for value in values:
        # Secret keys never leave the node, whatever their permissions say.
        if value.type.upper() == HS_SECKEY or (named and not means(value)):
            continue
        if value.permissions & _PUBLIC_READ or (readable is not None and readable(value)):
            shown.append(value)
        elif value.permissions & _ADMIN_READ:
            asks = True
    return shown, asks and named


def respond(request: Message, code: ResponseCode, body: bytes, *, depends: str = "") -> Message:
    """Return an answer; it begins with a digest of the request where that asks for one.

    Args:
        request: what is answered.
        code: how.
        body: what an answer of this kind has.
        depends: see ``Message``.
    """
    head = request.header
    if head.flags & _REQUEST_DIGEST:
        body = request_digest(DigestAlgorithm.SHA256, request.signed) + body
    header = Header(head.operation, code, head.flags & _KEPT, head.site_serial, head.recursions)
    return Message(header, body, depends=depends)
