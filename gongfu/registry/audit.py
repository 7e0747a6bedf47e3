"""Audit: who wrote what and when. Append only; every write of the API adds one row in its own transaction."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import format_rfc3339
from gongfu.registry import audit_records
from gongfu.store.records.engine import reading

_DETAIL_LIMIT = 2000


class AuditEntry(msgspec.Struct, frozen=True):
    """One write."""

    id: int
    time: str
    user: str
    action: str
    resource: str
    detail: str


def record(
    connection: Connection, subject: Subject, action: str, resource: str, now: int, detail: str = "", tenant: int = 0
) -> None:
    """Note a write inside the transaction that makes it.

    Args:
        connection: the transaction.
        subject: who writes.
        action: ``<noun>.<verb>``, such as ``device.create``.
        resource: what is written, such as ``device/pump-1``.
        now: UTC ns.
        detail: the change in words or JSON, without secrets; cut at 2,000 characters.
        tenant: tenant of the resource, 0 for the subject's own.
    """
    audit_records.insert(
        connection, now, tenant or subject.tenant, subject.name, action, resource[:300], detail[:_DETAIL_LIMIT]
    )


def entries(engine: Engine, tenant: int, before: int | None, limit: int) -> tuple[list[AuditEntry], int | None]:
    """Return up to ``limit`` entries of a tenant, newest first, and the key of the next page."""
    with reading(engine) as connection:
        rows = audit_records.newest(connection, tenant, before, limit + 1)
    items = [_entry(row) for row in rows[:limit]]
    return items, items[-1].id if len(rows) > limit else None


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(row.id, format_rfc3339(row.time), row.user_name, row.action, row.resource, row.detail)
