"""HTTP of models."""

import asyncio

from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.permissions import Action
from gongfu.reason.models.service import BindingBody, ModelDocument, ModelService
from gongfu.reason.status import Worker
from gongfu.rest.routing import Call, Route


def routes(service: ModelService, worker: Worker) -> list[Route]:
    """Return the operations."""

    async def list_models(call: Call) -> list[ModelDocument]:
        state = await worker.state()
        return await asyncio.to_thread(service.list_all, call.subject, state)

    async def get(call: Call) -> ModelDocument:
        key = call.path["id"]
        found = [model for model in await list_models(call) if model.id == key]
        if not found:
            raise not_found(f"model {key[:120]}")
        return found[0]

    async def bind(call: Call) -> ModelDocument:
        await asyncio.to_thread(service.bind, call.subject, call.path["id"], call.body)
        return await get(call)

    async def unbind(call: Call) -> None:
        # Empty: the binding whose asset was deleted.
        asset = call.query.get("asset")
        if asset is None:
            raise invalid("?asset=path says which binding")
        await asyncio.to_thread(service.unbind, call.subject, call.path["id"], asset)

    write = Action.RULE_WRITE
    path = "/models/{id}/bindings"
    return [
        Route("GET", "/models", Action.READ, list_models, "List mechanism models", None, list[ModelDocument]),
        Route("GET", "/models/{id}", Action.READ, get, "A model with its bindings", None, ModelDocument),
        Route("PUT", path, write, bind, "Bind a model to an asset", BindingBody, ModelDocument),
        Route("DELETE", path, write, unbind, "Remove a binding (?asset=path)", None, None, 204),
    ]
