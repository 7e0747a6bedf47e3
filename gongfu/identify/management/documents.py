"""Documents of applications, prefixes, templates, classes and grants, as the API and the commands have them."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gongfu.identify.onboarding.application import Name, Words
from gongfu.identify.templates.types import Attribute, Slug, Text

Region = Annotated[str, Meta(pattern=r"^([0-9]{2}|[0-9]{4}|[0-9]{6})?\Z")]
Industry = Annotated[str, Meta(pattern=r"^([A-T]|[A-T]?[0-9]{2,4})?\Z")]
CreditCode = Annotated[str, Meta(max_length=32)]
PrefixText = Annotated[str, Meta(max_length=64)]
Contact = Annotated[str, Meta(max_length=200)]
Quota = Annotated[int, Meta(ge=0, le=10**15)]
DocumentKind = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,63}\Z", max_length=64)]


class NewApplication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An enterprise applies."""

    name: Name
    credit_code: CreditCode
    region: Region = ""
    industry: Industry = ""
    contact: Contact = ""
    wanted_prefix: PrefixText = ""


class ApplicationPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different; what is left out stays."""

    name: Name | None = None
    credit_code: CreditCode | None = None
    region: Region | None = None
    industry: Industry | None = None
    contact: Contact | None = None
    wanted_prefix: PrefixText | None = None


class DocumentView(msgspec.Struct, frozen=True):
    """A document that was handed in; ``digest`` is the SHA-256 of its bytes."""

    kind: str
    name: str
    media_type: str
    bytes: int
    digest: str


class ApplicationView(msgspec.Struct, frozen=True):
    """An application. ``steps`` are what its state allows next."""

    id: int
    name: str
    credit_code: str
    region: str
    industry: str
    contact: str
    wanted_prefix: str
    applicant: str
    documents: list[DocumentView]
    prefix: str
    state: str
    steps: list[str]
    created_at: str
    changed_at: str


class StepView(msgspec.Struct, frozen=True):
    """A step that was taken."""

    at: str
    person: str
    step: str
    words: str


class Deciding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words for a step."""

    words: Words = ""


class Approving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An approval: ``prefix`` is by default what was wanted, else the next free number below the root."""

    prefix: PrefixText = ""
    quota: Quota = 0
    words: Words = ""


class NewPrefix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prefix of this service, or one that is delegated to another node's (``service`` is its ``host:port``)."""

    name: PrefixText
    kind: str = "own"
    enterprise: Annotated[str, Meta(max_length=200)] = ""
    region: Region = ""
    industry: Industry = ""
    quota: Quota = 0
    service: Annotated[str, Meta(max_length=200)] = ""


class PrefixPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different; what is left out stays.

    ``kind`` is where the prefix is at home: ``own``, here, or ``delegated``, at another node's ``service``.
    """

    state: str | None = None
    enterprise: Annotated[str, Meta(max_length=200)] | None = None
    region: Region | None = None
    industry: Industry | None = None
    quota: Quota | None = None
    service: Annotated[str, Meta(max_length=200)] | None = None
    kind: Annotated[str, Meta(max_length=16)] | None = None


class PrefixView(msgspec.Struct, frozen=True):
    """A prefix, what is registered below it, and its own values (``0.NA/<name>``) as ``/api/handles`` has them."""

    name: str
    state: str
    kind: str
    enterprise: str
    application: int | None
    region: str
    industry: str
    quota: int
    explicit: int
    ranged: int
    total: int
    values: list[dict[str, Any]]
    service: str


class NewTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first version of a template."""

    name: Slug
    attributes: list[Attribute]
    title: dict[str, Text] = {}
    industry: Industry = ""


class TemplateText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a draft says; ``name`` and ``version`` are those of the address if they stand here."""

    attributes: list[Attribute]
    title: dict[str, Text] = {}
    industry: Industry = ""
    name: str = ""
    version: int = 0
    state: str = ""


class CopyTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name of the copy."""

    name: Slug


class NewClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all members of ranges have in common; ``template`` is a name (the newest published) or ``name@version``."""

    template: str
    attributes: dict[str, Any] = {}
    title: Annotated[str, Meta(max_length=200)] = ""


class ClassChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a class says; of its template's version."""

    attributes: dict[str, Any]
    title: Annotated[str, Meta(max_length=200)] | None = None


class ClassView(msgspec.Struct, frozen=True):
    """A class."""

    number: int
    template: str
    attributes: dict[str, str]
    title: str
    timestamp: str


class NewGrant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whoever proves to be ``grantee`` (a handle; ``index`` of its key, 0 for any) may do ``rights`` on ``target``."""

    grantee: Annotated[str, Meta(min_length=3, max_length=512)]
    scope: str
    target: Annotated[str, Meta(min_length=1, max_length=2048)]
    rights: Annotated[list[str], Meta(min_length=1, max_length=2)]
    index: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    attributes: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=200)] = []
    until: str | None = None


class GrantView(msgspec.Struct, frozen=True):
    """A grant."""

    id: int
    grantee: str
    index: int
    scope: str
    target: str
    attributes: list[str]
    rights: list[str]
    until: str | None
    granted_by: str
    granted_at: str
