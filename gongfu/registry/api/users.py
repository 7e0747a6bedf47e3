"""HTTP of users, tenants and the audit; for administrators."""

import asyncio

import msgspec

from gongfu.kernel.permissions import Action
from gongfu.registry import audit
from gongfu.registry.api.query import number_of
from gongfu.registry.audit import AuditEntry
from gongfu.registry.names import RowId
from gongfu.registry.service import Registry
from gongfu.registry.users import NewUser, TenantDocument, TenantPatch, UserDocument, UserPatch, UserWithPassword
from gongfu.rest.paging import Page, cursor_of, encode_cursor, limit_of
from gongfu.rest.routing import Call, Route


class NewTenant(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Request to add a tenant."""

    name: str


class UserPage(msgspec.Struct, frozen=True):
    """A page of users."""

    items: list[UserDocument]
    next: str | None


class TenantPage(msgspec.Struct, frozen=True):
    """A page of tenants."""

    items: list[TenantDocument]
    next: str | None


class AuditPage(msgspec.Struct, frozen=True):
    """A page of the audit, newest first."""

    items: list[AuditEntry]
    next: str | None


def routes(registry: Registry) -> list[Route]:
    """Return the operations."""
    users = registry.users

    async def list_users(call: Call) -> Page:
        limit = limit_of(call)
        tenant = number_of(call, "tenant")
        rows = await asyncio.to_thread(users.page, call.subject, tenant, cursor_of(call, str), limit + 1)
        return Page(rows[:limit], encode_cursor(rows[limit - 1].name) if len(rows) > limit else None)

    async def create(call: Call) -> UserWithPassword:
        return await asyncio.to_thread(users.create, call.subject, call.body)

    async def change(call: Call) -> UserWithPassword:
        return await asyncio.to_thread(users.change, call.subject, call.integer("id"), call.body)

    async def delete(call: Call) -> None:
        await asyncio.to_thread(users.delete, call.subject, call.integer("id"))

    async def list_tenants(call: Call) -> Page:
        limit = limit_of(call)
        cursor = cursor_of(call, tuple[RowId])
        rows = await asyncio.to_thread(users.tenants, cursor and cursor[0], limit + 1)
        return Page(rows[:limit], encode_cursor((rows[limit - 1].id,)) if len(rows) > limit else None)

    async def create_tenant(call: Call) -> TenantDocument:
        return await asyncio.to_thread(users.create_tenant, call.subject, call.body.name)

    async def change_tenant(call: Call) -> TenantDocument:
        return await asyncio.to_thread(users.change_tenant, call.subject, call.integer("id"), call.body)

    async def list_audit(call: Call) -> Page:
        cursor = cursor_of(call, tuple[RowId])
        rows, key = await asyncio.to_thread(
            audit.entries, registry.engine, call.subject.tenant, cursor and cursor[0], limit_of(call)
        )
        return Page(rows, None if key is None else encode_cursor((key,)))

    user_write, tenant_write = Action.USER_WRITE, Action.TENANT_WRITE
    return [
        Route("GET", "/users", user_write, list_users, "List users (?tenant, ?limit, ?cursor)", None, UserPage),
        Route("POST", "/users", user_write, create, "Add a user", NewUser, UserWithPassword, 201),
        Route("PATCH", "/users/{id}", user_write, change, "Change a user", UserPatch, UserWithPassword),
        Route("DELETE", "/users/{id}", user_write, delete, "Remove a user", None, None, 204),
        Route("GET", "/tenants", tenant_write, list_tenants, "List tenants", None, TenantPage),
        Route("POST", "/tenants", tenant_write, create_tenant, "Add a tenant", NewTenant, TenantDocument, 201),
        Route("PATCH", "/tenants/{id}", tenant_write, change_tenant, "Change a tenant", TenantPatch, TenantDocument),
        Route("GET", "/audit", user_write, list_audit, "Who wrote what, newest first", None, AuditPage),
    ]
