"""Drops as the API shows them: who loses points, how many, why, and since when."""

from typing import Any

import msgspec
from sqlalchemy import Engine

from gongfu.kernel.permissions import NODE_TENANT, Subject
from gongfu.kernel.times import format_rfc3339
from gongfu.registry import drop_records
from gongfu.registry.names import RowId
from gongfu.store.records.engine import reading

DropKey = tuple[RowId, RowId, RowId, str, str]


class DropDocument(msgspec.Struct, frozen=True):
    """A count of drops; ``device`` is None for callers that could not be named, or that were removed.

    ``count`` is points, of the kinds ``delayed`` milliseconds of its connections and ``refused`` HTTP requests.
    """

    device: str | None
    device_id: int
    kind: str
    reason: str
    count: int
    last_at: str
    last_detail: str


def visible_tenants(subject: Subject) -> tuple[int, ...]:
    """Return whose drops a subject sees: its tenant's, and in the node tenant also those of unnamed callers (0)."""
    return (subject.tenant, 0) if subject.tenant == NODE_TENANT else (subject.tenant,)


def page(
    engine: Engine, subject: Subject, after: DropKey | None, limit: int, device: int | None, kind: str = ""
) -> tuple[list[DropDocument], DropKey | None]:
    """Return up to ``limit`` counts, the last dropped first, and the key of the next page."""
    with reading(engine) as connection:
        rows = drop_records.page(connection, visible_tenants(subject), after, limit + 1, device_id=device, kind=kind)
    last: Any = rows[limit - 1] if len(rows) > limit else None
    key = None if last is None else (last.last_at, last.tenant_id, last.device_id, last.kind, last.reason)
    return [_document(row) for row in rows[:limit]], key


def _document(row: Any) -> DropDocument:
    return DropDocument(
        device=row.device_name,
        device_id=row.device_id,
        kind=row.kind,
        reason=row.reason,
        count=row.count,
        last_at=format_rfc3339(row.last_at),
        last_detail=row.last_detail,
    )
