"""Rows of the store as documents."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gongfu.appkit.manifest import Manifest
from gongfu.appkit.store.documents import (
    LEVELS,
    AppDocument,
    CertificationDocument,
    Check,
    Level,
    RatingDocument,
    VersionDetail,
    VersionDocument,
)
from gongfu.appkit.store.permission_changes import asks_of, changes
from gongfu.appkit.store.pricing import Plan
from gongfu.kernel.times import format_rfc3339


def version_document(row: Any) -> VersionDocument:
    """Return a version; the row has the app's identifier."""
    return VersionDocument(**_version(row))


def version_detail(row: Any, against: Any, certifications: Sequence[CertificationDocument]) -> VersionDetail:
    """Return a version with what it is made of.

    Args:
        row: the version, with the app's identifier.
        against: the version published before it, None when there is none.
        certifications: of it.
    """
    manifest = manifest_of(row)
    before = manifest_of(against) if against is not None else None
    return VersionDetail(
        **_version(row),
        manifest=row.manifest,
        provenance=row.provenance,
        asks=asks_of(manifest),
        changes=changes(before, manifest),
        changes_against=against.version if against is not None else "",
        checks=msgspec.convert(row.checks, list[Check]),
        certifications=list(certifications),
    )


def manifest_of(row: Any) -> Manifest:
    """Return the manifest of a version."""
    return msgspec.convert(row.manifest, Manifest)


def app_document(row: Any, shown: Any, plan: Any, installs: int, now: int) -> AppDocument:
    """Return an app in the catalogue.

    Args:
        row: the app.
        shown: its version that is shown, None when none is published.
        plan: that holds today, None for none.
        installs: on how many nodes and tenants it is.
        now: UTC ns.
    """
    return AppDocument(
        id=row.identifier,
        title=row.title,
        description=row.description,
        industry=row.industry,
        version=shown.version if shown is not None else "",
        sha256=shown.sha256 if shown is not None else "",
        size=shown.size if shown is not None else 0,
        publisher=shown.publisher if shown is not None else "",
        level=level_of(row, now),
        rating=row.stars / row.ratings if row.ratings else None,
        ratings=row.ratings,
        installs=installs,
        plan=plan_of(plan),
        asks=[kind for kind in row.asks.split(",") if kind],
        shown_at=format_rfc3339(row.shown_at) if row.shown_at else "",
    )


def search_text(identifier: str, title: Mapping[str, str], description: Mapping[str, str], publisher: str) -> str:
    """Return what an app is found by: its words in small letters."""
    return "\n".join([identifier, *title.values(), *description.values(), publisher]).lower()[:16_000]


def level_of(row: Any, now: int) -> Level:
    """Return the certification level of an app that holds now."""
    return LEVELS[row.level] if row.certified_until > now else "none"


def plan_of(row: Any) -> Plan:
    """Return the plan of a row; without one an app is free."""
    if row is None:
        return Plan()
    return Plan(kind=row.kind, amount=row.amount, currency=row.currency, included=row.included)


def rating_document(row: Any) -> RatingDocument:
    """Return what a tenant said."""
    return RatingDocument(row.tenant_id, row.stars, row.comment, row.version, row.user_name, format_rfc3339(row.at))


def certification_document(row: Any, version: str, now: int) -> CertificationDocument:
    """Return a certification of a version."""
    state = "ended" if row.ended_at else "valid" if row.until > now else "expired"
    return CertificationDocument(
        row.id, version, row.level, row.by, row.evidence, format_rfc3339(row.at), format_rfc3339(row.until), state
    )


def _version(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "app": row.identifier,
        "version": row.version,
        "state": row.state,
        "reason": row.reason,
        "sha256": row.sha256,
        "size": row.size,
        "key_id": row.key_id,
        "publisher": row.publisher,
        "notes": row.notes,
        "author": row.author,
        "reviewer": row.reviewer,
        "made_at": format_rfc3339(row.made_at),
        "changed_at": format_rfc3339(row.changed_at),
    }
