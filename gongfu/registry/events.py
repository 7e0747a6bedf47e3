"""Events: something that happened at or over a time, noted by a person or an import (labels, maintenance, notes)."""

import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from sqlalchemy import Engine

from gongfu.kernel.errors import invalid, not_found
from gongfu.kernel.permissions import Subject
from gongfu.kernel.times import Clock, format_rfc3339, parse_rfc3339
from gongfu.registry import asset_records, audit, event_records
from gongfu.registry.names import RowId, check_name
from gongfu.store.records.engine import reading, writing

EventKey = tuple[RowId, str]
Text = Annotated[str, msgspec.Meta(max_length=4000, pattern="^[^\\x00]*$")]


# Raises a ``Problem`` when an event is not as the type of its asset says: tenant, asset path, kind, fields.
CheckEvent = Callable[[int, str, str, Mapping[str, Any]], None]

MAX_FIELDS = 200
_FIELDS_BYTES = 16_384


def any_event(_tenant: int, _asset: str, _kind: str, _fields: Mapping[str, Any]) -> None:
    """Let every event pass: for records without thing models."""


class EventDocument(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """An event of an asset; ``from`` and ``to`` are RFC 3339 UTC."""

    id: str
    asset_path: str
    kind: str
    from_: str
    to: str
    text: str
    source: str
    fields: dict[str, Any]


class NewEvent(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"from_": "from"}):
    """Request to note an event; without ``to`` it happened at one moment. ``asset`` is a path.

    ``fields`` are values by name; where the thing model of the asset declares events, they must be as it says.
    """

    asset: str
    kind: str
    from_: str
    to: str | None = None
    text: Text = ""
    source: str = ""
    fields: dict[str, Any] = {}


class Events:
    """Events of tenants; every method blocks on the records."""

    def __init__(self, engine: Engine, clock: Clock, fits: CheckEvent = any_event) -> None:
        self._engine = engine
        self._clock = clock
        self._fits = fits

    def page(
        self,
        subject: Subject,
        after: EventKey | None,
        limit: int,
        *,
        path: str | None = None,
        time_from: int | None = None,
        time_to: int | None = None,
    ) -> tuple[list[EventDocument], EventKey | None]:
        """Return events that overlap a time range (UTC ns), oldest first, and the key of the next page."""
        with reading(self._engine) as connection:
            rows = event_records.page(
                connection, subject.tenant, after, limit + 1, path=path, time_from=time_from, time_to=time_to
            )
        last: Any = rows[limit - 1] if len(rows) > limit else None
        return [_document(row, row.asset_path) for row in rows[:limit]], last and (last.time_from, last.id)

    def create(self, subject: Subject, request: NewEvent) -> EventDocument:
        """Note an event.

        Raises:
            Problem: 400 for times and names, and for what the thing model of the asset does not allow; 404 for the
                asset.
        """
        kind = check_name(request.kind, "kind", limit=60)
        source = check_name(request.source, "source", limit=120) if request.source else subject.name
        start = parse_time(request.from_, "from")
        end = start if request.to is None else parse_time(request.to, "to")
        if end < start:
            raise invalid("to must not be before from")
        if len(request.fields) > MAX_FIELDS or len(msgspec.json.encode(request.fields)) > _FIELDS_BYTES:
            raise invalid(f"fields are at most {MAX_FIELDS}, and {_FIELDS_BYTES} bytes")
        self._fits(subject.tenant, request.asset, kind, request.fields)
        now = self._clock.now_ns()
        values = {
            "id": str(uuid.uuid4()),
            "kind": kind,
            "time_from": start,
            "time_to": end,
            "text": request.text,
            "source": source,
            "fields": request.fields or None,
        }
        with writing(self._engine) as connection:
            row = asset_records.by_path(connection, subject.tenant, request.asset)
            if row is None:
                raise not_found(f"asset {request.asset!r}")
            event_records.add(connection, tenant_id=subject.tenant, asset_id=row.id, created_at=now, **values)
            audit.record(connection, subject, "event.create", f"event/{request.asset}", now, kind)
        return EventDocument(
            id=values["id"],
            asset_path=request.asset,
            kind=kind,
            from_=format_rfc3339(start),
            to=format_rfc3339(end),
            text=request.text,
            source=source,
            fields=request.fields,
        )


def parse_time(text: str, what: str) -> int:
    """Return UTC ns of an RFC 3339 text of a request.

    Raises:
        Problem: 400.
    """
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise invalid(f"{what}: {error}") from None


def _document(row: Any, path: str) -> EventDocument:
    return EventDocument(
        id=row.id,
        asset_path=path,
        kind=row.kind,
        from_=format_rfc3339(row.time_from),
        to=format_rfc3339(row.time_to),
        text=row.text,
        source=row.source,
        fields=row.fields or {},
    )
