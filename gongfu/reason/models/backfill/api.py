"""HTTP of back-fills."""

import asyncio

from gongfu.kernel.permissions import Action
from gongfu.reason.models.asking import ModelsRole
from gongfu.reason.models.backfill.service import BackfillService
from gongfu.reason.models.backfill.types import BackfillBody, JobDocument
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


def routes(service: BackfillService, role: ModelsRole) -> list[Route]:
    """Return the operations."""

    async def start(call: Call) -> JobDocument:
        found = await asyncio.to_thread(service.start, call.subject, call.path["id"], call.body)
        await role.want()
        return found

    async def page(call: Call) -> Page:
        limit, before = limit_of(call), cursor_of(call, int)
        model = call.query.get("model") or None
        items, following = await asyncio.to_thread(service.page, call.subject, model, before, limit)
        return Page(list(items), None if following is None else encode_cursor(following))

    async def get(call: Call) -> JobDocument:
        return await asyncio.to_thread(service.get, call.subject, call.integer("id"))

    async def cancel(call: Call) -> JobDocument:
        return await asyncio.to_thread(service.cancel, call.subject, call.integer("id"))

    write = Action.RULE_WRITE
    words = "Compute a model over history"
    return [
        Route("POST", "/models/{id}:backfill", write, start, words, BackfillBody, JobDocument, 202),
        Route("GET", "/model-jobs", Action.READ, page, "List back-fills (?model=)", None, Page),
        Route("GET", "/model-jobs/{id}", Action.READ, get, "A back-fill with its progress", None, JobDocument),
        Route("POST", "/model-jobs/{id}:cancel", write, cancel, "Cancel a back-fill", None, JobDocument),
    ]
