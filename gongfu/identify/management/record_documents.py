"""Documents of identifiers, as the API and the commands have them."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Handle = Annotated[str, Meta(min_length=3, max_length=2048)]
Index = Annotated[int, Meta(ge=1, le=2**32 - 1)]


class NewRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record as it shall be: attributes of a template, and other values as ``/api/handles`` has them."""

    handle: Handle
    template: Annotated[str, Meta(max_length=100)] = ""
    attributes: dict[str, Any] = {}
    values: Annotated[list[dict[str, Any]], Meta(max_length=1000)] = []
    overwrite: bool = False


class RecordChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Single values to be added, changed, removed; all or nothing of each kind, in this order."""

    handle: Handle
    add: Annotated[list[dict[str, Any]], Meta(max_length=1000)] = []
    modify: Annotated[list[dict[str, Any]], Meta(max_length=1000)] = []
    remove: Annotated[list[Index], Meta(max_length=1000)] = []


class RecordView(msgspec.Struct, frozen=True):
    """A record; ``template`` is ``name@version``, ``class`` the one of the range it is in."""

    handle: str
    prefix: str
    kind: str
    template: str
    class_number: int | None = msgspec.field(name="class")
    attributes: dict[str, str]
    values: list[dict[str, Any]]
    timestamp: str


class OutcomeView(msgspec.Struct, frozen=True):
    """What became of a write that was done."""

    handle: str
    code: str
    detail: str = ""
