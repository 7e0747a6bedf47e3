"""Documents of the one box, as the API and the commands have them."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gongfu.identify.management.record_documents import RecordView

MAX_TEXT = 4096


class ResolveWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked: ``trace`` for each step of the way, ``verify`` for signatures, ``fresh`` past all caches."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    trace: bool = False
    verify: bool = False
    fresh: bool = False


class LinkView(msgspec.Struct, frozen=True):
    """A link of an identifier, as GS1 Digital Link has them."""

    type: str
    href: str
    title: str = ""
    language: str = ""


class Relation(msgspec.Struct, frozen=True):
    """Another identifier that a record tells of; ``label`` is the value's type."""

    kind: str
    handle: str
    label: str


class Hop(msgspec.Struct, frozen=True):
    """One question on the way: who was asked, what came back, and whether a cache knew."""

    question: str
    server: str
    code: str
    cache: str = "none"
    milliseconds: float = 0.0
    ttl: int = 0
    detail: str = ""


class TrustView(msgspec.Struct, frozen=True):
    """What is to be thought of a record: ``trusted``, ``signed``, ``broken``, ``unsigned``, or ``unchecked``."""

    state: str = "unchecked"
    signer: str = ""
    checked: int = 0
    detail: str = ""
    report: dict[str, Any] | None = None


class Resolved(msgspec.Struct, frozen=True):
    """What is known; ``source`` is ``own``, ``range``, ``elsewhere`` or ""."""

    text: str
    kind: str
    handle: str = ""
    canonical: str = ""
    found: bool = False
    record: RecordView | None = None
    source: str = ""
    links: list[LinkView] = []
    relations: list[Relation] = []
    trace: list[Hop] = []
    trust: TrustView = TrustView()
    detail: str = ""
