"""HTTP of models."""

import asyncio
from typing import Any

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.reason.models.asking import ModelsRole
from gongfu.reason.models.calling.types import InvokeAnswer, InvokeBody, InvokeRequest
from gongfu.reason.models.documents import CurrentBody, RegisterBody, UsageDocument
from gongfu.reason.models.inspecting import Inspection, InspectRequest
from gongfu.reason.models.registering import register
from gongfu.reason.models.service import BindingBody, ModelDocument, ModelService
from gongfu.reason.models.spec import Kind
from gongfu.reason.models.streaming.types import AssetsAsk
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Incoming, Route

_MAX_HOURS = 24 * 366


def routes(service: ModelService, role: ModelsRole) -> list[Route]:
    """Return the operations."""

    async def list_models(call: Call) -> list[ModelDocument]:
        state = await role.state()
        return await asyncio.to_thread(service.list_all, call.subject, state)

    async def get(call: Call) -> ModelDocument:
        state = await role.state()
        return await asyncio.to_thread(service.get, call.subject, call.path["id"], state)

    async def bind(call: Call) -> ModelDocument:
        await asyncio.to_thread(service.bind, call.subject, call.path["id"], call.body)
        await role.want()
        return await get(call)

    async def unbind(call: Call) -> None:
        # Empty: the binding whose asset was deleted.
        asset, key = call.query.get("asset"), call.query.get("binding")
        model = call.path["id"]
        if key is not None and key.isascii() and key.isdigit() and len(key) < 19:
            await asyncio.to_thread(service.unbind_by_id, call.subject, model, int(key))
        elif asset is not None:
            await asyncio.to_thread(service.unbind, call.subject, model, asset)
        else:
            raise invalid("?asset=path or ?binding=id says which binding")

    async def assets(call: Call) -> Page:
        limit, after = limit_of(call), cursor_of(call, int)
        await asyncio.to_thread(service.get, call.subject, call.path["id"], None)
        ask = AssetsAsk(
            tenant=call.subject.tenant,
            binding=call.integer("binding"),
            state=call.query.get("state", ""),
            after=after or 0,
            limit=limit,
        )
        found = await role.assets(ask)
        return Page(list(found.items), None if found.next is None else encode_cursor(found.next))

    async def inspect(call: Call) -> Inspection:
        try:
            kind = Kind(call.query.get("kind", ""))
        except ValueError:
            raise invalid(f"?kind= must be one of {', '.join(Kind)}") from None
        incoming: Incoming = call.body
        stored = await service.artifacts.take(call.subject, incoming.chunks)
        return await role.inspect(InspectRequest(sha256=stored.sha256, kind=kind))

    async def put(call: Call) -> ModelDocument:
        spec = await register(service, role.inspect, call.subject, call.body)
        return await asyncio.to_thread(service.get, call.subject, spec.id, await role.state())

    async def current(call: Call) -> ModelDocument:
        await asyncio.to_thread(service.set_current, call.subject, call.path["id"], call.body.version)
        return await get(call)

    async def remove(call: Call) -> None:
        version = call.query.get("version", "")
        await asyncio.to_thread(service.remove, call.subject, call.path["id"], version)

    async def invoke(call: Call) -> InvokeAnswer:
        subject = call.subject
        # The role starts for a model that is there, and for no other.
        await asyncio.to_thread(service.spec, subject, call.path["id"], call.body.version)
        request = InvokeRequest(tenant=subject.tenant, caller=subject.name, model=call.path["id"], body=call.body)
        return await role.invoke(request)

    async def usage(call: Call) -> UsageDocument:
        text = call.query.get("hours", "24")
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= _MAX_HOURS:
            raise invalid(f"hours must be 1 to {_MAX_HOURS}")
        return await asyncio.to_thread(service.usage, call.subject, call.query.get("model") or None, int(text))

    write, model = Action.RULE_WRITE, "/models/{id}"
    path = f"{model}/bindings"
    call_action: Any = Action.QUERY_SQL
    listed = Route(
        "GET", f"{path}/{{binding}}/assets", Action.READ, assets, "Assets of a binding (?state=)", None, Page
    )
    return [
        Route("GET", "/models", Action.READ, list_models, "List mechanism models", None, list[ModelDocument]),
        Route("POST", "/models", write, put, "Register a version of a model", RegisterBody, ModelDocument, 201),
        Route("POST", "/models:inspect", write, inspect, "Send an artifact (?kind=) and read it", Incoming, Inspection),
        Route("GET", "/model-usage", Action.READ, usage, "Calls by caller (?model=&hours=)", None, UsageDocument),
        Route("GET", model, Action.READ, get, "A model with its versions and bindings", None, ModelDocument),
        Route("DELETE", model, write, remove, "Remove a model, or a version (?version=)", None, None, 204),
        Route("PUT", f"{model}/current", write, current, "Choose the current version", CurrentBody, ModelDocument),
        Route("POST", f"{model}:invoke", call_action, invoke, "Call a model", InvokeBody, InvokeAnswer),
        Route("PUT", path, write, bind, "Bind a model to an asset, or by type and pattern", BindingBody, ModelDocument),
        Route("DELETE", path, write, unbind, "Remove a binding (?asset=path or ?binding=id)", None, None, 204),
        listed,
    ]
