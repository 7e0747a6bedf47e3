"""Finds handles wherever they are, for the one box: here, or by the resolver."""

from collections.abc import Sequence

from gongfu.identify.handle.codes import ResponseCode
from gongfu.identify.handle.names import HandleName
from gongfu.identify.handle.resolution import Found
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.management.resolve_documents import Hop as HopView
from gongfu.identify.management.resolving import Answer, Find
from gongfu.identify.resolver.resolver import Resolver
from gongfu.identify.resolver.types import Hop, Resolved
from gongfu.identify.service.identifiers import Identifiers

_NOT_SAID = "no-answer"


def find_through(identifiers: Identifiers, resolver: Resolver) -> Find:
    """Return what finds a handle here, with the values that only its owner may read too, or asks other nodes."""

    async def find(name: HandleName, fresh: bool) -> Answer:
        here = identifiers.lookup(name)
        if isinstance(here, Found):
            return Answer(here.values, [HopView(str(name), "own", "success", "local")])
        resolved = await resolver.resolve(name, fresh=fresh)
        values: Sequence[HandleValue] | None = resolved.values if resolved.code == ResponseCode.SUCCESS else None
        elsewhere = bool(resolved.authority) or resolved.questions > 0
        return Answer(values, [_view(hop, resolved) for hop in resolved.hops], elsewhere, _detail(resolved))

    return find


def _view(hop: Hop, resolved: Resolved) -> HopView:
    code = _NOT_SAID if hop.code is None else ResponseCode(hop.code).name.lower().replace("_", "-")
    detail = hop.reason or (f"refers to the service of {hop.referral}" if hop.referral else "")
    ttl = min((value.ttl for value in resolved.values if not value.ttl_type), default=0)
    left = max(ttl - resolved.age, 0) if hop.code == ResponseCode.SUCCESS else 0
    server = "own" if hop.server == "local" else hop.server
    return HopView(hop.question, server, code, hop.cache.value, hop.milliseconds, left, detail)


def _detail(resolved: Resolved) -> str:
    if resolved.code in (ResponseCode.SUCCESS, ResponseCode.HANDLE_NOT_FOUND):
        return ""
    reasons = [hop.reason for hop in resolved.hops if hop.reason]
    said = ResponseCode(resolved.code).name.lower().replace("_", " ")
    return f"{said}: {reasons[-1]}" if reasons else said
