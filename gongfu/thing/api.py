"""HTTP of thing models."""

import asyncio
from typing import Any

import msgspec

from gongfu.kernel.errors import invalid
from gongfu.kernel.permissions import Action
from gongfu.registry.api.query import flag_of, search_of
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Raw, Route
from gongfu.thing.difference import Change
from gongfu.thing.exchange import FORMATS, Imported, export_model, import_model
from gongfu.thing.instances import Instance, Instances, NewInstances
from gongfu.thing.report import Omission
from gongfu.thing.service import ModelDocument, ModelEntry, ModelHead, ThingModels
from gongfu.thing.types import Model

_NEW = "?publish=true: publish it at once"


class ModelPage(msgspec.Struct, frozen=True):
    """A page of models in order of name, each with its newest version."""

    items: list[ModelEntry]
    next: str | None


class ModelVersions(msgspec.Struct, frozen=True):
    """All versions of a model, newest first."""

    items: list[ModelHead]


class Difference(msgspec.Struct, frozen=True):
    """What differs between two versions; ``breaking``: something that was right with the old one may be wrong."""

    old: str
    new: str
    breaking: bool
    changes: list[Change]


class InstancePage(msgspec.Struct, frozen=True):
    """A page of assets of a model in order of path."""

    items: list[Instance]
    next: str | None


class Wrapped(msgspec.Struct, frozen=True):
    """A file inside JSON, with what its format cannot hold."""

    content: str
    media_type: str
    left_out: list[Omission]


class InstanceList(msgspec.Struct, frozen=True):
    """Assets that have become of a model."""

    items: list[Instance]


def routes(models: ThingModels, instances: Instances) -> list[Route]:
    """Return the operations."""

    async def list_models(call: Call) -> Page:
        limit = limit_of(call)
        rows = await asyncio.to_thread(models.page, call.subject, cursor_of(call, str), limit + 1, search_of(call))
        return Page(rows[:limit], encode_cursor(rows[limit - 1].name) if len(rows) > limit else None)

    async def create(call: Call) -> ModelDocument:
        publish = flag_of(call, "publish") or False
        document, _ = await asyncio.to_thread(models.create, call.subject, call.body, publish=publish)
        return document

    async def get(call: Call) -> ModelDocument:
        return await asyncio.to_thread(models.get, call.subject, call.path["name"])

    async def versions(call: Call) -> ModelVersions:
        return ModelVersions(await asyncio.to_thread(models.versions, call.subject, call.path["name"]))

    async def publish(call: Call) -> ModelDocument:
        return await asyncio.to_thread(models.publish, call.subject, call.path["name"])

    async def retire(call: Call) -> ModelDocument:
        return await asyncio.to_thread(models.retire, call.subject, call.path["name"])

    async def remove(call: Call) -> None:
        await asyncio.to_thread(models.remove, call.subject, call.path["name"])

    async def diff(call: Call) -> Difference:
        old = call.query.get("from")
        if not old:
            raise invalid("?from=name@version says what to compare with")
        new = call.path["name"]
        changes = await asyncio.to_thread(models.difference, call.subject, old, new)
        return Difference(old, new, any(change.breaking for change in changes), changes)

    async def list_instances(call: Call) -> Page:
        limit = limit_of(call)
        after = cursor_of(call, str)
        rows = await asyncio.to_thread(instances.page, call.subject, call.path["name"], after, limit + 1)
        return Page(rows[:limit], encode_cursor(rows[limit - 1].path) if len(rows) > limit else None)

    async def bind(call: Call) -> InstanceList:
        return InstanceList(await asyncio.to_thread(instances.bind, call.subject, call.path["name"], call.body))

    async def take(call: Call) -> Imported:
        return await asyncio.to_thread(import_model, call.body, call.query.get("format"))

    async def give(call: Call) -> Raw | Wrapped:
        document = await asyncio.to_thread(models.get, call.subject, call.path["name"])
        form = call.query.get("format", "wot")
        exported = await asyncio.to_thread(export_model, document.resolved, document.reference, form)
        if flag_of(call, "wrapped"):
            return Wrapped(exported.content.decode(), exported.media_type, exported.left_out)
        # What the format cannot hold is listed in the wrapped form.
        headers = {"X-Left-Out": str(len(exported.left_out))} if exported.left_out else {}
        return Raw(exported.content, exported.media_type, headers)

    read, write = Action.READ, Action.ASSET_WRITE
    one, formats = "/thing-models/{name}", "|".join(FORMATS)
    by: Any = "name is name or name@version"
    return [
        Route("GET", "/thing-models", read, list_models, "List models (?search, ?limit, ?cursor)", None, ModelPage),
        Route("POST", "/thing-models", write, create, f"Add a version ({_NEW})", Model, ModelDocument, 201),
        Route("GET", one, read, get, f"Get a version; {by}", None, ModelDocument),
        Route("DELETE", one, write, remove, "Remove a draft", status=204),
        Route("GET", one + "/versions", read, versions, "List the versions of a model", None, ModelVersions),
        Route("POST", one + ":publish", write, publish, "Publish a draft", None, ModelDocument),
        Route("POST", one + ":retire", write, retire, "Let no further assets be of it", None, ModelDocument),
        Route("GET", one + ":diff", read, diff, "What differs (?from=name@version)", None, Difference),
        Route("GET", one + "/instances", read, list_instances, "List assets (?limit, ?cursor)", None, InstancePage),
        Route("POST", one + "/instances", write, bind, "Make assets of it", NewInstances, InstanceList, 201),
        Route("POST", "/thing-models:import", write, take, f"Read a file (?format={formats})", bytes, Imported),
        Route("GET", one + ":export", read, give, f"Write a file (?format={formats}, ?wrapped=true)"),
    ]
