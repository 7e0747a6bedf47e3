"""HTTP of signatures: sign one record, sign all of a prefix at once, get what proves a record."""

from typing import Any

from gongfu.bus.commands import Ask
from gongfu.identify.management.signature_documents import BatchWish, Signed, SignedBatch, SignWish
from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.rest.routing import Call, Route


def routes(ask: Ask) -> list[Route]:
    """Return the operations."""

    async def sign(call: Call) -> Signed:
        return await ask(call.subject, "sign", call.body, Signed)

    async def sign_batch(call: Call) -> SignedBatch:
        return await ask(call.subject, "sign-batch", call.body, SignedBatch)

    async def proof(call: Call) -> dict[str, Any]:
        handle = call.query.get("handle", "")
        if not handle:
            raise invalid("handle is missing")
        return await ask(call.subject, "proof", SignWish(handle), dict[str, Any])

    return [
        Route("POST", "/identifiers:sign", Action.IDENTIFIER_WRITE, sign, "Sign an identifier", SignWish, Signed),
        Route(
            "POST",
            "/identifiers:signBatch",
            Action.IDENTIFIER_REVIEW,
            sign_batch,
            "Sign all records of a prefix once",
            BatchWish,
            SignedBatch,
        ),
        Route("GET", "/identifiers/proof", Action.READ, proof, "What proves a record of a signed batch"),
    ]
