"""Requests of the commands of the identifier role, and pages of their answers."""

from typing import Any

import msgspec

from gongfu.identify.management.documents import (
    ApplicationPatch,
    ApplicationView,
    Approving,
    ClassChange,
    ClassView,
    CopyTemplate,
    GrantView,
    PrefixPatch,
    PrefixView,
    TemplateText,
)
from gongfu.identify.templates.types import Template


class OneNumber(msgspec.Struct, frozen=True):
    """An application, class or grant."""

    number: int


class OneName(msgspec.Struct, frozen=True):
    """A prefix or template."""

    name: str


class OneVersion(msgspec.Struct, frozen=True):
    """A version of a template."""

    name: str
    version: int


class OneHandle(msgspec.Struct, frozen=True):
    """An identifier."""

    handle: str


class ListHandles(msgspec.Struct, frozen=True):
    """A page of the identifiers of a prefix, behind a suffix."""

    prefix: str
    after: str
    limit: int


class HandleList(msgspec.Struct, frozen=True):
    """Handles, and the suffix after which the next page begins."""

    items: list[str]
    next: str | None


class ListPrefixes(msgspec.Struct, frozen=True):
    """A page of prefixes behind a key."""

    after: str
    limit: int
    search: str = ""
    state: str = ""
    enterprise: str = ""


class PrefixList(msgspec.Struct, frozen=True):
    """Prefixes, and the key of the next page."""

    items: list[PrefixView]
    next: str | None


class ChangePrefix(msgspec.Struct, frozen=True):
    """A change of a prefix."""

    name: str
    change: PrefixPatch


class ListApplications(msgspec.Struct, frozen=True):
    """A page of applications."""

    state: str
    search: str
    before: int | None
    limit: int


class ApplicationList(msgspec.Struct, frozen=True):
    """Applications, and the key of the next page."""

    items: list[ApplicationView]
    next: int | None


class ChangeApplication(msgspec.Struct, frozen=True):
    """A change of an application."""

    number: int
    change: ApplicationPatch


class StepApplication(msgspec.Struct, frozen=True):
    """A step of an application."""

    number: int
    step: str
    words: str = ""


class ApproveApplication(msgspec.Struct, frozen=True):
    """An approval."""

    number: int
    approval: Approving


class HandIn(msgspec.Struct, frozen=True):
    """A document of an application."""

    number: int
    kind: str
    name: str
    media_type: str
    content: bytes


class OneDocument(msgspec.Struct, frozen=True):
    """A document of an application."""

    number: int
    digest: str


class DocumentContent(msgspec.Struct, frozen=True):
    """A document's bytes."""

    name: str
    media_type: str
    content: bytes


class ListTemplates(msgspec.Struct, frozen=True):
    """Templates of a state, or with a text in name or title."""

    state: str = ""
    search: str = ""


class WriteTemplate(msgspec.Struct, frozen=True):
    """All that a draft shall say."""

    name: str
    version: int
    text: TemplateText


class CopyOf(msgspec.Struct, frozen=True):
    """A copy of a template."""

    name: str
    copy: CopyTemplate


class TemplateList(msgspec.Struct, frozen=True):
    """Versions of templates."""

    items: list[Template]


class ListNumbers(msgspec.Struct, frozen=True):
    """A page of classes or grants, behind a number."""

    after: int
    limit: int
    target: str = ""
    grantee: str = ""


class ClassList(msgspec.Struct, frozen=True):
    """Classes, and the key of the next page."""

    items: list[ClassView]
    next: int | None


class GrantList(msgspec.Struct, frozen=True):
    """Grants, and the key of the next page."""

    items: list[GrantView]
    next: int | None


class ChangeClass(msgspec.Struct, frozen=True):
    """A change of a class."""

    number: int
    change: ClassChange


class ListRanges(msgspec.Struct, frozen=True):
    """A page of ranges of a prefix, or of all."""

    prefix: str
    after: int
    limit: int


class RangeView(msgspec.Struct, frozen=True):
    """What is registered of a pattern: ``text`` spans the least to the greatest number, ``holes`` are within."""

    prefix: str
    pattern: str
    text: str
    first: str
    last: str
    registered: int
    holes: int
    overrides: int
    classes: dict[str, int]


class RangeList(msgspec.Struct, frozen=True):
    """Ranges, and where the next page begins."""

    items: list[RangeView]
    next: int | None


class NewRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A range: of a class, or of a template and attributes, which become a class."""

    prefix: str
    range: str
    class_number: int | None = msgspec.field(name="class", default=None)
    template: str = ""
    attributes: dict[str, Any] = {}
    title: str = ""
    move: bool = False


class RangeDone(msgspec.Struct, frozen=True):
    """What a registration has changed: numbers that are new, were there already, and of these re-classed."""

    new: int
    present: int
    moved: int
    class_number: int = msgspec.field(name="class")


class OneRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers that shall not be registered any more."""

    prefix: str
    range: str


class RangeRemoved(msgspec.Struct, frozen=True):
    """How many were registered."""

    removed: int
