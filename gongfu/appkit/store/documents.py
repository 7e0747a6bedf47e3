"""What is asked of the store and what it answers; times are RFC 3339."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gongfu.appkit.store.permission_changes import Ask, Change
from gongfu.appkit.store.pricing import Plan

Reason = Annotated[str, Meta(min_length=1, max_length=2000)]
Words = Annotated[str, Meta(max_length=4000)]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}\Z")]
Month = Annotated[str, Meta(pattern=r"^\d{4}-(0[1-9]|1[0-2])\Z")]
Level = Literal["none", "tested", "certified"]
LEVELS: tuple[Level, ...] = ("none", "tested", "certified")


class Check(msgspec.Struct, frozen=True):
    """One automatic check of a version.

    Attributes:
        name: ``signature``, ``manifest``, ``size``, ``permissions``, ``publisher`` or ``tests``.
        outcome: ``passed``; ``noted``: a person should look at it; ``failed``: the version cannot be published.
        detail: for people.
    """

    name: str
    outcome: Literal["passed", "noted", "failed"]
    detail: str = ""


class CertificationDocument(msgspec.Struct, frozen=True):
    """Who says on what evidence that a version holds what it promises; ``state`` is valid, expired or ended."""

    id: int
    version: str
    level: Level
    by: str
    evidence: str
    at: str
    until: str
    state: str


class NewCertification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certification of a version.

    Attributes:
        level: ``tested``: its tests were run by the store's operator; ``certified``: a body has examined it.
        by: the body or person that says so.
        evidence: what it is founded on: number of a report, an address.
        until: RFC 3339, when it ends.
    """

    level: Literal["tested", "certified"]
    by: Annotated[str, Meta(min_length=1, max_length=200)]
    evidence: Reason
    until: Annotated[str, Meta(max_length=40)]


class VersionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A version as everybody sees it; its package is at ``/v1/store/packages/{sha256}``."""

    id: int
    app: str
    version: str
    state: str
    reason: str
    sha256: str
    size: int
    key_id: str
    publisher: str
    notes: str
    author: str
    reviewer: str
    made_at: str
    changed_at: str


class VersionDetail(VersionDocument, frozen=True, kw_only=True):
    """A version with what it is made of.

    Attributes:
        manifest: ``app.toml`` as JSON.
        provenance: who built it from what, None for an unsigned one.
        asks: what it asks for.
        changes: against the version published before it.
        changes_against: which one that is, empty when there is none.
        checks: automatic ones.
        certifications: newest first.
    """

    manifest: Any
    provenance: Any
    asks: list[Ask]
    changes: list[Change]
    changes_against: str
    checks: list[Check]
    certifications: list[CertificationDocument]


class AppDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An app in the catalogue. ``rating`` is the mean of the stars, None without ratings."""

    id: str
    title: dict[str, str]
    description: dict[str, str]
    industry: str
    version: str
    sha256: str
    size: int
    publisher: str
    level: Level
    rating: float | None
    ratings: int
    installs: int
    plan: Plan
    asks: list[str]
    shown_at: str


class RatingDocument(msgspec.Struct, frozen=True):
    """What a tenant says of an app."""

    tenant: int
    stars: int
    comment: str
    version: str
    user: str
    at: str


class NewRating(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the caller's tenant says of an app; replaces what it said before."""

    stars: Annotated[int, Meta(ge=1, le=5)]
    comment: Annotated[str, Meta(max_length=2000)] = ""


class AppDetail(AppDocument, frozen=True, kw_only=True):
    """An app with its versions (those that the caller may see, newest first) and certifications.

    Attributes:
        own: whether it is the caller's tenant's.
        installed: version that the caller's tenant has, empty when none.
        rated: what the caller's tenant said.
    """

    own: bool
    installed: str
    rated: RatingDocument | None
    versions: list[VersionDocument]
    certifications: list[CertificationDocument]


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the publisher says of an app in the catalogue.

    Attributes:
        description: by language, ``zh`` and ``en``; default: the manifest's.
        industry: GB/T 4754, empty for every one.
        plan: from the day on that ``plan_from`` says.
        plan_from: default: today for the first plan, the first day of next month for another one.
    """

    description: dict[str, Words] | None = None
    industry: str | None = None
    plan: Plan | None = None
    plan_from: Day | None = None


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person decides about a version. ``sha256`` is that of the package that was looked at."""

    decision: Literal["publish", "refuse"]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    reason: Words = ""


class Withdrawing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a version is withdrawn; those who have it keep it and read this."""

    reason: Reason


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant used of an app in a month and what the plan makes of it, in hundredths of the currency."""

    app: str
    title: dict[str, str]
    tenant: int
    tenant_name: str
    calls: int
    device_days: int
    installed: bool
    plan: Plan
    amount: int


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A month. ``final`` is false while the month goes on."""

    month: str
    final: bool
    lines: list[StatementLine]


class Installed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version was installed, by the caller's tenant: on this node, or on one that took it from here."""

    version: Annotated[str, Meta(max_length=24)]
    node: Annotated[str, Meta(pattern=r"^([a-z2-7]{24})?\Z")] = ""


class Metered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calls and greatest number of active devices of a day, in total for the day so far."""

    day: Day
    calls: Annotated[int, Meta(ge=0, le=10**15)]
    devices: Annotated[int, Meta(ge=0, le=10**9)]
    tenant: int = 0
