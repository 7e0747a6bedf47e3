"""HTTP of the one box: ``POST /v1/identifiers:resolve``."""

from gongfu.bus.commands import Ask
from gongfu.identify.management.resolve_documents import Resolved, ResolveWish
from gongfu.kernel.permissions import Action
from gongfu.rest.routing import Call, Route


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""

    async def resolve(call: Call) -> Resolved:
        return await ask(call.subject, "resolve", call.body, Resolved)

    words = "Resolve a handle, GS1 link or code, OID, DID or URL"
    return [Route("POST", "/identifiers:resolve", Action.READ, resolve, words, ResolveWish, Resolved)]
