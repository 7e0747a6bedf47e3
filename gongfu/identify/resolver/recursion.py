"""Recursion for clients of the Handle protocol: a request with RECURSIVE is answered with what other nodes say."""

from collections.abc import Awaitable, Callable

from gongfu.identify.handle.answering import Asked
from gongfu.identify.handle.bodies import Record, decode_resolution, encode_error, encode_record
from gongfu.identify.handle.codes import OpFlag, ResponseCode
from gongfu.identify.handle.envelope import Message
from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName
from gongfu.identify.handle.resolution import Elsewhere, Found, Nowhere, refer, respond
from gongfu.identify.resolver.resolver import Resolver
from gongfu.identify.resolver.types import Resolved

Recursion = Callable[[Asked, HandleName, Elsewhere], Awaitable[Message]]

_WORDS = {
    ResponseCode.HANDLE_NOT_FOUND: "no such handle",
    ResponseCode.VALUES_NOT_FOUND: "no such values",
    ResponseCode.SERVER_NOT_RESPONDING: "the service of the prefix does not answer",
    ResponseCode.RECURSION_LIMIT_EXCEEDED: "passed on too often",
    ResponseCode.SERVER_BUSY: "too many questions for other services",
}


def recursion(resolver: Resolver) -> Recursion:
    """Return what answers a request for values whose prefix is elsewhere.

    Where the values can only be read by who proves who it is, the client is referred to the service itself: nobody can
    prove that for another.
    """

    async def recurse(asked: Asked, name: HandleName, elsewhere: Elsewhere) -> Message:
        request = asked.message
        wish = decode_resolution(request.body)
        head = request.header
        fresh = bool(head.flags & OpFlag.AUTHORITATIVE)
        resolved = await resolver.resolve(name, wish.indexes, wish.types, recursions=head.recursions, fresh=fresh)
        return answer_resolved(request, resolved, elsewhere)

    return recurse


def answer_resolved(request: Message, resolved: Resolved, elsewhere: Elsewhere) -> Message:
    """Return the answer to a request for what was resolved."""
    code = resolved.code
    if code == ResponseCode.AUTHENTICATION_NEEDED:
        if resolved.sites:
            elsewhere = Elsewhere(f"{NAMING_AUTHORITY}/{resolved.authority}", resolved.sites)
        return refer(request, elsewhere)
    if code == ResponseCode.SUCCESS and resolved.values:
        return respond(request, code, encode_record(Record(resolved.handle, resolved.values)))
    if code == ResponseCode.SUCCESS:
        code = ResponseCode.VALUES_NOT_FOUND
    words = _WORDS.get(code, "the service of the prefix has refused")
    return respond(request, code, encode_error(f"{words}: {resolved.handle}"))


def elsewhere_of(resolver: Resolver) -> Callable[[HandleName, Elsewhere], Awaitable[Found | Nowhere | Elsewhere]]:
    """Return what finds handles of other services for the HTTP faces; without an answer, they refer."""

    async def find(name: HandleName, elsewhere: Elsewhere) -> Found | Nowhere | Elsewhere:
        resolved = await resolver.resolve(name)
        if resolved.code == ResponseCode.SUCCESS:
            # With the times to live that were signed.
            return Found(resolved.values)
        return Nowhere() if resolved.code == ResponseCode.HANDLE_NOT_FOUND else elsewhere

    return find
