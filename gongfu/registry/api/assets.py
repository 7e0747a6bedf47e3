"""HTTP of assets."""

import asyncio
from collections.abc import Collection

import msgspec

from gongfu.kernel.permissions import Action
from gongfu.registry.api.query import flag_of, number_of, search_of
from gongfu.registry.assets import AssetDocument, AssetPatch, NewAsset
from gongfu.registry.live import IDS_IN_QUERY, Live
from gongfu.registry.service import Registry
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


class AssetPage(msgspec.Struct, frozen=True):
    """A page of assets in order of path."""

    items: list[AssetDocument]
    next: str | None


def routes(registry: Registry, live: Live | None = None) -> list[Route]:
    """Return the operations."""
    assets = registry.assets

    async def list_assets(call: Call) -> Page:
        limit = limit_of(call)

        def page() -> list[AssetDocument]:
            few = live.offline_assets(call.subject.tenant, IDS_IN_QUERY) if live and online is False else None
            return assets.page(
                call.subject,
                cursor_of(call, str),
                limit + 1,
                search=search_of(call),
                parent=number_of(call, "parent"),
                path=call.query.get("path"),
                online=online,
                alive=alive,
                offline=few,
            )

        online, alive = flag_of(call, "online"), online_now()
        rows = [with_live(row, alive) for row in await asyncio.to_thread(page)]
        return Page(rows[:limit], encode_cursor(rows[limit - 1].path) if len(rows) > limit else None)

    def online_now() -> Collection[int]:
        return live.online_assets() if live is not None else ()

    def with_live(document: AssetDocument, alive: Collection[int]) -> AssetDocument:
        return msgspec.structs.replace(document, online=True) if document.id in alive else document

    async def get(call: Call) -> AssetDocument:
        return with_live(await asyncio.to_thread(assets.get, call.subject, call.integer("id")), online_now())

    async def create(call: Call) -> AssetDocument:
        return await asyncio.to_thread(assets.create, call.subject, call.body)

    async def change(call: Call) -> AssetDocument:
        return await asyncio.to_thread(assets.change, call.subject, call.integer("id"), call.body)

    async def delete(call: Call) -> None:
        force = flag_of(call, "force") or False
        await asyncio.to_thread(assets.delete, call.subject, call.integer("id"), force=force)

    read, write = Action.READ, Action.ASSET_WRITE
    listing = (
        "List assets (?search: text, ^prefix or attributes.name=value, ?parent=id or 0 for roots, ?path, "
        "?online=true|false, ?limit, ?cursor)"
    )
    return [
        Route("GET", "/assets", read, list_assets, listing, None, AssetPage),
        Route("POST", "/assets", write, create, "Add an asset", NewAsset, AssetDocument, 201),
        Route("GET", "/assets/{id}", read, get, "Get an asset", None, AssetDocument),
        Route("PATCH", "/assets/{id}", write, change, "Change or move an asset", AssetPatch, AssetDocument),
        Route("DELETE", "/assets/{id}", write, delete, "Remove an asset (?force=true: and all below)", status=204),
    ]
